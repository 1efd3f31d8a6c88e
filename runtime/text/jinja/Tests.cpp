//===- Tests.cpp - The tests after 'is' -----------------------------------===//

#include "runtime/text/jinja/Interpreter.h"
#include "runtime/text/jinja/Text.h"

#include <map>

namespace ds::text::jinja {

using Test = bool (*)(const Value &, const Arguments &);

/// Returns the argument of a test, such as 3 in `is divisibleby(3)`.
static const Value &operand(const Arguments &arguments) {
  return arguments.require(0, "other", "the test");
}

template <bool (Value::*property)() const>
static bool testType(const Value &value, const Arguments &) {
  return (value.*property)();
}

static bool testDefined(const Value &value, const Arguments &) {
  return !value.isUndefined();
}
static bool testMapping(const Value &value, const Arguments &) {
  return value.isDict();
}
static bool testIterable(const Value &value, const Arguments &) {
  return value.isString() || value.isList() || value.isDict() ||
         value.isUndefined();
}
static bool testSequence(const Value &value, const Arguments &) {
  return value.isString() || value.isList() || value.isDict() ||
         value.isUndefined();
}
static bool testTrue(const Value &value, const Arguments &) {
  return value.isBool() && value.isTrue();
}
static bool testFalse(const Value &value, const Arguments &) {
  return value.isBool() && !value.isTrue();
}
static bool testDivisible(const Value &value, const Arguments &arguments) {
  return equals(applyBinary("%", value, operand(arguments)), Value(int64_t(0)));
}
static bool testEven(const Value &value, const Arguments &) {
  return value.asInteger() % 2 == 0;
}
static bool testOdd(const Value &value, const Arguments &) {
  return value.asInteger() % 2 != 0;
}
static bool testLower(const Value &value, const Arguments &) {
  std::string text = value.print();
  return changeCase(text, LetterCase::Lower) == text &&
         changeCase(text, LetterCase::Upper) != text;
}
static bool testUpper(const Value &value, const Arguments &) {
  std::string text = value.print();
  return changeCase(text, LetterCase::Upper) == text &&
         changeCase(text, LetterCase::Lower) != text;
}
static bool testSame(const Value &value, const Arguments &arguments) {
  const Value &other = operand(arguments);
  return value.isBool() == other.isBool() &&
         value.isFloat() == other.isFloat() && equals(value, other);
}
static bool testIn(const Value &value, const Arguments &arguments) {
  return contains(operand(arguments), value);
}
static bool testEqual(const Value &value, const Arguments &arguments) {
  return equals(value, operand(arguments));
}
static bool testNotEqual(const Value &value, const Arguments &arguments) {
  return !equals(value, operand(arguments));
}
static bool testLess(const Value &value, const Arguments &arguments) {
  return compare(value, operand(arguments)) < 0;
}
static bool testLessEqual(const Value &value, const Arguments &arguments) {
  return compare(value, operand(arguments)) <= 0;
}
static bool testGreater(const Value &value, const Arguments &arguments) {
  return compare(value, operand(arguments)) > 0;
}
static bool testGreaterEqual(const Value &value, const Arguments &arguments) {
  return compare(value, operand(arguments)) >= 0;
}

bool applyTest(const std::string &name, const Value &value,
               const Arguments &arguments) {
  static const std::map<std::string, Test> tests = {
      {"boolean", testType<&Value::isBool>},
      {"callable", testType<&Value::isFunction>},
      {"defined", testDefined},
      {"divisibleby", testDivisible},
      {"eq", testEqual},
      {"equalto", testEqual},
      {"even", testEven},
      {"false", testFalse},
      {"float", testType<&Value::isFloat>},
      {"ge", testGreaterEqual},
      {"greaterthan", testGreater},
      {"gt", testGreater},
      {"in", testIn},
      {"integer", testType<&Value::isInteger>},
      {"iterable", testIterable},
      {"le", testLessEqual},
      {"lessthan", testLess},
      {"lower", testLower},
      {"lt", testLess},
      {"mapping", testMapping},
      {"ne", testNotEqual},
      {"none", testType<&Value::isNone>},
      {"number", testType<&Value::isNumber>},
      {"odd", testOdd},
      {"sameas", testSame},
      {"sequence", testSequence},
      {"string", testType<&Value::isString>},
      {"true", testTrue},
      {"undefined", testType<&Value::isUndefined>},
      {"upper", testUpper},
  };
  auto found = tests.find(name);
  if (found == tests.end())
    fail("expects no test '" + name + "'");
  return found->second(value, arguments);
}

} // namespace ds::text::jinja
