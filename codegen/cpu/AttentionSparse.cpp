//===- AttentionSparse.cpp - Attention over some of what is kept ----------===//
//
// Windows and entries have tiles as full attention does. Every token has its
// own list of blocks, and a tile is a token: its rows are the heads of a group,
// which share what they read (arXiv 2502.11089, section 3.4).
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/AttentionSparse.h"

using namespace ds;
using namespace ds::cpu;

namespace {
class SparseEmitter : public AttentionEmitter {
public:
  SparseEmitter(KernelBuilder &b, KernelSparseAttentionOp op,
                const AttentionShape &shape, const PackedSplit *packed,
                Value args, Value scratch)
      : AttentionEmitter(b, shape, scratch), packed(packed),
        size(static_cast<int64_t>(op.getSize())) {
    query = b.arg(args, 0);
    tile.keyState = b.arg(args, 1);
    tile.valueState = b.arg(args, 2);
    tile.seq = b.arg(args, 3);
    int64_t next = 4;
    if (op.getBlocks()) {
      blocks = b.arg(args, next++);
      count = cast<RankedTensorType>(op.getBlocks().getType()).getDimSize(1) /
              shape.keys.heads;
    }
    result = b.arg(args, next);
    lse = b.arg(args, next + 1);
  }

  void emitWindow(Value index, Value queryTiles);
  void emitEntries(Value index, Value queryTiles, int64_t stride);
  void emitBlocks(Value index, Value tokens);

private:
  const PackedSplit *packed;
  int64_t size, count = 0;
  Value blocks;

  /// Positions [first, end) in splits that begin at multiples of 512.
  void emitSplits(Value first, Value end, function_ref<void()> pack);
  void finish() {
    storeResults();
    storeLse();
  }
  Value tokensOf() { return b.div(tile.rows, shape.group); }
};
} // namespace

void SparseEmitter::emitSplits(Value first, Value end,
                               function_ref<void()> pack) {
  Value from = b.mul(b.div(first, kSplitPositions), kSplitPositions);
  b.loop(from, end, kSplitPositions, [&](Value split) {
    Value next = b.add(split, kSplitPositions);
    tile.begin = b.max(split, first);
    tile.positions = b.sub(b.min(next, end), tile.begin);
    tile.next = b.select(b.less(next, end), next, tile.begin);
    pack();
    Value isSingle =
        b.cmp(arith::CmpIPredicate::eq, tile.rows, b.c(shape.group));
    b.ifThen(isSingle, [&] { emitSplit(true); }, [&] { emitSplit(false); });
  });
}

void SparseEmitter::emitWindow(Value index, Value queryTiles) {
  locate(index, queryTiles);
  WindowSource source(b, shape, size);
  tile.source = &source;
  packQueries();
  clearResults();
  emitSplits(source.getFirst(tile), b.add(tile.firstPosition, tokensOf()),
             [] {});
  finish();
}

void SparseEmitter::emitEntries(Value index, Value queryTiles, int64_t stride) {
  locate(index, queryTiles);
  EntrySource source(b, shape, *packed, stride, size);
  tile.source = &source;
  packQueries();
  clearResults();
  Value end = b.div(b.add(tile.firstPosition, tokensOf()), stride);
  emitSplits(b.c(0), end, [&] { source.pack(tile, /*keysOnly=*/false); });
  finish();
}

void SparseEmitter::emitBlocks(Value index, Value tokens) {
  tile.head = b.div(index, tokens);
  firstRow = b.rem(index, tokens);
  auto read = [&](SeqField field) {
    return b.loadIndex(b.at(b.seqField(tile.seq, field), b.mul(firstRow, 4)));
  };
  tile.sequence = read(kSeqSequence);
  tile.firstPosition = read(kSeqPosition);
  tile.rows = b.c(shape.group);
  Value list = b.at(
      blocks, b.mul(b.add(b.mul(firstRow, shape.keys.heads), tile.head),
                    count * 4));
  BlockSource source(b, shape, packed, size, list);
  tile.source = &source;
  packQueries();
  clearResults();
  Value end = source.getEnd(tile.firstPosition, count);
  b.loop(b.c(0), end, kSplitPositions, [&](Value begin) {
    Value next = b.add(begin, kSplitPositions);
    tile.begin = begin;
    tile.positions = b.sub(b.min(next, end), begin);
    tile.next = b.select(b.less(next, end), next, begin);
    source.pack(tile);
    emitSplit(true);
  });
  finish();
}

void ds::cpu::emitSparseAttention(KernelSparseAttentionOp op, ModuleOp module,
                                  const Isa &isa, KernelLimits &limits) {
  KeySource source = op.getSource();
  bool isBlocks = source == KeySource::Blocks;
  AttentionShape shape(op, isa, isBlocks ? 1 : limits.queryRows);
  std::optional<PackedSplit> packed;
  if (source == KeySource::Entries ||
      (isBlocks && op.getSize() < uint64_t(kPagePositions)))
    packed.emplace(shape, /*values=*/true);
  limits.needScratch(shape.scratchBytes);
  Dim units = isBlocks ? kDimT : kDimQ;
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.mul(b.dim(dims, units), shape.keys.heads);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value scratch) {
        SparseEmitter emitter(b, op, shape, packed ? &*packed : nullptr, args,
                              scratch);
        Value count = b.dim(dims, units);
        switch (source) {
        case KeySource::Window:
          return emitter.emitWindow(tile, count);
        case KeySource::Blocks:
          return emitter.emitBlocks(tile, count);
        case KeySource::Entries:
          return emitter.emitEntries(
              tile, count, cast<StateType>(op.getKeys().getType()).getStride());
        }
      });
}
