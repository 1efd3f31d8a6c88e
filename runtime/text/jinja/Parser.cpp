//===- Parser.cpp - Statements of templates -------------------------------===//

#include "runtime/text/jinja/Parser.h"

#include <algorithm>

namespace ds::text::jinja {

/// Statements nest at most this deep.
static constexpr int maxDepth = 100;

namespace {
/// The grammar of statements.
class Parser {
public:
  explicit Parser(std::string_view source) : expr(lex(source)) {}

  Body parseAll();

private:
  using Ends = std::initializer_list<const char *>;
  Body parseBody(Ends ends);
  NodePtr parseStatement();
  NodePtr parseIf(NodePtr node);
  NodePtr parseFor(NodePtr node);
  NodePtr parseSet(NodePtr node);
  NodePtr parseMacro(NodePtr node);
  NodePtr parseCall(NodePtr node);
  NodePtr parseFilter(NodePtr node);
  std::vector<std::string> parseTargets(bool attributes);
  std::vector<Parameter> parseParameters();
  void endTag();
  bool isNextStatement(const char *name) const {
    return expr.peek().kind == Token::BlockBegin &&
           expr.peek(1).kind == Token::Name && expr.peek(1).text == name;
  }
  /// Takes `{% name`.
  void takeStatement() {
    expr.take();
    expr.take();
  }
  /// Takes `{% name %}`.
  void closeStatement() {
    takeStatement();
    endTag();
  }

