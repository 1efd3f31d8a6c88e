//===- Update.cpp - AdamW and the norms of gradients ----------------------===//
//
// Both stream what training keeps of a weight, 32 rows in a tile. Rows are
// updated one after the other, as they lie in memory; the packed copy is made
// of the new values from scratch, a strip of columns at a time.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Matmul.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a matrix and elements of a vector that a tile has.
static constexpr int64_t kTileRows = 32, kTileElements = 1024;
/// Columns that are updated before they are packed.
static constexpr int64_t kStripColumns = 512;
/// Bytes ahead that are asked for where rows do not say.
static constexpr int64_t kAheadBytes = 1024;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

namespace {
/// The arrays of a weight and what a step does to 16 elements of them.
class AdamwStep {
public:
  AdamwStep(KernelBuilder &b, Value args) : b(b) {
    for (int64_t i = 0; i < 4; ++i)
      arrays[i] = b.arg(args, i);
    Value hyper = b.arg(args, 5);
    auto read = [&](int64_t index) {
      return b.splat(b.load(b.f32(), b.at(hyper, index * 4)));
    };
    Value one = b.vf(1.0), rate = read(0);
    beta1 = read(1);
    beta2 = read(2);
    rest1 = b.subf(one, beta1);
    rest2 = b.subf(one, beta2);
    eps = read(3);
    decay = b.mulf(rate, read(4));
    rate1 = b.mulf(rate, read(5));
    correct2 = read(6);
    scale = read(7);
  }

  /// Updates 16 elements at `offset` bytes and returns the new values. The ones
  /// `ahead` bytes later are asked for.
  Value emit(Value offset, int64_t ahead);

private:
  KernelBuilder &b;
  Value arrays[4]; ///< master, m, v, gradient
  Value beta1, beta2, rest1, rest2, eps, decay, rate1, correct2, scale;
};
} // namespace

Value AdamwStep::emit(Value offset, int64_t ahead) {
  Value loaded[4];
  for (int64_t i = 0; i < 4; ++i) {
    Value from = b.at(arrays[i], offset);
    b.prefetch(b.at(from, ahead));
    loaded[i] = b.load(b.vec(b.f32()), from);
  }
  Value g = b.mulf(loaded[3], scale);
  Value m = b.fma(beta1, loaded[1], b.mulf(rest1, g));
  Value v = b.fma(beta2, loaded[2], b.mulf(b.mulf(rest2, g), g));
  Value root = math::SqrtOp::create(b.builder, b.loc, b.mulf(v, correct2));
  Value step = b.divf(b.mulf(rate1, m), b.addf(root, eps));
  Value p = b.subf(loaded[0], b.fma(decay, loaded[0], step));
  Value stored[] = {p, m, v};
  for (int64_t i = 0; i < 3; ++i)
    b.store(stored[i], b.at(arrays[i], offset));
  return p;
}

//===----------------------------------------------------------------------===//
// Matrices
//===----------------------------------------------------------------------===//

namespace {
/// Updates 32 rows and packs them.
class MatrixUpdate {
public:
  MatrixUpdate(KernelBuilder &b, KernelAdamwOp op, Value args, Value tile,
               Value scratch)
      : b(b), layout(op.getLayout()), step(b, args), tile(tile),
        scratch(scratch), packed(b.arg(args, 4)),
        element(typeOf(op.getPacked()).getElementType()),
        rows(typeOf(op.getPacked()).getDimSize(0)),
        columns(typeOf(op.getPacked()).getShape().back()),
        padded(llvm::alignTo(columns, 32)), size(getElementBytes(element)) {}

  void emit();
  static int64_t scratchBytes(KernelAdamwOp op);

private:
  KernelBuilder &b;
  WeightLayout layout;
  AdamwStep step;
  Value tile, scratch, packed;
  Type element;
  int64_t rows, columns, padded, size;

  /// Bytes of a row of scratch: an odd number of lines, so that rows of a block
  /// do not meet in the cache.
  static int64_t scratchRow(int64_t size) { return kStripColumns * size + 64; }
  Value offset(Value row, Value column) {
    Value first = b.mul(b.add(b.mul(tile, kTileRows), row), padded);
    return b.mul(b.add(first, column), 4);
  }
  void updateStrip(Value begin, int64_t count);
  void packStrip(Value begin, int64_t count);
  Value packedLine(Value column, int64_t half, int64_t line);
  void updateRaw();
};
} // namespace

int64_t MatrixUpdate::scratchBytes(KernelAdamwOp op) {
  if (op.getLayout() == WeightLayout::Raw)
    return 0;
  return kTileRows *
         scratchRow(getElementBytes(typeOf(op.getPacked()).getElementType()));
}

void MatrixUpdate::emit() {
  if (layout == WeightLayout::Raw)
    return updateRaw();
  auto strip = [&](Value begin, int64_t count) {
    updateStrip(begin, count);
    packStrip(begin, count);
  };
  int64_t whole = padded / kStripColumns * kStripColumns;
  if (whole)
    b.loop(b.c(0), b.c(whole), kStripColumns,
           [&](Value begin) { strip(begin, kStripColumns); });
  if (whole < padded)
    strip(b.c(whole), padded - whole);
}

/// Updates `count` columns from `begin` on and puts them into scratch, rounded.
void MatrixUpdate::updateStrip(Value begin, int64_t count) {
  b.loop(b.c(0), b.c(kTileRows), 1, [&](Value row) {
    Value to = b.at(scratch, b.mul(row, scratchRow(size)));
    b.loop(b.c(0), b.c(count), kLanes, [&](Value column) {
      Value p = step.emit(offset(row, b.add(begin, column)), padded * 4);
      b.storeF32(p, element, b.at(to, b.mul(column, size)));
    });
  });
}

