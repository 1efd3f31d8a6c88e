//===- StateImage.h - Paged state as tests see it ---------------*- C++ -*-===//
//
// Where docs/artifact.md puts the elements of the key and the value view,
// written down once more, independently of the generators.
//
//===----------------------------------------------------------------------===//
#ifndef DS_TEST_UNIT_CODEGEN_STATEIMAGE_H
#define DS_TEST_UNIT_CODEGEN_STATEIMAGE_H
#include "KernelRunner.h"

namespace ds {
namespace cpu {

/// One layer of a state of `pages` pages, all NaN at first. T is uint16_t
/// (bf16) or float.
template <typename T> class StateImage {
public:
  StateImage(int64_t heads, int64_t dims, int64_t pages)
      : heads(heads), dims(dims), padded((dims + 31) / 32 * 32),
        data(heads * 64 * padded * pages) {}

  int64_t heads, dims, padded;
  Buffer<T> data;

  size_t pageElements() const { return heads * 64 * padded; }

  /// Index of (page, head, position q of the page, column).
  size_t key(int64_t page, int64_t head, int64_t q, int64_t column) const {
    size_t base = page * pageElements() + head * 64 * padded;
    if (sizeof(T) == 4) // [64/16][P][16]
      return base + (q / 16) * padded * 16 + column * 16 + q % 16;
    // [64/16][P/2][16][2]
    return base + (q / 16) * padded * 16 + column / 2 * 32 + q % 16 * 2 +
           column % 2;
  }
  size_t value(int64_t page, int64_t head, int64_t q, int64_t column) const {
    size_t base = page * pageElements() + head * 64 * padded;
    if (sizeof(T) == 4) // [64][P]
      return base + q * padded + column;
    return base + q / 2 * padded * 2 + column * 2 + q % 2; // [64/2][P][2]
  }
};

} // namespace cpu
} // namespace ds
#endif
