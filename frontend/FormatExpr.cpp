//===- FormatExpr.cpp - Expressions and types in canonical form -----------===//
#include "frontend/Format.h"
#include "llvm/ADT/StringSwitch.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;

/// How tightly an expression holds together: 0 for a sum of sums, 9 for a
/// name.
static unsigned getPrecedence(const Expr &expr) {
  if (expr.kind == Expr::Unary)
    return 7;
  auto *binary = llvm::dyn_cast<BinaryExpr>(&expr);
  if (!binary)
    return 9;
  return llvm::StringSwitch<unsigned>(binary->op)
      .Case("??", 1)
      .Case("||", 2)
      .Case("&&", 3)
      .Cases({"+", "-"}, 5)
      .Cases({"*", "/", "%"}, 6)
      .Case("^", 8)
      .Default(4);
}

static std::string wrap(const Expr &expr, unsigned minimum) {
  std::string text = spell(expr);
  return getPrecedence(expr) < minimum ? "(" + text + ")" : text;
}

static std::string spellList(const std::vector<ExprPtr> &list) {
  std::string text;
  for (const ExprPtr &expr : list)
    text += (text.empty() ? "" : ", ") + spell(*expr);
  return text;
}

static std::string spellBinary(const BinaryExpr &expr) {
  unsigned precedence = getPrecedence(expr);
  if (expr.op == "^")
    return wrap(*expr.left, 9) + " ^ " + wrap(*expr.right, 7);
  // Operators group to the left, comparisons do not group at all.
  unsigned left = precedence == 4 ? 5 : precedence;
  return wrap(*expr.left, left) + " " + expr.op.str() + " " +
         wrap(*expr.right, precedence + 1);
}

static std::string spellCall(const CallExpr &call) {
  std::string args;
  for (const Argument &arg : call.args) {
    args += args.empty() ? "" : ", ";
    if (arg.name)
      args += arg.name.name.str() + " = ";
    args += spell(*arg.value);
  }
  return spell(*call.callee) + "(" + args + ")";
}

std::string ds::spell(const Expr &expr) {
  switch (expr.kind) {
  case Expr::Int:
    return llvm::cast<IntExpr>(expr).text.str();
  case Expr::Float:
    return llvm::cast<FloatExpr>(expr).text.str();
  case Expr::String:
    return llvm::cast<StringExpr>(expr).text.str();
  case Expr::Bool:
    return llvm::cast<BoolExpr>(expr).text.str();
  case Expr::Null:
    return "null";
  case Expr::Name:
    return llvm::cast<NameExpr>(expr).text.str();
  case Expr::Member: {
    const auto &member = llvm::cast<MemberExpr>(expr);
    return wrap(*member.base, 9) + "." + member.name.name.str();
  }
  case Expr::Index: {
    const auto &index = llvm::cast<IndexExpr>(expr);
    return wrap(*index.base, 9) + "[" + spell(*index.index) + "]";
  }
  case Expr::Call:
    return spellCall(llvm::cast<CallExpr>(expr));
  case Expr::Unary: {
    const auto &unary = llvm::cast<UnaryExpr>(expr);
    return unary.op.str() + wrap(*unary.operand, 7);
  }
  case Expr::Binary:
    return spellBinary(llvm::cast<BinaryExpr>(expr));
  case Expr::List:
    return "[" + spellList(llvm::cast<ListExpr>(expr).elements) + "]";
  }
  return "";
}

std::string ds::spell(const TypeExpr &type) {
  std::string text = type.name.name.str();
  if (type.hasBrackets)
    text += "[" + spellList(type.dims) + "]";
  return text + (type.nullable ? "?" : "");
}
