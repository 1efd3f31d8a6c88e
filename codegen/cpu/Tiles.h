//===- Tiles.h - Tile registers ---------------------------------*- C++ -*-===//
//
// What generators know of AMX: values of up to 16 rows of 64 bytes. There are
// two lowerings. Real tiles are LLVM values, eight of which live at once and
// none across a call. Emulated tiles are memory, so that the code which uses
// tiles can be run, with the same arithmetic, where there are none; there a
// product overwrites its accumulator, which is not used again.
//
// LLVM configures the registers from the shapes, so these may be known at run
// time only, but have to be computed before the first tile.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_TILES_H
#define DS_CODEGEN_CPU_TILES_H
#include "codegen/cpu/Builder.h"

namespace ds {
namespace cpu {

/// Rows of a tile, and bytes of one.
constexpr int64_t kTileRows = 16, kTileRowBytes = 64, kTileBytes = 1024;

/// The shape of a tile: two i16.
struct TileShape {
  Value rows, bytes;
};

class TileOps {
public:
  TileOps(KernelBuilder &b, ModuleOp module) : b(b), module(module) {}

  /// The type of a tile where it is carried by a loop.
  Type type();
  TileShape shape(Value rows, int64_t bytes = kTileRowBytes);
  TileShape shape(int64_t rows, int64_t bytes = kTileRowBytes) {
    return shape(b.c(rows), bytes);
  }

  Value zero(TileShape shape);
  /// Loads rows that are `stride` bytes apart.
  Value load(TileShape shape, Value pointer, Value stride);
  void store(TileShape shape, Value tile, Value pointer, Value stride);
  /// sums [m, n] f32 plus left [m, 2 k] times right [k, n, 2], of bf16: for
  /// each sum, the products of even and of odd columns are added apart from
  /// +0 on, in order, then to each other, then to the sum.
  Value dot(Value sums, Value left, Value right, TileShape leftShape,
            TileShape rightShape);

private:
  KernelBuilder &b;
  ModuleOp module;

  Value intrinsic(StringRef name, Type result, ValueRange operands);
  void callEmulation(StringRef name, ValueRange operands,
                     void (*emit)(KernelBuilder &, ValueRange));
};

} // namespace cpu
} // namespace ds
#endif
