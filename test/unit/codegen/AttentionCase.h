//===- AttentionCase.h - Sequences and state for attention ------*- C++ -*-===//
#ifndef DS_TEST_UNIT_CODEGEN_ATTENTIONCASE_H
#define DS_TEST_UNIT_CODEGEN_ATTENTIONCASE_H
#include "StateImage.h"

namespace ds {
namespace cpu {

/// Heads and their columns.
struct Shape {
  int64_t heads, keyHeads, keyDims, valueDims;
};

/// A sequence of `length` tokens: queries, keys and values of all positions.
template <typename T> struct Sequence {
  Sequence(const Shape &s, int64_t length, unsigned seed)
      : length(length), query(length * s.heads * s.keyDims),
        keys(length * s.keyHeads * s.keyDims),
        values(length * s.keyHeads * s.valueDims) {
    fillRandom(query, seed, 3.0f);
    fillRandom(keys, seed + 1, 1.5f);
    fillRandom(values, seed + 2);
  }
  int64_t length;
  Buffer<T> query, keys, values;
};

/// The paged state that steps append to.
template <typename T> struct State {
  State(const Shape &s, int64_t pages)
      : shape(s), keys(s.keyHeads, s.keyDims, pages),
        values(s.keyHeads, s.valueDims, pages) {}

  /// What the kernel of heads does with tokens [past, end).
  void append(const Sequence<T> &from, int64_t past, int64_t end,
              ArrayRef<int32_t> table) {
    int64_t block = (end - 1) / 32 * 32;
    if (block >= past)
      for (int64_t t = end; t < block + 32; ++t)
        put(nullptr, t, table);
    for (int64_t t = past; t < end; ++t)
      put(&from, t, table);
  }

  Shape shape;
  StateImage<T> keys, values;

private:
  /// Writes position t, or zeroes its values where `from` is null.
  void put(const Sequence<T> *from, int64_t t, ArrayRef<int32_t> table) {
    int32_t page = table[t / 64];
    for (int64_t h = 0; h < shape.keyHeads; ++h) {
      for (int64_t i = 0; from && i < keys.padded; ++i)
        keys.data[keys.key(page, h, t % 64, i)] =
            i < shape.keyDims
                ? from->keys[(t * shape.keyHeads + h) * shape.keyDims + i]
                : T(0);
      for (int64_t i = 0; i < values.padded; ++i)
        values.data[values.value(page, h, t % 64, i)] =
            from && i < shape.valueDims
                ? from->values[(t * shape.keyHeads + h) * shape.valueDims + i]
                : T(0);
    }
  }
};

/// Pages 0..count-1 in a random order.
inline std::vector<int32_t> shufflePages(int64_t count, unsigned seed) {
  std::vector<int32_t> pages(count);
  for (int64_t i = 0; i < count; ++i)
    pages[i] = static_cast<int32_t>(i);
  std::shuffle(pages.begin(), pages.end(), std::mt19937(seed));
  return pages;
}

} // namespace cpu
} // namespace ds
#endif
