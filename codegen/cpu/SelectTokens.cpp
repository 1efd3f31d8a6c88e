//===- SelectTokens.cpp - The positions that a token attends to -----------===//
//
// A tile is a token. Scores are taken as attention takes them, in splits of
// 512 positions, and become one for each position. Those that are worth more
// than the worst of the best so far are noted in order, until there is no room:
// then the best are found again, exactly, bit by bit of the worst's score, and
// the others leave. So a list is in ascending order, and of equal scores the
// lower positions stay; neither depends on where the room ended.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Attention.h"

using namespace ds;
using namespace ds::cpu;

namespace {
/// What is kept beside the scores.
struct SelectPlaces {
  SelectPlaces(AttentionShape &shape, int64_t count)
      : room(2 * count + kSplitPositions),
        worthAt(shape.place(kSplitPositions * 4)),
        keysAt(shape.place((room + kLanes) * 4)),
        positionsAt(shape.place((room + kLanes) * 4)) {}
  int64_t room; ///< Positions that can be noted.
  int64_t worthAt, keysAt, positionsAt;
};

class SelectEmitter : public AttentionEmitter {
public:
  SelectEmitter(KernelBuilder &b, const AttentionShape &shape,
                const SelectPlaces &places, int64_t count, Value args,
                Value scratch)
      : AttentionEmitter(b, shape, scratch), places(places), count(count),
        weights(b.arg(args, 1)) {
    query = b.arg(args, 0);
    tile.keyState = tile.valueState = b.arg(args, 2);
    tile.seq = b.arg(args, 3);
    result = b.arg(args, 4);
  }

  void emit(Value token);

private:
  const SelectPlaces &places;
  int64_t count;
  Value weights;

  /// The number noted, and what more must be worth than, as integers.
  using Best = std::pair<Value, Value>;

  Value array(int64_t at, Value i) {
    return b.at(b.at(tile.scratch, at), b.mul(i, 4));
  }
  void storeIndex(Value index, Value to) {
    b.store(arith::TruncIOp::create(b.builder, b.loc, b.i32(), index), to);
  }
  Value isGreater(Value a, Value c) { return b.less(c, a); }
  Value toIndex(Value condition) {
    return arith::ExtUIOp::create(b.builder, b.loc, b.i64(), condition);
  }

  void addHeads();
  Best note(Best best);
  Value countFrom(Value noted, Value least);
  Best keepBest(Best best);
  void storeAll();
  void storeBest();
};
} // namespace

/// The split's scores as integers of the same order.
void SelectEmitter::addHeads() {
  Value row = b.at(weights, b.mul(firstRow, shape.heads * 4));
  b.loop(b.c(0), tile.positions, kLanes, [&](Value position) {
    Value scores = b.at(b.at(tile.scratch, shape.scoreAt), b.mul(position, 4));
    Value sum =
        b.loop(b.c(0), b.c(shape.heads), 1, b.zero(),
               [&](Value head, ValueRange carried) {
                 Value score =
                     b.load(b.vec(b.f32()),
                            b.at(scores, b.mul(head, shape.scoreStride)));
                 Value weight = b.splat(
                     b.load(b.f32(), b.at(row, b.mul(head, 4))));
                 return SmallVector<Value>{
                     b.fma(weight, b.maxf(score, b.zero()), carried[0])};
               })
            .front();
    // Zeros of both signs are equal.
    Value bits = b.bitcast(b.addf(sum, b.zero()), b.vec(b.i32()));
    Value sign = arith::ShRSIOp::create(b.builder, b.loc, bits, b.vi(31));
    Value flip =
        arith::AndIOp::create(b.builder, b.loc, sign, b.vi(INT32_MAX));
    b.store(arith::XOrIOp::create(b.builder, b.loc, bits, flip),
            array(places.worthAt, position));
  });
}

SelectEmitter::Best SelectEmitter::note(Best best) {
  Value limit = best.second;
  Value noted =
      b.loop(b.c(0), tile.positions, 1, best.first,
             [&](Value i, ValueRange carried) {
               Value worth = b.loadIndex(array(places.worthAt, i));
               storeIndex(worth, array(places.keysAt, carried[0]));
               storeIndex(b.add(tile.begin, i),
                          array(places.positionsAt, carried[0]));
               return SmallVector<Value>{
                   b.add(carried[0], toIndex(isGreater(worth, limit)))};
             })
          .front();
  return {noted, limit};
}

/// How many of those noted are worth at least `least`; the vector after the
/// last is worth less than anything.
Value SelectEmitter::countFrom(Value noted, Value least) {
  Value bound =
      b.splat(arith::TruncIOp::create(b.builder, b.loc, b.i32(), least));
  Value counts =
      b.loop(b.c(0), noted, kLanes, b.vi(0),
             [&](Value i, ValueRange carried) {
               Value worth =
                   b.load(b.vec(b.i32()), array(places.keysAt, i), 4);
               Value isIn = b.cmp(arith::CmpIPredicate::sge, worth, bound);
               return SmallVector<Value>{
                   b.add(carried[0],
                         arith::ExtUIOp::create(b.builder, b.loc,
                                                b.vec(b.i32()), isIn))};
             })
          .front();
  Value total = vector::ReductionOp::create(
      b.builder, b.loc, vector::CombiningKind::ADD, counts);
  return arith::ExtSIOp::create(b.builder, b.loc, b.i64(), total);
}

