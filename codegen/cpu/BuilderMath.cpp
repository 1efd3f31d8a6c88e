//===- BuilderMath.cpp - exp, log and reductions of 16 lanes --------------===//
#include "codegen/cpu/Builder.h"

using namespace ds;
using namespace ds::cpu;

// exp(x) = 2^n exp(r), n = round(x log2(e)), |r| <= ln(2) / 2. The rounding
// uses the addition of 1.5 * 2^23, whose low bits then hold n.
Value KernelBuilder::exp(Value x, bool isNegative) {
  Value low = vf(-87.33654), high = vf(88.37626);
  Value below = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT,
                                      x, low);
  Value clamped = select(below, low, x);
  if (!isNegative)
    clamped = select(arith::CmpFOp::create(builder, loc,
                                           arith::CmpFPredicate::OGT, x, high),
                     high, clamped);
  Value magic = vf(12582912.0);
  Value shifted = fma(clamped, vf(1.44269504088896341), magic);
  Value n = subf(shifted, magic);
  Value r = fma(n, vf(-0.693359375), clamped);
  r = fma(n, vf(2.12194440e-4), r);
  static const double coefficients[] = {
      1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
      4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
  Value p = vf(coefficients[0]);
  for (double coefficient : ArrayRef(coefficients).drop_front())
    p = fma(p, r, vf(coefficient));
  p = addf(fma(p, mulf(r, r), r), vf(1.0));
  Value bits = bitcast(shifted, vec(i32()));
  Value exponent = arith::ShLIOp::create(
      builder, loc,
      arith::SubIOp::create(builder, loc, bits, vi(0x4B400000)), vi(23));
  Value scaled = bitcast(
      arith::AddIOp::create(builder, loc, bitcast(p, vec(i32())), exponent),
      vec(f32()));
  return select(below, zero(), scaled);
}

// log(x) = n log(2) + log(m), sqrt(1/2) <= m < sqrt(2), by the polynomial of
// Cephes' logf in m - 1. Denormals count as zero, as vdpbf16ps has it.
Value KernelBuilder::log(Value x) {
  auto is = [&](arith::CmpFPredicate predicate, Value a, Value b) -> Value {
    return arith::CmpFOp::create(builder, loc, predicate, a, b);
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Value bits = bitcast(x, vec(i32()));
  Value exponent = sub(
      arith::ShRUIOp::create(builder, loc, bits, vi(23)), vi(126));
  Value mantissa = bitcast(
      arith::OrIOp::create(
          builder, loc,
          arith::AndIOp::create(builder, loc, bits, vi(0x7fffff)),
          vi(0x3f000000)),
      vec(f32()));
  Value isSmall = is(arith::CmpFPredicate::OLT, mantissa,
                     vf(0.70710678118654752));
  Value n = subf(
      arith::SIToFPOp::create(builder, loc, vec(f32()), exponent),
      select(isSmall, vf(1.0), zero()));
  Value m = subf(select(isSmall, addf(mantissa, mantissa), mantissa), vf(1.0));
  Value square = mulf(m, m);
  static const double coefficients[] = {
      7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1,
      -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
      2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1};
  Value p = vf(coefficients[0]);
  for (double coefficient : ArrayRef(coefficients).drop_front())
    p = fma(p, m, vf(coefficient));
  Value low = fma(n, vf(-2.12194440e-4), mulf(p, mulf(square, m)));
  low = fma(square, vf(-0.5), low);
  Value result = fma(n, vf(0.693359375), addf(m, low));
  result = select(is(arith::CmpFPredicate::OEQ, x, vf(infinity)), x, result);
  result = select(is(arith::CmpFPredicate::OLT, x, vf(1.17549435e-38)),
                  vf(-infinity), result);
  Value isInvalid = is(arith::CmpFPredicate::ULT, x, zero());
  return select(isInvalid, vf(std::numeric_limits<double>::quiet_NaN()),
                result);
}

/// Folds the upper half of the lanes onto the lower until one is left.
static Value reduceTree(KernelBuilder &b, Value v,
                        function_ref<Value(Value, Value)> combine) {
  for (int64_t half = kLanes / 2; half >= 1; half /= 2) {
    SmallVector<int64_t> mask(kLanes);
    for (int64_t i = 0; i < kLanes; ++i)
      mask[i] = i < half ? i + half : i;
    Value moved = vector::ShuffleOp::create(b.builder, b.loc, v, v, mask);
    v = combine(v, moved);
  }
  return vector::ExtractOp::create(b.builder, b.loc, v, 0);
}

Value KernelBuilder::reduceAdd(Value v) {
  return reduceTree(*this, v, [&](Value a, Value b) { return addf(a, b); });
}

Value KernelBuilder::reduceMax(Value v) {
  return reduceTree(*this, v, [&](Value a, Value b) { return maxf(a, b); });
}
