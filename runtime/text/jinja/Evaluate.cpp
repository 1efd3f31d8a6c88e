//===- Evaluate.cpp - Expressions at run time -----------------------------===//

#include "runtime/text/jinja/Interpreter.h"

namespace ds::text::jinja {

Value Interpreter::evaluate(const Expr &expr) {
  countSteps(1, expr.line);
  DepthGuard guard(depth, expr.line);
  try {
    return evaluateKind(expr);
  } catch (TemplateError &error) {
    if (error.line == 0)
      error.line = expr.line;
    throw;
  }
}

Value Interpreter::evaluateKind(const Expr &expr) {
  switch (expr.kind) {
  case Expr::Literal:
    return expr.literal;
  case Expr::Name:
    return lookUp(expr.name);
  case Expr::ListDisplay: {
    List list;
    for (const ExprPtr &item : expr.args)
      list.push_back(evaluate(*item));
    return expr.name.empty() ? Value(std::move(list))
                             : Value::tuple(std::move(list));
  }
  case Expr::DictDisplay: {
    Dict dict;
    for (size_t i = 0; i < expr.args.size(); i += 2) {
      Value key = evaluate(*expr.args[i]);
      if (!key.isString())
        fail(std::string("expects keys to be texts, not ") + key.typeName());
      dict.emplace_back(key.string(), evaluate(*expr.args[i + 1]));
    }
    return dict;
  }
  case Expr::Attribute:
    return getAttribute(evaluate(*expr.args[0]), expr.name);
  case Expr::Index:
    return getItem(evaluate(*expr.args[0]), evaluate(*expr.args[1]));
  case Expr::Slice: {
    Value parts[4];
    for (size_t i = 0; i < 4; ++i)
      if (expr.args[i])
        parts[i] = evaluate(*expr.args[i]);
    return getSlice(parts[0], parts[1], parts[2], parts[3]);
  }
  case Expr::Call:
    return evaluateCall(expr);
  case Expr::Filter:
    return applyFilter(expr.name, evaluate(*expr.args[0]),
                       evaluateArguments(expr));
  case Expr::Test:
    return applyTest(expr.name, evaluate(*expr.args[0]),
                     evaluateArguments(expr));
  case Expr::Unary: {
    Value value = evaluate(*expr.args[0]);
    if (expr.name == "not")
      return !value.isTrue();
    Value zero = value.isFloat() ? Value(0.0) : Value(int64_t(0));
    return applyBinary(expr.name, zero, value);
  }
  case Expr::Binary:
    return evaluateBinary(expr);
  case Expr::Conditional: {
    bool condition = evaluate(*expr.args[0]).isTrue();
    const ExprPtr &chosen = expr.args[condition ? 1 : 2];
    return chosen ? evaluate(*chosen) : Value::undefined("the value of 'if'");
  }
  }
  return Value();
}

Value Interpreter::evaluateBinary(const Expr &expr) {
  Value left = evaluate(*expr.args[0]);
  if (expr.name == "and")
    return left.isTrue() ? evaluate(*expr.args[1]) : left;
  if (expr.name == "or")
    return left.isTrue() ? left : evaluate(*expr.args[1]);
  return applyBinary(expr.name, left, evaluate(*expr.args[1]));
}

Arguments Interpreter::evaluateArguments(const Expr &expr) {
  Arguments arguments;
  for (size_t i = 1; i < expr.args.size(); ++i)
    arguments.positional.push_back(evaluate(*expr.args[i]));
  for (const auto &[name, value] : expr.named)
    arguments.named.emplace_back(name, evaluate(*value));
  return arguments;
}

Value Interpreter::evaluateCall(const Expr &expr) {
  Value callee = evaluate(*expr.args[0]);
  if (!callee.isFunction()) {
    const Expr &target = *expr.args[0];
    std::string name = target.name.empty() ? "the value" : target.name;
    fail("cannot call " + name + ", which is " + callee.typeName());
  }
  return callee.function()(evaluateArguments(expr));
}

} // namespace ds::text::jinja
