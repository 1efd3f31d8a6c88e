//===- Value.cpp - Values of templates ------------------------------------===//

#include "runtime/text/jinja/Value.h"

#include "runtime/text/Utf8.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace ds::text::jinja {

void fail(std::string message) { throw TemplateError{std::move(message), 0}; }

const Value *Arguments::find(size_t index, const char *name) const {
  if (index < positional.size())
    return &positional[index];
  for (const auto &[key, value] : named)
    if (key == name)
      return &value;
  return nullptr;
}

const Value &Arguments::require(size_t index, const char *name,
                                const char *function) const {
  if (const Value *value = find(index, name))
    return *value;
  fail(std::string("expects the argument '") + name + "' of " + function);
}

Value Value::undefined(std::string name) {
  Value value;
  value.data = Undefined{std::move(name)};
  return value;
}

int Value::depth() const {
  if (isNamespace())
    fail("expects no namespace inside of another value");
  if (isList())
    return std::get<std::shared_ptr<const Box<List>>>(data)->depth;
  if (isDict())
    return std::get<std::shared_ptr<const Box<Dict>>>(data)->depth;
  return 0;
}

static int checkDepth(int depth, int most) {
  if (depth > most)
    fail("expects values nested at most " + std::to_string(most) + " deep");
  return depth;
}

Value::Value(List value) {
  int inner = 0;
  for (const Value &item : value)
    inner = std::max(inner, item.depth());
  data = std::make_shared<const Box<List>>(
      Box<List>{std::move(value), checkDepth(inner + 1, maxDepth)});
}

Value::Value(Dict value) {
  int inner = 0;
  for (const auto &[key, item] : value)
    inner = std::max(inner, item.depth());
  data = std::make_shared<const Box<Dict>>(
      Box<Dict>{std::move(value), checkDepth(inner + 1, maxDepth)});
}

Value Value::tuple(List items) {
  Value list(std::move(items));
  Box<List> box = *std::get<std::shared_ptr<const Box<List>>>(list.data);
  box.isTuple = true;
  list.data = std::make_shared<const Box<List>>(std::move(box));
  return list;
}

bool Value::isTuple() const {
  return isList() && std::get<std::shared_ptr<const Box<List>>>(data)->isTuple;
}

Value Value::makeNamespace(Dict members) {
  Value value;
  for (const auto &[key, item] : members)
    item.depth();
  value.data = std::make_shared<Dict>(std::move(members));
  return value;
}

static Value convertJson(const nlohmann::ordered_json &json, int depth) {
  checkDepth(depth, 100);
  if (json.is_boolean())
    return json.get<bool>();
  if (json.is_number_float())
    return json.get<double>();
  if (json.is_number())
    return json.get<int64_t>();
  if (json.is_string())
    return json.get<std::string>();
  if (json.is_array()) {
    List list;
    for (const nlohmann::ordered_json &item : json)
      list.push_back(convertJson(item, depth + 1));
    return list;
  }
  if (!json.is_object())
    return Value();
  Dict dict;
  for (const auto &[key, item] : json.items())
    dict.emplace_back(key, convertJson(item, depth + 1));
  return dict;
}

Value Value::fromJson(const nlohmann::ordered_json &json) {
  return convertJson(json, 0);
}

const Dict &Value::dict() const {
  if (isNamespace())
    return *std::get<std::shared_ptr<Dict>>(data);
  return std::get<std::shared_ptr<const Box<Dict>>>(data)->items;
}

int64_t Value::asInteger() const {
  if (isBool())
    return std::get<bool>(data);
  if (isInteger())
    return std::get<int64_t>(data);
  fail(std::string("expects a whole number, not ") + typeName());
}

double Value::asFloat() const {
  if (isFloat())
    return std::get<double>(data);
  if (isNumber())
    return static_cast<double>(asInteger());
  fail(std::string("expects a number, not ") + typeName());
}

bool Value::isTrue() const {
  if (isFloat())
    return asFloat() != 0;
  if (isNumber())
    return asInteger() != 0;
  if (isString())
    return !string().empty();
  if (isList())
    return !list().empty();
  if (isDict())
    return !dict().empty();
  return isNamespace() || isFunction();
}

const char *Value::typeName() const {
  static const char *const names[] = {"none",        "an undefined value",
                                      "a boolean",   "a whole number",
                                      "a number",    "a text",
                                      "a list",      "a dict",
                                      "a namespace", "a function"};
  return names[data.index()];
}

/// Writes a float as Python does: the shortest digits that read back.
static std::string printFloat(double value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value < 0 ? "-inf" : "inf";
  char text[40];
  for (int digits = 1; digits <= 17; ++digits) {
    std::snprintf(text, sizeof(text), "%.*g", digits, value);
    if (std::strtod(text, nullptr) == value)
      break;
  }
  std::string result = text;
  size_t mark = result.find('e');
  int exponent = mark == result.npos ? 0 : std::atoi(text + mark + 1);
  // Python turns to exponents from 1e16 on, C by the number of digits.
  if (mark != result.npos && exponent >= 0 && exponent < 16) {
    std::snprintf(text, sizeof(text), "%.0f", value);
    result = text;
  }
  if (result.find_first_of(".e") == result.npos)
    result += ".0";
  return result;
}

