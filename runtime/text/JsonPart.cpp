//===- JsonPart.cpp - A part of a configuration file ----------------------===//

#include "runtime/text/JsonPart.h"

#include <algorithm>

namespace ds::text {

static const Json nullJson;

bool JsonPart::has(const char *key) const {
  return json->is_object() && json->contains(key) && !(*json)[key].is_null();
}

JsonPart JsonPart::at(const std::string &key) const {
  std::string inner = path.empty() ? key : path + "." + key;
  if (!json->is_object() || !json->contains(key))
    return JsonPart(nullJson, *problem, inner);
  return JsonPart((*json)[key], *problem, inner);
}

std::vector<JsonPart> JsonPart::items() const {
  if (!json->is_array()) {
    expects("a list");
    return {};
  }
  std::vector<JsonPart> result;
  for (const Json &item : *json)
    result.emplace_back(item, *problem,
                        path + "[" + std::to_string(result.size()) + "]");
  return result;
}

std::vector<std::pair<std::string, JsonPart>> JsonPart::members() const {
  if (!json->is_object()) {
    expects("an object");
    return {};
  }
  std::vector<std::pair<std::string, JsonPart>> result;
  for (const auto &[key, value] : json->items())
    result.emplace_back(key, JsonPart(value, *problem, path + "." + key));
  return result;
}

std::string JsonPart::asString() const {
  if (json->is_string())
    return json->get<std::string>();
  expects("a string");
  return {};
}

int32_t JsonPart::asInteger() const {
  if (json->is_number_integer()) {
    int64_t value = json->get<int64_t>();
    if (value == static_cast<int32_t>(value))
      return static_cast<int32_t>(value);
  }
  expects("a whole number of 32 bits");
  return 0;
}

bool JsonPart::asBool() const {
  if (json->is_boolean())
    return json->get<bool>();
  expects("true or false");
  return false;
}

bool JsonPart::flag(const char *key, bool otherwise) const {
  return has(key) ? at(key).asBool() : otherwise;
}

void JsonPart::allowKeys(std::initializer_list<const char *> keys) const {
  if (!json->is_object())
    return expects("an object");
  for (const auto &[key, value] : json->items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end())
      continue;
    std::string known;
    for (const char *name : keys)
      known += (known.empty() ? "" : ", ") + std::string(name);
    return fail("expects no key " + (path.empty() ? key : path + "." + key) +
                " (known are " + known + ")");
  }
}

void JsonPart::expects(const std::string &what) const {
  std::string value = json->is_object() ? "an object" : "a list";
  if (json->is_primitive())
    value = json->dump(-1, ' ', false, Json::error_handler_t::replace);
  fail("expects " + path + " (" + value + ") to be " + what);
}

void JsonPart::fail(const std::string &message) const {
  if (problem->message.empty())
    problem->message = problem->file + ": " + message;
}

} // namespace ds::text
