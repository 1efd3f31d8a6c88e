//===- Operators.cpp - Operators, items and attributes --------------------===//

#include "runtime/text/jinja/Interpreter.h"

#include <cmath>

namespace ds::text::jinja {

/// Texts longer than this come from a template that has gone astray.
static constexpr size_t maxText = 64u << 20;

void checkTextSize(size_t size) {
  if (size > maxText)
    fail("expects texts of at most " + std::to_string(maxText) + " bytes");
}

static void rejectUndefined(const Value &value) {
  if (value.isUndefined())
    fail(value.undefinedName() + " is undefined");
}

[[noreturn]] static void failOperator(const std::string &name,
                                      const Value &left, const Value &right) {
  rejectUndefined(left);
  rejectUndefined(right);
  fail("cannot apply '" + name + "' to " + left.typeName() + " and " +
       right.typeName());
}

/// Rounds the quotient towards minus infinity.
static int64_t floorDivide(int64_t a, int64_t b) {
  int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(result, base, &result) || exponent > 1000)
      fail("expects a power of 64 bits");
  return result;
}

static Value applyIntegers(const std::string &name, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (name == "+")
    overflow = __builtin_add_overflow(a, b, &result);
  else if (name == "-")
    overflow = __builtin_sub_overflow(a, b, &result);
  else if (name == "*")
    overflow = __builtin_mul_overflow(a, b, &result);
  else if (name == "**")
    result = power(a, b);
  else if (b == 0)
    fail("cannot divide by zero");
  else if (b == -1)
    overflow = name == "//" && __builtin_sub_overflow(0, a, &result);
  else
    result = name == "//" ? floorDivide(a, b) : a - floorDivide(a, b) * b;
  if (overflow)
    fail("expects a whole number of 64 bits");
  return result;
}

static Value applyFloats(const std::string &name, double a, double b) {
  if (name == "+")
    return a + b;
  if (name == "-")
    return a - b;
  if (name == "*")
    return a * b;
  if (name == "**")
    return std::pow(a, b);
  if (b == 0)
    fail("cannot divide by zero");
  if (name == "/")
    return a / b;
  if (name == "//")
    return std::floor(a / b);
  double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static Value repeat(const Value &value, int64_t count) {
  size_t times = count > 0 ? static_cast<size_t>(count) : 0;
  size_t size = value.isString() ? value.string().size() : value.list().size();
  checkTextSize(times > maxText ? times : size * times);
  if (value.isString()) {
    std::string text;
    for (size_t i = 0; i < times && size > 0; ++i)
      text += value.string();
    return text;
  }
  List list;
  for (size_t i = 0; i < times && size > 0; ++i)
    list.insert(list.end(), value.list().begin(), value.list().end());
  return list;
}

static Value add(const Value &left, const Value &right) {
  if (left.isString() && right.isString()) {
    checkTextSize(left.string().size() + right.string().size());
    return left.string() + right.string();
  }
  if (!left.isList() || !right.isList())
    failOperator("+", left, right);
  checkTextSize(left.list().size() + right.list().size());
  List list = left.list();
  list.insert(list.end(), right.list().begin(), right.list().end());
  return list;
}

static Value applyComparison(const std::string &name, const Value &left,
                             const Value &right) {
  rejectUndefined(left);
  rejectUndefined(right);
  int order = compare(left, right);
  if (name == "<")
    return order < 0;
  if (name == "<=")
    return order <= 0;
  return name == ">" ? order > 0 : order >= 0;
}

Value applyBinary(const std::string &name, const Value &left,
                  const Value &right) {
  if (name == "==")
    return equals(left, right);
  if (name == "!=")
    return !equals(left, right);
  if (name == "in")
    return contains(right, left);
  if (name == "not in")
    return !contains(right, left);
  if (name[0] == '<' || name[0] == '>')
    return applyComparison(name, left, right);
  if (name == "~") {
    std::string text = left.print() + right.print();
    checkTextSize(text.size());
    return text;
  }
  if (left.isNumber() && right.isNumber()) {
    bool isFloat = left.isFloat() || right.isFloat() || name == "/" ||
                   (name == "**" && right.asFloat() < 0);
    if (isFloat)
      return applyFloats(name, left.asFloat(), right.asFloat());
    return applyIntegers(name, left.asInteger(), right.asInteger());
  }
  if (name == "+")
    return add(left, right);
  if (name == "%" && left.isString())
    return applyFilter("format", left,
                       {right.isList() ? right.list() : List{right}, {}});
  if (name == "*" && (left.isString() || left.isList()) && right.isInteger())
    return repeat(left, right.asInteger());
  if (name == "*" && (right.isString() || right.isList()) && left.isInteger())
    return repeat(right, left.asInteger());
  failOperator(name, left, right);
}

Value getItem(const Value &value, const Value &index) {
  rejectUndefined(value);
  if (value.isDict() || value.isNamespace()) {
    const Value *member =
        index.isString() ? value.member(index.string()) : nullptr;
    return member ? *member : Value::undefined("the member " + index.repr());
  }
  bool isSequence = value.isList() || value.isString();
  if (!isSequence || !(index.isInteger() || index.isBool()))
    return Value::undefined("the item " + index.repr() + " of " +
                            value.typeName());
  List items = value.isList() ? List() : value.iterate();
  const List &list = value.isList() ? value.list() : items;
  int64_t count = static_cast<int64_t>(list.size());
  int64_t at = index.asInteger();
  at += at < 0 ? count : 0;
  if (at < 0 || at >= count)
    return Value::undefined("the item " + index.repr());
  return list[static_cast<size_t>(at)];
}

/// Returns a bound of a slice, clipped to [low, high].
static int64_t sliceBound(const Value &value, int64_t otherwise, int64_t count,
                          int64_t low, int64_t high) {
  if (value.isNone())
    return otherwise;
  int64_t at = value.asInteger();
  at += at < 0 ? count : 0;
  return std::min(std::max(at, low), high);
}

Value getSlice(const Value &value, const Value &begin, const Value &end,
               const Value &step) {
  rejectUndefined(value);
  if (!value.isList() && !value.isString())
    fail(std::string("cannot take a slice of ") + value.typeName());
  List items = value.iterate();
  int64_t count = static_cast<int64_t>(items.size());
  int64_t stride = step.isNone() ? 1 : step.asInteger();
  if (stride == 0)
    fail("expects the step of a slice not to be 0");
  bool forward = stride > 0;
  int64_t low = forward ? 0 : -1, high = forward ? count : count - 1;
  int64_t from = sliceBound(begin, forward ? low : high, count, low, high);
  int64_t to = sliceBound(end, forward ? high : low, count, low, high);
  // A step beyond the ends takes one item like a step to them.
  stride = std::min(std::max(stride, -count - 1), count + 1);
  List taken;
  for (int64_t i = from; forward ? i < to : i > to; i += stride)
    taken.push_back(items[static_cast<size_t>(i)]);
  if (value.isList())
    return taken;
  std::string text;
  for (const Value &item : taken)
    text += item.string();
  return text;
}

Value getAttribute(const Value &value, const std::string &name) {
  rejectUndefined(value);
  if (!value.isNamespace()) {
    Value method = findMethod(value, name);
    if (!method.isUndefined())
      return method;
  }
  if (const Value *member = value.member(name))
    return *member;
  return Value::undefined("the attribute '" + name + "'");
}

} // namespace ds::text::jinja
