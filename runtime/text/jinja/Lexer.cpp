//===- Lexer.cpp - Tokens of a template -----------------------------------===//

#include "runtime/text/jinja/Lexer.h"

#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Value.h"

#include <algorithm>

namespace ds::text::jinja {

static bool isSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool isDigit(char c) { return c >= '0' && c <= '9'; }
static bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/// Makes all newlines \n and drops one at the end.
static std::string normalizeNewlines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    bool pair = source.substr(i, 2) == "\r\n";
    out += source[i] == '\r' ? '\n' : source[i];
    i += pair;
  }
  if (!out.empty() && out.back() == '\n')
    out.pop_back();
  return out;
}

namespace {
/// Walks over a template once.
class Lexer {
public:
  explicit Lexer(std::string_view source)
      : owned(normalizeNewlines(source)), source(owned) {}

  std::vector<Token> run();

private:
  void lexText();
  void lexTag(Token::Kind begin);
  bool lexTagEnd(Token::Kind end);
  void lexComment();
  bool lexRaw();
  void lexToken();
  void lexString();
  void lexNumber();
  void lexOperator();
  void appendEscape(std::string &out);
  void appendCode(std::string &out, size_t digits);

  void emit(Token::Kind kind, std::string text) {
    tokens.push_back({kind, std::move(text), line});
  }
  void advance(size_t count) {
    line += std::count(source.begin() + at, source.begin() + at + count, '\n');
    at += count;
    lineStart = source[at - 1] == '\n';
  }
  void skipSpace() {
    while (at < source.size() && isSpace(source[at]))
      advance(1);
  }
  bool next(std::string_view text) const {
    return source.substr(at, text.size()) == text;
  }
  [[noreturn]] void failHere(std::string message) const {
    throw TemplateError{std::move(message), line};
  }

  std::string owned;
  std::string_view source;
  size_t at = 0;
  int line = 1;
  /// Whether the last character taken ended a line.
  bool lineStart = true;
  /// Open brackets inside a tag.
  std::string open;
  std::vector<Token> tokens;
};
} // namespace

/// Takes the text up to the next tag, less the white space that the tag takes.
void Lexer::lexText() {
  size_t end = at;
  for (; end < source.size(); ++end) {
    std::string_view mark = source.substr(end, 2);
    if (mark == "{%" || mark == "{{" || mark == "{#")
      break;
  }
  std::string_view text = source.substr(at, end - at);
  if (end < source.size()) {
    char sign = end + 2 < source.size() ? source[end + 2] : ' ';
    size_t lineBegin = text.rfind('\n') + 1;
    size_t content = text.find_last_not_of(" \t\n\v\f\r") + 1;
    bool ownLine = lineBegin > 0 || lineStart;
    if (sign == '-')
      text = text.substr(0, content);
    else if (sign != '+' && source[end + 1] != '{' && ownLine &&
             content <= lineBegin)
      text = text.substr(0, lineBegin);
  }
  if (!text.empty())
    emit(Token::Text, std::string(text));
  if (end > at)
    advance(end - at);
}

/// Takes the end of a tag and the white space that goes with it.
bool Lexer::lexTagEnd(Token::Kind kind) {
  const char *mark = kind == Token::BlockEnd ? "%}" : "}}";
  char sign = source[at];
  bool isSigned = (sign == '-' || (sign == '+' && kind == Token::BlockEnd)) &&
                  source.substr(at + 1, 2) == mark;
  if (!isSigned && !next(mark))
    return false;
  emit(kind, mark);
  advance(isSigned ? 3 : 2);
  if (isSigned && sign == '-')
    skipSpace();
  else if (!isSigned && kind == Token::BlockEnd && next("\n"))
    advance(1);
  return true;
}

void Lexer::lexComment() {
  size_t end = source.find("#}", at + 2);
  if (end == source.npos)
    failHere("expects the comment to end in '#}'");
  char sign = end > at + 2 ? source[end - 1] : ' ';
  advance(end + 2 - at);
  if (sign == '-')
    skipSpace();
  else if (sign != '+' && next("\n"))
    advance(1);
}

/// Takes `{% raw %}..{% endraw %}` if it is next.
bool Lexer::lexRaw() {
  auto match = [&](size_t from, std::string_view name, size_t &end) {
    auto skip = [&] {
      while (end < source.size() && isSpace(source[end]))
        ++end;
    };
    auto take = [&](std::string_view text) {
      bool found = source.substr(end, text.size()) == text;
      end += found ? text.size() : 0;
      return found;
    };
    end = from + 2;
    take("-") || take("+");
    skip();
    bool named = take(name);
    skip();
    take("-") || take("+");
    return named && take("%}");
  };
  size_t begin, end = 0, finish;
  if (!match(at, "raw", begin))
    return false;
  for (end = source.find("{%", begin);
       end != source.npos && !match(end, "endraw", finish);)
    end = source.find("{%", end + 2);
  if (end == source.npos)
    failHere("expects {% endraw %}");
  std::string_view text = source.substr(begin, end - begin);
  if (source[begin - 3] == '-')
    text.remove_prefix(
        std::min(text.find_first_not_of(" \t\n\v\f\r"), text.size()));
  size_t lineBegin = text.rfind('\n') + 1;
  size_t content = text.find_last_not_of(" \t\n\v\f\r") + 1;
  if (source[end + 2] == '-')
    text = text.substr(0, content);
  else if (source[end + 2] != '+' && lineBegin > 0 && content <= lineBegin)
    text = text.substr(0, lineBegin);
  emit(Token::Text, std::string(text));
  char sign = source[finish - 3];
  advance(finish - at);
  if (sign == '-')
    skipSpace();
  else if (sign != '+' && next("\n"))
    advance(1);
  return true;
}

