//===- RegexRewrite.cpp - Oniguruma patterns for PCRE2 --------------------===//
//
// PCRE2 counts U+180E as white space and leaves marks out of the word
// characters, reads `\h` as horizontal space and does not know `\uHHHH`. The
// classes are written out here as Oniguruma has them.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Regex.h"

namespace ds::text {

/// The members of White_Space, and all others, inside brackets.
static constexpr const char *space =
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"
    "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
static constexpr const char *noSpace =
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}"
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}"
    "\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}";
static constexpr const char *word =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";
static constexpr const char *hexDigit = "0-9A-Fa-f";
static constexpr const char *noHexDigit =
    "\\x00-\\x2f\\x3a-\\x40\\x47-\\x60\\x67-\\x{10ffff}";

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
  void openClass();
  void setOf(const char *members, bool negated = false);

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

void Rewriter::setOf(const char *members, bool negated) {
  at += 2;
  if (inClass)
    out += members;
  else
    out += std::string(negated ? "[^" : "[") + members + "]";
}

void Rewriter::escape() {
  switch (at + 1 < pattern.size() ? pattern[at + 1] : '\0') {
  case 's':
    return setOf(space);
  case 'S':
    return inClass ? setOf(noSpace) : setOf(space, true);
  case 'w':
    return setOf(word);
  case 'W':
    if (inClass) {
      problem = "expects no \\W inside brackets";
      return;
    }
    return setOf(word, true);
  case 'h':
    return setOf(hexDigit);
  case 'H':
    return setOf(noHexDigit);
  case 'u':
    out += "\\x{" + std::string(pattern.substr(at + 2, 4)) + "}";
    at = at + 6 < pattern.size() ? at + 6 : pattern.size();
    return;
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
