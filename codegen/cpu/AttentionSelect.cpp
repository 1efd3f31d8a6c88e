//===- AttentionSelect.cpp - The blocks that a query attends to -----------===//
//
// A tile is a token and a key head. Scores of entries are taken as attention
// takes them and become probabilities by the lse that it left, which are added
// over the heads of the group. A block's score is a sum over the strides that
// it shares with entries, in order; the best so far are kept sorted.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/AttentionSparse.h"
#include "dialect/Nsa.h"

using namespace ds;
using namespace ds::cpu;

namespace {
class SelectEmitter : public AttentionEmitter {
public:
  SelectEmitter(KernelBuilder &b, KernelSelectBlocksOp op,
                AttentionShape &shape, Value args, Value scratch);

  void emit(Value index, Value tokens);

  /// Places what is kept beside the scores; the same for all tiles.
  struct Places {
    Places(AttentionShape &shape, const nsa::Selection &s, int64_t perBlock)
        : packed(shape, /*values=*/false),
          sumsAt(shape.place((perBlock + kSplitPositions) * 4)),
          scoresAt(shape.place((s.count + 1) * 4)),
          indicesAt(shape.place((s.count + 1) * 4)) {}
    PackedSplit packed;
    int64_t sumsAt, scoresAt, indicesAt;
  };
  const Places *places = nullptr;

private:
  nsa::Selection s;
  int64_t stride, perBlock, perEntry, room;
  Value last; ///< The token's own block.

  Value inScratch(int64_t at) { return b.at(tile.scratch, at); }
  /// Sum `index` of the split, from -perBlock on.
  Value sumAt(Value index) {
    return b.at(inScratch(places->sumsAt + perBlock * 4), b.mul(index, 4));
  }
  Value best(Value i) { return b.at(inScratch(places->scoresAt), b.mul(i, 4)); }
  Value bestIndex(Value i) {
    return b.at(inScratch(places->indicesAt), b.mul(i, 4));
  }
  void storeIndex(Value index, Value to) {
    b.store(arith::TruncIOp::create(b.builder, b.loc, b.i32(), index), to);
  }

  void addHeads(const EntrySource &source);
  void scoreBlocks();
  void insert(Value block, Value score);
  void storeList();
};
} // namespace

SelectEmitter::SelectEmitter(KernelBuilder &b, KernelSelectBlocksOp op,
                             AttentionShape &shape, Value args, Value scratch)
    : AttentionEmitter(b, shape, scratch), s(nsa::getSelection(op)),
      stride(cast<StateType>(op.getKeys().getType()).getStride()),
      perBlock(s.block / stride), perEntry(s.length / stride),
      room(s.count - s.initial - s.local) {
  query = b.arg(args, 0);
  tile.keyState = tile.valueState = b.arg(args, 1);
  lse = b.arg(args, 2);
  tile.seq = b.arg(args, 3);
  result = b.arg(args, 4);
}

/// Sums over the heads of P of the split's entries, zero of those that the
/// token does not see.
void SelectEmitter::addHeads(const EntrySource &source) {
  auto [first, end] = source.getVisible(tile, b.c(0));
  b.loop(b.c(0), b.c(kSplitPositions), kLanes, [&](Value position) {
    Value seen = arith::AndIOp::create(
        b.builder, b.loc, b.laneMask(b.sub(end, position)),
        arith::CmpIOp::create(b.builder, b.loc, arith::CmpIPredicate::eq,
                              b.laneMask(b.sub(first, position)),
                              arith::ConstantOp::create(
                                  b.builder, b.loc,
                                  DenseElementsAttr::get(
                                      b.vec(b.builder.getI1Type()), false))));
    b.ifThen(
        b.less(position, end),
        [&] {
          Value sum =
              b.loop(b.c(0), b.c(shape.group), 1, b.zero(),
                     [&](Value row, ValueRange carried) {
                       Value scores = b.at(inScratch(shape.scoreAt),
                                           b.add(b.mul(row, shape.scoreStride),
                                                 b.mul(position, 4)));
                       Value head = b.add(b.mul(tile.head, shape.group), row);
                       Value index =
                           b.add(b.mul(firstRow, shape.heads), head);
                       Value common = b.splat(
                           b.load(b.f32(), b.at(lse, b.mul(index, 4))));
                       Value p = b.exp(b.subf(
                           b.load(b.vec(b.f32()), scores), common));
                       return SmallVector<Value>{b.addf(
                           carried[0], b.select(seen, p, b.zero()))};
                     })
                  .front();
          b.store(sum, sumAt(position));
        },
        [&] { b.store(b.zero(), sumAt(position)); });
  });
}

/// Scores the blocks whose last stride lies before the split's last block, and
/// keeps the sums of that one for the next.
void SelectEmitter::scoreBlocks() {
  Value begin = b.sub(b.div(tile.begin, perBlock), b.c(1));
  Value end = b.sub(b.div(b.add(tile.begin, kSplitPositions), perBlock), b.c(1));
  Value lowest = b.max(begin, b.c(s.initial));
  Value highest = b.min(end, b.sub(last, b.c(s.local - 1)));
  b.loop(lowest, highest, 1, [&](Value block) {
    Value at = sumAt(b.sub(b.mul(block, perBlock), tile.begin));
    Value score = b.cf(0);
    for (int64_t k = 0; k < perBlock + perEntry - 1; ++k) {
      // Pairs of a stride of the block and one of the entry that are the same.
      int64_t shared = std::min({k + 1, perBlock, perEntry,
                                 perBlock + perEntry - 1 - k});
      Value sum = b.load(b.f32(), b.at(at, k * 4));
      score = b.fma(b.cf(static_cast<double>(shared)), sum, score);
    }
    insert(block, score);
  });
  b.loop(b.c(0), b.c(perBlock), 1, [&](Value i) {
    b.store(b.load(b.f32(), sumAt(b.add(i, kSplitPositions - perBlock))),
            sumAt(b.sub(i, b.c(perBlock))));
  });
}

