//===- AttentionSoftmax.cpp - Softmax of a split --------------------------===//
//
// Online softmax: Milakov and Gimelshein, arXiv 1805.02867, with splits of
// 512 positions instead of single ones.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Attention.h"

using namespace ds;
using namespace ds::cpu;

namespace {
/// One row of scores.
class RowSoftmax {
public:
  RowSoftmax(KernelBuilder &b, const AttentionShape &shape,
             const AttentionTile &tile, Value row)
      : b(b), shape(shape), tile(tile), row(row),
        scores(b.at(b.at(tile.scratch, shape.scoreAt),
                    b.mul(row, shape.scoreStride))) {}

  void emit() {
    findVisible();
    Value largest = emitMax();
    Value sum = emitExp(largest);
    emitMerge(largest, sum);
  }

private:
  KernelBuilder &b;
  const AttentionShape &shape;
  const AttentionTile &tile;
  Value row, scores;
  Value visible; ///< Positions of the split that the row sees.
  Value whole;   ///< The same, rounded down to whole vectors.
  Value first;   ///< The first that it sees, null for the split's.
  Value start;   ///< The same, rounded down to whole vectors.

  Value none() { return b.vf(-std::numeric_limits<double>::infinity()); }
  Value loadScores(Value position) {
    Value loaded = b.load(b.vec(b.f32()), b.at(scores, b.mul(position, 4)));
    if (!first)
      return loaded;
    return b.select(b.laneMask(b.sub(first, position)), none(), loaded);
  }
  /// Scores of the last, partly visible vector; -inf beyond.
  Value loadLast() {
    return b.select(b.laneMask(b.sub(visible, whole)), loadScores(whole),
                    none());
  }
  Value stat(int64_t array) {
    return b.at(b.at(tile.scratch, array), b.mul(row, 4));
  }

  void findVisible();
  Value emitMax();
  Value emitExp(Value largest);
  void storeProbabilities(Value value, Value position);
  void emitMerge(Value largest, Value sum);
};
} // namespace

void RowSoftmax::findVisible() {
  start = b.c(0);
  if (tile.source) {
    std::tie(first, visible) = tile.source->getVisible(tile, row);
    start = b.mul(b.div(first, kLanes), kLanes);
    whole = b.mul(b.div(visible, kLanes), kLanes);
    return;
  }
  Value end = b.add(tile.firstPosition,
                    b.add(b.div(row, shape.group), b.c(1)));
  visible = b.max(b.c(0), b.min(b.sub(end, tile.begin), tile.positions));
  whole = b.mul(b.div(visible, kLanes), kLanes);
}

/// The largest visible score, -inf when there is none.
Value RowSoftmax::emitMax() {
  Value largest = b.loop(start, whole, kLanes, none(),
                         [&](Value position, ValueRange carried) {
                           return SmallVector<Value>{
                               b.maxf(carried[0], loadScores(position))};
                         })
                      .front();
  largest = b.ifValues(
                 b.less(whole, visible), largest.getType(),
                 [&] {
                   return SmallVector<Value>{b.maxf(largest, loadLast())};
                 },
                 [&] { return SmallVector<Value>{largest}; })
                .front();
  return b.reduceMax(largest);
}

void RowSoftmax::storeProbabilities(Value value, Value position) {
  Value rounded = b.fromF32(value, shape.values.element);
  if (!shape.valueDot)
    rounded = b.toF32(rounded);
  b.store(rounded,
          b.at(scores, b.mul(position, shape.probabilityBytes())));
}

/// Puts the rounded exponentials in place of the scores, zeros up to the end
/// of the tile's pages, and returns the sum. A bf16 at position p lies before
/// any score that is still to be read.
Value RowSoftmax::emitExp(Value largest) {
  // A row without visible positions: exp(-inf - 0) is zero, not NaN.
  Value isNone = arith::CmpFOp::create(
      b.builder, b.loc, arith::CmpFPredicate::OEQ, largest,
      b.cf(-std::numeric_limits<double>::infinity()));
  Value offset = b.splat(b.select(isNone, b.cf(0), largest));
  auto take = [&](Value position, Value loaded, Value sum) {
    Value value = b.exp(b.subf(loaded, offset));
    storeProbabilities(value, position);
    return SmallVector<Value>{b.addf(sum, value)};
  };
  if (first)
    b.loop(b.c(0), start, kLanes,
           [&](Value position) { storeProbabilities(b.zero(), position); });
  Value sum = b.loop(start, whole, kLanes, b.zero(),
                     [&](Value position, ValueRange carried) {
                       return take(position, loadScores(position),
                                   carried[0]);
                     })
                  .front();
  Value partial = b.less(whole, visible);
  sum = b.ifValues(
             partial, sum.getType(),
             [&] { return take(whole, loadLast(), sum); },
             [&] { return SmallVector<Value>{sum}; })
            .front();
  Value rest = b.mul(b.ceilDiv(visible, kLanes), kLanes);
  Value end = b.mul(b.ceilDiv(tile.positions, kLanes), kLanes);
  b.loop(rest, end, kLanes, [&](Value position) {
    storeProbabilities(b.zero(), position);
  });
  return b.reduceAdd(sum);
}

/// m' = max(m, ms), l' = l exp(m - m') + ls exp(ms - m').
void RowSoftmax::emitMerge(Value largest, Value sum) {
  auto take = [&](Value vector) {
    return Value(vector::ExtractOp::create(b.builder, b.loc, vector, 0));
  };
  Value old = b.load(b.f32(), stat(shape.maxAt));
  Value fresh = b.maxf(old, largest);
  Value offset = fresh;
  if (tile.source) { // A row that has seen nothing yet.
    Value isNone = arith::CmpFOp::create(
        b.builder, b.loc, arith::CmpFPredicate::OEQ, fresh,
        b.cf(-std::numeric_limits<double>::infinity()));
    offset = b.select(isNone, b.cf(0), fresh);
  }
  Value oldScale = take(b.exp(b.splat(b.subf(old, offset))));
  Value newScale = take(b.exp(b.splat(b.subf(largest, offset))));
  Value total = b.addf(
      b.mulf(b.load(b.f32(), stat(shape.sumAt)), oldScale),
      b.mulf(sum, newScale));
  b.store(fresh, stat(shape.maxAt));
  b.store(total, stat(shape.sumAt));
  b.store(oldScale, stat(shape.oldScaleAt));
  b.store(newScale, stat(shape.newScaleAt));
}

void ds::cpu::emitSoftmax(KernelBuilder &b, const AttentionShape &shape,
                          const AttentionTile &tile) {
  b.loop(b.c(0), tile.rows, 1,
         [&](Value row) { RowSoftmax(b, shape, tile, row).emit(); });
}
