//===- Format.h - Printing of texts and trees -------------------*- C++ -*-===//
#ifndef DS_FRONTEND_FORMAT_H
#define DS_FRONTEND_FORMAT_H
#include "frontend/Ast.h"
#include "frontend/Lexer.h"

namespace ds {

/// Prints a file, parsed from `text` without errors, in canonical form.
std::string format(const ast::File &file, llvm::StringRef text,
                   const std::vector<Comment> &comments);

/// Prints an expression in canonical form.
std::string spell(const ast::Expr &expr);

/// Prints a type in canonical form.
std::string spell(const ast::TypeExpr &type);

/// Prints the tree, one node a line.
void dump(const ast::File &file, const llvm::SourceMgr &sources,
          llvm::raw_ostream &os);

} // namespace ds
#endif