  ExprParser expr;
  int depth = 0;
  int loops = 0;
};
} // namespace

static ExprPtr makeName(const char *name, int line) {
  ExprPtr expr = std::make_unique<Expr>();
  expr->kind = Expr::Name;
  expr->line = line;
  expr->name = name;
  return expr;
}

void Parser::endTag() {
  if (expr.peek().kind != Token::BlockEnd)
    expr.expected("'%}'");
  expr.take();
}

Body Parser::parseAll() {
  Body body = parseBody({});
  if (expr.peek().kind != Token::End) {
    expr.take();
    expr.expected("a statement that is understood");
  }
  return body;
}

/// Parses up to a statement among `ends`, which is left, or to the end of the
/// template if there are none.
Body Parser::parseBody(Ends ends) {
  Body body;
  int begin = expr.peek().line;
  while (true) {
    const Token &token = expr.peek();
    for (const char *end : ends)
      if (isNextStatement(end))
        return body;
    if (token.kind == Token::End && ends.size() == 0)
      return body;
    if (token.kind == Token::End)
      throw TemplateError{std::string("expects {% ") + *(ends.end() - 1) +
                              " %} for the statement before",
                          begin};
    NodePtr node = std::make_unique<Node>();
    node->kind = Node::Text;
    node->line = token.line;
    if (token.kind == Token::BlockBegin) {
      body.push_back(parseStatement());
      continue;
    }
    if (token.kind == Token::PrintBegin) {
      expr.take();
      node->kind = Node::Print;
      node->value = expr.parseTuple();
      if (expr.peek().kind != Token::PrintEnd)
        expr.expected("'}}'");
      expr.take();
    } else {
      node->text = expr.take().text;
    }
    body.push_back(std::move(node));
  }
}

NodePtr Parser::parseStatement() {
  static const std::pair<const char *, NodePtr (Parser::*)(NodePtr)> known[] = {
      {"if", &Parser::parseIf},     {"for", &Parser::parseFor},
      {"set", &Parser::parseSet},   {"macro", &Parser::parseMacro},
      {"call", &Parser::parseCall}, {"filter", &Parser::parseFilter},
  };
  expr.take();
  NodePtr node = std::make_unique<Node>();
  node->line = expr.peek().line;
  if (++depth > maxDepth)
    expr.expected("statements nested at most 100 deep");
  NodePtr result;
  for (const auto &[name, parse] : known)
    if (!result && expr.acceptName(name))
      result = (this->*parse)(std::move(node));
  if (!result && (expr.isNextName("break") || expr.isNextName("continue"))) {
    if (loops == 0)
      expr.expected("a loop around it");
    node->kind = expr.take().text == "break" ? Node::Break : Node::Continue;
    endTag();
    result = std::move(node);
  }
  // Marks the text of the assistant for training; here it is only a block.
  if (!result && expr.acceptName("generation")) {
    endTag();
    node->kind = Node::Scope;
    node->body = parseBody({"endgeneration"});
    closeStatement();
    result = std::move(node);
  }
  if (!result)
    expr.expected("if, for, set, macro, call, filter, break or continue");
  --depth;
  return result;
}

NodePtr Parser::parseIf(NodePtr node) {
  node->kind = Node::If;
  node->value = expr.parseTuple();
  endTag();
  node->body = parseBody({"elif", "else", "endif"});
  if (isNextStatement("elif")) {
    NodePtr inner = std::make_unique<Node>();
    inner->line = expr.peek().line;
    takeStatement();
    // The inner statement takes the {% endif %}.
    if (++depth > maxDepth)
      expr.expected("at most 100 branches");
    node->orelse.push_back(parseIf(std::move(inner)));
    --depth;
    return node;
  }
  if (isNextStatement("else")) {
    closeStatement();
    node->orelse = parseBody({"endif"});
  }
  closeStatement();
  return node;
}

std::vector<std::string> Parser::parseTargets(bool attributes) {
  std::vector<std::string> targets;
  bool closed = expr.accept("(");
  do {
    targets.push_back(expr.expectName());
    if (attributes && targets.size() == 1 && expr.accept("."))
      targets[0] += "." + expr.expectName();
  } while (expr.accept(","));
  if (closed)
    expr.expect(")");
  return targets;
}

NodePtr Parser::parseFor(NodePtr node) {
  node->kind = Node::For;
  node->targets = parseTargets(false);
  if (!expr.acceptName("in"))
    expr.expected("'in'");
  node->value = expr.parseTuple(/*conditional=*/false);
  if (expr.acceptName("if"))
    node->filter = expr.parseExpr();
  endTag();
  ++loops;
  node->body = parseBody({"else", "endfor"});
  --loops;
  if (isNextStatement("else")) {
    closeStatement();
    node->orelse = parseBody({"endfor"});
  }
  closeStatement();
  return node;
}

NodePtr Parser::parseSet(NodePtr node) {
  node->kind = Node::Set;
  node->targets = parseTargets(true);
  if (expr.accept("=")) {
    node->value = expr.parseTuple();
    endTag();
    return node;
  }
  node->value = expr.parseFilters(makeName(blockText, node->line));
  endTag();
  node->body = parseBody({"endset"});
  closeStatement();
  return node;
}

std::vector<Parameter> Parser::parseParameters() {
  std::vector<Parameter> parameters;
  while (!expr.accept(")")) {
    Parameter parameter{expr.expectName(), nullptr};
    if (expr.accept("="))
      parameter.otherwise = expr.parseExpr();
    parameters.push_back(std::move(parameter));
    if (!expr.isNext(Token::Operator, ")"))
      expr.expect(",");
  }
  return parameters;
}

NodePtr Parser::parseMacro(NodePtr node) {
  node->kind = Node::Macro;
  node->text = expr.expectName();
  expr.expect("(");
  node->parameters = parseParameters();
  endTag();
  int outer = loops;
  loops = 0;
  node->body = parseBody({"endmacro"});
  loops = outer;
  closeStatement();
  return node;
}

NodePtr Parser::parseCall(NodePtr node) {
  node->kind = Node::CallBlock;
  if (expr.accept("("))
    node->parameters = parseParameters();
  node->value = expr.parseExpr();
  if (node->value->kind != Expr::Call)
    expr.expected("a call");
  endTag();
  int outer = loops;
  loops = 0;
  node->body = parseBody({"endcall"});
  loops = outer;
  closeStatement();
  return node;
}

NodePtr Parser::parseFilter(NodePtr node) {
  node->kind = Node::FilterBlock;
  // The chain begins with a filter as if there were a `|` before it.
  ExprPtr filter = makeName("", node->line);
  filter->kind = Expr::Filter;
  filter->name = expr.expectName();
  filter->args.push_back(makeName(blockText, node->line));
  if (expr.isNext(Token::Operator, "("))
    expr.expected("a filter without arguments");
  node->value = expr.parseFilters(std::move(filter));
  endTag();
  node->body = parseBody({"endfilter"});
  closeStatement();
  return node;
}

Body parseTemplate(std::string_view source) {
  return Parser(source).parseAll();
}

} // namespace ds::text::jinja
