//===- E4m3.cpp - Decoding FP8 weights ------------------------------------===//
#include "codegen/cpu/E4m3.h"
#include <cmath>
#include <limits>

using namespace ds;
using namespace ds::cpu;

/// Bytes that are decoded at once.
static constexpr int64_t kBytes = 64;
/// Elements of a pair of k of 16 columns.
static constexpr int64_t kWords = 2 * kLanes;

int64_t ds::cpu::getE4m3PanelBytes(int64_t depth) {
  return llvm::divideCeil(depth, kScaleBlock) * kE4m3ScaleBytes +
         llvm::divideCeil(depth, 32) * kE4m3BlockBytes;
}

Value ds::cpu::getE4m3PanelBytes(KernelBuilder &b, Value depth) {
  return b.add(b.mul(b.ceilDiv(depth, kScaleBlock), kE4m3ScaleBytes),
               b.mul(b.ceilDiv(depth, 32), kE4m3BlockBytes));
}

Value ds::cpu::getE4m3Pairs(KernelBuilder &b, Value group, Value pair,
                            int64_t half) {
  return b.at(b.at(group, b.mul(pair, kBytes)),
              kE4m3ScaleBytes + half * kBytes);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// e4m3 to f32 / 256: its bits are those of an f16 whose exponent is 8 less.
static Value widenE4m3(KernelBuilder &b, Value bytes) {
  OpBuilder &builder = b.builder;
  VectorType half = b.vec(builder.getI16Type(), kWords);
  auto constant = [&](int16_t bits) -> Value {
    return arith::ConstantOp::create(builder, b.loc,
                                     DenseElementsAttr::get(half, bits));
  };
  Value wide = arith::ExtSIOp::create(builder, b.loc, half, bytes);
  Value shifted = arith::ShRSIOp::create(
      builder, b.loc, arith::ShLIOp::create(builder, b.loc, wide, constant(8)),
      constant(1));
  Value bits =
      arith::AndIOp::create(builder, b.loc, shifted, constant(int16_t(0xbf80)));
  Value magnitude = arith::AndIOp::create(builder, b.loc, wide, constant(0x7f));
  Value isNan = b.cmp(arith::CmpIPredicate::eq, magnitude, constant(0x7f));
  bits = b.select(isNan, constant(0x7e00), bits);
  Value value = b.bitcast(bits, b.vec(builder.getF16Type(), kWords));
  return arith::ExtFOp::create(builder, b.loc, b.vec(b.f32(), kWords), value);
}

E4m3Products::E4m3Products(KernelBuilder &b, Value columns) : b(b) {
  SmallVector<int64_t> twice;
  for (int64_t i = 0; i < kWords; ++i)
    twice.push_back(i / 2);
  Value scaled = b.mulf(columns, b.vf(256.0));
  scales = vector::ShuffleOp::create(b.builder, b.loc, scaled, scaled, twice);
}

/// The 32 elements of the first or the second pair.
Value E4m3Products::scale(Value bytes, int64_t pair) {
  SmallVector<int64_t> mask;
  for (int64_t i = 0; i < kWords; ++i)
    mask.push_back(i / 8 * 16 + pair * 8 + i % 8);
  Value words = vector::ShuffleOp::create(b.builder, b.loc, bytes, bytes, mask);
  return b.mulf(widenE4m3(b, words), scales);
}

std::array<Value, 2> E4m3Products::decode(Value bytes) {
  std::array<Value, 2> pairs;
  for (int64_t i = 0; i < 2; ++i)
    pairs[i] = b.bitcast(b.fromF32(scale(bytes, i), b.bf16()), b.vec(b.i32()));
  return pairs;
}

std::array<Value, 4> E4m3Products::decodeF32(Value bytes) {
  std::array<Value, 4> lines;
  for (int64_t i = 0; i < 4; ++i) {
    Value words = scale(bytes, i / 2);
    SmallVector<int64_t> mask;
    for (int64_t column = 0; column < kLanes; ++column)
      mask.push_back(2 * column + i % 2);
    lines[i] = vector::ShuffleOp::create(b.builder, b.loc, words, words, mask);
  }
  return lines;
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

/// The magnitude of a code without its sign.
static float getMagnitude(int code) {
  if (code == 0x7f)
    return std::numeric_limits<float>::quiet_NaN();
  int exponent = code >> 3, mantissa = code & 7;
  return exponent == 0
             ? std::ldexp(static_cast<float>(mantissa), -9)
             : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

E4m3Table::E4m3Table(KernelBuilder &b, Value scale) : b(b) {
  Value scales = b.splat(scale, kWords);
  VectorType bytes = b.vec(b.builder.getI8Type(), kBytes);
  SmallVector<Value> words; // Of 32 codes each.
  for (int code = 0; code < 128; code += kWords) {
    SmallVector<float> magnitudes;
    for (int i = 0; i < kWords; ++i)
      magnitudes.push_back(getMagnitude(code + i));
    Value values = arith::ConstantOp::create(
        b.builder, b.loc,
        DenseElementsAttr::get(b.vec(b.f32(), kWords),
                               ArrayRef<float>(magnitudes)));
    words.push_back(
        b.bitcast(b.fromF32(b.mulf(values, scales), b.bf16()), bytes));
  }
  auto every = [&](int64_t first, int64_t table) -> Value {
    SmallVector<int64_t> mask;
    for (int64_t i = 0; i < kBytes; ++i)
      mask.push_back(2 * i + first);
    return vector::ShuffleOp::create(b.builder, b.loc, words[2 * table],
                                     words[2 * table + 1], mask);
  };
  for (int64_t table = 0; table < 2; ++table)
    low[table] = every(0, table), high[table] = every(1, table);
}

/// The entries of the low 7 bits of each byte.
Value E4m3Table::look(const std::array<Value, 2> &table, Value bytes) {
  return LLVM::CallIntrinsicOp::create(
             b.builder, b.loc, bytes.getType(),
             b.builder.getStringAttr("llvm.x86.avx512.vpermi2var.qi.512"),
             ValueRange{table[0], bytes, table[1]})
      .getResult(0);
}

std::array<Value, 2> E4m3Table::decode(Value bytes) {
  Value sign = arith::AndIOp::create(
      b.builder, b.loc, bytes,
      arith::ConstantOp::create(
          b.builder, b.loc,
          DenseElementsAttr::get(cast<VectorType>(bytes.getType()),
                                 int8_t(-128))));
  Value lows = look(low, bytes);
  Value highs =
      arith::XOrIOp::create(b.builder, b.loc, look(high, bytes), sign);
  std::array<Value, 2> pairs;
  for (int64_t pair = 0; pair < 2; ++pair) {
    SmallVector<int64_t> mask;
    for (int64_t i = 0; i < kWords; ++i) {
      int64_t at = i / 8 * 16 + pair * 8 + i % 8;
      mask.append({at, kBytes + at});
    }
    pairs[pair] = b.bitcast(
        vector::ShuffleOp::create(b.builder, b.loc, lows, highs, mask),
        b.vec(b.i32()));
  }
  return pairs;
}

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

/// Whether 16 scales are one.
static Value isUniform(KernelBuilder &b, Value scales) {
  Value bits = b.bitcast(scales, b.vec(b.i32()));
  Value first = vector::ExtractOp::create(b.builder, b.loc, bits, 0);
  Value equal = b.cmp(arith::CmpIPredicate::eq, bits, b.splat(first));
  return vector::ReductionOp::create(b.builder, b.loc,
                                     vector::CombiningKind::AND, equal);
}

SmallVector<Value> ds::cpu::decodeE4m3Group(
    KernelBuilder &b, Value group, ValueRange inits,
    function_ref<SmallVector<Value>(std::array<E4m3Columns *, 2>)> body) {
  std::array<Value, 2> scales;
  for (int64_t half = 0; half < 2; ++half)
    scales[half] = b.load(b.vec(b.f32()), b.at(group, half * 64), 64);
  auto multiply = [&] {
    E4m3Products first(b, scales[0]), last(b, scales[1]);
    return body({&first, &last});
  };
  if (!b.target.bytePermute)
    return multiply();
  auto look = [&] {
    auto scale = [&](int64_t half) -> Value {
      return vector::ExtractOp::create(b.builder, b.loc, scales[half], 0);
    };
    E4m3Table first(b, scale(0)), last(b, scale(1));
    return body({&first, &last});
  };
  Value uniform = arith::AndIOp::create(
      b.builder, b.loc, isUniform(b, scales[0]), isUniform(b, scales[1]));
  return b.ifValues(uniform, inits.getTypes(), look, multiply);
}
