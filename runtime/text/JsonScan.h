//===- JsonScan.h - A scanner for large JSON files ------------------------===//
//
// A tokenizer.json is a few small parts around two very long lists. The lists
// are read straight from the text by this scanner; the small parts are cut out
// and given to a JSON library. That keeps loading to some milliseconds.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_JSONSCAN_H
#define DS_RUNTIME_TEXT_JSONSCAN_H

#include <cstdint>
#include <string>
#include <string_view>

namespace ds::text {

/// Reads JSON values one after another. After a function has returned false
/// the scanner stands at the offending place, and `problem()` says what was
/// expected there.
class JsonScan {
public:
  /// Scans `text` from `offset` on; `offset` stays what errors point at.
  explicit JsonScan(std::string_view text, size_t offset = 0)
      : text(text), at(offset) {}

  /// Takes `mark` if it is next, white space aside.
  bool take(char mark);

  /// Takes `mark` or notes that it was expected.
  bool expect(char mark);

  /// Reads a string. `out` lives until the next string is read.
  bool readString(std::string_view &out);

  /// Reads a whole number that fits 32 bits.
  bool readInteger(int32_t &out);

  /// Steps over a value of any kind and returns where it begins and ends.
  bool skipValue(size_t &begin, size_t &end);

  /// Notes that `what` was expected at `offset`, and returns false.
  bool fail(size_t offset, std::string what);

  /// Returns the offset of the next character that is not white space.
  size_t offset();

  /// Tells what was expected at the place of failure.
  const std::string &problem() const { return expected; }

  /// Returns "line:column" of the place of failure.
  std::string place() const;

private:
  void skipSpace();
  bool unescape(std::string_view raw, size_t rawBegin);
  bool readHex(std::string_view raw, size_t from, uint32_t &out);
  bool findStringEnd(size_t from, size_t &end, bool &escapes);

  std::string_view text;
  size_t at;
  std::string scratch;
  std::string expected;
};

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_JSONSCAN_H
