//===- AttentionEntries.cpp - Attention over chosen positions -------------===//
//
// Every token has its own list of positions, and a tile is a token: its rows
// are all query heads, which share what they read. The state is in the view of
// values, where a position's row lies together; the rows of a split are brought
// to the view of keys in scratch, 16 at a time, and from there, as for every
// prefix, to that of values. Splits are of 512 entries, so that a token that
// sees all positions gets what full attention gives it.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Attention.h"

using namespace ds;
using namespace ds::cpu;

namespace {
/// Where a split's keys lie in scratch, and 16 of its rows on their way there.
struct EntryPlaces {
  explicit EntryPlaces(AttentionShape &shape)
      : rowStride(shape.keys.padded * shape.keys.size + 64),
        keysAt(shape.place(kSplitPositions / kPagePositions *
                           shape.keys.headBytes())),
        rowsAt(shape.place(kLanes * rowStride)) {}
  int64_t rowStride, keysAt, rowsAt;
};

class ListSource : public PositionSource {
public:
  ListSource(KernelBuilder &b, const AttentionShape &shape,
             const EntryPlaces &places, Value list)
      : b(b), shape(shape), places(places), list(list) {}

  Value getHead(const StateLayout &layout, const AttentionTile &tile,
                Value state, Value position) const override {
    // What would be read next is not known to be packed.
    Value inSplit = b.max(b.c(0), b.min(b.sub(position, tile.begin),
                                        b.c(kSplitPositions - kPagePositions)));
    Value page = b.div(inSplit, kPagePositions);
    return b.at(b.at(tile.scratch, places.keysAt),
                b.mul(page, layout.headBytes()));
  }
  std::pair<Value, Value> getVisible(const AttentionTile &tile,
                                     Value) const override {
    return {b.c(0), tile.positions};
  }

  /// Brings the split to the view of keys.
  void pack(const AttentionTile &tile) const;

private:
  KernelBuilder &b;
  const AttentionShape &shape;
  const EntryPlaces &places;
  Value list;

  void copyRow(const AttentionTile &tile, Value entry, Value to) const;
};

class EntriesEmitter : public AttentionEmitter {
public:
  EntriesEmitter(KernelBuilder &b, KernelAttentionOp op,
                 const AttentionShape &shape, const EntryPlaces &places,
                 Value args, Value scratch)
      : AttentionEmitter(b, shape, scratch), places(places),
        count(cast<RankedTensorType>(op.getEntries().getType()).getDimSize(1)),
        entries(b.arg(args, 4)) {
    query = b.arg(args, 0);
    tile.keyState = tile.valueState = b.arg(args, 1);
    tile.seq = b.arg(args, 3);
    result = b.arg(args, 5);
    if (shape.keepsLse)
      lse = b.arg(args, 6);
  }

  void emit(Value token);

private:
  const EntryPlaces &places;
  int64_t count;
  Value entries;
};
} // namespace

/// One position's row, out of the pairs of positions that bf16 is kept in.
void ListSource::copyRow(const AttentionTile &tile, Value entry,
                         Value to) const {
  const StateLayout &keys = shape.keys;
  Value position = b.loadIndex(b.at(list, b.mul(entry, 4)));
  Value page = getPage(b, keys, tile.seq, tile.keyState, tile.sequence,
                       position);
  Value slot = b.rem(position, kPagePositions);
  int64_t together = keys.isPaired() ? 2 : 1;
  Value from = b.at(page, b.mul(b.div(slot, together), keys.padded * 4));
  Value half = arith::TruncIOp::create(b.builder, b.loc, b.i32(),
                                       b.mul(b.rem(slot, 2), 16));
  Value shift = b.splat(half);
  for (int64_t v = 0; v < keys.padded / kLanes; ++v) {
    Value line = b.load(b.vec(b.i32()), b.at(from, v * 64));
    if (keys.isPaired())
      line = arith::TruncIOp::create(
          b.builder, b.loc, b.vec(b.builder.getI16Type()),
          arith::ShRUIOp::create(b.builder, b.loc, line, shift));
    b.store(line, b.at(to, v * kLanes * keys.size));
  }
}

void ListSource::pack(const AttentionTile &tile) const {
  const StateLayout &keys = shape.keys;
  int64_t blockBytes = keys.padded * kLanes * keys.size;
  Value rows = b.at(tile.scratch, places.rowsAt);
  b.loop(b.c(0), tile.positions, kLanes, [&](Value first) {
    // Beyond the last entry it is taken again; no row sees it.
    Value last = b.sub(tile.positions, b.c(1));
    b.loop(b.c(0), b.c(kLanes), 1, [&](Value i) {
      Value entry = b.add(tile.begin, b.min(b.add(first, i), last));
      copyRow(tile, entry, b.at(rows, b.mul(i, places.rowStride)));
    });
    Value block = b.at(b.at(tile.scratch, places.keysAt),
                       b.mul(b.div(first, kLanes), blockBytes));
    // A row's pairs of columns, or columns, are elements of 4 bytes.
    b.loop(b.c(0), b.c(blockBytes / (kLanes * 64)), 1, [&](Value vector) {
      transposeElements(b, b.at(rows, b.mul(vector, 64)), places.rowStride,
                        /*paired=*/false, /*dot=*/false, /*mask=*/Value(),
                        b.at(block, b.mul(vector, kLanes * 64)), 64);
    });
  });
}

void EntriesEmitter::emit(Value token) {
  firstRow = token;
  tile.head = b.c(0);
  auto read = [&](SeqField field) {
    return b.loadIndex(b.at(b.seqField(tile.seq, field), b.mul(token, 4)));
  };
  tile.sequence = read(kSeqSequence);
  tile.firstPosition = read(kSeqPosition);
  tile.rows = b.c(shape.group);
  Value list = b.at(entries, b.mul(token, count * 4));
  ListSource source(b, shape, places, list);
  tile.source = &source;
  packQueries();
  clearResults();
  Value end = countListed(b, list, count);
  b.loop(b.c(0), end, kSplitPositions, [&](Value begin) {
    tile.begin = begin;
    tile.positions = b.min(b.sub(end, begin), b.c(kSplitPositions));
    tile.next = begin;
    source.pack(tile);
    emitSplit(/*single=*/true);
  });
  storeResults();
  if (shape.keepsLse)
    storeLse();
}

void ds::cpu::emitEntryAttention(KernelAttentionOp op, ModuleOp module,
                                 const Isa &isa, KernelLimits &limits) {
  AttentionShape shape(op, isa, /*queryRows=*/1);
  EntryPlaces places(shape);
  limits.needScratch(shape.scratchBytes);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) { return b.dim(dims, kDimT); });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value, Value tile, Value scratch) {
        EntriesEmitter(b, op, shape, places, args, scratch).emit(tile);
      });
}
