//===- Parser.h - Templates to trees --------------------------------------===//

#ifndef DS_RUNTIME_TEXT_JINJA_PARSER_H
#define DS_RUNTIME_TEXT_JINJA_PARSER_H

#include "runtime/text/jinja/Ast.h"
#include "runtime/text/jinja/Lexer.h"

#include <initializer_list>

namespace ds::text::jinja {

/// A stream of tokens and the grammar of expressions.
class ExprParser {
public:
  explicit ExprParser(std::vector<Token> tokens) : tokens(std::move(tokens)) {}

  /// Parses an expression with all operators; without `conditional`, `if`
  /// stays for the statement around.
  ExprPtr parseExpr(bool conditional = true);

  /// Parses a list of expressions with commas as one expression: a list if
  /// there is a comma.
  ExprPtr parseTuple(bool conditional = true);

  /// Parses `| filter ..` and what follows, on `value`.
  ExprPtr parseFilters(ExprPtr value);

  const Token &peek(size_t ahead = 0) const;
  Token take() { return tokens[at < tokens.size() - 1 ? at++ : at]; }
  bool isNext(Token::Kind kind, const char *text) const;
  bool isNextName(const char *text) const { return isNext(Token::Name, text); }
  bool accept(const char *text);
  bool acceptName(const char *text);
  void expect(const char *text);
  std::string expectName();
  [[noreturn]] void expected(const std::string &what) const;

private:
  ExprPtr parseOr();
  ExprPtr parseAnd();
  ExprPtr parseNot();
  ExprPtr parseCompare();
  ExprPtr parseSum();
  ExprPtr parseConcat();
  ExprPtr parseProduct();
  ExprPtr parsePower();
  ExprPtr parseUnary(bool withFilters);
  ExprPtr parsePrimary();
  ExprPtr parsePostfix(ExprPtr value);
  ExprPtr parseSubscript(ExprPtr value);
  ExprPtr parseTest(ExprPtr value);
  ExprPtr parseParenthesis();
  ExprPtr parseList();
  ExprPtr parseDict();
  ExprPtr parseNumber();
  void parseArguments(Expr &call);

  std::vector<Token> tokens;
  size_t at = 0;
  int depth = 0;
};

/// Parses a template; throws TemplateError.
Body parseTemplate(std::string_view source);

} // namespace ds::text::jinja

#endif // DS_RUNTIME_TEXT_JINJA_PARSER_H
