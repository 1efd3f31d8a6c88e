//===- Tiles.cpp - Tile registers ------------------------------------------===//
#include "codegen/cpu/Tiles.h"

using namespace ds;
using namespace ds::cpu;

//===----------------------------------------------------------------------===//
// Emulation: a tile is 16 rows of 64 bytes in memory
//===----------------------------------------------------------------------===//

/// Calls `body` with the address of each of `count` rows.
static void forRows(KernelBuilder &b, Value tile, Value count,
                    function_ref<void(Value row, Value line)> body) {
  b.loop(b.c(0), count, 1, [&](Value row) {
    body(row, b.at(tile, b.mul(row, kTileRowBytes)));
  });
}

/// zero(tile).
static void emulateZero(KernelBuilder &b, ValueRange args) {
  forRows(b, args[0], b.c(kTileRows),
          [&](Value, Value line) { b.store(b.zero(), line); });
}

/// load(tile, rows, bytes, pointer, stride): what is beyond the shape is zero.
static void emulateLoad(KernelBuilder &b, ValueRange args) {
  emulateZero(b, args);
  forRows(b, args[0], args[1], [&](Value row, Value line) {
    Value from = b.at(args[3], b.mul(row, args[4]));
    Value mask = b.laneMask(b.div(args[2], 4));
    b.store(b.loadMasked(b.vec(b.i32()), from, mask), line);
  });
}

/// store(tile, rows, bytes, pointer, stride).
static void emulateStore(KernelBuilder &b, ValueRange args) {
  forRows(b, args[0], args[1], [&](Value row, Value line) {
    Value mask = b.laneMask(b.div(args[2], 4));
    b.storeMasked(b.load(b.vec(b.i32()), line),
                  b.at(args[3], b.mul(row, args[4])), mask);
  });
}

/// The halves of pairs of bf16 as f32.
static Value unpackHalf(KernelBuilder &b, Value pairs, bool high) {
  Value bits =
      high ? Value(arith::AndIOp::create(b.builder, b.loc, pairs,
                                         b.vi(int64_t(0xffff0000))))
           : Value(arith::ShLIOp::create(b.builder, b.loc, pairs, b.vi(16)));
  return b.bitcast(bits, b.vec(b.f32()));
}

/// dot(sums, left, right, rows, left bytes).
static void emulateDot(KernelBuilder &b, ValueRange args) {
  Value left = args[1], right = args[2];
  forRows(b, args[0], args[3], [&](Value row, Value line) {
    Value words = b.at(left, b.mul(row, kTileRowBytes));
    SmallVector<Value> parts = b.loop(
        b.c(0), b.div(args[4], 4), 1, {b.zero(), b.zero()},
        [&](Value k, ValueRange carried) {
          Value word =
              b.splat(b.load(b.i32(), b.at(words, b.mul(k, 4))));
          Value pairs = b.load(b.vec(b.i32()),
                               b.at(right, b.mul(k, kTileRowBytes)));
          SmallVector<Value> next;
          for (bool high : {false, true})
            next.push_back(b.fma(unpackHalf(b, word, high),
                                 unpackHalf(b, pairs, high), carried[high]));
          return next;
        });
    Value sums = b.load(b.vec(b.f32()), line);
    b.store(b.addf(sums, b.addf(parts[0], parts[1])), line);
  });
}

//===----------------------------------------------------------------------===//
// Both lowerings
//===----------------------------------------------------------------------===//

Type TileOps::type() {
  if (b.target.emulatesTiles)
    return b.ptrType();
  return LLVM::LLVMX86AMXType::get(b.builder.getContext());
}

TileShape TileOps::shape(Value rows, int64_t bytes) {
  Type narrow = b.builder.getI16Type();
  return {arith::TruncIOp::create(b.builder, b.loc, narrow, rows),
          arith::ConstantIntOp::create(b.builder, b.loc, bytes, 16)};
}

Value TileOps::intrinsic(StringRef name, Type result, ValueRange operands) {
  StringAttr symbol =
      b.builder.getStringAttr("llvm.x86." + name + ".internal");
  if (!result) {
    LLVM::CallIntrinsicOp::create(b.builder, b.loc, symbol, operands);
    return Value();
  }
  return LLVM::CallIntrinsicOp::create(b.builder, b.loc, result, symbol,
                                       operands)
      .getResult(0);
}

/// Calls a helper; shapes are widened to i64.
void TileOps::callEmulation(StringRef name, ValueRange operands,
                            void (*emit)(KernelBuilder &, ValueRange)) {
  SmallVector<Value> wide;
  for (Value operand : operands)
    wide.push_back(operand.getType().isInteger(16)
                       ? arith::ExtUIOp::create(b.builder, b.loc, b.i64(),
                                                operand)
                       : operand);
  ValueRange values(wide);
  b.call(getHelper(module, name, values.getTypes(), b.target, b.loc, emit),
         values);
}

Value TileOps::zero(TileShape shape) {
  if (!b.target.emulatesTiles)
    return intrinsic("tilezero", type(), {shape.rows, shape.bytes});
  Value tile = b.stack(kTileBytes);
  callEmulation("tile_zero", tile, emulateZero);
  return tile;
}

Value TileOps::load(TileShape shape, Value pointer, Value stride) {
  if (!b.target.emulatesTiles)
    return intrinsic("tileloadd64", type(),
                     {shape.rows, shape.bytes, pointer, stride});
  Value tile = b.stack(kTileBytes);
  callEmulation("tile_load", {tile, shape.rows, shape.bytes, pointer, stride},
                emulateLoad);
  return tile;
}

void TileOps::store(TileShape shape, Value tile, Value pointer, Value stride) {
  if (!b.target.emulatesTiles) {
    intrinsic("tilestored64", Type(),
              {shape.rows, shape.bytes, pointer, stride, tile});
    return;
  }
  callEmulation("tile_store", {tile, shape.rows, shape.bytes, pointer, stride},
                emulateStore);
}

Value TileOps::dot(Value sums, Value left, Value right, TileShape leftShape,
                   TileShape rightShape) {
  if (!b.target.emulatesTiles)
    return intrinsic("tdpbf16ps", type(),
                     {leftShape.rows, rightShape.bytes, leftShape.bytes, sums,
                      left, right});
  callEmulation("tile_dot",
                {sums, left, right, leftShape.rows, leftShape.bytes},
                emulateDot);
  return sums;
}
