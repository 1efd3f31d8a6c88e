//===- RegexRewrite.cpp - Oniguruma patterns for PCRE2 --------------------===//
//
// PCRE2 counts U+180E as white space and leaves marks out of the word
// characters, reads `\h` as horizontal space, does not know `\uHHHH`, and its
// Unicode is older. The classes are written out here as Oniguruma has them.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Regex.h"
#include "runtime/text/UnicodeAdditions.h"

#include <cstdio>

namespace ds::text {

/// The members of White_Space, and all others, inside brackets.
static constexpr const char *space =
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"
    "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
static constexpr const char *noSpace =
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}"
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}"
    "\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}";
static constexpr const char *hexDigit = "0-9A-Fa-f";
static constexpr const char *noHexDigit =
    "\\x00-\\x2f\\x3a-\\x40\\x47-\\x60\\x67-\\x{10ffff}";

/// Returns the members of a category that PCRE2 does not know, as ranges for
/// brackets. `category` is one letter or two; others have none.
static std::string listAdditions(std::string_view category) {
  std::string out;
  uint32_t first = 1, last = 0;
  auto flush = [&] {
    char text[32];
    if (first <= last) {
      std::snprintf(text, sizeof(text), "\\x{%x}-\\x{%x}", first, last);
      out += text;
    }
  };
  for (size_t i = 0; i < addedRangesCount; ++i) {
    const AddedRange &range = addedRanges[i];
    if (std::string_view(range.category).substr(0, category.size()) != category)
      continue;
    if (first <= last && range.first == last + 1) {
      last = range.last;
      continue;
    }
    flush();
    first = range.first;
    last = range.last;
  }
  flush();
  return out;
}

/// Lists the word characters; Oniguruma counts six numerals of Latin-1 in.
static std::string listWordCharacters() {
  return "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}"
         "\\x{bc}-\\x{be}" +
         listAdditions("L") + listAdditions("M") + listAdditions("Nd");
}

namespace {
/// Walks over a pattern once.
class Rewriter {
public:
  explicit Rewriter(std::string_view pattern) : pattern(pattern) {}

  Result<std::string> run() {
    while (at < pattern.size() && problem.empty())
      step();
    if (problem.empty())
      return std::move(out);
    return Error{problem + " (at byte " + std::to_string(at) + ")"};
  }

private:
  void step();
  void escape();
  void property();
  void openClass();
  void setOf(const std::string &members, bool negated = false);

  /// Copies `count` bytes as they are.
  void copy(size_t count) {
    out += pattern.substr(at, count);
    at += count;
  }

  std::string_view pattern;
  size_t at = 0;
  bool inClass = false;
  std::string out;
  std::string problem;
};
} // namespace

/// Puts a set in place of an escape of two bytes.
void Rewriter::setOf(const std::string &members, bool negated) {
  at += 2;
  if (inClass)
    out += members;
  else
    out += (negated ? "[^" : "[") + members + "]";
}

/// Handles `\p{..}`, `\p{^..}`, `\P{..}` and `\pL`.
void Rewriter::property() {
  bool negated = pattern[at + 1] == 'P';
  std::string_view name = pattern.substr(at + 2, 1);
  size_t length = 3;
  if (name == "{") {
    size_t end = pattern.find('}', at);
    if (end == pattern.npos)
      return copy(2);
    length = end + 1 - at;
    name = pattern.substr(at + 3, end - at - 3);
  }
  if (name.substr(0, 1) == "^") {
    negated = !negated;
    name.remove_prefix(1);
  }
  std::string additions = name.size() <= 2 ? listAdditions(name) : "";
  if (name == "Han")
    additions = "\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}";
  // A complement within brackets cannot be narrowed; it stays as it is.
  if (additions.empty() || (negated && inClass))
    return copy(length);
  std::string known = "\\p{" + std::string(name) + "}";
  setOf(known + additions, negated);
  at += length - 2;
}

void Rewriter::escape() {
  switch (at + 1 < pattern.size() ? pattern[at + 1] : '\0') {
  case 's':
    return setOf(space);
  case 'S':
    return inClass ? setOf(noSpace) : setOf(space, true);
  case 'w':
    return setOf(listWordCharacters());
  case 'W':
    if (inClass) {
      problem = "expects no \\W inside brackets";
      return;
    }
    return setOf(listWordCharacters(), true);
  case 'h':
    return setOf(hexDigit);
  case 'H':
    return setOf(noHexDigit);
  case 'p':
  case 'P':
    return property();
  case 'u': {
    std::string_view digits = pattern.substr(at + 2, 4);
    if (digits.size() < 4 ||
        digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos) {
      problem = "expects four hexadecimal digits after \\u";
      return;
    }
    out += "\\x{" + std::string(digits) + "}";
    at += 6;
    return;
  }
  default:
    copy(2);
  }
}

/// Copies the head of a bracket, where `]` is a member.
void Rewriter::openClass() {
  inClass = true;
  copy(1);
  if (at < pattern.size() && pattern[at] == '^')
    copy(1);
  if (at < pattern.size() && pattern[at] == ']')
    copy(1);
}

void Rewriter::step() {
  std::string_view rest = pattern.substr(at);
  if (rest[0] == '\\')
    return escape();
  if (!inClass && rest[0] == '[')
    return openClass();
  if (!inClass)
    return copy(1);
  if (rest.substr(0, 2) == "[:")
    return copy(rest.find(":]") == rest.npos ? 2 : rest.find(":]") + 2);
  if (rest.substr(0, 2) == "&&")
    problem = "expects brackets without an intersection (&&)";
  else if (rest[0] == '[')
    problem = "expects brackets without inner brackets";
  inClass = rest[0] != ']';
  copy(1);
}

Result<std::string> rewriteOniguruma(std::string_view pattern) {
  return Rewriter(pattern).run();
}

} // namespace ds::text