/// The address of a line of 16 rows in the packed weight (docs/artifact.md):
/// of two columns from `column` + 2 `line` on, or of column `column` + `line`.
Value MatrixUpdate::packedLine(Value column, int64_t half, int64_t line) {
  Value first = b.add(b.mul(tile, padded), column);
  if (layout == WeightLayout::PanelBf16)
    return b.at(packed, b.add(b.mul(first, 64), half * 1024 + line * 64));
  return b.at(packed, b.add(b.mul(first, 128), half * 64 + line * 128));
}

void MatrixUpdate::packStrip(Value begin, int64_t count) {
  int64_t together = kLanes * 4 / size;
  b.loop(b.c(0), b.c(count), together, [&](Value column) {
    for (int64_t half = 0; half < 2; ++half) {
      SmallVector<Value> lines;
      Value from = b.at(scratch, b.mul(column, size));
      for (int64_t i = 0; i < kLanes; ++i)
        lines.push_back(b.load(
            b.vec(b.i32()),
            b.at(from, (half * kLanes + i) * scratchRow(size))));
      transposeLines(b, lines);
      for (int64_t i = 0; i < kLanes; ++i)
        b.store(lines[i], packedLine(b.add(begin, column), half, i));
    }
  });
}

void MatrixUpdate::updateRaw() {
  b.loop(b.c(0), b.c(kTileRows), 1, [&](Value row) {
    Value number = b.add(b.mul(tile, kTileRows), row);
    b.ifThen(b.less(number, b.c(rows)), [&] {
      Value to = b.at(packed, b.mul(number, columns * size));
      auto emit = [&](Value column, Value mask) {
        Value p = step.emit(offset(row, column), padded * 4);
        b.storeF32(p, element, b.at(to, b.mul(column, size)), mask);
      };
      int64_t whole = columns / kLanes * kLanes;
      b.loop(b.c(0), b.c(whole), kLanes,
             [&](Value column) { emit(column, Value()); });
      if (whole < columns)
        emit(b.c(whole), b.laneMask(b.c(columns - whole)));
    });
  });
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// Tiles of a launch whose dims[0] is the padded rows or the padded length.
static void buildUpdateTiles(KernelInterface op, bool isVector,
                             ModuleOp module, const Isa &isa) {
  buildTiles(module, op.getKernelName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT),
                                isVector ? kTileElements : kTileRows);
             });
}

void ds::cpu::emitAdamw(KernelAdamwOp op, ModuleOp module, const Isa &isa,
                        KernelLimits &limits) {
  RankedTensorType type = typeOf(op.getPacked());
  bool isVector = type.getRank() == 1;
  if (!isVector)
    limits.needScratch(MatrixUpdate::scratchBytes(op));
  buildUpdateTiles(op, isVector, module, isa);
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile,
          Value scratch) {
        if (!isVector)
          return MatrixUpdate(b, op, args, tile, scratch).emit();
        AdamwStep step(b, args);
        Type element = type.getElementType();
        Value first = b.mul(tile, kTileElements);
        Value end = b.min(b.add(first, kTileElements), b.dim(dims, kDimT));
        b.loop(first, end, kLanes, [&](Value index) {
          Value p = step.emit(b.mul(index, 4), kAheadBytes);
          Value mask; // The packed vector is padded, a raw one is not.
          if (op.getLayout() == WeightLayout::Raw)
            mask = b.laneMask(b.sub(b.c(type.getDimSize(0)), index));
          b.storeF32(p, element,
                     b.at(b.arg(args, 4),
                          b.mul(index, getElementBytes(element))),
                     mask);
        });
      });
}

/// Adds the squares of `count` f32 from `from` on to 16 lanes.
static Value sumSquares(KernelBuilder &b, Value from, Value count) {
  return b
      .loop(b.c(0), count, kLanes, b.zero(),
            [&](Value index, ValueRange carried) {
              Value at = b.at(from, b.mul(index, 4));
              b.prefetch(b.at(at, kAheadBytes));
              Value g = b.load(b.vec(b.f32()), at);
              return SmallVector<Value>{b.fma(g, g, carried[0])};
            })
      .front();
}

void ds::cpu::emitSquareSum(KernelSquareSumOp op, ModuleOp module,
                            const Isa &isa, KernelLimits &limits) {
  RankedTensorType type = typeOf(op.getGradient());
  bool isVector = type.getRank() == 1;
  buildUpdateTiles(op, isVector, module, isa);
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value) {
        Value gradient = b.arg(args, 0), sum;
        if (isVector) {
          Value first = b.mul(tile, kTileElements);
          Value count = b.min(b.c(kTileElements),
                              b.sub(b.dim(dims, kDimT), first));
          sum = sumSquares(b, b.at(gradient, b.mul(first, 4)), count);
        } else {
          int64_t padded = llvm::alignTo(type.getShape().back(), 32);
          Value from = b.at(gradient, b.mul(tile, kTileRows * padded * 4));
          sum = b.loop(b.c(0), b.c(kTileRows), 1, b.zero(),
                       [&](Value row, ValueRange carried) {
                         Value at = b.at(from, b.mul(row, padded * 4));
                         return SmallVector<Value>{
                             b.addf(carried[0],
                                    sumSquares(b, at, b.c(padded)))};
                       })
                    .front();
        }
        b.store(b.reduceAdd(sum), b.at(b.arg(args, 1), b.mul(tile, 4)));
      });
}