void Lexer::lexTag(Token::Kind begin) {
  bool isBlock = begin == Token::BlockBegin;
  if (isBlock && lexRaw())
    return;
  emit(begin, isBlock ? "{%" : "{{");
  int first = line;
  advance(2);
  if (next("-") || next("+"))
    advance(1);
  open.clear();
  while (true) {
    skipSpace();
    if (at == source.size()) {
      line = first;
      failHere(std::string("expects the tag to end in ") +
               (isBlock ? "'%}'" : "'}}'"));
    }
    if (open.empty() && lexTagEnd(isBlock ? Token::BlockEnd : Token::PrintEnd))
      return;
    lexToken();
  }
}

void Lexer::lexToken() {
  char c = source[at];
  if (isNameStart(c)) {
    size_t end = at;
    while (end < source.size() &&
           (isNameStart(source[end]) || isDigit(source[end])))
      ++end;
    emit(Token::Name, std::string(source.substr(at, end - at)));
    advance(end - at);
  } else if (isDigit(c)) {
    lexNumber();
  } else if (c == '"' || c == '\'') {
    lexString();
  } else {
    lexOperator();
  }
}

void Lexer::lexNumber() {
  std::string digits;
  bool isFloat = false;
  auto takeDigits = [&] {
    for (; at < source.size() && (isDigit(source[at]) || next("_")); advance(1))
      if (source[at] != '_')
        digits += source[at];
  };
  takeDigits();
  if (next(".") && at + 1 < source.size() && isDigit(source[at + 1])) {
    isFloat = true;
    digits += '.';
    advance(1);
    takeDigits();
  }
  if (next("e") || next("E")) {
    isFloat = true;
    digits += 'e';
    advance(1);
    if (next("-") || next("+")) {
      digits += source[at];
      advance(1);
    }
    takeDigits();
  }
  emit(isFloat ? Token::Float : Token::Integer, digits);
}

/// Appends the code point written by `digits` hexadecimal digits.
void Lexer::appendCode(std::string &out, size_t digits) {
  uint32_t value = 0;
  for (size_t i = 0; i < digits; ++i) {
    static constexpr std::string_view hex = "0123456789abcdef";
    char c = at < source.size() ? source[at] : ' ';
    size_t digit = c < '0' ? hex.npos : hex.find(static_cast<char>(c | 0x20));
    if (digit == hex.npos)
      failHere("expects " + std::to_string(digits) + " hexadecimal digits");
    value = value << 4 | static_cast<uint32_t>(digit);
    advance(1);
  }
  if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
    failHere("expects an escape of a code point");
  appendCodePoint(out, value);
}

void Lexer::appendEscape(std::string &out) {
  static constexpr std::string_view names = "\\'\"abfnrtv\n";
  static constexpr std::string_view values = "\\'\"\a\b\f\n\r\t\v";
  if (at == source.size())
    return;
  char c = source[at];
  advance(1);
  size_t known = names.find(c);
  if (c == 'x' || c == 'u' || c == 'U')
    appendCode(out, c == 'x' ? 2 : c == 'u' ? 4 : 8);
  else if (known == names.npos)
    out += {'\\', c};
  else if (known < values.size())
    out += values[known];
}

void Lexer::lexString() {
  char mark = source[at];
  int first = line;
  std::string text;
  advance(1);
  while (at < source.size() && source[at] != mark) {
    char c = source[at];
    advance(1);
    if (c == '\\')
      appendEscape(text);
    else
      text += c;
  }
  if (at == source.size()) {
    line = first;
    failHere("expects the string to end");
  }
  advance(1);
  tokens.push_back({Token::String, std::move(text), first});
}

void Lexer::lexOperator() {
  static const char *const operators[] = {"**", "//", "==", "!=", "<=", ">="};
  size_t length = 1;
  for (const char *two : operators)
    if (next(two))
      length = 2;
  std::string text(source.substr(at, length));
  if (length == 1 && std::string_view("+-*/%~<>=|.,:()[]{}").find(text) ==
                         std::string_view::npos)
    failHere("expects no '" +
             std::string(
                 source.substr(at, readCodePoint(source.substr(at)).length)) +
             "' in a tag");
  static constexpr std::string_view opening = "([{", closing = ")]}";
  if (opening.find(text[0]) != opening.npos) {
    open += closing[opening.find(text[0])];
  } else if (closing.find(text[0]) != closing.npos) {
    if (open.empty() || open.back() != text[0])
      failHere("expects no '" + text + "' here");
    open.pop_back();
  }
  emit(Token::Operator, text);
  advance(length);
}

std::vector<Token> Lexer::run() {
  while (at < source.size()) {
    lexText();
    if (next("{%"))
      lexTag(Token::BlockBegin);
    else if (next("{{"))
      lexTag(Token::PrintBegin);
    else if (next("{#"))
      lexComment();
  }
  emit(Token::End, "the end of the template");
  return std::move(tokens);
}

std::vector<Token> lex(std::string_view source) { return Lexer(source).run(); }

} // namespace ds::text::jinja
