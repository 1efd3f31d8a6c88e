//===- MoveRows.cpp - Rows taken, put back, and added to a table ----------===//
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a tile of a kernel that copies rows.
static constexpr int64_t kTileRows = 16;
/// Tiles of scatter_embedding: tile i owns the rows congruent to i, whatever
/// tokens are frequent.
static constexpr int64_t kOwners = 16;
/// Tokens that an owner looks through at once.
static constexpr int64_t kTokens = 1024;

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

/// Calls `emit` for 16 columns after the other; its mask may be null.
static void forColumns(KernelBuilder &b, int64_t columns,
                       function_ref<void(Value, Value)> emit) {
  int64_t whole = columns / kLanes * kLanes;
  if (whole)
    b.loop(b.c(0), b.c(whole), kLanes,
           [&](Value column) { emit(column, Value()); });
  if (whole < columns)
    emit(b.c(whole), b.laneMask(b.c(columns - whole)));
}

namespace {
/// Rows of one type.
struct RowType {
  explicit RowType(Value value)
      : element(cast<RankedTensorType>(value.getType()).getElementType()),
        columns(cast<RankedTensorType>(value.getType()).getDimSize(1)),
        size(getElementBytes(element)) {}

  Type element;
  int64_t columns, size;

  Value at(KernelBuilder &b, Value pointer, Value row) const {
    return b.at(pointer, b.mul(row, columns * size));
  }
  /// Copies the row at `from`, or zeros where it is null.
  void copy(KernelBuilder &b, Value from, Value to) const {
    VectorType type = b.vec(element);
    Value zeros = arith::ConstantOp::create(b.builder, b.loc,
                                            b.builder.getZeroAttr(type));
    forColumns(b, columns, [&](Value column, Value mask) {
      Value offset = b.mul(column, size);
      Value value = zeros;
      if (from)
        value = mask ? b.loadMasked(type, b.at(from, offset), mask)
                     : b.load(type, b.at(from, offset));
      if (mask)
        b.storeMasked(value, b.at(to, offset), mask);
      else
        b.store(value, b.at(to, offset));
    });
  }
};
} // namespace

/// Builds a kernel over rows of the result; `body` gets (args, dims, first,
/// end).
static void
buildRowTiles(KernelInterface op, ModuleOp module, const Isa &isa,
              function_ref<void(KernelBuilder &, Value, Value, Value, Value)>
                  body) {
  Dim rows = op.getRowSymbol() == "R" ? kDimR : kDimT;
  buildTiles(module, op.getKernelName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, rows), kTileRows);
             });
  buildKernel(module, op.getKernelName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value) {
                Value first = b.mul(tile, kTileRows);
                Value end = b.min(b.add(first, kTileRows), b.dim(dims, rows));
                body(b, args, dims, first, end);
              });
}

void ds::cpu::emitGatherRows(KernelGatherRowsOp op, ModuleOp module,
                             const Isa &isa, KernelLimits &limits) {
  RowType type(op.getResult());
  buildRowTiles(op, module, isa,
                [&](KernelBuilder &b, Value args, Value, Value first,
                    Value end) {
                  Value chosen = b.seqField(b.arg(args, 1), kSeqOutRows);
                  b.loop(first, end, 1, [&](Value row) {
                    Value from = b.loadIndex(b.at(chosen, b.mul(row, 4)));
                    type.copy(b, type.at(b, b.arg(args, 0), from),
                              type.at(b, b.arg(args, 2), row));
                  });
                });
}

/// The number of the first `count` rows of increasing `chosen` below `row`.
static Value countBelow(KernelBuilder &b, Value chosen, Value count,
                        Value row) {
  // 31 halvings leave nothing of a count of 31 bits.
  SmallVector<Value> range = b.loop(
      b.c(0), b.c(31), 1, {b.c(0), count}, [&](Value, ValueRange carried) {
        Value middle = b.div(b.add(carried[0], carried[1]), 2);
        auto next = b.ifValues(
            b.less(carried[0], carried[1]), {b.i64(), b.i64()},
            [&]() -> SmallVector<Value> {
              Value at = b.loadIndex(b.at(chosen, b.mul(middle, 4)));
              Value below = b.less(at, row);
              return {b.select(below, b.add(middle, 1), carried[0]),
                      b.select(below, carried[1], middle)};
            },
            [&]() -> SmallVector<Value> { return {carried[0], carried[1]}; });
        return next;
      });
  return range[0];
}

