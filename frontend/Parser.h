//===- Parser.h - Parser of the model language ------------------*- C++ -*-===//
//
// Recursive descent with recovery: after an error it goes on at the next line
// or block, so that one run reports several errors. docs/dsl.md holds the
// grammar; each function here parses the rule of its name.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_PARSER_H
#define DS_FRONTEND_PARSER_H
#include "frontend/Ast.h"
#include "frontend/Lexer.h"

namespace ds {

class Parser {
public:
  Parser(const std::vector<Token> &tokens, Diagnostics &diag)
      : tokens(tokens), diag(diag) {}

  /// Parses a whole file. What could not be parsed is left out.
  ast::File parseFile();

private:
  enum class Where { Config, Module, Objective, Fn };
  /// What a block is, for errors about its end.
  struct BlockName {
    std::string text;
    llvm::SMLoc loc;
  };

  // Parser.cpp: declarations and blocks.
  std::unique_ptr<ast::Decl> parseDecl();
  bool parseModelTypes(ast::Decl &decl);
  bool parseParams(std::vector<ast::Param> &params);
  bool parseBlock(ast::Block &block, Where where, const BlockName &name);
  void parseItemOrSkip(ast::Block &block, Where where);
  bool endItem();
  ast::ItemPtr parseItem(Where where);
  ast::ItemPtr parseIf(Where where);
  ast::ItemPtr parseFor(Where where);
  ast::ItemPtr parseUnknownItem(Where where);
  void skipItem(size_t start);
  void skipBlock();
  bool atDeclWord() const;
  bool atDecl() const;

  // ParseItem.cpp: items of blocks.
  ast::ItemPtr parseField();
  bool parseKey(ast::Key &key);
  bool parseSpelling(ast::Ident &spelling);
  ast::ItemPtr parseIgnore();
  ast::ItemPtr parseLet();
  ast::ItemPtr parseRequire();
  ast::ItemPtr parseWeight();
  bool parseStack(ast::Weight &weight);
  bool parseLabels(std::vector<ast::Label> &labels);
  bool parseOptions(std::vector<ast::Argument> &options);
  ast::ItemPtr parseState();
  ast::ItemPtr parseInput();
  ast::ItemPtr parseAuxiliary(Where where);
  ast::ItemPtr parseUse();
  ast::ItemPtr parseFn();
  ast::ItemPtr parseAssign();
  ast::ItemPtr parseReturn();
  bool parseRange(ast::Ident &index, ast::ExprPtr &first, ast::ExprPtr &last);
  bool parseString(llvm::StringRef &text, const llvm::Twine &what);

  // ParseExpr.cpp: expressions and types.
  ast::ExprPtr parseExpr(unsigned minimum = 0);
  ast::ExprPtr parseUnary();
  ast::ExprPtr parsePower();
  ast::ExprPtr parsePostfix();
  ast::ExprPtr parsePrimary();
  bool parseArgs(std::vector<ast::Argument> &args);
  bool parseExprList(std::vector<ast::ExprPtr> &list, llvm::StringRef close);
  bool parseType(ast::TypeExpr &type);
  bool parseTensorType(ast::TypeExpr &type);

  // Tokens.
  const Token &peek(size_t ahead = 0) const {
    return tokens[std::min(position + ahead, tokens.size() - 1)];
  }
  const Token &take();
  bool consumeMark(llvm::StringRef mark);
  bool consumeWord(llvm::StringRef word);
  bool expectMark(llvm::StringRef mark, const llvm::Twine &after);
  bool expectName(ast::Ident &name, const llvm::Twine &what);
  llvm::SMLoc lastEnd() const;
  bool fail(const llvm::Twine &expected);

  /// Counts the nesting of expressions and blocks, so that no text overflows
  /// the stack.
  struct Depth {
    explicit Depth(Parser &parser) : parser(parser) { ++parser.depth; }
    ~Depth() { --parser.depth; }
    Parser &parser;
  };
  bool tooDeep();
  ast::ExprPtr finish(ast::ExprPtr expr,
                      llvm::ArrayRef<const ast::Expr *> children);

  const std::vector<Token> &tokens;
  Diagnostics &diag;
  size_t position = 0;
  unsigned depth = 0;
};

/// Lexes and parses `text`, a slice of a buffer of the source manager.
ast::File parse(llvm::StringRef text, Diagnostics &diag,
                std::vector<Comment> *comments = nullptr);

} // namespace ds
#endif