/// Keeps the `count` best of more that are noted.
SelectEmitter::Best SelectEmitter::keepBest(Best best) {
  Value noted = best.first;
  b.store(b.vi(INT32_MIN), array(places.keysAt, noted), 4);
  Value wanted = b.c(count);
  // The largest that `count` are worth: its sign, then its bits from above.
  Value isPositive = b.less(b.c(count - 1), countFrom(noted, b.c(0)));
  Value worst = b.select(isPositive, b.c(0), b.c(INT32_MIN));
  worst = b.loop(b.c(0), b.c(31), 1, worst,
                 [&](Value i, ValueRange carried) {
                   Value bit = arith::ShLIOp::create(
                       b.builder, b.loc, b.c(1), b.sub(b.c(30), i));
                   Value next = b.add(carried[0], bit);
                   Value isEnough =
                       b.less(b.c(count - 1), countFrom(noted, next));
                   return SmallVector<Value>{
                       b.select(isEnough, next, carried[0])};
                 })
              .front();
  Value above = b.ifValues(
                     b.less(worst, b.c(INT32_MAX)), b.i64(),
                     [&] {
                       return SmallVector<Value>{
                           countFrom(noted, b.add(worst, 1))};
                     },
                     [&] { return SmallVector<Value>{b.c(0)}; })
                    .front();
  // The first of those that are worth as much as the worst.
  b.loop(b.c(0), noted, 1, {b.c(0), b.sub(wanted, above)},
         [&](Value i, ValueRange carried) {
           Value worth = b.loadIndex(array(places.keysAt, i));
           Value position = b.loadIndex(array(places.positionsAt, i));
           storeIndex(worth, array(places.keysAt, carried[0]));
           storeIndex(position, array(places.positionsAt, carried[0]));
           Value isEqual = arith::AndIOp::create(
               b.builder, b.loc,
               b.cmp(arith::CmpIPredicate::eq, worth, worst),
               b.less(b.c(0), carried[1]));
           Value isIn = arith::OrIOp::create(b.builder, b.loc, isEqual,
                                             isGreater(worth, worst));
           return SmallVector<Value>{b.add(carried[0], toIndex(isIn)),
                                     b.sub(carried[1], toIndex(isEqual))};
         });
  return {wanted, worst};
}

/// A token that sees no more than `count` positions attends to all.
void SelectEmitter::storeAll() {
  Value list = b.at(result, b.mul(firstRow, count * 4));
  b.loop(b.c(0), b.c(count), 1, [&](Value i) {
    Value isSeen = b.less(i, b.add(tile.firstPosition, 1));
    storeIndex(b.select(isSeen, i, b.c(-1)), b.at(list, b.mul(i, 4)));
  });
}

void SelectEmitter::storeBest() {
  packQueries();
  Value end = b.add(tile.firstPosition, 1);
  auto keep = [&](Best best, Value isNeeded) {
    SmallVector<Value> next = b.ifValues(
        isNeeded, {b.i64(), b.i64()},
        [&] {
          Best kept = keepBest(best);
          return SmallVector<Value>{kept.first, kept.second};
        },
        [&] { return SmallVector<Value>{best.first, best.second}; });
    return Best{next[0], next[1]};
  };
  SmallVector<Value> last =
      b.loop(b.c(0), end, kSplitPositions, {b.c(0), b.c(INT32_MIN)},
             [&](Value begin, ValueRange carried) {
               tile.begin = begin;
               tile.positions =
                   b.min(b.sub(end, begin), b.c(kSplitPositions));
               Value next = b.add(begin, kSplitPositions);
               tile.next = b.select(b.less(next, end), next, begin);
               emitScores(b, shape, tile);
               addHeads();
               Best best = note({carried[0], carried[1]});
               // Room for another split.
               best = keep(best, b.less(b.c(places.room - kSplitPositions),
                                        best.first));
               return SmallVector<Value>{best.first, best.second};
             });
  keep({last[0], last[1]}, b.less(b.c(count), last[0]));
  Value list = b.at(result, b.mul(firstRow, count * 4));
  b.loop(b.c(0), b.c(count), 1, [&](Value i) {
    b.store(b.load(b.i32(), array(places.positionsAt, i)),
            b.at(list, b.mul(i, 4)));
  });
}

void SelectEmitter::emit(Value token) {
  firstRow = token;
  tile.head = b.c(0);
  auto read = [&](SeqField field) {
    return b.loadIndex(b.at(b.seqField(tile.seq, field), b.mul(token, 4)));
  };
  tile.sequence = read(kSeqSequence);
  tile.firstPosition = read(kSeqPosition);
  tile.rows = b.c(shape.group);
  tile.single = true;
  b.ifThen(b.less(tile.firstPosition, b.c(count)), [&] { storeAll(); },
           [&] { storeBest(); });
}

void ds::cpu::emitSelectTokens(KernelSelectTokensOp op, ModuleOp module,
                               const Isa &isa, KernelLimits &limits) {
  AttentionShape shape(op, isa);
  auto count = static_cast<int64_t>(op.getCount());
  SelectPlaces places(shape, count);
  limits.needScratch(shape.scratchBytes);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) { return b.dim(dims, kDimT); });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value, Value tile, Value scratch) {
        SelectEmitter(b, shape, places, count, args, scratch).emit(tile);
      });
}
