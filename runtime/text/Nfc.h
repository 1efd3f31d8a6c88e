//===- Nfc.h - Unicode normalisation form C -------------------------------===//
//
// Composes text as the Qwen2 tokenizers ask for (Unicode Standard Annex 15).
// The tables are made by make-unicode-tables.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_NFC_H
#define DS_RUNTIME_TEXT_NFC_H

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

namespace ds::text {

/// A canonical decomposition into one or two (`second` not 0) code points.
struct Decomposition {
  uint32_t code, first;
  uint32_t second = 0;
};

/// A range of code points with one canonical combining class.
struct CombiningRange {
  uint32_t first, last;
  uint8_t combiningClass;
};

// Sorted by code point; Hangul syllables are computed instead.

/// The decompositions that composition undoes.
extern const Decomposition composingPairs[];
extern const size_t composingPairsCount;
/// All others.
extern const Decomposition otherDecompositions[];
extern const size_t otherDecompositionsCount;
extern const CombiningRange combiningRanges[];
extern const size_t combiningRangesCount;

/// Brings `text`, which is UTF-8, into normalisation form C.
void composeNfc(std::string &text);

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_NFC_H