void ds::cpu::emitScatterRows(KernelScatterRowsOp op, ModuleOp module,
                              const Isa &isa, KernelLimits &limits) {
  RowType type(op.getResult());
  buildRowTiles(
      op, module, isa,
      [&](KernelBuilder &b, Value args, Value dims, Value first, Value end) {
        Value chosen = b.seqField(b.arg(args, 1), kSeqOutRows);
        Value count = b.dim(dims, kDimR);
        Value next = countBelow(b, chosen, count, first);
        b.loop(first, end, 1, next, [&](Value row, ValueRange carried) {
          Value index = carried[0];
          Value to = type.at(b, b.arg(args, 2), row);
          Value isHere =
              b.ifValues(
                   b.less(index, count), b.builder.getI1Type(),
                   [&]() -> SmallVector<Value> {
                     Value at = b.loadIndex(b.at(chosen, b.mul(index, 4)));
                     return {b.cmp(arith::CmpIPredicate::eq, at, row)};
                   },
                   [&]() -> SmallVector<Value> {
                     return {arith::ConstantIntOp::create(b.builder, b.loc, 0,
                                                          1)};
                   })
                  .front();
          b.ifThen(
              isHere,
              [&] { type.copy(b, type.at(b, b.arg(args, 0), index), to); },
              [&] { type.copy(b, Value(), to); });
          return SmallVector<Value>{
              b.select(isHere, b.add(index, 1), index)};
        });
      });
}

//===----------------------------------------------------------------------===//
// The embedding's gradient
//===----------------------------------------------------------------------===//

namespace {
/// One owner's part.
class EmbeddingScatter {
public:
  EmbeddingScatter(KernelBuilder &b, KernelScatterEmbeddingOp op, Value args,
                   Value owner, Value scratch)
      : b(b), type(op.getInput()), owner(owner), list(scratch),
        table(b.arg(args, 0)), input(b.arg(args, 1)),
        ids(b.seqField(b.arg(args, 2), kSeqIds)),
        tableBytes(llvm::alignTo(type.columns, 32) * 4) {}

  /// Adds the rows of the tokens [first, end) that are the owner's.
  void emit(Value first, Value end) { addRows(collect(first, end)); }

private:
  KernelBuilder &b;
  RowType type;
  Value owner, list, table, input, ids;
  int64_t tableBytes;

  Value id(Value token) { return b.loadIndex(b.at(ids, b.mul(token, 4))); }
  Value entry(Value index) {
    return b.loadIndex(b.at(list, b.mul(index, 4)));
  }
  Value collect(Value first, Value end);
  void addRows(Value count);
};
} // namespace

/// Lists the owner's tokens in order and returns their number.
Value EmbeddingScatter::collect(Value first, Value end) {
  return b
      .loop(first, end, 1, b.c(0),
            [&](Value token, ValueRange carried) {
              Value number =
                  arith::TruncIOp::create(b.builder, b.loc, b.i32(), token);
              b.store(number, b.at(list, b.mul(carried[0], 4)));
              Value mine = b.cmp(arith::CmpIPredicate::eq,
                                 b.rem(id(token), kOwners), owner);
              return SmallVector<Value>{b.add(
                  carried[0],
                  arith::ExtUIOp::create(b.builder, b.loc, b.i64(), mine))};
            })
      .front();
}

void EmbeddingScatter::addRows(Value count) {
  b.loop(b.c(0), count, 1, [&](Value index) {
    auto tableRow = [&](Value token) {
      return b.at(table, b.mul(id(token), tableBytes));
    };
    Value token = entry(index);
    Value to = tableRow(token), from = type.at(b, input, token);
    // The next row, which nothing else announces.
    Value next = entry(b.min(b.add(index, 1), b.sub(count, b.c(1))));
    Value nextTo = tableRow(next), nextFrom = type.at(b, input, next);
    forColumns(b, type.columns, [&](Value column, Value mask) {
      Value offset = b.mul(column, 4), at = b.mul(column, type.size);
      b.prefetch(b.at(nextTo, offset));
      b.prefetch(b.at(nextFrom, at));
      Value sum = b.addf(b.loadF32(b.f32(), b.at(to, offset), mask),
                         b.loadF32(type.element, b.at(from, at), mask));
      b.storeF32(sum, b.f32(), b.at(to, offset), mask);
    });
  });
}

void ds::cpu::emitScatterEmbedding(KernelScatterEmbeddingOp op,
                                   ModuleOp module, const Isa &isa,
                                   KernelLimits &limits) {
  limits.needScratch(kTokens * 4);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value) { return b.c(kOwners); });
  buildKernel(module, op.getSymName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                EmbeddingScatter scatter(b, op, args, tile, scratch);
                Value tokens = b.dim(dims, kDimT);
                b.loop(b.c(0), tokens, kTokens, [&](Value first) {
                  scatter.emit(first, b.min(b.add(first, kTokens), tokens));
                });
              });
}
