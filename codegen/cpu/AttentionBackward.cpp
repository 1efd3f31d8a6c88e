//===- AttentionBackward.cpp - What both backward kernels share -----------===//
#include "codegen/cpu/AttentionBackward.h"
#include "codegen/cpu/ProductBlock.h"

using namespace ds;
using namespace ds::cpu;

BackwardShape::BackwardShape(StateType keyType, StateType valueType,
                             const Isa &isa, int64_t wanted, bool isPrefix,
                             Value list)
    : keys(keyType), values(valueType), isPrefix(isPrefix),
      entries(list ? cast<RankedTensorType>(list.getType()).getDimSize(1) : 0),
      dot(isa.bf16Dot && keys.isPaired()),
      rowBlock(isa.wide ? 6 : 2), rows(llvm::alignTo(wanted, rowBlock)),
      keyVectors(llvm::divideCeil(keys.dims, kLanes)),
      valueVectors(llvm::divideCeil(values.dims, kLanes)),
      // A line more than a power of two, so that rows do not share cache sets.
      queryStride(keys.padded * elementBytes() + 64),
      gradientStride(values.padded * elementBytes() + 64) {
  queryAt = place(rows * queryStride);
  gradientAt = place(rows * gradientStride);
  limitAt = place(rows * 4);
  lseAt = place(rows * 4);
  deltaAt = place(rows * 4);
  productAt = place(rowBlock * kPagePositions * 4);
  if (entries)
    seenAt = place(rows * 8);
  if (entries || !isPrefix)
    transposedAt = place(kPageBlocks * kVectorBytes *
                         stepsOf(entries ? keys.dims : values.dims));
}

BackwardEmitter::BackwardEmitter(KernelBuilder &b, const BackwardShape &shape,
                                 Value args, Value scratch)
    : b(b), shape(shape), args(args), scratch(scratch), query(b.arg(args, 0)),
      keyState(b.arg(args, 1)), valueState(b.arg(args, 2)), lse(b.arg(args, 3)),
      delta(b.arg(args, 4)), gradient(b.arg(args, 5)), seq(b.arg(args, 6)),
      entries(shape.entries ? b.arg(args, 7) : Value()) {}

//===----------------------------------------------------------------------===//
// Sequences
//===----------------------------------------------------------------------===//

Value BackwardEmitter::countRows(Value seq, Value which) {
  Value begin = b.at(b.seqField(seq, kSeqRowBegin), b.mul(which, 4));
  return b.sub(b.loadIndex(b.at(begin, 4)), b.loadIndex(begin));
}

Value BackwardEmitter::getPast(Value seq, Value which) {
  return b.loadIndex(b.at(b.seqField(seq, kSeqPast), b.mul(which, 4)));
}

/// Sequences are few: every tile counts through them.
SequenceBlock BackwardEmitter::findBlock(Value index, Value sequences,
                                         function_ref<Value(Value)> count) {
  SmallVector<Value> found =
      b.loop(b.c(0), sequences, 1, {b.c(-1), b.c(0), index},
             [&](Value which, ValueRange carried) {
               Value left = carried[2], blocks = count(which);
               Value isHere = arith::AndIOp::create(b.builder, b.loc,
                                                    b.less(b.c(-1), left),
                                                    b.less(left, blocks));
               return SmallVector<Value>{b.select(isHere, which, carried[0]),
                                         b.select(isHere, left, carried[1]),
                                         b.sub(left, blocks)};
             });
  return {found[0], found[1]};
}

BackwardEmitter::SequenceRows BackwardEmitter::getSequence(Value seq,
                                                           Value which) {
  Value first =
      b.loadIndex(b.at(b.seqField(seq, kSeqRowBegin), b.mul(which, 4)));
  Value past = getPast(seq, which);
  return {seq, which, first, past, b.add(past, countRows(seq, which))};
}

Value BackwardEmitter::getHeadPage(const StateLayout &layout, Value state,
                                   Value position) {
  Value page = getPage(b, layout, keySeq.seq, state, keySeq.number, position);
  return b.at(page, b.mul(keyHead, layout.headBytes()));
}

