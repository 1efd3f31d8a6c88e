//===- Lexer.h - Tokens of the model language -------------------*- C++ -*-===//
#ifndef DS_FRONTEND_LEXER_H
#define DS_FRONTEND_LEXER_H
#include "frontend/Diagnostics.h"
#include <vector>

namespace ds {

/// A token: a word, a literal or a mark.
struct Token {
  enum Kind {
    Eof,
    Name,    ///< Letters, digits and '_'; not a keyword.
    Keyword, ///< One of getKeywords().
    Int,
    Float,
    String, ///< With its quotes.
    Mark    ///< Punctuation and operators.
  };
  Kind kind = Eof;
  llvm::StringRef text;
  bool startsLine = false; ///< No token before it on its line.

  llvm::SMLoc getLoc() const {
    return llvm::SMLoc::getFromPointer(text.data());
  }
  llvm::SMLoc getEnd() const {
    return llvm::SMLoc::getFromPointer(text.data() + text.size());
  }
  bool isMark(llvm::StringRef mark) const {
    return kind == Mark && text == mark;
  }
  bool isWord(llvm::StringRef word) const {
    return kind == Keyword && text == word;
  }
};

/// A comment, from `//` to the end of its line, blanks at the end removed.
struct Comment {
  llvm::StringRef text;
  bool ownLine = false; ///< No token before it on its line.
};

/// The words that can't be names.
llvm::ArrayRef<llvm::StringRef> getKeywords();

/// Splits `text` into tokens, the last of which is Eof, and comments.
/// Characters that form no token are reported and left out.
class Lexer {
public:
  Lexer(llvm::StringRef text, Diagnostics &diag);
  const std::vector<Token> &getTokens() const { return tokens; }
  const std::vector<Comment> &getComments() const { return comments; }

private:
  void lexToken();
  void lexComment();
  void lexString();
  void lexNumber();
  void lexWord();
  void lexMark();
  void add(Token::Kind kind, size_t length);
  llvm::SMLoc here() const { return llvm::SMLoc::getFromPointer(rest.data()); }

  llvm::StringRef rest;
  Diagnostics &diag;
  bool startsLine = true;
  std::vector<Token> tokens;
  std::vector<Comment> comments;
};

/// Returns the content of a string token, escapes replaced.
std::string unquote(llvm::StringRef text);

/// Returns `text` as a string token.
std::string quote(llvm::StringRef text);

} // namespace ds
#endif
