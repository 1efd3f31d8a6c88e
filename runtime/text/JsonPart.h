//===- JsonPart.h - A part of a configuration file ------------------------===//
//
// Reads small JSON parts with errors that name the file and the path within
// it, such as `pre_tokenizer.pretokenizers[2].type`.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_JSONPART_H
#define DS_RUNTIME_TEXT_JSONPART_H

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ds::text {

using Json = nlohmann::ordered_json;

/// The name of a file that is being read, and the first thing wrong in it.
struct FileProblem {
  std::string file;
  std::string message;
};

/// A JSON value at a path of a file. The reading functions note the first
/// problem and go on with a harmless value, so that a caller checks once.
class JsonPart {
public:
  JsonPart(const Json &json, FileProblem &problem, std::string path = {})
      : json(&json), problem(&problem), path(std::move(path)) {}

  bool isNull() const { return json->is_null(); }
  bool isString() const { return json->is_string(); }
  bool isObject() const { return json->is_object(); }

  /// Tells whether this is an object with the key `key`, not null.
  bool has(const char *key) const;

  /// Returns the member `key`; a null part if there is none.
  JsonPart at(const std::string &key) const;

  /// Returns the items of an array.
  std::vector<JsonPart> items() const;

  /// Returns the members of an object with their keys.
  std::vector<std::pair<std::string, JsonPart>> members() const;

  std::string asString() const;
  int32_t asInteger() const;
  bool asBool() const;

  /// Returns the boolean `key`, or `otherwise` where it is missing or null.
  bool flag(const char *key, bool otherwise) const;

  /// Notes a problem if the object has a key that is not among `keys`.
  void allowKeys(std::initializer_list<const char *> keys) const;

  /// Notes that this value was expected "to be `what`".
  void expects(const std::string &what) const;

  /// Notes any problem: `message` follows the name of the file.
  void fail(const std::string &message) const;

  /// Tells whether a problem has been noted anywhere in the file.
  bool failed() const { return !problem->message.empty(); }

private:
  const Json *json;
  FileProblem *problem;
  std::string path;
};

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_JSONPART_H
