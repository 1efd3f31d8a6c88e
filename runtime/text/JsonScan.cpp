//===- JsonScan.cpp - A scanner for large JSON files ----------------------===//

#include "runtime/text/JsonScan.h"

#include "runtime/text/Utf8.h"

#include <algorithm>

namespace ds::text {

static bool isSpace(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

void JsonScan::skipSpace() {
  while (at < text.size() && isSpace(text[at]))
    ++at;
}

size_t JsonScan::offset() {
  skipSpace();
  return at;
}

bool JsonScan::fail(size_t offset, std::string what) {
  at = std::min(offset, text.size());
  expected = std::move(what);
  return false;
}

std::string JsonScan::place() const {
  std::string_view before = text.substr(0, at);
  size_t line = 1 + std::count(before.begin(), before.end(), '\n');
  size_t begin = before.rfind('\n');
  size_t column = begin == before.npos ? at + 1 : at - begin;
  return std::to_string(line) + ":" + std::to_string(column);
}

bool JsonScan::take(char mark) {
  skipSpace();
  if (at >= text.size() || text[at] != mark)
    return false;
  ++at;
  return true;
}

bool JsonScan::expect(char mark) {
  return take(mark) || fail(at, std::string("expects '") + mark + "'");
}

bool JsonScan::findStringEnd(size_t from, size_t &end, bool &escapes) {
  escapes = false;
  for (end = from; end < text.size() && text[end] != '"'; ++end) {
    if (static_cast<uint8_t>(text[end]) < 0x20)
      return fail(end, "expects control characters to be escaped");
    if (text[end] == '\\') {
      escapes = true;
      ++end;
    }
  }
  return end < text.size() || fail(from, "expects the string to end");
}

bool JsonScan::readString(std::string_view &out) {
  if (!expect('"'))
    return false;
  size_t begin = at, end;
  bool escapes;
  if (!findStringEnd(begin, end, escapes))
    return false;
  out = text.substr(begin, end - begin);
  if (escapes) {
    if (!unescape(out, begin))
      return false;
    out = scratch;
  }
  at = end + 1;
  return true;
}

bool JsonScan::readHex(std::string_view raw, size_t from, uint32_t &out) {
  out = 0;
  if (from + 4 > raw.size())
    return false;
  for (char c : raw.substr(from, 4)) {
    static constexpr std::string_view digits = "0123456789abcdef";
    size_t digit = digits.find(static_cast<char>(c | 0x20));
    if (c < '0' || digit == digits.npos)
      return false;
    out = out << 4 | static_cast<uint32_t>(digit);
  }
  return true;
}

bool JsonScan::unescape(std::string_view raw, size_t rawBegin) {
  static constexpr std::string_view names = "\"\\/bfnrt";
  static constexpr std::string_view values = "\"\\/\b\f\n\r\t";
  scratch.clear();
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      scratch += raw[i];
      continue;
    }
    size_t name = names.find(raw[++i]);
    if (name != names.npos) {
      scratch += values[name];
      continue;
    }
    uint32_t value, low;
    if (raw[i] != 'u' || !readHex(raw, i + 1, value))
      return fail(rawBegin + i - 1, "expects a JSON escape");
    i += 4;
    if (value >= 0xD800 && value < 0xE000) {
      bool paired = value < 0xDC00 && raw.substr(i + 1, 2) == "\\u" &&
                    readHex(raw, i + 3, low) && low >= 0xDC00 && low < 0xE000;
      if (!paired)
        return fail(rawBegin + i - 5, "expects a pair of surrogates");
      value = 0x10000 + ((value & 0x3FF) << 10 | (low & 0x3FF));
      i += 6;
    }
    appendCodePoint(scratch, value);
  }
  return true;
}

bool JsonScan::readInteger(int32_t &out) {
  skipSpace();
  size_t begin = at;
  bool negative = at < text.size() && text[at] == '-';
  at += negative;
  size_t digits = at;
  int64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
    value = std::min<int64_t>(value * 10 + (text[at] - '0'), 1LL << 40);
  bool fraction =
      at < text.size() && (text[at] == '.' || (text[at] | 32) == 'e');
  value = negative ? -value : value;
  if (at == digits || fraction || value != static_cast<int32_t>(value))
    return fail(begin, "expects a whole number of 32 bits");
  out = static_cast<int32_t>(value);
  return true;
}

bool JsonScan::skipValue(size_t &begin, size_t &end) {
  begin = offset();
  int64_t depth = 0;
  for (; at < text.size(); ++at) {
    char c = text[at];
    if (c == '"') {
      bool escapes;
      size_t stop;
      if (!findStringEnd(at + 1, stop, escapes))
        return false;
      at = stop;
    } else if (c == '{' || c == '[') {
      ++depth;
      continue;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c != ',' && !(depth == 0 && isSpace(c))) {
      continue;
    }
    if (depth > 0)
      continue;
    // A closing mark or a string belongs to the value, what follows does not.
    bool closes = c == '"' || ((c == '}' || c == ']') && depth == 0);
    end = at = at + closes;
    return end > begin || fail(begin, "expects a value");
  }
  return fail(begin, "expects the value to end");
}

} // namespace ds::text
