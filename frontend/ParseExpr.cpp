//===- ParseExpr.cpp - Expressions and types ------------------------------===//
#include "frontend/Parser.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;

/// How tightly a binary operator binds, or 0.
static unsigned getPrecedence(const Token &token) {
  if (token.kind != Token::Mark)
    return 0;
  return llvm::StringSwitch<unsigned>(token.text)
      .Case("??", 1)
      .Case("||", 2)
      .Case("&&", 3)
      .Cases({"==", "!=", "<", "<=", ">", ">="}, 4)
      .Cases({"+", "-"}, 5)
      .Cases({"*", "/", "%"}, 6)
      .Default(0);
}

/// Sets the height of an expression; null, with an error, if it is so high
/// that walks over the tree could overflow the stack.
ExprPtr Parser::finish(ExprPtr expr, llvm::ArrayRef<const Expr *> children) {
  for (const Expr *child : children)
    expr->height = std::max(expr->height, child->height + 1);
  if (expr->height <= 200)
    return expr;
  diag.error(expr->loc, "expects an expression of at most 200 levels");
  return nullptr;
}

ExprPtr Parser::parseExpr(unsigned minimum) {
  Depth nested(*this);
  if (tooDeep())
    return nullptr;
  ExprPtr left = parseUnary();
  while (left) {
    unsigned precedence = getPrecedence(peek());
    if (precedence == 0 || precedence <= minimum)
      return left;
    const Token &op = take();
    auto binary = std::make_unique<BinaryExpr>(op.getLoc());
    binary->op = op.text;
    binary->left = std::move(left);
    binary->right = parseExpr(precedence);
    if (!binary->right)
      return nullptr;
    if (precedence == 4 && getPrecedence(peek()) == 4) {
      fail("parentheses around one of two comparisons");
      return nullptr;
    }
    const Expr *children[] = {binary->left.get(), binary->right.get()};
    left = finish(std::move(binary), children);
  }
  return left;
}

ExprPtr Parser::parseUnary() {
  if (!peek().isMark("-") && !peek().isMark("!"))
    return parsePower();
  Depth nested(*this);
  if (tooDeep())
    return nullptr;
  const Token &op = take();
  auto unary = std::make_unique<UnaryExpr>(op.getLoc());
  unary->op = op.text;
  unary->operand = parseUnary();
  if (!unary->operand)
    return nullptr;
  const Expr *operand = unary->operand.get();
  return finish(std::move(unary), operand);
}

ExprPtr Parser::parsePower() {
  ExprPtr base = parsePostfix();
  if (!base || !peek().isMark("^"))
    return base;
  Depth nested(*this);
  if (tooDeep())
    return nullptr;
  const Token &op = take();
  auto power = std::make_unique<BinaryExpr>(op.getLoc());
  power->op = op.text;
  power->left = std::move(base);
  power->right = parseUnary();
  if (!power->right)
    return nullptr;
  const Expr *children[] = {power->left.get(), power->right.get()};
  return finish(std::move(power), children);
}

ExprPtr Parser::parsePostfix() {
  ExprPtr base = parsePrimary();
  while (base) {
    llvm::SMLoc loc = base->loc;
    if (consumeMark(".")) {
      auto member = std::make_unique<MemberExpr>(loc);
      if (!expectName(member->name, "a name after '.'"))
        return nullptr;
      member->base = std::move(base);
      const Expr *child = member->base.get();
      base = finish(std::move(member), child);
    } else if (peek().isMark("[") && !peek().startsLine) {
      take();
      auto index = std::make_unique<IndexExpr>(loc);
      index->base = std::move(base);
      if (!(index->index = parseExpr()) || !expectMark("]", "after the index"))
        return nullptr;
      const Expr *children[] = {index->base.get(), index->index.get()};
      base = finish(std::move(index), children);
    } else if (peek().isMark("(") && !peek().startsLine) {
      take();
      auto call = std::make_unique<CallExpr>(loc);
      call->callee = std::move(base);
      if (!parseArgs(call->args))
        return nullptr;
      llvm::SmallVector<const Expr *> children = {call->callee.get()};
      for (const Argument &arg : call->args)
        children.push_back(arg.value.get());
      base = finish(std::move(call), children);
    } else {
      return base;
    }
  }
  return base;
}

ExprPtr Parser::parsePrimary() {
  const Token &token = peek();
  switch (token.kind) {
  case Token::Int:
    return std::make_unique<IntExpr>(take().text);
  case Token::Float:
    return std::make_unique<FloatExpr>(take().text);
  case Token::String:
    return std::make_unique<StringExpr>(take().text);
  case Token::Name:
    return std::make_unique<NameExpr>(take().text);
  default:
    break;
  }
  if (token.isWord("true") || token.isWord("false"))
    return std::make_unique<BoolExpr>(take().text);
  if (token.isWord("null"))
    return std::make_unique<NullExpr>(take().text);
  if (consumeMark("[")) {
    auto list = std::make_unique<ListExpr>(token.getLoc());
    if (!parseExprList(list->elements, "]"))
      return nullptr;
    llvm::SmallVector<const Expr *> children;
    for (const ExprPtr &element : list->elements)
      children.push_back(element.get());
    return finish(std::move(list), children);
  }
  if (consumeMark("(")) {
    ExprPtr inner = parseExpr();
    return inner && expectMark(")", "after the expression") ? std::move(inner)
                                                            : nullptr;
  }
  fail("an expression");
  return nullptr;
}

bool Parser::parseArgs(std::vector<Argument> &args) {
  if (consumeMark(")"))
    return true;
  do {
    Argument arg;
    if (peek().kind == Token::Name && peek(1).isMark("=")) {
      arg.name.name = take().text;
      take();
    } else if (!args.empty() && args.back().name) {
      return fail("'name = value', since a keyword argument came before");
    }
    if (!(arg.value = parseExpr()))
      return false;
    args.push_back(std::move(arg));
  } while (consumeMark(","));
  return expectMark(")", "after the arguments");
}

bool Parser::parseExprList(std::vector<ExprPtr> &list, StringRef close) {
  if (consumeMark(close))
    return true;
  do {
    ExprPtr element = parseExpr();
    if (!element)
      return false;
    list.push_back(std::move(element));
  } while (consumeMark(","));
  return expectMark(close, "after the list");
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

bool Parser::parseTensorType(TypeExpr &type) {
  type.loc = peek().getLoc();
  type.hasBrackets = true;
  if (peek().kind == Token::Name && peek(1).isMark("["))
    type.name.name = take().text;
  if (!expectMark("[", "and dimensions"))
    return false;
  return parseExprList(type.dims, "]");
}

bool Parser::parseType(TypeExpr &type) {
  type.loc = peek().getLoc();
  if (peek().kind == Token::Name && !peek(1).isMark("[")) {
    type.name.name = take().text;
    type.nullable = consumeMark("?");
    return true;
  }
  if (peek().isWord("model")) {
    type.name.name = take().text;
    return true;
  }
  if (peek().kind != Token::Name && !peek().isMark("["))
    return fail("a type");
  if (!parseTensorType(type))
    return false;
  type.nullable = consumeMark("?");
  return true;
}
