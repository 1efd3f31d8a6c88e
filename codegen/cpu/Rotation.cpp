//===- Rotation.cpp - Turns the columns of a head -------------------------===//
#include "codegen/cpu/Rotation.h"

using namespace ds;
using namespace ds::cpu;

void Rotation::emit(Value input, Value output) {
  input = b.at(input, rope.getFirst() * fromSize);
  output = b.at(output, rope.getFirst() * toSize);
  for (int64_t first = 0; first < half; first += kLanes) {
    int64_t count = std::min(kLanes, half - first);
    Value mask = count < kLanes ? b.laneMask(b.c(count)) : Value();
    Value cosine = b.loadF32(b.f32(), b.at(angles, first * 4), mask);
    Value sine = b.loadF32(b.f32(), b.at(angles, (half + first) * 4), mask);
    if (rope.getLayout() == RopeLayout::HalfSplit)
      emitHalfSplit(input, output, first, mask, cosine, sine);
    else
      emitInterleaved(input, output, first, count, cosine, sine);
  }
}

Value Rotation::load(Value input, int64_t column, Value mask) {
  return b.loadF32(from, b.at(input, column * fromSize), mask);
}

void Rotation::store(Value value, Value output, int64_t column, Value mask) {
  b.storeF32(value, to, b.at(output, column * toSize), mask);
}

/// (x cos - y sin, y cos + x sin), with the sine of the other sign when the
/// turn is back.
std::pair<Value, Value> Rotation::turn(Value x, Value y, Value cosine,
                                       Value sine) {
  Value xc = b.mulf(x, cosine), ys = b.mulf(y, sine);
  Value yc = b.mulf(y, cosine), xs = b.mulf(x, sine);
  if (inverse)
    return {b.addf(xc, ys), b.subf(yc, xs)};
  return {b.subf(xc, ys), b.addf(yc, xs)};
}

void Rotation::emitHalfSplit(Value input, Value output, int64_t first,
                             Value mask, Value cosine, Value sine) {
  auto [x, y] = turn(load(input, first, mask),
                     load(input, half + first, mask), cosine, sine);
  store(x, output, first, mask);
  store(y, output, half + first, mask);
}

static Value shuffle(KernelBuilder &b, Value a, Value c,
                     function_ref<int64_t(int64_t)> lane) {
  SmallVector<int64_t> lanes;
  for (int64_t i = 0; i < kLanes; ++i)
    lanes.push_back(lane(i));
  return vector::ShuffleOp::create(b.builder, b.loc, a, c, lanes);
}

/// Columns 2 first to 2 (first + count): pairs lie side by side.
void Rotation::emitInterleaved(Value input, Value output, int64_t first,
                               int64_t count, Value cosine, Value sine) {
  auto maskFrom = [&](int64_t begin) {
    int64_t left = 2 * count - begin;
    return left >= kLanes ? Value() : b.laneMask(b.c(left));
  };
  Value lowMask = maskFrom(0);
  bool hasHigh = 2 * count > kLanes;
  Value highMask = hasHigh ? maskFrom(kLanes) : Value();
  Value low = load(input, 2 * first, lowMask);
  Value high = hasHigh ? load(input, 2 * first + kLanes, highMask) : b.zero();
  auto [x, y] =
      turn(shuffle(b, low, high, [](int64_t i) { return 2 * i; }),
           shuffle(b, low, high, [](int64_t i) { return 2 * i + 1; }), cosine,
           sine);
  auto merge = [](int64_t begin) {
    return [begin](int64_t i) {
      return begin + i / 2 + (i % 2 ? kLanes : int64_t(0));
    };
  };
  store(shuffle(b, x, y, merge(0)), output, 2 * first, lowMask);
  if (hasHigh)
    store(shuffle(b, x, y, merge(kLanes / 2)), output, 2 * first + kLanes,
          highMask);
}

void ds::cpu::copyColumns(KernelBuilder &b, Value source, Type from,
                          Value output, Type to, int64_t begin, int64_t end) {
  auto copy = [&](Value column, Value mask) {
    Value value = b.loadF32(
        from, b.at(source, b.mul(column, getElementBytes(from))), mask);
    b.storeF32(value, to, b.at(output, b.mul(column, getElementBytes(to))),
               mask);
  };
  int64_t whole = begin + (end - begin) / kLanes * kLanes;
  if (begin < whole)
    b.loop(b.c(begin), b.c(whole), kLanes,
           [&](Value column) { copy(column, Value()); });
  if (whole < end)
    copy(b.c(whole), b.laneMask(b.c(end - whole)));
}
