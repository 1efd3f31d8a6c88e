//===- Parser.cpp - Declarations, blocks and recovery ---------------------===//
#include "frontend/Parser.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

const Token &Parser::take() {
  const Token &token = peek();
  if (position + 1 < tokens.size())
    ++position;
  return token;
}

bool Parser::consumeMark(StringRef mark) {
  if (!peek().isMark(mark))
    return false;
  take();
  return true;
}

bool Parser::consumeWord(StringRef word) {
  if (!peek().isWord(word))
    return false;
  take();
  return true;
}

llvm::SMLoc Parser::lastEnd() const {
  return position ? tokens[position - 1].getEnd() : tokens[0].getLoc();
}

/// Reports what was expected and what is there instead. Where the text goes on
/// in another line, the place is the end of the last token. A second error on
/// a line mostly follows from the first and is not reported.
bool Parser::fail(const Twine &expected) {
  const Token &token = peek();
  bool ended = token.kind == Token::Eof || (token.startsLine && position);
  if (diag.hasErrorOnLine(ended ? lastEnd() : token.getLoc()))
    return false;
  if (token.kind == Token::Eof)
    diag.error(lastEnd(), "expects " + expected + ", got the end of the file");
  else if (ended)
    diag.error(lastEnd(), "expects " + expected + ", got the end of the line");
  else if (token.kind == Token::Keyword)
    diag.error(token.getLoc(),
               "expects " + expected + ", got keyword '" + token.text + "'");
  else if (token.kind == Token::String)
    diag.error(token.getLoc(), "expects " + expected + ", got " + token.text);
  else
    diag.error(token.getLoc(),
               "expects " + expected + ", got '" + token.text + "'");
  return false;
}

bool Parser::expectMark(StringRef mark, const Twine &after) {
  if (consumeMark(mark))
    return true;
  return fail("'" + mark + "' " + after);
}

bool Parser::expectName(Ident &name, const Twine &what) {
  if (peek().kind != Token::Name)
    return fail(what);
  name.name = take().text;
  return true;
}

bool Parser::tooDeep() {
  if (depth < 100)
    return false;
  diag.error(peek().getLoc(), "expects at most 100 levels of nesting");
  position = tokens.size() - 1;
  return true;
}

//===----------------------------------------------------------------------===//
// Recovery
//===----------------------------------------------------------------------===//

/// A word that begins a declaration of the file.
bool Parser::atDeclWord() const {
  return peek().isWord("config") || peek().isWord("module") ||
         peek().isWord("model") || peek().isWord("objective");
}

/// The same at the start of a line.
bool Parser::atDecl() const { return peek().startsLine && atDeclWord(); }

/// Skips a block in braces whose '{' is next.
void Parser::skipBlock() {
  unsigned open = 0;
  while (peek().kind != Token::Eof && !(open && atDecl())) {
    if (peek().isMark("{"))
      ++open;
    if (take().isMark("}") && --open == 0)
      return;
  }
}

/// Skips the rest of an item that began at token `start`: to the end of the
/// line or of the block that the line opens.
void Parser::skipItem(size_t start) {
  while (peek().kind != Token::Eof && !peek().isMark("}")) {
    if (position > start && peek().startsLine)
      return;
    if (peek().isMark("{"))
      return skipBlock();
    if (take().isMark(";"))
      return;
  }
}

//===----------------------------------------------------------------------===//
// Declarations
//===----------------------------------------------------------------------===//

File Parser::parseFile() {
  File file;
  while (peek().kind != Token::Eof) {
    if (!atDeclWord()) {
      fail("'config', 'module', 'model' or 'objective'");
      size_t start = position;
      skipItem(start);
      if (position == start)
        take();
      continue;
    }
    if (std::unique_ptr<Decl> decl = parseDecl())
      file.decls.push_back(std::move(decl));
  }
  return file;
}

std::unique_ptr<Decl> Parser::parseDecl() {
  auto decl = std::make_unique<Decl>();
  size_t start = position;
  const Token &word = take();
  decl->loc = word.getLoc();
  decl->kind = word.text == "config"   ? Decl::Config
               : word.text == "module" ? Decl::Module
               : word.text == "model"  ? Decl::Model
                                       : Decl::Objective;
  bool ok = expectName(decl->name, "the name of the " + word.text);
  if (ok && decl->kind != Decl::Config)
    ok = parseParams(decl->params);
  if (ok && decl->kind == Decl::Model)
    ok = parseModelTypes(*decl);
  if (!ok) {
    skipItem(start);
    return nullptr;
  }
  Where where = decl->kind == Decl::Config      ? Where::Config
                : decl->kind == Decl::Objective ? Where::Objective
                                                : Where::Module;
  BlockName name{(word.text + " '" + decl->name.name + "'").str(), decl->loc};
  parseBlock(decl->body, where, name);
  decl->end = lastEnd();
  return decl;
}

bool Parser::parseModelTypes(Decl &decl) {
  if (!consumeWord("serves"))
    return fail("'serves' and the model types it serves");
  do {
    StringRef text;
    if (!parseString(text, "a model_type in quotes"))
      return false;
    decl.serves.push_back(text);
  } while (consumeMark(","));
  return true;
}

