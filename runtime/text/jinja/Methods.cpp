//===- Methods.cpp - Methods of values and global functions ---------------===//

#include "runtime/text/jinja/Interpreter.h"
#include "runtime/text/jinja/Text.h"

#include <ctime>
#include <map>

namespace ds::text::jinja {

using Method = Value (*)(const Value &, const Arguments &);

/// Returns an argument that has to be a text.
static std::string textArgument(const Arguments &arguments, size_t index,
                                const char *name, const char *method) {
  const Value &value = arguments.require(index, name, method);
  if (!value.isString())
    fail(std::string("expects the argument '") + name + "' of " + method +
         " to be a text, not " + value.typeName());
  return value.string();
}

template <bool left, bool right>
static Value strip(const Value &self, const Arguments &arguments) {
  return stripText(self.string(), arguments.find(0, "chars"), left, right);
}

template <bool fromRight>
static Value split(const Value &self, const Arguments &arguments) {
  const Value *most = arguments.find(1, "maxsplit");
  return splitText(self.string(), arguments.find(0, "sep"),
                   most ? most->asInteger() : -1, fromRight);
}

static Value splitLines(const Value &self, const Arguments &) {
  List lines;
  const std::string &text = self.string();
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find_first_of("\r\n", at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + (text.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  return lines;
}

static Value replace(const Value &self, const Arguments &arguments) {
  std::string from = textArgument(arguments, 0, "old", "replace");
  std::string to = textArgument(arguments, 1, "new", "replace");
  const Value *limit = arguments.find(2, "count");
  int64_t most = limit && !limit->isNone() ? limit->asInteger() : -1;
  const std::string &text = self.string();
  std::string out;
  size_t at = 0;
  // An empty text is found before each code point and at the end.
  if (from.empty()) {
    for (std::string_view point : codePoints(text)) {
      out += most-- != 0 ? to : "";
      out += point;
      most += most < -1;
      checkTextSize(out.size());
    }
    return out + (most != 0 ? to : "");
  }
  for (int64_t done = 0; most < 0 || done < most; ++done) {
    size_t found = text.find(from, at);
    if (found == text.npos)
      break;
    out.append(text, at, found - at);
    out += to;
    at = found + from.size();
    checkTextSize(out.size());
  }
  return out.append(text, at, text.npos);
}

/// Tells whether `text` has `part` at its begin or end.
static bool hasEnd(const std::string &text, const std::string &part,
                   bool begin) {
  return text.size() >= part.size() &&
         text.compare(begin ? 0 : text.size() - part.size(), part.size(),
                      part) == 0;
}

template <bool begin>
static Value hasEnd(const Value &self, const Arguments &arguments) {
  const Value &wanted = arguments.require(0, "prefix", "startswith");
  if (!wanted.isList())
    return hasEnd(self.string(),
                  textArgument(arguments, 0, "prefix", "startswith"), begin);
  for (const Value &part : wanted.list())
    if (part.isString() && hasEnd(self.string(), part.string(), begin))
      return true;
  return false;
}

/// Returns the offset of an argument in code points, or -1.
template <bool last>
static Value find(const Value &self, const Arguments &arguments) {
  std::string part = textArgument(arguments, 0, "sub", "find");
  const std::string &text = self.string();
  size_t at = last ? text.rfind(part) : text.find(part);
  return at == text.npos ? int64_t(-1) : Value(text.substr(0, at)).length();
}

static Value count(const Value &self, const Arguments &arguments) {
  const Value &wanted = arguments.require(0, "sub", "count");
  int64_t number = 0;
  if (self.isList()) {
    for (const Value &item : self.list())
      number += equals(item, wanted);
    return number;
  }
  return static_cast<int64_t>(
             splitText(self.string(), &wanted, -1, false).size()) -
         1;
}

static Value join(const Value &self, const Arguments &arguments) {
  return applyFilter("join", arguments.require(0, "iterable", "join"),
                     {{self}, {}});
}

template <LetterCase letters>
static Value toCase(const Value &self, const Arguments &) {
  return changeCase(self.string(), letters);
}

static Value isDigits(const Value &self, const Arguments &) {
  return !self.string().empty() &&
         self.string().find_first_not_of("0123456789") == std::string::npos;
}

static Value keys(const Value &self, const Arguments &) {
  return self.iterate();
}
static Value values(const Value &self, const Arguments &) {
  List list;
  for (const auto &[key, value] : self.dict())
    list.push_back(value);
  return list;
}
static Value items(const Value &self, const Arguments &) {
  List list;
  for (const auto &[key, value] : self.dict())
    list.push_back(Value::tuple({key, value}));
  return list;
}
static Value get(const Value &self, const Arguments &arguments) {
  const Value &key = arguments.require(0, "key", "get");
  const Value *otherwise = arguments.find(1, "default");
  const Value *member = key.isString() ? self.member(key.string()) : nullptr;
  return member ? *member : otherwise ? *otherwise : Value();
}

Value findMethod(const Value &self, const std::string &name) {
  static const std::map<std::string, Method> ofText = {
      {"capitalize", toCase<LetterCase::Capital>},
      {"count", count},
      {"endswith", hasEnd<false>},
      {"find", find<false>},
      {"isdigit", isDigits},
      {"join", join},
      {"lower", toCase<LetterCase::Lower>},
      {"lstrip", strip<true, false>},
      {"replace", replace},
      {"rfind", find<true>},
      {"rsplit", split<true>},
      {"rstrip", strip<false, true>},
      {"split", split<false>},
      {"splitlines", splitLines},
      {"startswith", hasEnd<true>},
      {"strip", strip<true, true>},
      {"title", toCase<LetterCase::Title>},
      {"upper", toCase<LetterCase::Upper>},
  };
  static const std::map<std::string, Method> ofDict = {
      {"get", get}, {"items", items}, {"keys", keys}, {"values", values}};
  static const std::map<std::string, Method> ofList = {{"count", count}};
  static const std::map<std::string, Method> none;
  const std::map<std::string, Method> &methods = self.isString() ? ofText
                                                 : self.isDict() ? ofDict
                                                 : self.isList() ? ofList
                                                                 : none;
  auto found = methods.find(name);
  if (found == methods.end())
    return Value::undefined("the method '" + name + "'");
  return Function([self, method = found->second](const Arguments &arguments) {
    return method(self, arguments);
  });
}

static Value makeRange(const Arguments &arguments) {
  int64_t first = arguments.require(0, "stop", "range").asInteger();
  bool isOne = arguments.positional.size() == 1;
  int64_t begin = isOne ? 0 : first;
  int64_t end = isOne ? first : arguments.positional[1].asInteger();
  int64_t step =
      arguments.positional.size() > 2 ? arguments.positional[2].asInteger() : 1;
  if (step == 0)
    fail("expects the step of range not to be 0");
  static constexpr size_t most = 100000;
  List list;
  for (int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (list.size() == most)
      fail("expects a range of at most " + std::to_string(most) + " numbers");
    list.push_back(i);
    if (__builtin_add_overflow(i, step, &i))
      break;
  }
  return list;
}

static Value makeNamespace(const Arguments &arguments) {
  Dict members;
  for (const auto &[key, value] : arguments.named)
    members.emplace_back(key, value);
  return Value::makeNamespace(std::move(members));
}

static Value makeDict(const Arguments &arguments) {
  Dict members;
  for (const auto &[key, value] : arguments.named)
    members.emplace_back(key, value);
  return members;
}

static Value raiseException(const Arguments &arguments) {
  fail("the template refuses the conversation: " +
       arguments.require(0, "message", "raise_exception").print());
}

static Value formatNow(const Arguments &arguments) {
  std::string format = textArgument(arguments, 0, "format", "strftime_now");
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[256];
  size_t size = std::strftime(text, sizeof(text), format.c_str(), &parts);
  return std::string(text, size);
}

Dict makeGlobals() {
  return {{"dict", Function(makeDict)},
          {"namespace", Function(makeNamespace)},
          {"raise_exception", Function(raiseException)},
          {"range", Function(makeRange)},
          {"strftime_now", Function(formatNow)}};
}

} // namespace ds::text::jinja
