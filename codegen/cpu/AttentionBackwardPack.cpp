//===- AttentionBackwardPack.cpp - Operands of the products ---------------===//
//
// A product's left operand is read one k-value (or pair) at a time, its right
// one in vectors of 16 columns. Which index runs along k differs from product
// to product, so that pages and rows are needed in a second order.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/AttentionBackward.h"

using namespace ds;
using namespace ds::cpu;

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// Copies `columns` values, rounded to `rounded`, padded with zeros.
void BackwardEmitter::packRow(Value to, Value from, Type element,
                              int64_t columns, Type rounded) {
  int64_t size = getElementBytes(element);
  int64_t padded = llvm::alignTo(columns, 32);
  for (int64_t k = 0; k < padded; k += kLanes) {
    int64_t count = std::min(kLanes, columns - k);
    Value value = b.zero();
    if (count > 0 && from)
      value = b.loadF32(element, b.at(from, k * size),
                        count < kLanes ? b.laneMask(b.c(count)) : Value());
    value = b.fromF32(value, rounded);
    b.store(shape.dot ? value : b.toF32(value),
            b.at(to, k * shape.elementBytes()));
  }
}

void BackwardEmitter::packRows(Value first, Value count, Value last) {
  int64_t keyDims = shape.keys.dims, valueDims = shape.values.dims;
  b.loop(b.c(0), count, 1, [&](Value row) {
    Value at = b.add(first, row);
    Value toQuery =
        b.at(inScratch(shape.queryAt), b.mul(row, shape.queryStride));
    Value toGradient =
        b.at(inScratch(shape.gradientAt), b.mul(row, shape.gradientStride));
    Value line = b.at(scratch, b.mul(row, 4));
    auto pack = [&](Value fromQuery, Value fromGradient) {
      packRow(toQuery, fromQuery, shape.queryElement, keyDims,
              shape.keys.element);
      packRow(toGradient, fromGradient, shape.gradientElement, valueDims,
              shape.values.element);
    };
    auto stat = [&](Value negatedLse, Value common, Value limit) {
      b.store(negatedLse, b.at(line, shape.lseAt));
      b.store(common, b.at(line, shape.deltaAt));
      b.store(arith::TruncIOp::create(b.builder, b.loc, b.i32(), limit),
              b.at(line, shape.limitAt));
    };
    Value isThere = arith::AndIOp::create(
        b.builder, b.loc,
        b.less(b.c(-1), b.sub(at, b.mul(querySeq.firstPosition, shape.group))),
        b.less(at, last));
    b.ifThen(
        isThere,
        [&] {
          Value index = getQueryIndex(at);
          pack(b.at(query, b.mul(index, keyDims * getElementBytes(
                                                      shape.queryElement))),
               b.at(gradient,
                    b.mul(index,
                          valueDims * getElementBytes(shape.gradientElement))));
          auto load = [&](Value array) {
            return b.load(b.f32(), b.at(array, b.mul(index, 4)));
          };
          stat(arith::NegFOp::create(b.builder, b.loc, load(lse)), load(delta),
               b.add(b.div(at, shape.group), 1));
        },
        [&] {
          pack(Value(), Value());
          stat(b.cf(0), b.cf(0), b.c(0));
        });
  });
}

/// (even, odd) pairs of bf16: vector<16xi32>.
static Value pairUp(KernelBuilder &b, Value even, Value odd) {
  SmallVector<int64_t> lanes;
  for (int64_t lane = 0; lane < kLanes; ++lane)
    lanes.append({lane, kLanes + lane});
  Type bits = b.vec(b.builder.getI16Type());
  return b.bitcast(vector::ShuffleOp::create(b.builder, b.loc,
                                             b.bitcast(even, bits),
                                             b.bitcast(odd, bits), lanes),
                   b.vec(b.i32()));
}

Value BackwardEmitter::makePairs(Value even, Value odd) {
  return pairUp(b, b.fromF32(even, b.bf16()), b.fromF32(odd, b.bf16()));
}

