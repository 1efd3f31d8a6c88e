//===- ConstValue.cpp - Values that are known at compile time
//------------------===//
#include "frontend/ConstValue.h"
#include "frontend/Lexer.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include <charconv>
#include <cmath>

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

ConstValue ConstValue::null() {
  ConstValue value;
  value.kind = Null;
  return value;
}

ConstValue ConstValue::of(bool boolean) {
  ConstValue value;
  value.kind = Bool;
  value.boolean = boolean;
  return value;
}

ConstValue ConstValue::of(int64_t integer) {
  ConstValue value;
  value.kind = Int;
  value.integer = integer;
  value.number = static_cast<double>(integer);
  return value;
}

ConstValue ConstValue::of(double number) {
  ConstValue value;
  value.kind = Float;
  value.number = number;
  return value;
}

ConstValue ConstValue::of(StringRef string) {
  ConstValue value;
  value.kind = String;
  value.string = string.str();
  return value;
}

bool ConstValue::operator==(const ConstValue &other) const {
  if (isNumber() && other.isNumber())
    return kind == Int && other.kind == Int ? integer == other.integer
                                            : number == other.number;
  if (kind != other.kind)
    return false;
  return boolean == other.boolean && string == other.string &&
         elements == other.elements && record == other.record;
}

std::string ConstValue::str() const {
  switch (kind) {
  case Poison:
    return "?";
  case Null:
    return "null";
  case Bool:
    return boolean ? "true" : "false";
  case Int:
    return std::to_string(integer);
  case Float: {
    char text[32];
    return {text, std::to_chars(text, text + sizeof(text), number).ptr};
  }
  case String:
    return quote(string);
  case List:
    return "[" +
           llvm::join(
               llvm::map_range(elements,
                               [](const ConstValue &v) { return v.str(); }),
               ", ") +
           "]";
  case Object:
    return "{...}";
  }
  return "?";
}

const ConstValue *ConstScope::find(StringRef name) const {
  auto found = values.find(name);
  if (found != values.end())
    return &found->second;
  if (record) {
    auto inRecord = record->names.find(name);
    if (inRecord != record->names.end())
      return &inRecord->second;
  }
  return parent ? parent->find(name) : nullptr;
}

//===----------------------------------------------------------------------===//
// Evaluation
//===----------------------------------------------------------------------===//

void Evaluator::collectUses(const Expr &expr, const ConstScope &scope,
                            std::vector<Use> &uses) {
  if (auto *name = llvm::dyn_cast<NameExpr>(&expr)) {
    const ConstValue *value = scope.find(name->text);
    bool known =
        llvm::any_of(uses, [&](const Use &use) { return use.second == value; });
    if (value && !known)
      uses.emplace_back(name->text.str(), value);
  } else if (auto *member = llvm::dyn_cast<MemberExpr>(&expr)) {
    auto *base = llvm::dyn_cast<NameExpr>(member->base.get());
    const ConstValue *record = base ? scope.find(base->text) : nullptr;
    if (!record || !record->record)
      return;
    auto found = record->record->names.find(member->name.name);
    if (found != record->record->names.end())
      uses.emplace_back((base->text + "." + member->name.name).str(),
                        &found->second);
  } else if (auto *unary = llvm::dyn_cast<UnaryExpr>(&expr)) {
    collectUses(*unary->operand, scope, uses);
  } else if (auto *binary = llvm::dyn_cast<BinaryExpr>(&expr)) {
    collectUses(*binary->left, scope, uses);
    collectUses(*binary->right, scope, uses);
  } else if (auto *call = llvm::dyn_cast<CallExpr>(&expr)) {
    for (const Argument &argument : call->args)
      collectUses(*argument.value, scope, uses);
  }
}

void Evaluator::noteOrigins(const Expr &expr, const ConstScope &scope) {
  std::vector<Use> uses;
  collectUses(expr, scope, uses);
  for (const Use &use : uses)
    if (use.second->origin.isValid())
      diag.note(use.second->origin,
                "'" + use.first + "' is " + use.second->str());
}

ConstValue Evaluator::fail(const Expr &expr, const ConstScope &scope,
                           const Twine &message) {
  diag.error(expr.loc, message);
  noteOrigins(expr, scope);
  return ConstValue();
}

