//===- Tile.h - Emits Hopper tiles as NVVM, LLVM, scf, arith ----*- C++ -*-===//
//
// A thin layer over OpBuilder in which kernels for warp-specialised Hopper
// blocks are written: tiles in shared memory that the tensor memory
// accelerator fills, barriers between the warp groups that fill and those that
// multiply, and accumulators in registers. Integers are i32.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_GPU_TILE_H
#define DS_CODEGEN_GPU_TILE_H
#include "dialect/LLVM.h"

namespace ds {
namespace gpu {

/// Threads of a warp group, which issues wgmma together.
constexpr int64_t kWarpGroup = 128;
/// Rows of a wgmma, and its depth in bf16.
constexpr int64_t kWgmmaRows = 64;
constexpr int64_t kWgmmaDepth = 16;
/// Bytes of a row of a tile in shared memory: one 128-byte swizzle atom.
constexpr int64_t kTileRowBytes = 128;

class TileBuilder {
public:
  TileBuilder(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  OpBuilder &builder;
  Location loc;

  // Types.
  Type i32() { return builder.getI32Type(); }
  Type i64() { return builder.getI64Type(); }
  Type f32() { return builder.getF32Type(); }
  Type globalPtr();
  Type sharedPtr();

  // i32 arithmetic. Division and remainder take non-negative operands.
  Value c(int64_t value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b) { return add(a, c(b)); }
  Value sub(Value a, int64_t b);
  Value mul(Value a, int64_t b);
  Value div(Value a, int64_t b);
  Value rem(Value a, int64_t b);
  Value xorBits(Value a, int64_t b);
  Value equal(Value a, int64_t b);
  Value less(Value a, Value b);
  Value both(Value a, Value b);

  // Threads. `uniform` tells the assembler that a warp agrees on a value.
  Value threadId();
  Value blockX();
  Value blockY();
  Value uniform(Value value);
  Value electOne();
  void syncBlock();
  void setRegisters(int64_t count, bool increase);

  // Control.
  void ifThen(Value condition, function_ref<void()> then,
              function_ref<void()> otherwise = nullptr);
  /// A loop over [0, end); `body` gets the index and the carried values and
  /// returns the new ones.
  SmallVector<Value>
  loop(Value end, ValueRange carried,
       function_ref<SmallVector<Value>(Value, ValueRange)> body);

  // Memory. Offsets are in bytes of the block's shared memory, or in elements
  // of `type` in global memory.
  Value sharedBase(StringRef symbol);
  Value sharedAt(Value base, Value offset);
  Value elementAt(Value pointer, Type type, Value row, int64_t columns,
                  Value column);
  Value load(Type type, Value pointer);
  void store(Value value, Value pointer, int64_t alignment);
  /// Packs two scalars into a vector, the first in the lower half.
  Value pack(Value first, Value second);

  // Barriers.
  void initBarrier(Value barrier, int64_t arrivals);
  void fenceBarriers();
  void waitBarrier(Value barrier, Value parity);
  void arrive(Value barrier);
  void expectBytes(Value barrier, int64_t bytes);

  // Tensor memory accelerator: loads the tile at (column, row) of `map`.
  void prefetchMap(Value map);
  void loadTile(Value destination, Value map, Value barrier, Value column,
                Value row);

  // Products. A descriptor names a tile with 128-byte rows in shared memory.
  Value descriptor(Value sharedAddress);
  Value advance(Value descriptor, int64_t bytes);
  void fenceProducts();
  void commitProducts();
  /// Waits until at most `pending` groups of products run.
  void waitProducts(int64_t pending);
  /// accumulators += a b^T of bf16 tiles, [64, columns], columns being twice
  /// the number of accumulators. With `keep` 0 the sum starts at zero.
  SmallVector<Value> product(ValueRange accumulators, Value a, Value b,
                             Value keep);
  /// Waits for all products and gives the accumulators as they then are.
  SmallVector<Value> finished(ValueRange accumulators);

private:
  SmallVector<Value> inlineAsm(TypeRange results, ValueRange operands,
                               StringRef text, StringRef constraints);
};

} // namespace gpu
} // namespace ds
#endif
