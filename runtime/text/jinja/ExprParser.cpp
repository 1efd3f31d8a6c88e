//===- ExprParser.cpp - Expressions of templates --------------------------===//
//
// Precedence as in Jinja: conditional, or, and, not, comparison, + -, ~,
// * / // %, **, unary minus; filters and tests bind tighter than all of them.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/jinja/Parser.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace ds::text::jinja {

/// Expressions and blocks nest at most this deep.
static constexpr int maxDepth = 150;

namespace {
/// Counts the depth of a recursion while it lives.
struct DepthGuard {
  explicit DepthGuard(int &depth) : depth(depth) { ++depth; }
  ~DepthGuard() { --depth; }
  int &depth;
};
} // namespace

static ExprPtr makeExpr(Expr::Kind kind, int line, std::string name = {}) {
  ExprPtr expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  expr->name = std::move(name);
  return expr;
}

/// Chains of operators and attributes are at most this long.
static constexpr int maxChain = 1000;

static void deepen(Expr &expr, const Expr &inner) {
  expr.depth = std::max(expr.depth, inner.depth + 1);
  if (expr.depth > maxChain)
    throw TemplateError{"expects expressions of at most " +
                            std::to_string(maxChain) + " parts",
                        expr.line};
}

static ExprPtr makeUnary(std::string name, int line, ExprPtr value) {
  ExprPtr expr = makeExpr(Expr::Unary, line, std::move(name));
  deepen(*expr, *value);
  expr->args.push_back(std::move(value));
  return expr;
}

static ExprPtr makeBinary(std::string name, int line, ExprPtr left,
                          ExprPtr right) {
  ExprPtr expr = makeUnary(std::move(name), line, std::move(left));
  expr->kind = Expr::Binary;
  deepen(*expr, *right);
  expr->args.push_back(std::move(right));
  return expr;
}

const Token &ExprParser::peek(size_t ahead) const {
  return tokens[at + ahead < tokens.size() ? at + ahead : tokens.size() - 1];
}

bool ExprParser::isNext(Token::Kind kind, const char *text) const {
  return peek().kind == kind && peek().text == text;
}

bool ExprParser::accept(const char *text) {
  bool found = isNext(Token::Operator, text);
  at += found;
  return found;
}

bool ExprParser::acceptName(const char *text) {
  bool found = isNextName(text);
  at += found;
  return found;
}

void ExprParser::expected(const std::string &what) const {
  const Token &token = peek();
  std::string found = token.kind == Token::Text || token.kind == Token::String
                          ? "a text"
                      : token.kind == Token::End ? token.text
                                                 : "'" + token.text + "'";
  throw TemplateError{"expects " + what + ", not " + found, token.line};
}

void ExprParser::expect(const char *text) {
  if (!accept(text))
    expected("'" + std::string(text) + "'");
}

std::string ExprParser::expectName() {
  if (peek().kind != Token::Name)
    expected("a name");
  return take().text;
}

ExprPtr ExprParser::parseExpr(bool conditional) {
  DepthGuard guard(depth);
  if (depth > maxDepth)
    throw TemplateError{"expects expressions nested at most " +
                            std::to_string(maxDepth) + " deep",
                        peek().line};
  ExprPtr value = parseOr();
  while (conditional && isNextName("if")) {
    ExprPtr choice = makeExpr(Expr::Conditional, take().line);
    choice->args.push_back(parseOr());
    choice->args.push_back(std::move(value));
    choice->args.push_back(acceptName("else") ? parseExpr() : nullptr);
    value = std::move(choice);
  }
  return value;
}

ExprPtr ExprParser::parseTuple(bool conditional) {
  ExprPtr first = parseExpr(conditional);
  if (!isNext(Token::Operator, ","))
    return first;
  ExprPtr tuple = makeExpr(Expr::ListDisplay, first->line, "tuple");
  tuple->args.push_back(std::move(first));
  while (accept(",")) {
    if (peek().kind == Token::BlockEnd || peek().kind == Token::PrintEnd ||
        isNext(Token::Operator, ")") || isNext(Token::Operator, "="))
      break;
    tuple->args.push_back(parseExpr(conditional));
  }
  return tuple;
}

ExprPtr ExprParser::parseOr() {
  ExprPtr left = parseAnd();
  while (isNextName("or")) {
    int line = take().line;
    left = makeBinary("or", line, std::move(left), parseAnd());
  }
  return left;
}

