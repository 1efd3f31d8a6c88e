//===- Regex.h - Patterns of tokenizer.json -------------------------------===//
//
// Compiles the patterns of tokenizer.json, written for Oniguruma, by PCRE2
// with its just-in-time compiler. Where the two read a pattern differently
// (white space, word characters, `\h`, `\u`) it is rewritten; what cannot be
// rewritten is an error.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_REGEX_H
#define DS_RUNTIME_TEXT_REGEX_H

#include "runtime/text/Result.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;

namespace ds::text {

/// A range of bytes of a text.
struct Span {
  size_t begin, end;
};

/// A compiled pattern. It is immutable, cheap to copy and may be used by
/// several threads.
class Regex {
public:
  /// Compiles `pattern`. The error says what is wrong with it and where.
  static Result<Regex> compile(std::string_view pattern);

  /// Returns a regex that matches the text `literal`.
  static Result<Regex> literal(std::string_view text);

  /// Puts all matches in `text`, which is UTF-8, into `out`, in order.
  Status findAll(std::string_view text, std::vector<Span> &out) const;

private:
  struct Free {
    void operator()(pcre2_real_code_8 *code) const;
  };
  static Result<Regex> build(const std::string &pattern, uint32_t options);

  std::shared_ptr<pcre2_real_code_8> code;
};

/// A word character where the library of tokenizer.json does not use
/// Oniguruma: without the numerals of Latin-1, with the joiners.
inline constexpr const char *plainWord =
    "(?:(?![\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}])\\w|[\\x{200c}\\x{200d}])";

/// Rewrites a pattern of Oniguruma for PCRE2.
Result<std::string> rewriteOniguruma(std::string_view pattern);

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_REGEX_H