bool Parser::parseParams(std::vector<Param> &params) {
  if (!expectMark("(", "and parameters"))
    return false;
  if (consumeMark(")"))
    return true;
  do {
    Param param;
    if (!expectName(param.name, "the name of a parameter") ||
        !expectMark(":", "and the parameter's type") || !parseType(param.type))
      return false;
    params.push_back(std::move(param));
  } while (consumeMark(","));
  return expectMark(")", "after the parameters");
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

bool Parser::parseBlock(Block &block, Where where, const BlockName &name) {
  Depth nested(*this);
  if (tooDeep())
    return false;
  size_t start = position;
  if (!expectMark("{", "to open " + name.text)) {
    skipItem(start);
    return false;
  }
  while (!peek().isMark("}")) {
    if (peek().kind == Token::Eof || atDecl()) {
      diag.error(lastEnd(), "expects '}' to close " + name.text);
      diag.note(name.loc, "it is opened here");
      return false;
    }
    parseItemOrSkip(block, where);
  }
  take();
  return true;
}

void Parser::parseItemOrSkip(Block &block, Where where) {
  if (consumeMark(";"))
    return;
  size_t start = position;
  ItemPtr item = parseItem(where);
  if (item) {
    item->end = lastEnd();
    block.push_back(std::move(item));
    if (endItem())
      return;
  }
  skipItem(start);
  if (position == start)
    take();
}

/// An item ends with its line, with ';' or with the block.
bool Parser::endItem() {
  if (consumeMark(";") || peek().startsLine || peek().isMark("}"))
    return true;
  return fail("a new line or ';'");
}

ItemPtr Parser::parseItem(Where where) {
  const Token &token = peek();
  if (token.isWord("let") && where != Where::Fn)
    return parseLet();
  if (where == Where::Objective) {
    if (token.isWord("input"))
      return parseInput();
    if (token.isWord("auxiliary"))
      return parseAuxiliary(where);
    if (token.isWord("fn"))
      return parseFn();
    return parseUnknownItem(where);
  }
  if (token.isWord("require") && where != Where::Fn)
    return parseRequire();
  if (where == Where::Config) {
    if (token.isWord("ignore"))
      return parseIgnore();
    if (token.kind == Token::Name || token.kind == Token::String)
      return parseField();
    return parseUnknownItem(where);
  }
  if (token.isWord("if"))
    return parseIf(where);
  if (where == Where::Module) {
    if (token.isWord("weight"))
      return parseWeight();
    if (token.isWord("state"))
      return parseState();
    if (token.isWord("use"))
      return parseUse();
    if (token.isWord("ignore"))
      return parseIgnore();
    if (token.isWord("fn"))
      return parseFn();
    return parseUnknownItem(where);
  }
  if (token.isWord("for"))
    return parseFor(where);
  if (token.isWord("return"))
    return parseReturn();
  if (token.isWord("auxiliary"))
    return parseAuxiliary(where);
  if (token.kind == Token::Name)
    return parseAssign();
  return parseUnknownItem(where);
}

ItemPtr Parser::parseUnknownItem(Where where) {
  const Token &token = peek();
  std::string expected =
      where == Where::Config ? "a key, 'let', 'require' or 'ignore'"
      : where == Where::Module
          ? "'weight', 'state', 'use', 'let', 'require', 'if' or 'fn'"
      : where == Where::Objective
          ? "'input', 'auxiliary', 'let' or 'fn'"
          : "a name, 'if', 'for', 'auxiliary' or 'return'";
  diag.error(token.getLoc(),
             "expects " + expected + ", got '" + token.text + "'");
  return nullptr;
}

ItemPtr Parser::parseIf(Where where) {
  Depth nested(*this);
  if (tooDeep())
    return nullptr;
  auto item = std::make_unique<If>(take().getLoc());
  item->condition = parseExpr();
  if (!item->condition ||
      !parseBlock(item->thenBlock, where, {"'if'", item->loc}))
    return nullptr;
  item->elseLoc = peek().getLoc();
  if (!consumeWord("else"))
    return item;
  item->hasElse = true;
  if (!peek().isWord("if")) {
    if (!parseBlock(item->elseBlock, where, {"'else'", item->elseLoc}))
      return nullptr;
    return item;
  }
  ItemPtr chained = parseIf(where);
  if (!chained)
    return nullptr;
  chained->end = lastEnd();
  item->elseBlock.push_back(std::move(chained));
  return item;
}

ItemPtr Parser::parseFor(Where where) {
  auto item = std::make_unique<For>(take().getLoc());
  if (!parseRange(item->index, item->first, item->last) ||
      !parseBlock(item->body, where, {"'for'", item->loc}))
    return nullptr;
  return item;
}

File ds::parse(StringRef text, Diagnostics &diag,
               std::vector<Comment> *comments) {
  Lexer lexer(text, diag);
  if (comments)
    *comments = lexer.getComments();
  return Parser(lexer.getTokens(), diag).parseFile();
}
