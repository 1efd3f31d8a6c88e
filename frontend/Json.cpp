//===- Json.cpp - JSON that knows where its keys stand --------------------===//
#include "frontend/Json.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ConvertUTF.h"

using namespace ds;
using namespace ds::json;
using llvm::StringRef;
using llvm::Twine;

const Member *Value::find(StringRef key) const {
  for (const Member &member : members)
    if (member.key == key)
      return &member;
  return nullptr;
}

StringRef json::describe(Value::Kind kind) {
  static const StringRef names[] = {"null",     "a boolean", "an integer",
                                    "a number", "a string",  "a list",
                                    "an object"};
  return names[kind];
}

namespace {
class Reader {
public:
  Reader(StringRef text, Diagnostics &diag) : rest(text), diag(diag) {}

  bool readText(Value &value) {
    if (!readValue(value, 0))
      return false;
    skipBlanks();
    return rest.empty() || fail("the end of the file");
  }

private:
  bool readValue(Value &value, unsigned depth);
  bool readObject(Value &value, unsigned depth);
  bool readArray(Value &value, unsigned depth);
  bool readString(std::string &string);
  bool readEscape(std::string &string);
  bool readCodeUnit(uint32_t &unit);
  bool readNumber(Value &value);
  bool readWord(StringRef word);
  void addMember(Value &object, Member member);

  llvm::SMLoc here() const { return llvm::SMLoc::getFromPointer(rest.data()); }
  void skipBlanks() { rest = rest.ltrim(" \t\r\n"); }
  bool consume(char c) {
    skipBlanks();
    return rest.consume_front(StringRef(&c, 1));
  }
  bool fail(const Twine &expected) {
    if (rest.empty())
      diag.error(here(), "expects " + expected + ", got the end of the file");
    else if (llvm::isPrint(rest.front()))
      diag.error(here(),
                 "expects " + expected + ", got '" + rest.take_front() + "'");
    else
      diag.error(here(), "expects " + expected);
    return false;
  }

  StringRef rest;
  Diagnostics &diag;
};
} // namespace

bool Reader::readValue(Value &value, unsigned depth) {
  skipBlanks();
  value.loc = here();
  if (depth > 64) {
    diag.error(here(), "expects at most 64 levels of nesting");
    return false;
  }
  if (rest.starts_with("{"))
    return readObject(value, depth);
  if (rest.starts_with("["))
    return readArray(value, depth);
  if (rest.starts_with("\"")) {
    value.kind = Value::String;
    return readString(value.string);
  }
  if (readWord("null"))
    return true;
  if (readWord("true") || readWord("false")) {
    value.kind = Value::Bool;
    value.boolean = *value.loc.getPointer() == 't';
    return true;
  }
  if (!rest.empty() && (rest.front() == '-' || llvm::isDigit(rest.front())))
    return readNumber(value);
  return fail("a JSON value");
}

bool Reader::readWord(StringRef word) {
  if (!rest.starts_with(word) ||
      (rest.size() > word.size() && llvm::isAlnum(rest[word.size()])))
    return false;
  rest = rest.drop_front(word.size());
  return true;
}

bool Reader::readObject(Value &value, unsigned depth) {
  value.kind = Value::Object;
  consume('{');
  if (consume('}'))
    return true;
  do {
    Member member;
    skipBlanks();
    member.loc = here();
    if (!rest.starts_with("\""))
      return fail("a key in quotes");
    if (!readString(member.key))
      return false;
    if (!consume(':'))
      return fail("':' after the key");
    if (!readValue(member.value, depth + 1))
      return false;
    addMember(value, std::move(member));
  } while (consume(','));
  return consume('}') || fail("',' or '}'");
}

void Reader::addMember(Value &object, Member member) {
  if (const Member *first = object.find(member.key)) {
    diag.error(member.loc,
               "expects key '" + Twine(member.key) + "' once in this object");
    diag.note(first->loc, "it is set first here");
    return;
  }
  object.members.push_back(std::move(member));
}

bool Reader::readArray(Value &value, unsigned depth) {
  value.kind = Value::Array;
  consume('[');
  if (consume(']'))
    return true;
  do {
    value.elements.emplace_back();
    if (!readValue(value.elements.back(), depth + 1))
      return false;
  } while (consume(','));
  return consume(']') || fail("',' or ']'");
}

bool Reader::readString(std::string &string) {
  llvm::SMLoc begin = here();
  rest = rest.drop_front();
  while (!rest.empty() && rest.front() != '"' && rest.front() != '\n') {
    char c = rest.front();
    rest = rest.drop_front();
    if (c != '\\')
      string += c;
    else if (!readEscape(string))
      return false;
  }
  if (rest.consume_front("\""))
    return true;
  diag.error(begin, "expects '\"' at the end of this string");
  return false;
}

bool Reader::readEscape(std::string &string) {
  static const StringRef from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
  if (!rest.empty() && from.contains(rest.front())) {
    string += to[from.find(rest.front())];
    rest = rest.drop_front();
    return true;
  }
  if (!rest.starts_with("u"))
    return fail("an escape after '\\'");
  uint32_t unit = 0;
  if (!readCodeUnit(unit))
    return false;
  if (unit >= 0xd800 && unit < 0xdc00 && rest.consume_front("\\")) {
    uint32_t low = 0;
    if (!rest.starts_with("u") || !readCodeUnit(low))
      return fail("a second surrogate");
    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
  }
  char buffer[UNI_MAX_UTF8_BYTES_PER_CODE_POINT], *end = buffer;
  if (!llvm::ConvertCodePointToUTF8(unit, end))
    return fail("a Unicode character");
  string.append(buffer, end);
  return true;
}

bool Reader::readCodeUnit(uint32_t &unit) {
  rest = rest.drop_front();
  if (rest.size() < 4 || rest.take_front(4).getAsInteger(16, unit))
    return fail("four hexadecimal digits after '\\u'");
  rest = rest.drop_front(4);
  return true;
}

bool Reader::readNumber(Value &value) {
  StringRef text = rest.take_while([](char c) {
    return llvm::isDigit(c) || StringRef("+-.eE").contains(c);
  });
  bool isInt = text.find_first_of(".eE") == StringRef::npos;
  value.kind = isInt ? Value::Int : Value::Float;
  bool bad = isInt ? text.getAsInteger(10, value.integer)
                   : text.getAsDouble(value.number);
  if (bad) {
    diag.error(here(),
               "expects a number of at most 64 bits, got '" + text + "'");
    return false;
  }
  if (isInt)
    value.number = static_cast<double>(value.integer);
  rest = rest.drop_front(text.size());
  return true;
}

std::optional<Value> json::parse(StringRef text, Diagnostics &diag) {
  Value value;
  if (!Reader(text, diag).readText(value))
    return std::nullopt;
  return value;
}
