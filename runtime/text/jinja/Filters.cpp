//===- Filters.cpp - Filters and tests ------------------------------------===//

#include "runtime/text/jinja/Interpreter.h"
#include "runtime/text/jinja/Text.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <list>
#include <map>

namespace ds::text::jinja {

using Filter = Value (*)(const Value &, const Arguments &);

/// Returns the text of `value`; what is not a text is printed.
static std::string textOf(const Value &value) { return value.print(); }

/// Follows a path such as "a.b" from `value`.
static Value follow(Value value, const std::string &path) {
  size_t begin = 0;
  while (begin <= path.size()) {
    size_t end = std::min(path.find('.', begin), path.size());
    Value member = Value(path.substr(begin, end - begin));
    value = value.isUndefined() ? value : getItem(value, member);
    begin = end + 1;
  }
  return value;
}

/// Returns what a sequence filter looks at in `item`: the item itself or, with
/// an argument `attribute`, a member.
static Value keyOf(const Value &item, const Value *attribute) {
  return attribute && attribute->isString() ? follow(item, attribute->string())
                                            : item;
}

static Value filterDefault(const Value &value, const Arguments &arguments) {
  const Value *otherwise = arguments.find(0, "default_value");
  const Value *boolean = arguments.find(1, "boolean");
  bool missing =
      value.isUndefined() || (boolean && boolean->isTrue() && !value.isTrue());
  return !missing ? value : otherwise ? *otherwise : Value("");
}

static Value filterTrim(const Value &value, const Arguments &arguments) {
  return stripText(textOf(value), arguments.find(0, "chars"), true, true);
}

static Value filterJoin(const Value &value, const Arguments &arguments) {
  const Value *separator = arguments.find(0, "d");
  const Value *attribute = arguments.find(1, "attribute");
  std::string out;
  bool first = true;
  for (const Value &item : value.iterate()) {
    if (!first && separator)
      out += separator->print();
    first = false;
    out += keyOf(item, attribute).print();
    checkTextSize(out.size());
  }
  return out;
}

static Value filterFirst(const Value &value, const Arguments &) {
  List items = value.iterate();
  return items.empty() ? Value::undefined("the first item") : items.front();
}

static Value filterLast(const Value &value, const Arguments &) {
  List items = value.iterate();
  return items.empty() ? Value::undefined("the last item") : items.back();
}

static Value filterLength(const Value &value, const Arguments &) {
  return value.length();
}

static Value filterToJson(const Value &value, const Arguments &arguments) {
  const Value *indent = arguments.find(1, "indent");
  const Value *separators = arguments.find(2, "separators");
  bool isIndented = indent && !indent->isNone();
  std::string item = isIndented ? "," : ", ", key = ": ";
  if (separators && separators->isList() && separators->length() == 2) {
    item = separators->list()[0].print();
    key = separators->list()[1].print();
  }
  int64_t width = isIndented ? indent->asInteger() : -1;
  if (width > 100)
    fail("expects an indent of at most 100");
  return dumpJson(value, width, item, key);
}

static Value filterInt(const Value &value, const Arguments &arguments) {
  const Value *otherwise = arguments.find(0, "default");
  if (value.isNumber())
    return value.isFloat() ? Value(int64_t(value.asFloat())) : value;
  std::string text = value.isString() ? value.string() : "";
  char *end = nullptr;
  double number = std::strtod(text.c_str(), &end);
  bool whole = !text.empty() && *end == '\0' && std::fabs(number) < 9e18;
  return whole       ? Value(int64_t(number))
         : otherwise ? *otherwise
                     : Value(int64_t(0));
}

static Value filterFloat(const Value &value, const Arguments &arguments) {
  const Value *otherwise = arguments.find(0, "default");
  if (value.isNumber())
    return value.asFloat();
  std::string text = value.isString() ? value.string() : "";
  char *end = nullptr;
  double number = std::strtod(text.c_str(), &end);
  bool good = !text.empty() && *end == '\0';
  return good ? Value(number) : otherwise ? *otherwise : Value(0.0);
}

static Value filterAbs(const Value &value, const Arguments &) {
  if (value.isFloat())
    return std::fabs(value.asFloat());
  return applyBinary(value.asInteger() < 0 ? "*" : "+", value,
                     Value(int64_t(value.asInteger() < 0 ? -1 : 0)));
}

static Value filterRound(const Value &value, const Arguments &arguments) {
  const Value *precision = arguments.find(0, "precision");
  if (!value.isFloat())
    return value.asInteger();
  double scale = std::pow(10.0, precision ? precision->asInteger() : 0);
  return std::nearbyint(value.asFloat() * scale) / scale;
}

static Value filterSum(const Value &value, const Arguments &arguments) {
  const Value *attribute = arguments.find(0, "attribute");
  const Value *start = arguments.find(1, "start");
  Value sum = start ? *start : Value(int64_t(0));
  for (const Value &item : value.iterate())
    sum = applyBinary("+", sum, keyOf(item, attribute));
  return sum;
}

static Value filterMap(const Value &value, const Arguments &arguments) {
  const Value *attribute = arguments.find(~size_t(0), "attribute");
  const Value *otherwise = arguments.find(~size_t(0), "default");
  List result;
  for (const Value &item : value.iterate()) {
    if (attribute) {
      Value member = keyOf(item, attribute);
      result.push_back(member.isUndefined() && otherwise ? *otherwise : member);
      continue;
    }
    const Value &name = arguments.require(0, "filter", "map");
    Arguments inner = arguments;
    inner.positional.erase(inner.positional.begin());
    result.push_back(applyFilter(name.print(), item, inner));
  }
  return result;
}

/// Keeps the items whose key passes a test. The test is at `first` of the
/// arguments; without one the key has to be true.
static Value chooseItems(const Value &value, const Arguments &arguments,
                         size_t first, bool wanted) {
  const Value *attribute =
      first ? &arguments.require(0, "attribute", "selectattr") : nullptr;
  Arguments inner;
  const Value *test = arguments.find(first, "test");
  for (size_t i = first + 1; i < arguments.positional.size(); ++i)
    inner.positional.push_back(arguments.positional[i]);
  List result;
  for (const Value &item : value.iterate()) {
    Value key = keyOf(item, attribute);
    bool passes = test ? applyTest(test->print(), key, inner) : key.isTrue();
    if (passes == wanted)
      result.push_back(item);
  }
  return result;
}

static Value filterSelect(const Value &value, const Arguments &arguments) {
  return chooseItems(value, arguments, 0, true);
}
static Value filterReject(const Value &value, const Arguments &arguments) {
  return chooseItems(value, arguments, 0, false);
}
static Value filterSelectAttr(const Value &value, const Arguments &arguments) {
  return chooseItems(value, arguments, 1, true);
}
static Value filterRejectAttr(const Value &value, const Arguments &arguments) {
  return chooseItems(value, arguments, 1, false);
}

/// Texts are ordered without regard to case unless asked otherwise.
static Value orderKey(const Value &item, const Value *attribute,
                      const Value *caseSensitive) {
  Value key = keyOf(item, attribute);
  bool fold = key.isString() && !(caseSensitive && caseSensitive->isTrue());
  return fold ? Value(changeCase(key.string(), LetterCase::Lower)) : key;
}

static Value filterSort(const Value &value, const Arguments &arguments) {
  const Value *reverse = arguments.find(0, "reverse");
  const Value *caseSensitive = arguments.find(1, "case_sensitive");
  const Value *attribute = arguments.find(2, "attribute");
  bool descending = reverse && reverse->isTrue();
  // The sort of a list is stable, and harmless where NaN has no order.
  std::list<std::pair<Value, Value>> items;
  for (const Value &item : value.iterate())
    items.emplace_back(orderKey(item, attribute, caseSensitive), item);
  items.sort([&](const auto &a, const auto &b) {
    int order = compare(a.first, b.first);
    return descending ? order > 0 : order < 0;
  });
  List result;
  for (const auto &[key, item] : items)
    result.push_back(item);
  return result;
}

static Value filterUnique(const Value &value, const Arguments &arguments) {
  const Value *caseSensitive = arguments.find(0, "case_sensitive");
  const Value *attribute = arguments.find(1, "attribute");
  List result, seen;
  for (const Value &item : value.iterate()) {
    Value key = orderKey(item, attribute, caseSensitive);
    bool isNew = std::none_of(seen.begin(), seen.end(), [&](const Value &old) {
      return equals(old, key);
    });
    if (!isNew)
      continue;
    seen.push_back(key);
    result.push_back(item);
  }
  return result;
}

static Value chooseExtreme(const Value &value, const Arguments &arguments,
                           int sign) {
  const Value *caseSensitive = arguments.find(0, "case_sensitive");
  const Value *attribute = arguments.find(1, "attribute");
  Value best = Value::undefined("an item of an empty list");
  for (const Value &item : value.iterate())
    if (best.isUndefined() ||
        sign * compare(orderKey(item, attribute, caseSensitive),
                       orderKey(best, attribute, caseSensitive)) >
            0)
      best = item;
  return best;
}

static Value filterMax(const Value &value, const Arguments &arguments) {
  return chooseExtreme(value, arguments, 1);
}
static Value filterMin(const Value &value, const Arguments &arguments) {
  return chooseExtreme(value, arguments, -1);
}

static Value filterReverse(const Value &value, const Arguments &) {
  List items = value.iterate();
  std::reverse(items.begin(), items.end());
  if (!value.isString())
    return items;
  std::string text;
  for (const Value &item : items)
    text += item.string();
  return text;
}

static Value filterItems(const Value &value, const Arguments &) {
  if (value.isUndefined())
    return List();
  Value method = findMethod(value, "items");
  if (!method.isFunction())
    fail(std::string("expects a dict, not ") + value.typeName());
  return method.function()({});
}

static Value filterDictSort(const Value &value, const Arguments &) {
  return filterSort(filterItems(value, {}), {});
}

static Value filterIndent(const Value &value, const Arguments &arguments) {
  const Value *width = arguments.find(0, "width");
  const Value *first = arguments.find(1, "first");
  const Value *blank = arguments.find(2, "blank");
  std::string indent = "    ";
  if (width && width->isString())
    indent = width->string();
  else if (width)
    indent.assign(std::clamp<int64_t>(width->asInteger(), 0, 1000), ' ');
  std::string text = textOf(value), out;
  for (size_t at = 0; at <= text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    bool isFirst = at == 0, isBlank = end == at;
    bool wanted = isFirst ? first && first->isTrue()
                          : !isBlank || (blank && blank->isTrue());
    out += (isFirst ? "" : "\n") + (wanted ? indent : "") +
           text.substr(at, end - at);
    at = end + 1;
  }
  checkTextSize(out.size());
  return out;
}

static Value filterEscape(const Value &value, const Arguments &) {
  std::string out;
  for (char c : textOf(value)) {
    static const std::map<char, const char *> names = {{'&', "&amp;"},
                                                       {'<', "&lt;"},
                                                       {'>', "&gt;"},
                                                       {'"', "&#34;"},
                                                       {'\'', "&#39;"}};
    auto found = names.find(c);
    if (found == names.end())
      out += c;
    else
      out += found->second;
  }
  return out;
}

template <LetterCase letters>
static Value filterCase(const Value &value, const Arguments &) {
  return changeCase(textOf(value), letters);
}

static Value filterReplace(const Value &value, const Arguments &arguments) {
  return findMethod(Value(textOf(value)), "replace").function()(arguments);
}
static Value filterList(const Value &value, const Arguments &) {
  return value.iterate();
}
static Value filterString(const Value &value, const Arguments &) {
  return textOf(value);
}
static Value filterSafe(const Value &value, const Arguments &) { return value; }
static Value filterFormat(const Value &value, const Arguments &arguments) {
  return formatText(textOf(value), arguments.positional);
}

Value applyFilter(const std::string &name, const Value &value,
                  const Arguments &arguments) {
  static const std::map<std::string, Filter> filters = {
      {"abs", filterAbs},
      {"capitalize", filterCase<LetterCase::Capital>},
      {"count", filterLength},
      {"d", filterDefault},
      {"default", filterDefault},
      {"dictsort", filterDictSort},
      {"e", filterEscape},
      {"escape", filterEscape},
      {"first", filterFirst},
      {"float", filterFloat},
      {"format", filterFormat},
      {"indent", filterIndent},
      {"int", filterInt},
      {"items", filterItems},
      {"join", filterJoin},
      {"last", filterLast},
      {"length", filterLength},
      {"list", filterList},
      {"lower", filterCase<LetterCase::Lower>},
      {"map", filterMap},
      {"max", filterMax},
      {"min", filterMin},
      {"reject", filterReject},
      {"rejectattr", filterRejectAttr},
      {"replace", filterReplace},
      {"reverse", filterReverse},
      {"round", filterRound},
      {"safe", filterSafe},
      {"select", filterSelect},
      {"selectattr", filterSelectAttr},
      {"sort", filterSort},
      {"string", filterString},
      {"sum", filterSum},
      {"title", filterCase<LetterCase::Words>},
      {"tojson", filterToJson},
      {"trim", filterTrim},
      {"unique", filterUnique},
      {"upper", filterCase<LetterCase::Upper>},
  };
  auto found = filters.find(name);
  if (found == filters.end())
    fail("expects no filter '" + name + "'");
  return found->second(value, arguments);
}

} // namespace ds::text::jinja