static std::string quote(const std::string &text) {
  char mark =
      text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, mark);
  for (char c : text) {
    char code[8];
    if (c == mark || c == '\\')
      out += {'\\', c};
    else if (c == '\n' || c == '\r' || c == '\t')
      out += {'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'};
    else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
      std::snprintf(code, sizeof(code), "\\x%02x", c);
      out += code;
    } else
      out += c;
  }
  return out + mark;
}

std::string Value::repr() const {
  if (isString())
    return quote(string());
  std::string out;
  if (isList()) {
    for (const Value &item : list())
      out += (out.empty() ? "" : ", ") + item.repr();
    if (isTuple())
      return "(" + out + (list().size() == 1 ? ",)" : ")");
    return "[" + out + "]";
  }
  if (isDict() || isNamespace()) {
    for (const auto &[key, item] : dict())
      out += (out.empty() ? "" : ", ") + quote(key) + ": " + item.repr();
    return "{" + out + "}";
  }
  return print();
}

std::string Value::print() const {
  if (isString())
    return string();
  if (isUndefined())
    return {};
  if (isNone())
    return "None";
  if (isBool())
    return isTrue() ? "True" : "False";
  if (isInteger())
    return std::to_string(asInteger());
  if (isFloat())
    return printFloat(asFloat());
  if (isFunction())
    fail("expects a value to print, not a function");
  return repr();
}

const Value *Value::member(std::string_view key) const {
  if (!isDict() && !isNamespace())
    return nullptr;
  for (const auto &[name, value] : dict())
    if (name == key)
      return &value;
  return nullptr;
}

void Value::setMember(const std::string &key, Value value) const {
  value.depth();
  Dict &members = *std::get<std::shared_ptr<Dict>>(data);
  for (auto &[name, old] : members)
    if (name == key) {
      old = std::move(value);
      return;
    }
  members.emplace_back(key, std::move(value));
}

std::vector<std::string_view> codePoints(std::string_view text) {
  std::vector<std::string_view> result;
  for (size_t at = 0; at < text.size(); at += result.back().size())
    result.push_back(text.substr(at, readCodePoint(text.substr(at)).length));
  return result;
}

List Value::iterate() const {
  if (isUndefined())
    return {};
  if (isList())
    return list();
  List result;
  if (isDict()) {
    for (const auto &[key, value] : dict())
      result.push_back(key);
  } else if (isString()) {
    for (std::string_view point : codePoints(string()))
      result.push_back(std::string(point));
  } else {
    fail(std::string("expects something to iterate over, not ") + typeName());
  }
  return result;
}

int64_t Value::length() const {
  if (isList())
    return static_cast<int64_t>(list().size());
  if (isDict())
    return static_cast<int64_t>(dict().size());
  if (isString())
    return static_cast<int64_t>(codePoints(string()).size());
  if (isUndefined())
    return 0;
  fail(std::string("expects something with a length, not ") + typeName());
}

bool equals(const Value &a, const Value &b) {
  if (a.isNumber() && b.isNumber())
    return a.isFloat() || b.isFloat() ? a.asFloat() == b.asFloat()
                                      : a.asInteger() == b.asInteger();
  if (a.isString() && b.isString())
    return a.string() == b.string();
  if (a.isList() && b.isList())
    return a.isTuple() == b.isTuple() &&
           std::equal(a.list().begin(), a.list().end(), b.list().begin(),
                      b.list().end(), equals);
  if (a.isDict() && b.isDict()) {
    if (a.dict().size() != b.dict().size())
      return false;
    for (const auto &[key, value] : a.dict()) {
      const Value *other = b.member(key);
      if (!other || !equals(value, *other))
        return false;
    }
    return true;
  }
  return (a.isNone() && b.isNone()) || (a.isUndefined() && b.isUndefined());
}

int compare(const Value &a, const Value &b) {
  if (a.isString() && b.isString())
    return a.string().compare(b.string());
  if (a.isNumber() && b.isNumber()) {
    if (a.isFloat() || b.isFloat())
      return (a.asFloat() > b.asFloat()) - (a.asFloat() < b.asFloat());
    return (a.asInteger() > b.asInteger()) - (a.asInteger() < b.asInteger());
  }
  if (a.isList() && b.isList()) {
    size_t common = std::min(a.list().size(), b.list().size());
    for (size_t i = 0; i < common; ++i)
      if (!equals(a.list()[i], b.list()[i]))
        return compare(a.list()[i], b.list()[i]);
    return (a.list().size() > common) - (b.list().size() > common);
  }
  fail(std::string("cannot order ") + a.typeName() + " and " + b.typeName());
}

bool contains(const Value &container, const Value &item) {
  if (container.isString()) {
    if (!item.isString())
      fail(std::string("expects a text on the left of 'in', not ") +
           item.typeName());
    return container.string().find(item.string()) != std::string::npos;
  }
  if (container.isDict() || container.isNamespace())
    return item.isString() && container.member(item.string());
  for (const Value &element : container.iterate())
    if (equals(element, item))
      return true;
  return false;
}

} // namespace ds::text::jinja
