//===- LogProb.cpp - Log-probabilities of columns and their gradient ------===//
//
// Online softmax (Milakov and Gimelshein, arXiv 1805.02867) over blocks of 512
// columns, which merge from left to right.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

static constexpr int64_t kBlockColumns = 512;
/// Elements of a tile, if its rows are shorter.
static constexpr int64_t kTileElements = 16384;
/// Vectors that the maximum of a block is taken of side by side.
static constexpr int64_t kWays = 4;

namespace {
/// One row of logits, scaled as it is read.
class ScaledRow {
public:
  ScaledRow(KernelBuilder &b, Value logits, Value args, Value row)
      : b(b), row(row),
        element(cast<RankedTensorType>(logits.getType()).getElementType()),
        columns(cast<RankedTensorType>(logits.getType()).getDimSize(1)),
        size(getElementBytes(element)),
        pointer(b.at(b.arg(args, 0), b.mul(row, columns * size))),
        scale(rowValue(args, 2)) {}

  KernelBuilder &b;
  Value row;
  Type element;
  int64_t columns, size;
  Value pointer;
  Value scale; ///< Inverse temperature.

  /// The row's f32 of argument `index`.
  Value rowValue(Value args, int64_t index) {
    return b.load(b.f32(), b.at(b.arg(args, index), b.mul(row, 4)));
  }
  Value at(Value column) { return b.at(pointer, b.mul(column, size)); }
  Value loadUnscaled(Value column, Value mask = nullptr) {
    return b.loadF32(element, at(column), mask);
  }
  Value load(Value column, Value mask = nullptr) {
    return b.mulf(loadUnscaled(column, mask), b.splat(scale));
  }
  /// One column, in all lanes.
  Value loadOne(Value column) {
    return b.splat(b.mulf(b.toF32(b.load(element, at(column))), scale));
  }
};

/// The maximum of a row and the sum of exponentials.
class RowSum {
public:
  RowSum(ScaledRow &logits) : logits(logits), b(logits.b) {}

  /// Returns the logarithm of the sum, in all lanes.
  Value emit();

private:
  ScaledRow &logits;
  KernelBuilder &b;

  Value none() { return b.vf(-std::numeric_limits<double>::infinity()); }
  Value emitMax(Value begin, int64_t count);
  Value emitExp(Value begin, int64_t count, Value largest);
  SmallVector<Value> emitBlock(Value begin, int64_t count, ValueRange carried);
};
} // namespace

/// exp(x - m), x <= m, where m = -inf stands for no maximum: zeros then.
static Value expFrom(KernelBuilder &b, Value x, Value largest) {
  Value isNone = arith::CmpFOp::create(
      b.builder, b.loc, arith::CmpFPredicate::OEQ, largest,
      b.vf(-std::numeric_limits<double>::infinity()));
  return b.exp(b.subf(x, b.select(isNone, b.zero(), largest)),
               /*isNegative=*/true);
}

/// The largest z: the scale is positive, and rounding keeps order.
Value RowSum::emitMax(Value begin, int64_t count) {
  int64_t together = kWays * kLanes, strips = count / together * together;
  SmallVector<Value> ways(kWays, none());
  ways = b.loop(
      b.c(0), b.c(strips), together, ways, [&](Value offset, ValueRange carried) {
        Value column = b.add(begin, offset);
        SmallVector<Value> next;
        for (auto [i, way] : llvm::enumerate(carried))
          next.push_back(b.maxf(
              way, logits.loadUnscaled(b.add(column, int64_t(i) * kLanes))));
        return next;
      });
  for (int64_t offset = strips; offset < count; offset += kLanes) {
    Value column = b.add(begin, offset);
    Value mask;
    if (count - offset < kLanes)
      mask = b.laneMask(b.c(count - offset));
    Value value = logits.loadUnscaled(column, mask);
    ways[0] = b.maxf(ways[0], mask ? b.select(mask, value, none()) : value);
  }
  Value largest = b.reduceMax(
      b.maxf(b.maxf(ways[0], ways[1]), b.maxf(ways[2], ways[3])));
  return b.splat(b.mulf(largest, logits.scale));
}

Value RowSum::emitExp(Value begin, int64_t count, Value largest) {
  int64_t whole = count / kLanes * kLanes;
  Value sum = b.loop(b.c(0), b.c(whole), kLanes, b.zero(),
                     [&](Value offset, ValueRange carried) {
                       Value column = b.add(begin, offset);
                       // Of the next block, while this one is computed.
                       b.prefetch(logits.at(b.add(column, kBlockColumns)));
                       Value z = logits.load(column);
                       Value e = expFrom(b, z, largest);
                       return SmallVector<Value>{b.addf(carried[0], e)};
                     })
                  .front();
  if (whole < count) {
    Value mask = b.laneMask(b.c(count - whole));
    Value e = expFrom(b, logits.load(b.add(begin, whole), mask), largest);
    sum = b.addf(sum, b.select(mask, e, b.zero()));
  }
  return b.splat(b.reduceAdd(sum));
}