void BackwardEmitter::packPairs(int64_t from, int64_t fromStride, int64_t to,
                                Value count, int64_t vectors) {
  b.loop(b.c(0), b.div(count, 2), 1, [&](Value pair) {
    Value rows = b.at(inScratch(from), b.mul(pair, 2 * fromStride));
    Value into = b.at(inScratch(to), b.mul(pair, vectors * shape.kVectorBytes));
    for (int64_t v = 0; v < vectors; ++v) {
      Value even = b.load(b.vec(b.bf16()), b.at(rows, v * 32));
      Value odd = b.load(b.vec(b.bf16()), b.at(rows, fromStride + v * 32));
      b.store(pairUp(b, even, odd), b.at(into, v * shape.kVectorBytes));
    }
  });
}

//===----------------------------------------------------------------------===//
// Pages
//===----------------------------------------------------------------------===//

namespace {
/// Transposes 16 x 16 elements in registers: registers are rows, lanes are
/// columns. With fewer registers than lanes a register holds several rows.
/// Stage s exchanges bit s of the register's number with that of the column.
class RegisterTranspose {
public:
  RegisterTranspose(KernelBuilder &b, SmallVector<Value> registers)
      : b(b), values(std::move(registers)) {
    auto count = static_cast<int64_t>(values.size());
    int64_t rows = kLanes / count, columns = kLanes / rows;
    for (int64_t i = 0; i < count; ++i)
      for (int64_t lane = 0; lane < kLanes; ++lane)
        labels[i].push_back({i * rows + lane / columns, lane % columns});
  }

  SmallVector<Value> run() {
    for (int64_t bit = 1; bit < static_cast<int64_t>(values.size()); bit *= 2)
      for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i)
        if (!(i & bit))
          exchange(i, i | bit, bit);
    return std::move(values);
  }

private:
  /// Row and column of what a lane holds.
  using Label = std::pair<int64_t, int64_t>;
  KernelBuilder &b;
  SmallVector<Value> values;
  SmallVector<Label> labels[kLanes];

  /// Columns with `bit` off of both registers go to the first, in the order
  /// of rows; the others to the second.
  void exchange(int64_t first, int64_t second, int64_t bit) {
    SmallVector<Label> both(labels[first]);
    both.append(labels[second]);
    Value a = values[first], c = values[second];
    auto take = [&](int64_t into, int64_t wanted) {
      SmallVector<int64_t> lanes;
      for (int64_t lane = 0; lane < 2 * kLanes; ++lane)
        if ((both[lane].second & bit) == wanted)
          lanes.push_back(lane);
      llvm::sort(lanes, [&](int64_t x, int64_t y) {
        return std::pair(both[x].first, both[x].second) <
               std::pair(both[y].first, both[y].second);
      });
      labels[into].clear();
      for (int64_t lane : lanes)
        labels[into].push_back(both[lane]);
      values[into] = vector::ShuffleOp::create(b.builder, b.loc, a, c, lanes);
    };
    take(first, 0);
    take(second, bit);
  }
};
} // namespace

/// Pairs (a, a + 1) in lanes b become row a, then row a + 1, in pairs of b.
static Value splitPairs(KernelBuilder &b, Value pairs) {
  SmallVector<int64_t> lanes;
  for (int64_t half = 0; half < 2; ++half)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      lanes.push_back(2 * lane + half);
  Value halves = b.bitcast(pairs, b.vec(b.builder.getI16Type(), 2 * kLanes));
  return b.bitcast(
      vector::ShuffleOp::create(b.builder, b.loc, halves, halves, lanes),
      b.vec(b.i32()));
}

void ds::cpu::transposeElements(KernelBuilder &b, Value from, int64_t fromStep,
                                bool paired, bool dot, Value mask, Value to,
                                int64_t toStep) {
  SmallVector<Value> rows;
  for (int64_t i = 0; i < kLanes / (paired ? 2 : 1); ++i) {
    Value line = b.at(from, i * fromStep);
    VectorType type = b.vec(b.i32());
    Value loaded = mask ? b.loadMasked(type, line, mask) : b.load(type, line);
    if (!paired) {
      rows.push_back(b.bitcast(loaded, b.vec(b.f32())));
    } else if (dot) {
      rows.push_back(splitPairs(b, loaded));
    } else {
      KernelBuilder::Pair halves = b.broadcastPair(loaded);
      rows.append({halves.low, halves.high});
    }
  }
  SmallVector<Value> columns = RegisterTranspose(b, std::move(rows)).run();
  for (auto [i, column] : llvm::enumerate(columns))
    b.store(column, b.at(to, static_cast<int64_t>(i) * toStep));
}

