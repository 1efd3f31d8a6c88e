//===- CheckExpr.cpp - Types of expressions -------------------------------===//
#include "frontend/Checker.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

DslType Checker::mismatch(const Expr &expr, const Twine &expected,
                          const DslType &got) {
  if (!got.isInvalid())
    diag.error(expr.loc, "expects " + expected + ", got " + got.str());
  return {};
}

DslType Checker::checkExpr(const Expr &expr, Scope &scope) {
  switch (expr.kind) {
  case Expr::Int:
    return DslType::Int;
  case Expr::Float:
    return DslType::Float;
  case Expr::String:
    return DslType::String;
  case Expr::Bool:
    return DslType::Bool;
  case Expr::Null: {
    DslType type(DslType::Null);
    type.nullable = true;
    return type;
  }
  case Expr::Name:
    return checkName(llvm::cast<NameExpr>(expr), scope);
  case Expr::Member:
    return checkMember(llvm::cast<MemberExpr>(expr), scope);
  case Expr::Index:
    diag.error(expr.loc, "expects a call of one layer, such as layer[i](x, s)");
    return {};
  case Expr::Call: {
    std::vector<DslType> types = checkCall(llvm::cast<CallExpr>(expr), scope);
    if (types.size() == 1)
      return types[0];
    diag.error(expr.loc, "expects one result, got " + Twine(types.size()));
    return {};
  }
  case Expr::Unary:
    return checkUnary(llvm::cast<UnaryExpr>(expr), scope);
  case Expr::Binary:
    return checkBinary(llvm::cast<BinaryExpr>(expr), scope);
  case Expr::List:
    return checkList(llvm::cast<ListExpr>(expr), scope);
  }
  return {};
}

DslType Checker::checkName(const NameExpr &expr, Scope &scope) {
  Symbol *symbol = lookup({expr.text}, scope);
  if (!symbol)
    return {};
  bool isModel = symbol->type.kind == DslType::Model;
  if (!symbol->type.part && !isModel)
    return symbol->type;
  diag.error(expr.loc, "expects a value, got " +
                           Twine(isModel ? "model" : "part") + " '" +
                           expr.text + "', which is to be called");
  return {};
}

DslType Checker::checkMember(const MemberExpr &expr, Scope &scope) {
  if (findModelMember(expr, scope)) {
    if (expr.name.name == "has_draft")
      return DslType::Bool;
    diag.error(expr.name.getLoc(),
               "expects 'has_draft' after the name of a model, got '" +
                   expr.name.name + "'");
    return {};
  }
  DslType base = checkExpr(*expr.base, scope);
  if (base.kind != DslType::Record)
    return mismatch(*expr.base, "a config before '.'", base);
  Scope &fields = configs[base.config];
  Symbol *field = fields.find(expr.name.name);
  if (!field) {
    diag.error(expr.name.getLoc(),
               "unknown name '" + expr.name.name + "' in config '" +
                   base.config->name.name + "'" +
                   suggest(expr.name.name, getNames(fields)));
    return {};
  }
  DslType type = field->type;
  type.nullable |= base.nullable;
  return type;
}

DslType Checker::checkUnary(const UnaryExpr &expr, Scope &scope) {
  DslType type = checkExpr(*expr.operand, scope);
  if (expr.op == "!")
    return type.kind == DslType::Bool
               ? DslType(DslType::Bool)
               : mismatch(*expr.operand, "a bool after '!'", type);
  if (inObjective() && type.kind == DslType::Tensor)
    return type;
  return type.isNumber() ? DslType(type.kind)
                         : mismatch(*expr.operand, "a number after '-'", type);
}

/// The type that holds values of both, or Invalid.
static DslType join(const DslType &a, const DslType &b) {
  if (a.kind == DslType::Null)
    return b;
  if (a == b || b.kind == DslType::Null)
    return a;
  if (a.isNumber() && b.isNumber())
    return DslType::Float;
  return {};
}

