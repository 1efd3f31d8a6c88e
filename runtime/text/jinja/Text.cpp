//===- Text.cpp - Texts as Python handles them ----------------------------===//

#include "runtime/text/jinja/Text.h"

#include "runtime/text/Utf8.h"

#include <algorithm>
#include <cstdio>

namespace ds::text::jinja {

static bool isLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

static char toUpper(char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; }
static char toLower(char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

std::string changeCase(std::string text, LetterCase letters) {
  bool wordStart = true;
  for (size_t i = 0; i < text.size(); ++i) {
    bool upper = letters == LetterCase::Upper ||
                 (letters == LetterCase::Capital && i == 0) ||
                 (letters == LetterCase::Title && wordStart) ||
                 (letters == LetterCase::Words && wordStart);
    wordStart = letters == LetterCase::Words
                    ? std::string_view(" \t\n\v\f\r-({[<").find(text[i]) !=
                          std::string_view::npos
                    : !isLetter(text[i]);
    text[i] = upper ? toUpper(text[i]) : toLower(text[i]);
  }
  return text;
}

/// Tells whether str.strip() takes the code point that `point` holds.
static bool isPythonSpace(std::string_view point) {
  uint32_t value = readCodePoint(point).value;
  return isWhitespace(value) || (value >= 0x1C && value <= 0x1F);
}

std::string stripText(const std::string &text, const Value *chars, bool left,
                      bool right) {
  std::vector<std::string_view> points = codePoints(text), set;
  bool isSpace = !chars || chars->isNone();
  std::string members = isSpace ? "" : chars->print();
  set = codePoints(members);
  auto strips = [&](std::string_view point) {
    return isSpace ? isPythonSpace(point)
                   : std::find(set.begin(), set.end(), point) != set.end();
  };
  size_t begin = 0, end = points.size();
  while (left && begin < end && strips(points[begin]))
    ++begin;
  while (right && end > begin && strips(points[end - 1]))
    --end;
  std::string out;
  for (size_t i = begin; i < end; ++i)
    out += points[i];
  return out;
}

/// Splits at runs of white space, which the ends do not count for.
static List splitAtSpace(const std::string &text, int64_t most,
                         bool fromRight) {
  std::vector<std::string_view> points = codePoints(text);
  if (fromRight)
    std::reverse(points.begin(), points.end());
  auto join = [&](size_t begin, size_t end) {
    std::string out;
    for (size_t i = begin; i < end; ++i)
      out += points[fromRight ? end - 1 - (i - begin) : i];
    return out;
  };
  List parts;
  size_t at = 0;
  auto skip = [&](bool space) {
    while (at < points.size() && isPythonSpace(points[at]) == space)
      ++at;
  };
  skip(true);
  while (at < points.size()) {
    size_t begin = at;
    if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
      parts.push_back(join(begin, points.size()));
      break;
    }
    skip(false);
    parts.push_back(join(begin, at));
    skip(true);
  }
  if (fromRight)
    std::reverse(parts.begin(), parts.end());
  return parts;
}

List splitText(const std::string &text, const Value *separator, int64_t most,
               bool fromRight) {
  if (!separator || separator->isNone())
    return splitAtSpace(text, most, fromRight);
  std::string mark = separator->print();
  if (mark.empty())
    fail("expects a separator that is not empty");
  List parts;
  size_t begin = 0, end = text.size();
  while (most < 0 || static_cast<int64_t>(parts.size()) < most) {
    size_t at = text.find(mark, begin);
    if (fromRight)
      at = end < mark.size() ? text.npos : text.rfind(mark, end - mark.size());
    if (at == text.npos)
      break;
    parts.push_back(fromRight
                        ? text.substr(at + mark.size(), end - at - mark.size())
                        : text.substr(begin, at - begin));
    (fromRight ? end : begin) = fromRight ? at : at + mark.size();
  }
  parts.push_back(text.substr(begin, end - begin));
  if (fromRight)
    std::reverse(parts.begin(), parts.end());
  return parts;
}

/// Writes `value` by the conversion `spec`, such as "%.2f".
static std::string formatOne(const std::string &spec, const Value &value) {
  char kind = spec.back();
  if (kind == 's' || kind == 'r') {
    if (spec.size() > 2)
      fail("expects no width in '" + spec + "'");
    return kind == 's' ? value.print() : value.repr();
  }
  char text[400];
  int size;
  if (kind == 'd' || kind == 'i')
    size = std::snprintf(
        text, sizeof(text), (spec.substr(0, spec.size() - 1) + "lld").c_str(),
        static_cast<long long>(value.isFloat() ? value.asFloat()
                                               : value.asInteger()));
  else
    size = std::snprintf(text, sizeof(text), spec.c_str(), value.asFloat());
  if (size < 0 || size >= static_cast<int>(sizeof(text)))
    fail("expects a shorter width in '" + spec + "'");
  return text;
}

std::string formatText(const std::string &format, const List &values) {
  std::string out;
  size_t used = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    size_t end = format.find_first_not_of("0123456789.+- ", i + 1);
    char kind = end < format.size() ? format[end] : '\0';
    if (kind == '%') {
      out += '%';
    } else {
      if (!kind || std::string_view("sridfeg").find(kind) == std::string::npos)
        fail("expects %s, %r, %d, %f, %e, %g or %% in a format");
      if (used == values.size())
        fail("expects a value for each % of a format");
      out += formatOne(format.substr(i, end + 1 - i), values[used++]);
    }
    i = end;
  }
  if (used != values.size())
    fail("expects a % of the format for each value");
  return out;
}

} // namespace ds::text::jinja
