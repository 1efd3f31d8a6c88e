//===- ManifestReader.h - Reads JSON with the place of what is wrong ------===//
#ifndef DS_RUNTIME_MANIFESTREADER_H
#define DS_RUNTIME_MANIFESTREADER_H

#include "runtime/Result.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace ds::runtime {

/// A value at a path of the manifest. The first problem is noted and reading
/// goes on with harmless values, so that a caller checks once.
class ManifestReader {
public:
  using Json = nlohmann::json;

  ManifestReader(const Json &json, std::string &problem, std::string path = {})
      : json(&json), problem(&problem), path(std::move(path)) {}

  const Json &value() const { return *json; }
  bool has(const char *key) const {
    return json->is_object() && json->contains(key);
  }

  /// Tells whether there is a member `key` that is not null.
  bool hasValue(const char *key) const {
    return has(key) && !(*json)[key].is_null();
  }

  /// Returns the member `key`, which has to exist.
  ManifestReader at(const char *key) const {
    static const Json null;
    std::string inner = path.empty() ? key : path + "." + key;
    if (!has(key))
      ManifestReader(null, *problem, inner).expects("be present");
    return {has(key) ? (*json)[key] : null, *problem, inner};
  }

  /// Calls `function` with each item of an array.
  template <typename Function> void each(Function function) const {
    if (!json->is_array())
      return expects("be an array");
    for (size_t i = 0; i < json->size(); ++i)
      function(ManifestReader((*json)[i], *problem,
                              path + "[" + std::to_string(i) + "]"));
  }

  /// Calls `function` with the key and the value of each member of an object.
  template <typename Function> void members(Function function) const {
    if (!json->is_object())
      return expects("be an object");
    for (const auto &[key, value] : json->items())
      function(key, ManifestReader(value, *problem,
                                   path.empty() ? key : path + "." + key));
  }

  /// Returns an integer of [minimum, maximum].
  int64_t integer(int64_t minimum = 0, int64_t maximum = int64_t(1)
                                                         << 53) const {
    if (json->is_number_integer()) {
      int64_t value = json->get<int64_t>();
      if (value >= minimum && value <= maximum)
        return value;
    }
    expects(join("be an integer of ", minimum, " to ", maximum));
    return minimum;
  }

  std::string string() const {
    if (json->is_string())
      return json->get<std::string>();
    expects("be a string");
    return {};
  }

  double number() const {
    if (json->is_number())
      return json->get<double>();
    expects("be a number");
    return 0;
  }

  bool boolean() const {
    if (json->is_boolean())
      return json->get<bool>();
    expects("be true or false");
    return false;
  }

  /// Returns the value of `choices` whose name the string is.
  template <typename T>
  T choice(std::initializer_list<std::pair<const char *, T>> choices) const {
    std::string name = string(), names;
    for (const auto &choice : choices) {
      if (name == choice.first)
        return choice.second;
      names += (names.empty() ? "" : ", ") + std::string(choice.first);
    }
    expects("be one of " + names);
    return choices.begin()->second;
  }

  /// Notes that this value was expected to `what`.
  void expects(const std::string &what) const {
    if (!problem->empty())
      return;
    std::string found =
        json->dump(-1, ' ', false, Json::error_handler_t::replace);
    if (found.size() > 40)
      found = found.substr(0, 37) + "...";
    *problem = join("expects ", path, " (", found, ") to ", what);
  }

  bool failed() const { return !problem->empty(); }

private:
  const Json *json;
  std::string *problem;
  std::string path;
};

} // namespace ds::runtime

#endif // DS_RUNTIME_MANIFESTREADER_H
