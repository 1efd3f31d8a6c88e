//===- MatmulTiles.cpp - Blocks of products in tile registers --------------===//
//
// Up to 32 rows by a panel are two by two accumulators, which with two tiles
// of each operand are all eight registers. Up to 16 rows are one by two: they
// are for weights that come from memory, which is slower than the latency of
// two chains. Tiles have exactly as many rows as there are. One call serves
// all blocks of a shape: configuring the registers takes as long as a block.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Matmul.h"
#include "codegen/cpu/Tiles.h"

using namespace ds;
using namespace ds::cpu;

namespace {
/// Blocks of one or two tiles of rows by a panel.
class TileBlocks {
public:
  TileBlocks(KernelBuilder &b, ModuleOp module, const TileOperands &operands)
      : b(b), tiles(b, module), o(operands) {}

  void emit(int64_t count);

private:
  KernelBuilder &b;
  TileOps tiles;
  const TileOperands &o;
  SmallVector<TileShape> shapes; ///< Of each tile of rows.
  Value left, sums, ahead;       ///< Of the block.

  void emitBlock();
  Value sumsAt(int64_t row, int64_t column) {
    return b.at(sums, row * kTileRows * kPanelColumns * 4 +
                          column * kTileRowBytes);
  }
  SmallVector<Value> multiply(Value step, ValueRange carried);
  void ask(Value step);
};
} // namespace

void TileBlocks::emit(int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    bool isLast = i == count - 1;
    shapes.push_back(tiles.shape(
        isLast ? b.sub(o.rows, b.c(i * kTileRows)) : b.c(kTileRows)));
  }
  b.loop(b.c(0), o.blocks, 1, [&](Value i) {
    Value row = b.mul(i, o.rows);
    left = b.at(o.left, b.mul(b.mul(row, o.steps), kTileRowBytes));
    sums = b.at(o.sums, b.mul(row, kPanelColumns * 4));
    ahead = b.at(o.ahead, b.mul(b.mul(i, o.steps), b.mul(o.lines, 64)));
    emitBlock();
  });
}

void TileBlocks::emitBlock() {
  Value stride = b.c(kPanelColumns * 4);
  SmallVector<Value> initial;
  for (auto [r, shape] : llvm::enumerate(shapes))
    for (int64_t c = 0; c < 2; ++c)
      initial.push_back(tiles.load(shape, sumsAt(r, c), stride));
  SmallVector<Value> last =
      b.loop(b.c(0), o.steps, 1, initial, [&](Value step, ValueRange carried) {
        ask(step);
        return multiply(step, carried);
      });
  for (auto [r, shape] : llvm::enumerate(shapes))
    for (int64_t c = 0; c < 2; ++c)
      tiles.store(shape, last[2 * r + c], sumsAt(r, c), stride);
}

/// 32 k: a packed left block is [rows][32] bf16.
SmallVector<Value> TileBlocks::multiply(Value step, ValueRange carried) {
  Value stride = b.c(kTileRowBytes);
  TileShape full = tiles.shape(kTileRows);
  Value panel = b.at(o.right, b.mul(step, 2 * kTileBytes));
  Value packed = b.at(left, b.mul(b.mul(step, o.rows), kTileRowBytes));
  SmallVector<Value> columns, next;
  for (int64_t c = 0; c < 2; ++c)
    columns.push_back(
        tiles.load(full, b.at(panel, c * kTileBytes), stride));
  for (auto [r, shape] : llvm::enumerate(shapes)) {
    Value line = tiles.load(shape, b.at(packed, r * kTileBytes), stride);
    for (int64_t c = 0; c < 2; ++c)
      next.push_back(tiles.dot(carried[2 * r + c], line, columns[c], shape,
                               full));
  }
  return next;
}

/// Asks for the step's share of what is to come, into the second level.
void TileBlocks::ask(Value step) {
  Value from = b.at(ahead, b.mul(step, b.mul(o.lines, 64)));
  b.loop(b.c(0), o.lines, 1, [&](Value line) {
    b.prefetch(b.at(from, b.mul(line, 64)), /*level=*/2);
  });
}

void ds::cpu::callTileKernel(KernelBuilder &b, ModuleOp module, int64_t count,
                             const TileOperands &operands) {
  SmallVector<Value> values = {operands.left,   operands.right, operands.sums,
                               operands.steps,  operands.blocks, operands.rows,
                               operands.ahead,  operands.lines};
  StringRef name = count == 1 ? "matmul_tiles_1x2" : "matmul_tiles_2x2";
  func::FuncOp function = getHelper(
      module, name, ValueRange(values).getTypes(), b.target, b.loc,
      [&](KernelBuilder &b, ValueRange args) {
        TileOperands own = {args[0], args[1], args[2], args[3],
                            args[4], args[5], args[6], args[7]};
        TileBlocks(b, module, own).emit(count);
      });
  b.call(function, values);
}
