//===- Utf8.h - UTF-8 and the byte alphabet -------------------------------===//
//
// Code points, replacement of bytes that are not UTF-8, and the alphabet in
// which byte-level BPE files write bytes: 256 printable characters, one for
// each byte (the table of GPT-2).
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_UTF8_H
#define DS_RUNTIME_TEXT_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ds::text {

/// What stands at the head of a byte string.
struct CodePoint {
  enum Kind : uint8_t {
    Valid,
    /// `length` bytes that begin no code point.
    Invalid,
    /// The string ends within a code point that is right so far.
    Unfinished,
  };
  uint32_t value = 0;
  uint8_t length = 0;
  Kind kind = Invalid;
};

/// Reads the code point at the head of `text`, which is not empty.
CodePoint readCodePoint(std::string_view text);

/// Returns the offset of the first byte that is not UTF-8, or npos.
size_t findInvalidUtf8(std::string_view text);

/// Appends the UTF-8 form of `value` to `out`.
void appendCodePoint(std::string &out, uint32_t value);

/// Appends `bytes` to `out` with U+FFFD for each longest run that begins no
/// code point. Returns the number of bytes taken: an unfinished code point at
/// the end is left, unless `final`.
size_t appendLossy(std::string &out, std::string_view bytes, bool final);

/// Returns the offset at which the last code point of `text` begins. `text` is
/// UTF-8 and not empty.
size_t lastCodePoint(std::string_view text);

/// Tells whether `value` has the property White_Space.
bool isWhitespace(uint32_t value);

/// Appends to `out` the bytes that `token` writes in the byte alphabet. Returns
/// false, and appends nothing, if a character is not in the alphabet.
bool appendAlphabetBytes(std::string &out, std::string_view token);

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_UTF8_H