ConstValue Evaluator::eval(const Expr &expr, const ConstScope &scope) {
  switch (expr.kind) {
  case Expr::Int: {
    int64_t integer = 0;
    if (llvm::cast<IntExpr>(expr).text.getAsInteger(10, integer))
      return fail(expr, scope, "expects a number of at most 64 bits");
    return ConstValue::of(integer);
  }
  case Expr::Float: {
    double number = 0;
    if (llvm::cast<FloatExpr>(expr).text.getAsDouble(number))
      return fail(expr, scope, "expects a number of at most 64 bits");
    return ConstValue::of(number);
  }
  case Expr::String:
    return ConstValue::of(
        StringRef(unquote(llvm::cast<StringExpr>(expr).text)));
  case Expr::Bool:
    return ConstValue::of(llvm::cast<BoolExpr>(expr).text == "true");
  case Expr::Null:
    return ConstValue::null();
  case Expr::Name: {
    const ConstValue *value = scope.find(llvm::cast<NameExpr>(expr).text);
    return value ? *value : ConstValue();
  }
  case Expr::Member: {
    const auto &member = llvm::cast<MemberExpr>(expr);
    ConstValue base = eval(*member.base, scope);
    if (base.kind != ConstValue::Object)
      return base.isNull() ? base : ConstValue();
    auto found = base.record->names.find(member.name.name);
    return found == base.record->names.end() ? ConstValue() : found->second;
  }
  case Expr::List: {
    ConstValue list;
    list.kind = ConstValue::List;
    for (const ExprPtr &element : llvm::cast<ListExpr>(expr).elements) {
      list.elements.push_back(eval(*element, scope));
      if (list.elements.back().isPoison())
        return ConstValue();
    }
    return list;
  }
  case Expr::Unary:
    return evalUnary(llvm::cast<UnaryExpr>(expr), scope);
  case Expr::Binary:
    return evalBinary(llvm::cast<BinaryExpr>(expr), scope);
  case Expr::Call:
    return evalCall(llvm::cast<CallExpr>(expr), scope);
  case Expr::Index:
    return ConstValue();
  }
  return ConstValue();
}

bool ds::isConstFunction(StringRef name) {
  return name == "ln" || name == "least" || name == "greatest";
}

/// ln(x), and least and greatest of a list of integers.
ConstValue Evaluator::evalCall(const CallExpr &expr, const ConstScope &scope) {
  auto *name = llvm::dyn_cast<NameExpr>(expr.callee.get());
  if (!name || !isConstFunction(name->text) || expr.args.size() != 1)
    return ConstValue();
  const Expr &argument = *expr.args[0].value;
  ConstValue value = eval(argument, scope);
  if (value.isNull())
    return fail(argument, scope,
                "expects '" + spell(argument) + "' not to be null");
  if (name->text != "ln")
    return evalExtreme(argument, scope, value, name->text == "greatest");
  if (!value.isNumber())
    return ConstValue();
  if (!(value.number > 0))
    return fail(argument, scope, "expects '" + spell(argument) +
                                     "' to be positive, got " + value.str());
  return ConstValue::of(std::log(value.number));
}

ConstValue Evaluator::evalExtreme(const Expr &argument, const ConstScope &scope,
                                  const ConstValue &list, bool isMost) {
  if (list.kind != ConstValue::List)
    return ConstValue();
  if (list.elements.empty())
    return fail(argument, scope,
                "expects '" + spell(argument) + "' not to be empty");
  int64_t result = list.elements[0].integer;
  for (const ConstValue &element : list.elements)
    result = isMost ? std::max(result, element.integer)
                    : std::min(result, element.integer);
  return ConstValue::of(result);
}

ConstValue Evaluator::evalUnary(const UnaryExpr &expr,
                                const ConstScope &scope) {
  ConstValue value = eval(*expr.operand, scope);
  if (value.isNull())
    return fail(*expr.operand, scope,
                "expects '" + spell(*expr.operand) + "' not to be null");
  if (expr.op == "!")
    return value.kind == ConstValue::Bool ? ConstValue::of(!value.boolean)
                                          : ConstValue();
  if (value.kind == ConstValue::Float)
    return ConstValue::of(-value.number);
  if (value.kind != ConstValue::Int)
    return ConstValue();
  int64_t negated = 0;
  if (llvm::SubOverflow<int64_t>(0, value.integer, negated))
    return fail(expr, scope, "expects an integer of at most 64 bits");
  return ConstValue::of(negated);
}