void BackwardEmitter::transpose(Value from, int64_t fromStep, bool paired,
                                Value mask, Value to, int64_t toStep) {
  transposeElements(b, from, fromStep, paired, shape.dot, mask, to, toStep);
}

void BackwardEmitter::transposeValues(Value position) {
  if (shape.isPrefix && !shape.entries)
    return; // They are in the view of keys.
  const StateLayout &layout = shape.entries ? shape.keys : shape.values;
  int64_t rowBytes = layout.padded * layout.size * (layout.isPaired() ? 2 : 1);
  int64_t blockRows = kLanes / (layout.isPaired() ? 2 : 1);
  int64_t steps = shape.stepsOf(layout.dims);
  Value page =
      getHeadPage(layout, shape.entries ? keyState : valueState, position);
  int64_t vectors = shape.entries ? shape.keyVectors : shape.valueVectors;
  b.loop(b.c(0), b.c(kPageBlocks), 1, [&](Value block) {
    b.loop(b.c(0), b.c(vectors), 1, [&](Value vector) {
      Value from = b.at(
          page, b.add(b.mul(block, blockRows * rowBytes), b.mul(vector, 64)));
      Value to = b.at(inScratch(shape.transposedAt),
                      b.mul(b.add(b.mul(block, steps),
                                  b.mul(vector, kLanes / shape.together())),
                            shape.kVectorBytes));
      transpose(from, rowBytes, layout.isPaired(), Value(), to,
                shape.kVectorBytes);
    });
  });
}

/// The keys are in the view of values, up to a multiple of 32 positions.
void BackwardEmitter::copyKeys(Value position, int64_t at) {
  const StateLayout &layout = shape.keys;
  int64_t together = layout.isPaired() ? 2 : 1;
  int64_t fromStep = layout.padded * 4;
  int64_t toStep = shape.keyVectors * shape.kVectorBytes;
  Value page = getHeadPage(layout, keyState, position);
  Value there = b.min(b.c(kPagePositions), b.sub(keySeq.end, position));
  b.loop(b.c(0), b.ceilDiv(there, together), 1, [&](Value step) {
    Value from = b.at(page, b.mul(step, fromStep));
    Value to = b.at(inScratch(at),
                    b.mul(step, toStep * together / shape.together()));
    for (int64_t v = 0; v < shape.keyVectors; ++v) {
      Value line = b.load(b.vec(b.i32()), b.at(from, v * 64));
      if (shape.dot || !layout.isPaired()) {
        b.store(line, b.at(to, v * 64));
        continue;
      }
      KernelBuilder::Pair halves = b.broadcastPair(line);
      b.store(halves.low, b.at(to, v * 64));
      b.store(halves.high, b.at(to, toStep + v * 64));
    }
  });
}

void BackwardEmitter::transposeKeys(Value position, int64_t at) {
  if (shape.entries)
    return copyKeys(position, at);
  const StateLayout &layout = shape.keys;
  int64_t blockBytes = layout.padded * kLanes * layout.size;
  int64_t lineBytes = 64;
  int64_t vectorLines = kLanes / (layout.isPaired() ? 2 : 1);
  int64_t toStep = shape.keyVectors * shape.kVectorBytes;
  Value page = getHeadPage(layout, keyState, position);
  b.loop(b.c(0), b.c(kPageBlocks), 1, [&](Value block) {
    Value mask = b.laneMask(b.sub(b.sub(keySeq.end, position), b.mul(block, kLanes)));
    b.loop(b.c(0), b.c(shape.keyVectors), 1, [&](Value vector) {
      Value from = b.at(page, b.add(b.mul(block, blockBytes),
                                    b.mul(vector, vectorLines * lineBytes)));
      Value to = b.at(inScratch(at),
                      b.add(b.mul(block, kLanes / shape.together() * toStep),
                            b.mul(vector, shape.kVectorBytes)));
      transpose(from, lineBytes, layout.isPaired(), mask, to, toStep);
    });
  });
}