/// Puts a block before the first that is worth less; the last is lost.
void SelectEmitter::insert(Value block, Value score) {
  auto greater = [&](Value x, Value y) -> Value {
    return arith::CmpFOp::create(b.builder, b.loc, arith::CmpFPredicate::OGT, x,
                                 y);
  };
  b.ifThen(greater(score, b.load(b.f32(), best(b.c(room - 1)))), [&] {
    b.loop(b.c(0), b.c(room), 1, {score, block},
           [&](Value i, ValueRange carried) {
             Value old = b.load(b.f32(), best(i));
             Value oldIndex = b.loadIndex(bestIndex(i));
             Value better = greater(carried[0], old);
             b.store(b.select(better, carried[0], old), best(i));
             storeIndex(b.select(better, carried[1], oldIndex), bestIndex(i));
             return SmallVector<Value>{b.select(better, old, carried[0]),
                                       b.select(better, oldIndex, carried[1])};
           });
  });
}

/// The first blocks, the best in ascending order, the last blocks, and -1.
void SelectEmitter::storeList() {
  Value list = b.at(
      result, b.mul(b.add(b.mul(firstRow, shape.keys.heads), tile.head),
                    s.count * 4));
  auto put = [&](Value index, Value at) {
    storeIndex(index, b.at(list, b.mul(at, 4)));
  };
  Value blocks = b.add(last, 1);
  Value first = b.min(b.c(s.initial), blocks);
  b.loop(b.c(0), first, 1, [&](Value i) { put(i, i); });
  Value next = first;
  constexpr int64_t kNone = INT32_MAX;
  if (room > 0)
    next = b.loop(
                b.c(0), b.c(room), 1, {first, b.c(-1)},
                [&](Value, ValueRange carried) {
                  Value lowest =
                      b.loop(b.c(0), b.c(room), 1, b.c(kNone),
                             [&](Value i, ValueRange least) {
                               Value index = b.loadIndex(bestIndex(i));
                               Value isNext = b.less(carried[1], index);
                               return SmallVector<Value>{b.select(
                                   isNext, b.min(index, least[0]), least[0])};
                             })
                          .front();
                  Value isThere = b.less(lowest, b.c(kNone));
                  b.ifThen(isThere, [&] { put(lowest, carried[0]); });
                  return SmallVector<Value>{
                      b.select(isThere, b.add(carried[0], 1), carried[0]),
                      lowest};
                })
               .front();
  Value local = b.max(first, b.sub(blocks, b.c(s.local)));
  b.loop(local, blocks, 1, [&](Value block) {
    put(block, b.add(next, b.sub(block, local)));
  });
  Value end = b.add(next, b.max(b.c(0), b.sub(blocks, local)));
  b.loop(end, b.c(s.count), 1, [&](Value i) { put(b.c(-1), i); });
}

void SelectEmitter::emit(Value index, Value tokens) {
  tile.head = b.div(index, tokens);
  firstRow = b.rem(index, tokens);
  auto read = [&](SeqField field) {
    return b.loadIndex(b.at(b.seqField(tile.seq, field), b.mul(firstRow, 4)));
  };
  tile.sequence = read(kSeqSequence);
  tile.firstPosition = read(kSeqPosition);
  tile.rows = b.c(shape.group);
  last = b.div(tile.firstPosition, s.block);
  EntrySource source(b, shape, places->packed, stride, s.length);
  tile.source = &source;
  packQueries();
  b.loop(b.c(0), b.c(room), 1, [&](Value i) {
    b.store(b.cf(-1), best(i)); // Below any score.
    storeIndex(b.c(-1), bestIndex(i));
  });
  Value seen = b.div(b.add(tile.firstPosition, 1), stride);
  if (room > 0)
    b.loop(b.c(0), b.mul(b.add(last, 1), perBlock), kSplitPositions,
           [&](Value begin) {
             tile.begin = tile.next = begin;
             tile.positions =
                 b.max(b.c(0), b.min(b.sub(seen, begin), b.c(kSplitPositions)));
             tile.single = true;
             source.pack(tile, /*keysOnly=*/true);
             emitScores(b, shape, tile);
             addHeads(source);
             scoreBlocks();
           });
  storeList();
}

void ds::cpu::emitSelectBlocks(KernelSelectBlocksOp op, ModuleOp module,
                               const Isa &isa, KernelLimits &limits) {
  AttentionShape shape(op, isa);
  int64_t stride = cast<StateType>(op.getKeys().getType()).getStride();
  SelectEmitter::Places places(shape, nsa::getSelection(op),
                               static_cast<int64_t>(op.getBlock()) / stride);
  limits.needScratch(shape.scratchBytes);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.mul(b.dim(dims, kDimT), shape.keys.heads);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value scratch) {
        SelectEmitter emitter(b, op, shape, args, scratch);
        emitter.places = &places;
        emitter.emit(tile, b.dim(dims, kDimT));
      });
}