/// Order of two numbers; poison for other operators.
template <typename T>
static ConstValue evalOrder(StringRef op, T left, T right) {
  if (op == "<")
    return ConstValue::of(left < right);
  if (op == "<=")
    return ConstValue::of(left <= right);
  if (op == ">")
    return ConstValue::of(left > right);
  if (op == ">=")
    return ConstValue::of(left >= right);
  return ConstValue();
}

static ConstValue evalFloats(StringRef op, double left, double right) {
  if (op == "+")
    return ConstValue::of(left + right);
  if (op == "-")
    return ConstValue::of(left - right);
  if (op == "*")
    return ConstValue::of(left * right);
  if (op == "/")
    return ConstValue::of(left / right);
  if (op == "^")
    return ConstValue::of(std::pow(left, right));
  return evalOrder(op, left, right);
}

ConstValue Evaluator::evalInts(const BinaryExpr &expr, const ConstScope &scope,
                               int64_t left, int64_t right) {
  StringRef op = expr.op;
  int64_t result = 0;
  bool overflow = false;
  if (op == "+")
    overflow = llvm::AddOverflow(left, right, result);
  else if (op == "-")
    overflow = llvm::SubOverflow(left, right, result);
  else if (op == "*")
    overflow = llvm::MulOverflow(left, right, result);
  else if (op == "^")
    return ConstValue::of(
        std::pow(static_cast<double>(left), static_cast<double>(right)));
  else if (op != "/" && op != "%")
    return evalOrder(op, left, right);
  if (overflow)
    return fail(expr, scope, "expects an integer of at most 64 bits");
  if (op != "/" && op != "%")
    return ConstValue::of(result);
  if (right == 0 || (right == -1 && left == INT64_MIN))
    return fail(expr, scope,
                "expects '" + spell(*expr.right) + "' to be a divisor, got " +
                    Twine(right));
  if (op == "%")
    return ConstValue::of(left % right);
  if (left % right)
    return fail(expr, scope,
                "expects '" + spell(*expr.left) + "' (" + Twine(left) +
                    ") to be a multiple of '" + spell(*expr.right) + "' (" +
                    Twine(right) + ")");
  return ConstValue::of(left / right);
}

ConstValue Evaluator::evalBinary(const BinaryExpr &expr,
                                 const ConstScope &scope) {
  StringRef op = expr.op;
  ConstValue left = eval(*expr.left, scope);
  if (op == "??")
    return left.isNull() ? eval(*expr.right, scope) : left;
  if ((op == "&&" || op == "||") && left.kind == ConstValue::Bool &&
      left.boolean == (op == "||"))
    return left;
  ConstValue right = eval(*expr.right, scope);
  if (left.isPoison() || right.isPoison())
    return ConstValue();
  if (op == "==")
    return ConstValue::of(left == right);
  if (op == "!=")
    return ConstValue::of(!(left == right));
  for (const auto &[side, value] :
       {std::pair(expr.left.get(), &left), std::pair(expr.right.get(), &right)})
    if (value->isNull())
      return fail(*side, scope,
                  "expects '" + spell(*side) + "' not to be null");
  if (op == "&&" || op == "||")
    return right.kind == ConstValue::Bool ? right : ConstValue();
  if (left.kind == ConstValue::Int && right.kind == ConstValue::Int)
    return evalInts(expr, scope, left.integer, right.integer);
  if (left.isNumber() && right.isNumber())
    return evalFloats(op, left.number, right.number);
  return ConstValue();
}

std::optional<int64_t> Evaluator::evalInt(const Expr &expr,
                                          const ConstScope &scope) {
  ConstValue value = eval(expr, scope);
  if (value.isNull())
    fail(expr, scope, "expects '" + spell(expr) + "' not to be null");
  if (value.kind != ConstValue::Int)
    return std::nullopt;
  return value.integer;
}

std::optional<bool> Evaluator::evalBool(const Expr &expr,
                                        const ConstScope &scope) {
  ConstValue value = eval(expr, scope);
  if (value.isNull())
    fail(expr, scope, "expects '" + spell(expr) + "' not to be null");
  if (value.kind != ConstValue::Bool)
    return std::nullopt;
  return value.boolean;
}
