//===- Bpe.h - Byte pair encoding of one word -----------------------------===//
//
// Splits a word into bytes and joins neighbours by the ranked merges of the
// file, lowest rank first and leftmost among equals, until none applies
// (Sennrich et al., "Neural machine translation of rare words with subword
// units", 2016, on bytes as in GPT-2).
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_BPE_H
#define DS_RUNTIME_TEXT_BPE_H

#include "runtime/text/Vocabulary.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ds::text {

/// A byte pair encoder: the merges, the tokens of single bytes and what to do
/// with a byte that has none.
class Bpe {
public:
  /// What a pair of neighbours becomes. `rank` is -1 where nothing applies.
  struct Merge {
    int32_t rank = -1;
    int32_t id = -1;
  };

  /// Makes room for `merges` merges.
  void reserve(size_t merges);

  /// Adds the next merge, of `left` and `right` to `id`. The first of two
  /// merges of the same pair counts.
  void addMerge(int32_t left, int32_t right, int32_t id);

  /// Looks up the tokens of single bytes; `unknown` (or -1: leave out) takes
  /// the place of bytes without one, once for each run if `fuseUnknown`. With
  /// `wholeWords` a word that is a token is that token, whatever the merges.
  void finish(const Vocabulary &vocabulary, int32_t unknown, bool fuseUnknown,
              bool wholeWords);

  /// Appends the ids of `word`, a run of bytes, to `out`.
  void encode(const Vocabulary &vocabulary, std::string_view word,
              std::vector<int32_t> &out) const;

private:
  struct Slot {
    uint64_t pair = emptyPair;
    Merge merge;
  };
  static constexpr uint64_t emptyPair = ~0ull;

  Merge find(int32_t left, int32_t right) const;
  size_t findSlot(uint64_t pair) const;
  void splitBytes(std::string_view word, std::vector<int32_t> &symbols) const;
  void mergeShort(std::vector<int32_t> &symbols) const;
  void mergeLong(std::vector<int32_t> &symbols) const;

  std::vector<Slot> slots;
  int32_t count = 0;
  std::array<int32_t, 256> byteIds{};
  int32_t unknown = -1;
  bool fuseUnknown = false;
  bool wholeWords = false;
};

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_BPE_H
