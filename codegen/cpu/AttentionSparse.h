//===- AttentionSparse.h - Sources of positions -----------------*- C++ -*-===//
//
// Keys of a window lie in pages of the sequence, and so do blocks of whole
// pages. Smaller blocks, and entries, of which a page has few, are packed into
// scratch for every split, as pages of 64.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_ATTENTIONSPARSE_H
#define DS_CODEGEN_CPU_ATTENTIONSPARSE_H
#include "codegen/cpu/Attention.h"

namespace ds {
namespace cpu {

/// Copies `bytes`, a multiple of 64.
void copyLines(KernelBuilder &b, Value from, Value to, int64_t bytes);

/// Scratch in which a split is packed.
struct PackedSplit {
  /// Reserves it; without `values`, for keys alone.
  PackedSplit(AttentionShape &shape, bool values);
  int64_t keysAt, valuesAt = 0;

  /// The key head's part of the page at `position`.
  Value getHead(KernelBuilder &b, const StateLayout &layout,
                const AttentionTile &tile, Value state, Value position) const;
};

/// The last positions up to a row's own.
class WindowSource : public PositionSource {
public:
  WindowSource(KernelBuilder &b, const AttentionShape &shape, int64_t size)
      : b(b), shape(shape), size(size) {}
  Value getHead(const StateLayout &layout, const AttentionTile &tile,
                Value state, Value position) const override;
  std::pair<Value, Value> getVisible(const AttentionTile &tile,
                                     Value row) const override;
  /// The first position of a page that any row of the tile sees.
  Value getFirst(const AttentionTile &tile) const;

private:
  KernelBuilder &b;
  const AttentionShape &shape;
  int64_t size;
};

/// Blocks of a list, one after the other; all rows are of one token.
class BlockSource : public PositionSource {
public:
  BlockSource(KernelBuilder &b, const AttentionShape &shape,
              const PackedSplit *packed, int64_t size, Value list)
      : b(b), shape(shape), packed(packed), size(size), list(list) {}
  Value getHead(const StateLayout &layout, const AttentionTile &tile,
                Value state, Value position) const override;
  std::pair<Value, Value> getVisible(const AttentionTile &tile,
                                     Value row) const override;
  /// Positions that the token at `position` sees, of a list of up to `count`.
  Value getEnd(Value position, int64_t count) const;
  /// Packs the split, where blocks are not whole pages.
  void pack(const AttentionTile &tile) const;

private:
  KernelBuilder &b;
  const AttentionShape &shape;
  const PackedSplit *packed;
  int64_t size;
  Value list;

  Value getBlock(Value index) const;
};

/// Entries, by the strides at whose ends they end: entry i of `length` tokens is
/// number i + length / stride - 1.
class EntrySource : public PositionSource {
public:
  EntrySource(KernelBuilder &b, const AttentionShape &shape,
              const PackedSplit &packed, int64_t stride, int64_t length)
      : b(b), shape(shape), packed(packed), stride(stride),
        first(length / stride - 1) {}
  Value getHead(const StateLayout &layout, const AttentionTile &tile,
                Value state, Value position) const override;
  std::pair<Value, Value> getVisible(const AttentionTile &tile,
                                     Value row) const override;
  /// Packs the split's keys and, unless `keysOnly`, its values.
  void pack(const AttentionTile &tile, bool keysOnly) const;

private:
  KernelBuilder &b;
  const AttentionShape &shape;
  const PackedSplit &packed;
  int64_t stride, first;

  void packPage(const AttentionTile &tile, Value page, bool keysOnly) const;
};

/// Page `index` of a sequence in a state that keeps an entry for every `stride`
/// tokens.
Value getEntryPage(KernelBuilder &b, const StateLayout &layout, int64_t stride,
                   Value seq, Value state, Value sequence, Value index);

} // namespace cpu
} // namespace ds
#endif
