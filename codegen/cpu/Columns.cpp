//===- Columns.cpp - Sums over rows, column by column ---------------------===//
//
// A tile owns columns and walks all rows, its sums in registers. It begins with
// what the memory holds, so that a batch in several steps adds as one does.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Row.h"

using namespace ds;
using namespace ds::cpu;

/// Columns of a tile: whole cache lines of bf16.
static constexpr int64_t kTileColumns = 64;
/// Rows between a row that is read and the one that is asked for.
static constexpr int64_t kAhead = 16;

namespace {
/// Emits one tile.
class ColumnsEmitter {
public:
  ColumnsEmitter(KernelBuilder &b, KernelColumnsOp op, Value args)
      : b(b), op(op), args(args),
        operands(b, op.getInputs(), op.getWidth(), /*pairs=*/false),
        sums(b.arg(args, static_cast<int64_t>(op.getInputs().size()))) {}

  /// Adds `rows` rows to `count` columns from `first` on.
  void emit(Value first, int64_t count, Value rows);

private:
  KernelBuilder &b;
  KernelColumnsOp op;
  Value args;
  MapOperands operands;
  Value sums;

  Value at(Value column) { return b.at(sums, b.mul(column, 4)); }
};
} // namespace

void ColumnsEmitter::emit(Value first, int64_t count, Value rows) {
  int64_t vectors = llvm::divideCeil(count, kLanes);
  SmallVector<Value> columns, masks, totals;
  for (int64_t i = 0; i < vectors; ++i) {
    int64_t left = count - i * kLanes;
    columns.push_back(b.add(first, i * kLanes));
    masks.push_back(left < kLanes ? b.laneMask(b.c(left)) : Value());
    totals.push_back(b.loadF32(b.f32(), at(columns[i]), masks[i]));
  }
  totals = b.loop(b.c(0), rows, 1, totals, [&](Value row, ValueRange carried) {
    operands.locate(args, row);
    operands.prefetch(first, count, kAhead);
    SmallVector<Value> next;
    for (int64_t i = 0; i < vectors; ++i) {
      SmallVector<Value> arguments = operands.load(columns[i], masks[i]);
      Value term = b.cloneRegion(op.getBody(), arguments).front();
      next.push_back(b.addf(carried[i], term));
    }
    return next;
  });
  for (int64_t i = 0; i < vectors; ++i)
    b.storeF32(totals[i], b.f32(), at(columns[i]), masks[i]);
}

void ds::cpu::emitColumnSums(KernelColumnsOp op, ModuleOp module,
                             const Isa &isa, KernelLimits &limits) {
  int64_t width = op.getWidth();
  Dim rows = op.getRowSymbol() == "R" ? kDimR : kDimT;
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value) {
               return b.c(llvm::divideCeil(width, kTileColumns));
             });
  buildKernel(module, op.getSymName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value) {
                ColumnsEmitter emitter(b, op, args);
                int64_t whole = width / kTileColumns;
                Value first = b.mul(tile, kTileColumns);
                Value count = b.dim(dims, rows);
                auto emitRest = [&] {
                  if (width % kTileColumns)
                    emitter.emit(first, width % kTileColumns, count);
                };
                b.ifThen(
                    b.less(tile, b.c(whole)),
                    [&] { emitter.emit(first, kTileColumns, count); },
                    emitRest);
              });
}
