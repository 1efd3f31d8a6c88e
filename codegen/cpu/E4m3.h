//===- E4m3.h - Decoding FP8 weights ----------------------------*- C++ -*-===//
//
// A weight of `panel_e4m3` (docs/artifact.md) is read 64 bytes at a time: two
// pairs of k of 16 columns. A column has a scale for each 128 k-values. What is
// multiplied is e4m3 x scale in f32, rounded to bf16 where bf16 is multiplied.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_E4M3_H
#define DS_CODEGEN_CPU_E4M3_H
#include "codegen/cpu/Builder.h"
#include <array>

namespace ds {
namespace cpu {

/// Of a panel: bytes of a block of 32 k-values, of the scales of its columns
/// for 128 k-values, and of these scales with the blocks that they serve.
constexpr int64_t kE4m3BlockBytes = 1024;
constexpr int64_t kE4m3ScaleBytes = 128;
constexpr int64_t kE4m3GroupBytes = kE4m3ScaleBytes + 4 * kE4m3BlockBytes;

/// Bytes of a panel of `depth` k-values.
int64_t getE4m3PanelBytes(int64_t depth);
Value getE4m3PanelBytes(KernelBuilder &b, Value depth);

/// Decodes 16 columns of a group of up to 128 k-values.
class E4m3Columns {
public:
  virtual ~E4m3Columns() = default;
  /// Two vectors of 16 pairs (vector<16xi32>) of bf16 from vector<64xi8>.
  virtual std::array<Value, 2> decode(Value bytes) = 0;
};

/// By products, whatever the scales are.
class E4m3Products : public E4m3Columns {
public:
  /// `scales` is a vector<16xf32>.
  E4m3Products(KernelBuilder &b, Value scales);
  std::array<Value, 2> decode(Value bytes) override;
  /// The same as f32: four vectors of 16 columns, one for each k.
  std::array<Value, 4> decodeF32(Value bytes);

private:
  KernelBuilder &b;
  Value scales; ///< Twice each and times 256, vector<32xf32>.

  Value scale(Value bytes, int64_t pair);
};

/// By a table of all 128 magnitudes times one scale, where the variant permutes
/// bytes: the products are taken once for 2048 elements.
class E4m3Table : public E4m3Columns {
public:
  /// `scale` is an f32.
  E4m3Table(KernelBuilder &b, Value scale);
  std::array<Value, 2> decode(Value bytes) override;

private:
  KernelBuilder &b;
  std::array<Value, 2> low, high; ///< Bytes of bf16, vector<64xi8> each.

  Value look(const std::array<Value, 2> &table, Value bytes);
};

/// Loads the scales of a group's 32 columns and calls `body` with what decodes
/// the first and the last 16, in a branch for either way to do so; `body`
/// returns what `inits` become.
SmallVector<Value> decodeE4m3Group(
    KernelBuilder &b, Value group, ValueRange inits,
    function_ref<SmallVector<Value>(std::array<E4m3Columns *, 2>)> body);

/// Where the 64 bytes of pairs `pair` and `pair` + 1 of a group's columns from
/// 16 `half` on lie; `pair` is even.
Value getE4m3Pairs(KernelBuilder &b, Value group, Value pair, int64_t half);

} // namespace cpu
} // namespace ds
#endif