Value BackwardEmitter::getQueryIndex(Value row) {
  Value token = b.add(querySeq.firstRow, b.sub(b.div(row, shape.group),
                                              querySeq.firstPosition));
  Value head = b.add(b.mul(keyHead, shape.group), b.rem(row, shape.group));
  return b.add(b.mul(token, shape.heads), head);
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

/// The positions of the page at `position` that the row's token has among its
/// entries, a bit for each. Entries ascend, with -1 after the last.
Value BackwardEmitter::findSeen(Value row, Value position) {
  Value token = b.sub(b.div(row, shape.group), querySeq.firstPosition);
  Value last = b.sub(b.sub(querySeq.end, querySeq.firstPosition), b.c(1));
  token = b.add(querySeq.firstRow, b.max(b.c(0), b.min(token, last)));
  Value list = b.at(entries, b.mul(token, shape.entries * 4));
  auto get = [&](Value i) { return b.loadIndex(b.at(list, b.mul(i, 4))); };
  // The first entry that is not before the page.
  Value first = b.c(0);
  for (int64_t size = llvm::PowerOf2Ceil(shape.entries + 1) / 2; size; size /= 2) {
    Value next = b.add(first, size);
    Value isInside = b.less(next, b.c(shape.entries + 1));
    Value before = get(b.sub(b.select(isInside, next, b.c(1)), b.c(1)));
    Value isBefore = arith::AndIOp::create(
        b.builder, b.loc, isInside,
        arith::AndIOp::create(b.builder, b.loc, b.less(b.c(-1), before),
                              b.less(before, position)));
    first = b.select(isBefore, next, first);
  }
  Value stop = b.min(b.c(shape.entries), b.add(first, kPagePositions));
  return b.loop(first, stop, 1, b.c(0),
                [&](Value i, ValueRange carried) {
                  Value slot = b.sub(get(i), position);
                  Value isHere = arith::AndIOp::create(
                      b.builder, b.loc, b.less(b.c(-1), slot),
                      b.less(slot, b.c(kPagePositions)));
                  Value bit = arith::ShLIOp::create(
                      b.builder, b.loc, b.c(1),
                      b.select(isHere, slot, b.c(0)));
                  return SmallVector<Value>{arith::OrIOp::create(
                      b.builder, b.loc, carried[0],
                      b.select(isHere, bit, b.c(0)))};
                })
      .front();
}

void BackwardEmitter::ifSeen(Value first, Value count, Value position,
                             function_ref<void()> body) {
  if (!shape.entries)
    return body();
  Value any = b.loop(b.c(0), count, 1, b.c(0),
                     [&](Value row, ValueRange carried) {
                       Value seen = findSeen(b.add(first, row), position);
                       b.store(seen, b.at(inScratch(shape.seenAt),
                                          b.mul(row, 8)));
                       return SmallVector<Value>{arith::OrIOp::create(
                           b.builder, b.loc, carried[0], seen)};
                     })
                  .front();
  b.ifThen(b.cmp(arith::CmpIPredicate::ne, any, b.c(0)), body);
}

/// Products of a block of rows with `vectors` blocks of 16 positions of a page
/// from `first` on, row by row.
SmallVector<Value> BackwardEmitter::multiply(const PageOperands &operands,
                                             Value row, int64_t first,
                                             int64_t vectors) {
  const PageOperands &o = operands;
  int64_t together = o.paired ? 2 : 1;
  int64_t stepBytes = shape.elementBytes() * together;
  int64_t steps = llvm::divideCeil(o.columns, together);
  Value rows = b.at(inScratch(o.leftAt), b.mul(row, o.leftStride));
  Value right = b.at(o.right, first * o.blockBytes);
  ProductBlock block(b, o.paired, shape.dot, shape.rowBlock, vectors);
  return b.loop(b.c(0), b.c(steps), 1, block.zeros(),
                [&](Value step, ValueRange carried) {
                  Value left = b.at(rows, b.mul(step, stepBytes));
                  Value lines = b.at(right, b.mul(step, shape.kVectorBytes));
                  return block.step(
                      carried,
                      [&](int64_t r) { return b.at(left, r * o.leftStride); },
                      [&](int64_t v) { return b.at(lines, v * o.blockBytes); });
                });
}

/// Positions of `vectors` blocks of 16 from `begin` on: vector<16xi32>.
static SmallVector<Value> makePositions(KernelBuilder &b, Value begin,
                                        int64_t vectors) {
  SmallVector<Value> positions;
  for (int64_t v = 0; v < vectors; ++v) {
    SmallVector<int32_t> lanes;
    for (int64_t lane = 0; lane < kLanes; ++lane)
      lanes.push_back(static_cast<int32_t>(v * kLanes + lane));
    Value offsets = arith::ConstantOp::create(
        b.builder, b.loc,
        DenseElementsAttr::get(b.vec(b.i32()), ArrayRef(lanes)));
    Value first = arith::TruncIOp::create(b.builder, b.loc, b.i32(), begin);
    positions.push_back(b.add(b.splat(first), offsets));
  }
  return positions;
}

/// Whether lanes of block `vector` are among the page's positions `seen`.
static Value testLanes(KernelBuilder &b, Value seen, int64_t vector) {
  SmallVector<int32_t> bits;
  for (int64_t lane = 0; lane < kLanes; ++lane)
    bits.push_back(1 << lane);
  Value lanes = arith::ConstantOp::create(
      b.builder, b.loc, DenseElementsAttr::get(b.vec(b.i32()), ArrayRef(bits)));
  Value here = arith::TruncIOp::create(
      b.builder, b.loc, b.i32(),
      arith::ShRUIOp::create(b.builder, b.loc, seen, b.c(vector * kLanes)));
  Value found = arith::AndIOp::create(b.builder, b.loc, b.splat(here), lanes);
  return b.cmp(arith::CmpIPredicate::ne, found, b.vi(0));
}

/// Leaves dO . v in scratch, then takes q . k to P and dS while it is in
/// registers.
void BackwardEmitter::emitScoreBlock(const PageOperands &values,
                                     const PageOperands &keys, Value row,
                                     Value position, int64_t first,
                                     int64_t vectors) {
  Value products = inScratch(shape.productAt);
  for (auto [i, sum] : llvm::enumerate(multiply(values, row, first, vectors)))
    b.store(sum, b.at(products, static_cast<int64_t>(i) * 64));
  SmallVector<Value> scores = multiply(keys, row, first, vectors);
  SmallVector<Value> gradients(scores.size());
  SmallVector<Value> positions =
      makePositions(b, b.add(position, first * kLanes), vectors);
  Value line = b.at(scratch, b.mul(row, 4));
  for (int64_t r = 0; r < shape.rowBlock; ++r) {
    auto stat = [&](int64_t array, Type type) {
      return b.splat(b.load(type, b.at(line, array + r * 4)));
    };
    Value limit = stat(shape.limitAt, b.i32());
    Value negated = stat(shape.lseAt, b.f32());
    Value common = stat(shape.deltaAt, b.f32());
    Value seen = entries ? b.load(b.i64(), b.at(inScratch(shape.seenAt + r * 8),
                                                b.mul(row, 8)))
                         : Value();
    for (int64_t v = 0; v < vectors; ++v) {
      int64_t i = r * vectors + v;
      Value isSeen = b.less(positions[v], limit);
      if (seen)
        isSeen = arith::AndIOp::create(b.builder, b.loc, isSeen,
                                       testLanes(b, seen, first + v));
      Value p = b.exp(b.fma(scores[i], b.vf(shape.scale), negated));
      p = b.select(isSeen, p, b.zero());
      Value product = b.load(b.vec(b.f32()), b.at(products, i * 64));
      Value d = b.mulf(b.mulf(p, b.subf(product, common)), b.vf(shape.scale));
      scores[i] = p;
      gradients[i] = b.select(isSeen, d, b.zero());
    }
  }
  storeScores(row, shape.rowBlock, first, vectors, scores, gradients);
}

void BackwardEmitter::emitScores(Value begin, Value rows, Value position) {
  PageOperands values{shape.gradientAt,
                      shape.gradientStride,
                      inScratch(shape.transposedAt),
                      shape.stepsOf(shape.values.dims) * shape.kVectorBytes,
                      shape.dot,
                      shape.values.dims};
  PageOperands keys = values;
  keys.leftAt = shape.queryAt;
  keys.leftStride = shape.queryStride;
  keys.columns = shape.keys.dims;
  if (shape.entries) {
    keys.blockBytes = shape.stepsOf(shape.keys.dims) * shape.kVectorBytes;
  } else {
    keys.right = getHeadPage(shape.keys, keyState, position);
    keys.blockBytes = shape.keys.padded * kLanes * shape.keys.size;
    keys.paired = shape.keys.isPaired();
  }
  if (shape.isPrefix) { // The first columns of what keys are.
    values.right = keys.right;
    values.blockBytes = keys.blockBytes;
    values.paired = keys.paired;
  }
  int64_t vectors = b.target.wide ? kPageBlocks : 2;
  for (int64_t first = 0; first < kPageBlocks; first += vectors)
    b.loop(begin, rows, shape.rowBlock, [&](Value row) {
      emitScoreBlock(values, keys, row, position, first, vectors);
    });
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

void BackwardEmitter::accumulate(const Product &product, int64_t count,
                                 int64_t first, int64_t vectors) {
  ProductBlock block(b, shape.dot, shape.dot, count, vectors);
  Value sums = b.at(product.sums, first * 64);
  auto sumAt = [&](int64_t r, int64_t v) {
    return b.at(sums, r * product.sumStride + v * 64);
  };
  SmallVector<Value> inits;
  for (int64_t r = 0; r < count; ++r)
    for (int64_t v = 0; v < vectors; ++v)
      inits.push_back(b.load(b.vec(b.f32()), sumAt(r, v)));
  Value right = b.at(product.right, first * shape.kVectorBytes);
  SmallVector<Value> next = b.loop(
      product.begin, product.steps, 1, inits,
      [&](Value step, ValueRange carried) {
        Value left = b.at(product.left, b.mul(step, product.leftStep));
        Value lines = b.at(right, b.mul(step, product.rightStep));
        return block.step(
            carried, [&](int64_t r) { return b.at(left, r * product.leftRow); },
            [&](int64_t v) { return b.at(lines, v * shape.kVectorBytes); });
      });
  for (int64_t r = 0; r < count; ++r)
    for (int64_t v = 0; v < vectors; ++v)
      b.store(next[r * vectors + v], sumAt(r, v));
}

void BackwardEmitter::storeRow(Value from, Value to, Type element,
                               int64_t columns) {
  int64_t size = getElementBytes(element);
  for (int64_t k = 0; k < columns; k += kLanes) {
    int64_t count = std::min(kLanes, columns - k);
    b.storeF32(b.load(b.vec(b.f32()), b.at(from, k * 4)), element,
               b.at(to, k * size),
               count < kLanes ? b.laneMask(b.c(count)) : Value());
  }
}