ExprPtr ExprParser::parseAnd() {
  ExprPtr left = parseNot();
  while (isNextName("and")) {
    int line = take().line;
    left = makeBinary("and", line, std::move(left), parseNot());
  }
  return left;
}

ExprPtr ExprParser::parseNot() {
  DepthGuard guard(depth);
  if (!isNextName("not"))
    return parseCompare();
  int line = take().line;
  if (depth > maxDepth)
    expected("fewer 'not'");
  return makeUnary("not", line, parseNot());
}

ExprPtr ExprParser::parseCompare() {
  ExprPtr left = parseSum();
  bool chained = false;
  while (true) {
    static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">="};
    std::string name;
    int line = peek().line;
    for (const char *candidate : operators)
      if (name.empty() && accept(candidate))
        name = candidate;
    if (name.empty() && isNextName("not") && peek(1).kind == Token::Name &&
        peek(1).text == "in") {
      at += 2;
      name = "not in";
    } else if (name.empty() && acceptName("in")) {
      name = "in";
    }
    if (name.empty())
      return left;
    if (chained)
      throw TemplateError{"expects one comparison; join two by 'and'", line};
    left = makeBinary(name, line, std::move(left), parseSum());
    chained = true;
  }
}

ExprPtr ExprParser::parseSum() {
  ExprPtr left = parseConcat();
  while (isNext(Token::Operator, "+") || isNext(Token::Operator, "-")) {
    Token token = take();
    left = makeBinary(token.text, token.line, std::move(left), parseConcat());
  }
  return left;
}

ExprPtr ExprParser::parseConcat() {
  ExprPtr left = parseProduct();
  while (isNext(Token::Operator, "~")) {
    int line = take().line;
    left = makeBinary("~", line, std::move(left), parseProduct());
  }
  return left;
}

ExprPtr ExprParser::parseProduct() {
  ExprPtr left = parsePower();
  while (isNext(Token::Operator, "*") || isNext(Token::Operator, "/") ||
         isNext(Token::Operator, "//") || isNext(Token::Operator, "%")) {
    Token token = take();
    left = makeBinary(token.text, token.line, std::move(left), parsePower());
  }
  return left;
}

ExprPtr ExprParser::parsePower() {
  ExprPtr left = parseUnary(true);
  while (isNext(Token::Operator, "**")) {
    int line = take().line;
    left = makeBinary("**", line, std::move(left), parseUnary(true));
  }
  return left;
}

ExprPtr ExprParser::parseUnary(bool withFilters) {
  DepthGuard guard(depth);
  if (depth > maxDepth)
    expected("fewer signs");
  ExprPtr value;
  if (isNext(Token::Operator, "-") || isNext(Token::Operator, "+")) {
    Token token = take();
    value = makeUnary(token.text, token.line, parseUnary(false));
  } else {
    value = parsePrimary();
  }
  value = parsePostfix(std::move(value));
  return withFilters ? parseFilters(std::move(value)) : std::move(value);
}

ExprPtr ExprParser::parseNumber() {
  Token token = take();
  ExprPtr expr = makeExpr(Expr::Literal, token.line);
  errno = 0;
  if (token.kind == Token::Float)
    expr->literal = std::strtod(token.text.c_str(), nullptr);
  else
    expr->literal = int64_t(std::strtoll(token.text.c_str(), nullptr, 10));
  if (errno == ERANGE && token.kind == Token::Integer)
    throw TemplateError{"expects a number of 64 bits", token.line};
  return expr;
}

ExprPtr ExprParser::parsePrimary() {
  const Token &token = peek();
  if (token.kind == Token::Integer || token.kind == Token::Float)
    return parseNumber();
  if (token.kind == Token::String) {
    ExprPtr expr = makeExpr(Expr::Literal, token.line);
    std::string text;
    while (peek().kind == Token::String)
      text += take().text;
    expr->literal = std::move(text);
    return expr;
  }
  if (token.kind == Token::Name) {
    Token name = take();
    ExprPtr expr = makeExpr(Expr::Literal, name.line);
    if (name.text == "true" || name.text == "True")
      expr->literal = true;
    else if (name.text == "false" || name.text == "False")
      expr->literal = false;
    else if (name.text != "none" && name.text != "None")
      expr = makeExpr(Expr::Name, name.line, name.text);
    return expr;
  }
  if (accept("("))
    return parseParenthesis();
  if (accept("["))
    return parseList();
  if (accept("{"))
    return parseDict();
  expected("an expression");
}

