//===- Scalar.cpp - A kernel's region on scalars --------------------------===//
//
// exp is the project's polynomial, as on CPUs: the hardware's ex2 differs from
// chip to chip and is not exact at 0.
//
//===----------------------------------------------------------------------===//
#include "codegen/gpu/Scalar.h"
#include "mlir/IR/IRMapping.h"

using namespace ds;

namespace {
/// f32 arithmetic.
struct Scalars {
  OpBuilder &builder;
  Location loc;

  Value c(double value) {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getF32FloatAttr(value));
  }
  Value fma(Value a, Value b, Value sum) {
    return math::FmaOp::create(builder, loc, a, b, sum);
  }
  Value choose(Value condition, Value yes, Value no) {
    return arith::SelectOp::create(builder, loc, condition, yes, no);
  }
  Value compare(arith::CmpFPredicate predicate, Value a, Value b) {
    return arith::CmpFOp::create(builder, loc, predicate, a, b);
  }
  /// p 2^n, n being in the low bits of `shifted`, which is n + 1.5 * 2^23.
  Value scale(Value p, Value shifted);
  Value exp(Value x);
};
} // namespace

Value Scalars::scale(Value p, Value shifted) {
  Type i32 = builder.getI32Type();
  auto integer = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getI32IntegerAttr(value));
  };
  auto bits = [&](Value value) -> Value {
    return arith::BitcastOp::create(builder, loc, i32, value);
  };
  Value n =
      arith::SubIOp::create(builder, loc, bits(shifted), integer(0x4B400000));
  Value exponent = arith::ShLIOp::create(builder, loc, n, integer(23));
  Value sum = arith::AddIOp::create(builder, loc, bits(p), exponent);
  return arith::BitcastOp::create(builder, loc, builder.getF32Type(), sum);
}

// exp(x) = 2^n exp(r), n = round(x log2(e)), |r| <= ln(2) / 2.
Value Scalars::exp(Value x) {
  Value low = c(-87.33654), high = c(88.37626);
  Value below = compare(arith::CmpFPredicate::OLT, x, low);
  Value above = compare(arith::CmpFPredicate::OGT, x, high);
  Value clamped = choose(above, high, choose(below, low, x));
  Value magic = c(12582912.0);
  Value shifted = fma(clamped, c(1.44269504088896341), magic);
  Value n = arith::SubFOp::create(builder, loc, shifted, magic);
  Value r = fma(n, c(2.12194440e-4), fma(n, c(-0.693359375), clamped));
  Value p = c(1.9875691500e-4);
  for (double coefficient : {1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
                             1.6666665459e-1, 5.0000001201e-1})
    p = fma(p, r, c(coefficient));
  Value square = arith::MulFOp::create(builder, loc, r, r);
  p = arith::AddFOp::create(builder, loc, fma(p, square, r), c(1.0));
  return choose(below, c(0.0), scale(p, shifted));
}

Value ds::gpu::cloneScalarRegion(OpBuilder &builder, Location loc,
                                 Region &region, ValueRange arguments) {
  Scalars scalars{builder, loc};
  IRMapping map;
  map.map(region.getArguments(), arguments);
  Block &block = region.front();
  for (Operation &op : block.without_terminator()) {
    if (auto exp = dyn_cast<math::ExpOp>(op))
      map.map(exp.getResult(), scalars.exp(map.lookup(exp.getOperand())));
    else
      builder.clone(op, map);
  }
  return map.lookup(block.getTerminator()->getOperand(0));
}
