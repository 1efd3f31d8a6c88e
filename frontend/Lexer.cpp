//===- Lexer.cpp - Tokens of the model language ---------------------------===//
#include "frontend/Lexer.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace ds;
using llvm::StringRef;

llvm::ArrayRef<StringRef> ds::getKeywords() {
  static const StringRef words[] = {
      "as",     "auxiliary", "config", "else",      "false",   "fn",
      "for",    "if",        "ignore", "in",        "input",   "let",
      "model",  "module",    "null",   "objective", "require", "return",
      "serves", "state",     "true",   "use",       "weight"};
  return words;
}

static bool isWordStart(char c) { return llvm::isAlpha(c) || c == '_'; }
static bool isWordChar(char c) { return llvm::isAlnum(c) || c == '_'; }

Lexer::Lexer(StringRef text, Diagnostics &diag) : rest(text), diag(diag) {
  while (!rest.empty())
    lexToken();
  Token end;
  end.text = rest;
  end.startsLine = true;
  tokens.push_back(end);
}

void Lexer::add(Token::Kind kind, size_t length) {
  Token token;
  token.kind = kind;
  token.text = rest.take_front(length);
  token.startsLine = startsLine;
  tokens.push_back(token);
  startsLine = false;
  rest = rest.drop_front(length);
}

void Lexer::lexToken() {
  char c = rest.front();
  if (c == '\n')
    startsLine = true;
  if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
    rest = rest.drop_front();
    return;
  }
  if (rest.starts_with("//"))
    return lexComment();
  if (c == '"')
    return lexString();
  if (llvm::isDigit(c))
    return lexNumber();
  if (isWordStart(c))
    return lexWord();
  lexMark();
}

void Lexer::lexComment() {
  Comment comment;
  StringRef line = rest.take_until([](char c) { return c == '\n'; });
  comment.text = line.rtrim();
  comment.ownLine = startsLine;
  comments.push_back(comment);
  rest = rest.drop_front(line.size());
}

void Lexer::lexString() {
  size_t end = 1;
  while (end < rest.size() && rest[end] != '"' && rest[end] != '\n') {
    if (rest[end] == '\\' && end + 1 < rest.size() && rest[end + 1] != '\n') {
      if (rest[end + 1] != '"' && rest[end + 1] != '\\')
        diag.error(llvm::SMLoc::getFromPointer(rest.data() + end),
                   "expects '\\\"' or '\\\\' after '\\' in a string");
      ++end;
    }
    ++end;
  }
  if (end >= rest.size() || rest[end] == '\n') {
    diag.error(here(), "expects '\"' at the end of this string");
    return add(Token::String, end);
  }
  add(Token::String, end + 1);
}

void Lexer::lexNumber() {
  size_t end = 0;
  auto digits = [&] {
    while (end < rest.size() && llvm::isDigit(rest[end]))
      ++end;
  };
  bool isFloat = false;
  digits();
  if (end + 1 < rest.size() && rest[end] == '.' &&
      llvm::isDigit(rest[end + 1])) {
    isFloat = true;
    ++end;
    digits();
  }
  if (end < rest.size() && (rest[end] == 'e' || rest[end] == 'E')) {
    size_t mark = end++;
    if (end < rest.size() && (rest[end] == '+' || rest[end] == '-'))
      ++end;
    if (end < rest.size() && llvm::isDigit(rest[end])) {
      isFloat = true;
      digits();
    } else {
      end = mark;
    }
  }
  if (end < rest.size() && isWordChar(rest[end])) {
    size_t stop = end;
    while (stop < rest.size() && isWordChar(rest[stop]))
      ++stop;
    diag.error(here(), "expects a number or a name, got '" +
                           rest.take_front(stop) + "'");
    end = stop;
  }
  add(isFloat ? Token::Float : Token::Int, end);
}

void Lexer::lexWord() {
  StringRef word = rest.take_while(isWordChar);
  add(llvm::is_contained(getKeywords(), word) ? Token::Keyword : Token::Name,
      word.size());
}

void Lexer::lexMark() {
  for (StringRef mark : {"..", "->", "==", "!=", "<=", ">=", "&&", "||", "??"})
    if (rest.starts_with(mark))
      return add(Token::Mark, mark.size());
  char c = rest.front();
  if (StringRef("{}()[]:;,.=<>+-*/%^!?|").contains(c))
    return add(Token::Mark, 1);
  StringRef bad = rest.take_front();
  if (!llvm::isPrint(c)) {
    bad = rest.take_while([](char b) {
      return !llvm::isPrint(b) && b != '\n' && b != '\t' && b != '\r';
    });
    diag.error(here(), "expects ASCII text outside strings and comments");
  } else {
    diag.error(here(), "unexpected character '" + bad + "'");
  }
  rest = rest.drop_front(bad.size());
}

std::string ds::unquote(StringRef text) {
  text.consume_front("\"");
  std::string result;
  for (size_t i = 0; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size())
      ++i;
    result += text[i];
  }
  return result;
}

std::string ds::quote(StringRef text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      result += '\\';
    result += c;
  }
  return result + "\"";
}
