//===- ParseItem.cpp - Fields, declarations and statements ----------------===//
#include "frontend/Parser.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

bool Parser::parseString(StringRef &text, const Twine &what) {
  if (peek().kind != Token::String)
    return fail(what);
  text = take().text;
  return true;
}

//===----------------------------------------------------------------------===//
// Items of a config
//===----------------------------------------------------------------------===//

bool Parser::parseSpelling(Ident &spelling) {
  if (peek().kind != Token::Name && peek().kind != Token::String)
    return fail("a key of config.json");
  spelling.name = take().text;
  return true;
}

bool Parser::parseKey(Key &key) {
  do {
    Ident spelling;
    if (!parseSpelling(spelling))
      return false;
    key.spellings.push_back(spelling);
  } while (consumeMark("|"));
  if (consumeWord("as"))
    return expectName(key.alias, "a name after 'as'");
  if (key.spellings[0].name.starts_with("\""))
    return fail("'as' and a name, since the key is in quotes");
  return true;
}

ItemPtr Parser::parseField() {
  auto item = std::make_unique<Field>(peek().getLoc());
  do {
    Key key;
    if (!parseKey(key))
      return nullptr;
    item->keys.push_back(std::move(key));
  } while (consumeMark(","));
  if (!expectMark(":", "and the key's type") || !parseType(item->type))
    return nullptr;
  if (consumeMark("=") && !(item->initial = parseExpr()))
    return nullptr;
  return item;
}

ItemPtr Parser::parseIgnore() {
  auto item = std::make_unique<Ignore>(take().getLoc());
  do {
    StringRef key;
    if (!parseString(key, "a key in quotes"))
      return nullptr;
    item->keys.push_back(key);
  } while (consumeMark(","));
  return item;
}

ItemPtr Parser::parseLet() {
  auto item = std::make_unique<Let>(take().getLoc());
  if (!expectName(item->name, "a name after 'let'") ||
      !expectMark("=", "and a value") || !(item->value = parseExpr()))
    return nullptr;
  return item;
}

ItemPtr Parser::parseRequire() {
  auto item = std::make_unique<Require>(take().getLoc());
  if (!(item->condition = parseExpr()) ||
      !expectMark(",", "and a message after the condition") ||
      !parseString(item->message, "a message in quotes"))
    return nullptr;
  return item;
}

//===----------------------------------------------------------------------===//
// Items of a module
//===----------------------------------------------------------------------===//

ItemPtr Parser::parseWeight() {
  auto item = std::make_unique<Weight>(take().getLoc());
  if (!expectName(item->name, "the name of the weight"))
    return nullptr;
  if (consumeMark("=")) {
    if (!expectName(item->tied, "the name of another weight"))
      return nullptr;
    if (peek().kind == Token::String && !peek().startsLine) {
      item->labels.emplace_back();
      item->labels.back().text = take().text;
    }
    return item;
  }
  if (!expectMark(":", "and the weight's type") ||
      !parseTensorType(item->type) || !parseStack(*item) ||
      !parseOptions(item->options))
    return nullptr;
  return item;
}

/// How a weight is trained: `name = value`, separated by commas.
bool Parser::parseOptions(std::vector<Argument> &options) {
  if (peek().kind != Token::Name || peek().startsLine)
    return true;
  do {
    Argument option;
    if (!expectName(option.name, "the name of an option of the weight") ||
        !expectMark("=", "and its value") || !(option.value = parseExpr()))
      return false;
    options.push_back(std::move(option));
  } while (consumeMark(","));
  return true;
}

/// The labels, within `stack(index in first..last, ...)` or not.
bool Parser::parseStack(Weight &weight) {
  if (peek().kind != Token::Name || peek().text != "stack")
    return parseLabels(weight.labels);
  take();
  return expectMark("(", "after 'stack'") &&
         parseRange(weight.index, weight.first, weight.last) &&
         expectMark(",", "and the labels of a matrix") &&
         parseLabels(weight.labels) &&
         expectMark(")", "after the labels of a matrix");
}