DslType Checker::checkBinary(const BinaryExpr &expr, Scope &scope) {
  DslType left = checkExpr(*expr.left, scope);
  DslType right = checkExpr(*expr.right, scope);
  if (left.isInvalid() || right.isInvalid())
    return {};
  StringRef op = expr.op;
  if (inObjective() && (left.hasDims() || right.hasDims()))
    return checkArithmetic(expr, left, right);
  if (op == "+" && left.hasDims())
    return checkSum(expr, left, right);
  if (op == "&&" || op == "||") {
    if (left.kind != DslType::Bool)
      return mismatch(*expr.left, "a bool beside '" + op + "'", left);
    if (right.kind != DslType::Bool)
      return mismatch(*expr.right, "a bool beside '" + op + "'", right);
    return DslType::Bool;
  }
  if (op == "??" || op == "==" || op == "!=") {
    DslType both = join(left, right);
    if (!left.isConst() || both.isInvalid())
      return mismatch(*expr.right,
                      left.str() + " as on the left of '" + op + "'", right);
    both.nullable = right.nullable;
    return op == "??" ? both : DslType(DslType::Bool);
  }
  if (!left.isNumber())
    return mismatch(*expr.left, "a number beside '" + op + "'", left);
  if (!right.isNumber())
    return mismatch(*expr.right, "a number beside '" + op + "'", right);
  if (op.front() == '<' || op.front() == '>')
    return DslType::Bool;
  bool ints = left.kind == DslType::Int && right.kind == DslType::Int;
  if (op == "%" && !ints)
    return mismatch(left.kind == DslType::Int ? *expr.right : *expr.left,
                    "int beside '%'", DslType::Float);
  return ints && op != "^" ? DslType::Int : DslType::Float;
}

/// Sums of tensors are taken and kept in f32: they are the residual stream.
DslType Checker::checkSum(const BinaryExpr &expr, const DslType &left,
                          const DslType &right) {
  if (left.kind != DslType::Tensor)
    return mismatch(*expr.left, "a tensor beside '+'", left);
  if (right.kind != DslType::Tensor || right.dims != left.dims)
    return mismatch(*expr.right,
                    DslType::tensor(left.dims).str() + " as on the left of '+'",
                    right);
  return DslType::tensor(left.dims, true);
}

DslType Checker::checkList(const ListExpr &expr, Scope &scope) {
  DslType list(DslType::List);
  for (const ExprPtr &element : expr.elements) {
    DslType type = checkExpr(*element, scope);
    if (!type.isConst() || type.kind == DslType::List)
      return mismatch(*element, "a scalar in a list", type);
    if (list.element != DslType::Invalid && list.element != type.kind)
      return mismatch(*element, "elements of one type in a list", type);
    list.element = type.kind;
  }
  return list;
}

void Checker::checkBool(const Expr &expr, Scope &scope) {
  DslType type = checkExpr(expr, scope);
  if (type.kind != DslType::Bool)
    mismatch(expr, "a bool", type);
}

void Checker::checkInt(const Expr &expr, Scope &scope) {
  DslType type = checkExpr(expr, scope);
  if (type.kind != DslType::Int)
    mismatch(expr, "an int", type);
}

//===----------------------------------------------------------------------===//
// Dimensions
//===----------------------------------------------------------------------===//

/// The polynomial that an integer expression is. What is none, or a very long
/// one, is a name of its own.
Dim Checker::getDim(const Expr &expr, Scope &scope) {
  Dim own = Dim::name(spell(expr));
  if (auto *literal = llvm::dyn_cast<IntExpr>(&expr)) {
    int64_t value = 0;
    return literal->text.getAsInteger(10, value) ? own : Dim::constant(value);
  }
  if (auto *name = llvm::dyn_cast<NameExpr>(&expr)) {
    Symbol *symbol = scope.find(name->text);
    return symbol ? symbol->dim : own;
  }
  if (auto *member = llvm::dyn_cast<MemberExpr>(&expr)) {
    auto *base = llvm::dyn_cast<NameExpr>(member->base.get());
    Symbol *record = base ? scope.find(base->text) : nullptr;
    if (!record || !record->type.config || record->type.nullable)
      return own;
    Symbol *field = configs[record->type.config].find(member->name.name);
    Symbol *direct = scope.find(member->name.name);
    return field && direct && direct->loc == field->loc ? field->dim : own;
  }
  if (auto *unary = llvm::dyn_cast<UnaryExpr>(&expr))
    return -getDim(*unary->operand, scope);
  auto *binary = llvm::dyn_cast<BinaryExpr>(&expr);
  if (!binary || !StringRef("+-*").contains(binary->op))
    return own;
  Dim left = getDim(*binary->left, scope);
  Dim right = getDim(*binary->right, scope);
  if (binary->op != "*")
    return left + (binary->op == "+" ? right : -right);
  return left.isSmall() && right.isSmall() ? left * right : own;
}
