//===- UnicodeAdditions.h - Characters newer than PCRE2's -----------------===//
//
// PCRE2 10.42 knows Unicode 14; the tokenizers that models ship with were made
// with later versions. The difference is written into patterns.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_UNICODEADDITIONS_H
#define DS_RUNTIME_TEXT_UNICODEADDITIONS_H

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace ds::text {

/// A range of code points that Unicode 15 or 16 gave to a general category,
/// such as "Lo".
struct AddedRange {
  uint32_t first, last;
  char category[3];
};

/// Sorted by code point.
extern const AddedRange addedRanges[];
extern const size_t addedRangesCount;

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_UNICODEADDITIONS_H
