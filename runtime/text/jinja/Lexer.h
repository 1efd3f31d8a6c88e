//===- Lexer.h - Tokens of a template -------------------------------------===//
//
// Cuts a template into texts and tags and these into tokens, with Jinja's
// rules for white space as chat templates are rendered: trim_blocks and
// lstrip_blocks are on, a last newline is dropped.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_JINJA_LEXER_H
#define DS_RUNTIME_TEXT_JINJA_LEXER_H

#include <string>
#include <string_view>
#include <vector>

namespace ds::text::jinja {

/// A token. `text` is the content of a text or string, the spelling of others.
struct Token {
  enum Kind {
    Text,
    BlockBegin,
    BlockEnd,
    PrintBegin,
    PrintEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End,
  };
  Kind kind;
  std::string text;
  int line;
};

/// Returns the tokens of `source`; throws TemplateError.
std::vector<Token> lex(std::string_view source);

} // namespace ds::text::jinja

#endif // DS_RUNTIME_TEXT_JINJA_LEXER_H