/// m' = max(m, ms), l' = l exp(m - m') + ls exp(ms - m'), all lanes alike.
SmallVector<Value> RowSum::emitBlock(Value begin, int64_t count,
                                     ValueRange carried) {
  Value largest = emitMax(begin, count);
  Value sum = emitExp(begin, count, largest);
  Value fresh = b.maxf(carried[0], largest);
  return {fresh, b.addf(b.mulf(carried[1], expFrom(b, carried[0], fresh)),
                        b.mulf(sum, expFrom(b, largest, fresh)))};
}

Value RowSum::emit() {
  int64_t whole = logits.columns / kBlockColumns * kBlockColumns;
  SmallVector<Value> state = {none(), b.zero()};
  state = b.loop(b.c(0), b.c(whole), kBlockColumns, state,
                 [&](Value begin, ValueRange carried) {
                   return emitBlock(begin, kBlockColumns, carried);
                 });
  if (whole < logits.columns)
    state = emitBlock(b.c(whole), logits.columns - whole, state);
  return b.addf(state[0], b.log(state[1]));
}

/// Builds a kernel over rows of `logits`, a few in a tile.
static void buildRows(KernelInterface op, Value logits, ModuleOp module,
                      const Isa &isa,
                      function_ref<void(ScaledRow &, Value)> body) {
  Dim rows = op.getRowSymbol() == "R" ? kDimR : kDimT;
  int64_t columns = cast<RankedTensorType>(logits.getType()).getDimSize(1);
  int64_t tileRows = std::max<int64_t>(1, kTileElements / columns);
  buildTiles(module, op.getKernelName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, rows), tileRows);
             });
  buildKernel(module, op.getKernelName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value) {
                Value first = b.mul(tile, tileRows);
                Value end = b.min(b.add(first, tileRows), b.dim(dims, rows));
                b.loop(first, end, 1, [&](Value row) {
                  ScaledRow scaled(b, logits, args, row);
                  body(scaled, args);
                });
              });
}

/// The column that argument 1 names for the row.
static Value loadTarget(ScaledRow &logits, Value args) {
  KernelBuilder &b = logits.b;
  return b.load(b.i32(), b.at(b.arg(args, 1), b.mul(logits.row, 4)));
}

void ds::cpu::emitLogProb(KernelLogProbOp op, ModuleOp module, const Isa &isa,
                          KernelLimits &limits) {
  buildRows(op, op.getLogits(), module, isa, [](ScaledRow &logits, Value args) {
    KernelBuilder &b = logits.b;
    Value lse = RowSum(logits).emit();
    Value target = arith::ExtSIOp::create(b.builder, b.loc, b.i64(),
                                          loadTarget(logits, args));
    auto store = [&](Value value, int64_t argument) {
      b.store(vector::ExtractOp::create(b.builder, b.loc, value, 0),
              b.at(b.arg(args, argument), b.mul(logits.row, 4)));
    };
    store(b.subf(logits.loadOne(target), lse), 3);
    store(lse, 4);
  });
}

void ds::cpu::emitLogProbBackward(KernelLogProbBackwardOp op, ModuleOp module,
                                  const Isa &isa, KernelLimits &limits) {
  auto type = cast<RankedTensorType>(op.getLogitsGradient().getType());
  Type element = type.getElementType();
  int64_t columns = type.getDimSize(1), size = getElementBytes(element);
  buildRows(op, op.getLogits(), module, isa, [&](ScaledRow &logits, Value args) {
    KernelBuilder &b = logits.b;
    Value factor =
        b.splat(b.mulf(logits.scale, logits.rowValue(args, 4)));
    Value lse = b.splat(logits.rowValue(args, 3));
    Value target = b.splat(loadTarget(logits, args));
    Value to = b.at(b.arg(args, 5), b.mul(logits.row, columns * size));
    SmallVector<int32_t> numbers(kLanes);
    std::iota(numbers.begin(), numbers.end(), 0);
    Value lanes = arith::ConstantOp::create(
        b.builder, b.loc,
        DenseElementsAttr::get(b.vec(b.i32()), ArrayRef(numbers)));
    auto emit = [&](Value column, Value mask) {
      Value number = arith::TruncIOp::create(b.builder, b.loc, b.i32(), column);
      Value isTarget = b.cmp(arith::CmpIPredicate::eq,
                             b.add(b.splat(number), lanes), target);
      Value p = b.exp(b.subf(logits.load(column, mask), lse));
      Value term = b.subf(b.select(isTarget, b.vf(1.0), b.zero()), p);
      b.storeF32(b.mulf(factor, term), element,
                 b.at(to, b.mul(column, size)), mask);
    };
    int64_t whole = columns / kLanes * kLanes;
    b.loop(b.c(0), b.c(whole), kLanes,
           [&](Value column) { emit(column, Value()); });
    if (whole < columns)
      emit(b.c(whole), b.laneMask(b.c(columns - whole)));
  });
}