bool Parser::parseLabels(std::vector<Label> &labels) {
  const Token &token = peek();
  if (token.kind == Token::String) {
    labels.emplace_back();
    labels.back().text = take().text;
    return true;
  }
  if (token.kind != Token::Name || token.text != "concat")
    return fail("the weight's label in quotes, or concat(...) of labels, or "
                "stack(...) of a label for each index");
  take();
  if (!expectMark("(", "after 'concat'"))
    return false;
  do {
    Label label;
    if (!parseString(label.text, "a label in quotes"))
      return false;
    if (consumeMark(":") && !(label.rows = parseExpr()))
      return false;
    labels.push_back(std::move(label));
  } while (consumeMark(","));
  return expectMark(")", "after the labels");
}

ItemPtr Parser::parseState() {
  auto item = std::make_unique<State>(take().getLoc());
  if (!expectName(item->name, "the name of the state") ||
      !expectMark(":", "and the state's type") || !parseTensorType(item->type))
    return nullptr;
  if (peek().kind == Token::Name && peek().text == "every") {
    take();
    if (!(item->stride = parseExpr()))
      return nullptr;
  }
  return item;
}

ItemPtr Parser::parseInput() {
  auto item = std::make_unique<Input>(take().getLoc());
  if (!expectName(item->name, "the name of the input") ||
      !expectMark(":", "and the input's type") || !parseTensorType(item->type))
    return nullptr;
  return item;
}

/// In an objective there is no value.
ItemPtr Parser::parseAuxiliary(Where where) {
  auto item = std::make_unique<Auxiliary>(take().getLoc());
  if (where == Where::Objective)
    return expectName(item->name, "the name of a model") ? std::move(item)
                                                         : nullptr;
  if (!expectName(item->name, "the name of a term of the loss") ||
      !expectMark("=", "and its rows") || !(item->value = parseExpr()))
    return nullptr;
  return item;
}

bool Parser::parseRange(Ident &index, ExprPtr &first, ExprPtr &last) {
  if (!expectName(index, "the name of an index"))
    return false;
  if (!consumeWord("in"))
    return fail("'in' and a range");
  return (first = parseExpr()) && expectMark("..", "and the range's end") &&
         (last = parseExpr());
}

ItemPtr Parser::parseUse() {
  auto item = std::make_unique<Use>(take().getLoc());
  if (!expectName(item->name, "the name of the part"))
    return nullptr;
  if (consumeMark("[") && (!parseRange(item->index, item->first, item->last) ||
                           !expectMark("]", "after the range")))
    return nullptr;
  if (!expectMark("=", "and a module") ||
      !expectName(item->module, "the name of a module") ||
      !expectMark("(", "and arguments") || !parseExprList(item->args, ")"))
    return nullptr;
  if (peek().kind == Token::String && !peek().startsLine)
    item->label = take().text;
  return item;
}

ItemPtr Parser::parseFn() {
  auto item = std::make_unique<Fn>(take().getLoc());
  if (!expectName(item->name, "the name of the function") ||
      !parseParams(item->params) ||
      !expectMark("->", "and the function's result"))
    return nullptr;
  do {
    item->results.emplace_back();
    if (!parseType(item->results.back()))
      return nullptr;
  } while (consumeMark(","));
  std::string name = ("fn '" + item->name.name + "'").str();
  if (!parseBlock(item->body, Where::Fn, {name, item->loc}))
    return nullptr;
  return item;
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

ItemPtr Parser::parseAssign() {
  auto item = std::make_unique<Assign>(peek().getLoc());
  do {
    Ident name;
    if (!expectName(name, "a name"))
      return nullptr;
    item->names.push_back(name);
  } while (consumeMark(","));
  if (!expectMark("=", "and a value") || !(item->value = parseExpr()))
    return nullptr;
  return item;
}

ItemPtr Parser::parseReturn() {
  auto item = std::make_unique<Return>(take().getLoc());
  do {
    ExprPtr value = parseExpr();
    if (!value)
      return nullptr;
    item->values.push_back(std::move(value));
  } while (consumeMark(","));
  return item;
}