ExprPtr ExprParser::parseParenthesis() {
  if (accept(")"))
    return makeExpr(Expr::ListDisplay, peek().line, "tuple");
  ExprPtr value = parseTuple();
  expect(")");
  return value;
}

ExprPtr ExprParser::parseList() {
  ExprPtr list = makeExpr(Expr::ListDisplay, peek().line);
  while (!accept("]")) {
    list->args.push_back(parseExpr());
    if (!isNext(Token::Operator, "]"))
      expect(",");
  }
  return list;
}

ExprPtr ExprParser::parseDict() {
  ExprPtr dict = makeExpr(Expr::DictDisplay, peek().line);
  while (!accept("}")) {
    dict->args.push_back(parseExpr());
    expect(":");
    dict->args.push_back(parseExpr());
    if (!isNext(Token::Operator, "}"))
      expect(",");
  }
  return dict;
}

ExprPtr ExprParser::parsePostfix(ExprPtr value) {
  while (true) {
    int line = peek().line;
    if (accept(".")) {
      // `list.0` is an index.
      if (peek().kind == Token::Integer) {
        ExprPtr index = parseNumber();
        value = makeBinary("", line, std::move(value), std::move(index));
        value->kind = Expr::Index;
        continue;
      }
      value = makeUnary(expectName(), line, std::move(value));
      value->kind = Expr::Attribute;
    } else if (accept("[")) {
      value = parseSubscript(std::move(value));
    } else if (accept("(")) {
      value = makeUnary("", line, std::move(value));
      value->kind = Expr::Call;
      parseArguments(*value);
    } else {
      return value;
    }
  }
}

ExprPtr ExprParser::parseSubscript(ExprPtr value) {
  ExprPtr result = makeUnary("", peek().line, std::move(value));
  result->kind = Expr::Index;
  auto parsePart = [&] {
    bool isMissing =
        isNext(Token::Operator, ":") || isNext(Token::Operator, "]");
    result->args.push_back(isMissing ? nullptr : parseExpr());
  };
  parsePart();
  while (accept(":")) {
    result->kind = Expr::Slice;
    parsePart();
  }
  expect("]");
  if (result->kind == Expr::Index && !result->args[1])
    expected("an index");
  if (result->args.size() > 4)
    expected("at most three parts of a slice");
  if (result->kind == Expr::Slice)
    result->args.resize(4);
  return result;
}

/// Parses arguments and the closing parenthesis.
void ExprParser::parseArguments(Expr &call) {
  while (!accept(")")) {
    bool isNamed = peek().kind == Token::Name &&
                   peek(1).kind == Token::Operator && peek(1).text == "=";
    if (isNamed) {
      std::string name = take().text;
      expect("=");
      call.named.emplace_back(std::move(name), parseExpr());
    } else {
      call.args.push_back(parseExpr());
    }
    if (!isNext(Token::Operator, ")"))
      expect(",");
  }
}

ExprPtr ExprParser::parseFilters(ExprPtr value) {
  while (true) {
    int line = peek().line;
    if (accept("|")) {
      std::string name = expectName();
      value = makeUnary(std::move(name), line, std::move(value));
      value->kind = Expr::Filter;
      if (accept("("))
        parseArguments(*value);
    } else if (acceptName("is")) {
      value = parseTest(std::move(value));
    } else if (accept("(")) {
      value = makeUnary("", line, std::move(value));
      value->kind = Expr::Call;
      parseArguments(*value);
    } else {
      return value;
    }
  }
}

/// A test may take one argument without parentheses.
ExprPtr ExprParser::parseTest(ExprPtr value) {
  int line = peek().line;
  bool negated = acceptName("not");
  ExprPtr test = makeUnary(expectName(), line, std::move(value));
  test->kind = Expr::Test;
  const Token &next = peek();
  bool isOperand =
      next.kind == Token::String || next.kind == Token::Integer ||
      next.kind == Token::Float ||
      (next.kind == Token::Name && next.text != "else" && next.text != "or" &&
       next.text != "and" && next.text != "is" && next.text != "if" &&
       next.text != "not" && next.text != "in") ||
      isNext(Token::Operator, "[") || isNext(Token::Operator, "{");
  if (accept("("))
    parseArguments(*test);
  else if (isOperand)
    test->args.push_back(parsePostfix(parsePrimary()));
  return negated ? makeUnary("not", line, std::move(test)) : std::move(test);
}

} // namespace ds::text::jinja
