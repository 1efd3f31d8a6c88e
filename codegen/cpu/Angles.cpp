//===- Angles.cpp - cos and sin of rope angles ----------------------------===//
//
// position x frequency in f64, reduced to [-pi/4, pi/4] with pi / 2 in two
// parts, then the Taylor series, whose first dropped terms are below 1e-16.
// One rounding to f32 at the end.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

static constexpr int64_t kTileRows = 4;

namespace {
/// cos and sin of 16 angles in f64.
class Trigonometry {
public:
  Trigonometry(KernelBuilder &b) : b(b) {}

  /// Returns (cos, sin) of the lanes of `angle`, a vector<16xf64>.
  std::pair<Value, Value> emit(Value angle) {
    // The low bits of `shifted` hold the quadrant n, |n| < 2^51.
    Value shifted = fma(angle, c(2 / M_PI), c(kMagic));
    Value n = arith::SubFOp::create(b.builder, b.loc, shifted, c(kMagic));
    Value r = fma(n, c(-kHalfPiHigh), angle);
    r = fma(n, c(-kHalfPiLow), r);
    Value z = mul(r, r);
    Value sine = fma(mul(r, z), series(z, 3), r);
    Value cosine = fma(z, series(z, 2), c(1.0));
    Value quadrant = b.bitcast(shifted, b.vec(b.i64()));
    Value odd = isSet(quadrant, 1);
    Value cosOut = b.select(odd, sine, cosine);
    Value sinOut = b.select(odd, cosine, sine);
    Value next = arith::AddIOp::create(b.builder, b.loc, quadrant, ci(1));
    return {negateIf(isSet(next, 2), cosOut),
            negateIf(isSet(quadrant, 2), sinOut)};
  }

private:
  static constexpr double kMagic = 6755399441055744.0; // 1.5 * 2^52
  static constexpr double kHalfPiHigh = 1.5707963267948966;
  static constexpr double kHalfPiLow = 6.123233995736766e-17;

  KernelBuilder &b;

  Value c(double value) {
    return arith::ConstantOp::create(
        b.builder, b.loc,
        DenseElementsAttr::get(b.vec(b.builder.getF64Type()), value));
  }
  Value ci(int64_t value) {
    return arith::ConstantOp::create(
        b.builder, b.loc, DenseElementsAttr::get(b.vec(b.i64()), value));
  }
  Value fma(Value x, Value y, Value z) { return b.fma(x, y, z); }
  Value mul(Value x, Value y) { return b.mulf(x, y); }

  /// The sum of (-1)^j z^j / (first + 2 j)! with the signs of a series whose
  /// term `first` is negative.
  Value series(Value z, int first) {
    constexpr int kTerms = 8;
    double coefficients[kTerms];
    double factorial = first == 2 ? 2.0 : 6.0;
    for (int j = 0; j < kTerms; ++j) {
      coefficients[j] = (j % 2 ? 1.0 : -1.0) / factorial;
      factorial *= (first + 2 * j + 1) * (first + 2 * j + 2);
    }
    Value sum = c(coefficients[kTerms - 1]);
    for (int j = kTerms - 2; j >= 0; --j)
      sum = fma(sum, z, c(coefficients[j]));
    return sum;
  }

  Value isSet(Value bits, int64_t which) {
    Value masked =
        arith::AndIOp::create(b.builder, b.loc, bits, ci(which));
    return arith::CmpIOp::create(b.builder, b.loc, arith::CmpIPredicate::ne,
                                 masked, ci(0));
  }

  Value negateIf(Value condition, Value value) {
    return b.select(condition,
                    arith::NegFOp::create(b.builder, b.loc, value), value);
  }
};
} // namespace

/// 16 frequencies from `first` on, zeros after the last.
static Value frequencies(KernelBuilder &b, ArrayRef<double> all,
                         int64_t first) {
  SmallVector<double> values(kLanes, 0.0);
  for (int64_t i = 0; i < kLanes; ++i)
    if (first + i < static_cast<int64_t>(all.size()))
      values[i] = all[first + i];
  return arith::ConstantOp::create(
      b.builder, b.loc,
      DenseElementsAttr::get(b.vec(b.builder.getF64Type()),
                             ArrayRef<double>(values)));
}

/// Emits the row `to`: cos of all angles, then sin. [dims / 2][2 halves]
static void emitAngleRow(KernelBuilder &b, ArrayRef<double> all, double gain,
                         Value position, Value to) {
  Type f64 = b.builder.getF64Type();
  Value turns = b.splat(
      arith::SIToFPOp::create(b.builder, b.loc, f64, position));
  auto half = static_cast<int64_t>(all.size());
  for (int64_t first = 0; first < half; first += kLanes) {
    Value angle = b.mulf(turns, frequencies(b, all, first));
    auto [cosine, sine] = Trigonometry(b).emit(angle);
    Value mask;
    if (half - first < kLanes)
      mask = b.laneMask(b.c(half - first));
    auto store = [&](Value wide, int64_t column) {
      if (gain != 1)
        wide = b.mulf(wide, arith::ConstantOp::create(
                                b.builder, b.loc,
                                DenseElementsAttr::get(b.vec(f64), gain)));
      Value value = arith::TruncFOp::create(b.builder, b.loc, b.vec(b.f32()),
                                            wide);
      b.storeF32(value, b.f32(), b.at(to, column * 4), mask);
    };
    store(cosine, first);
    store(sine, half + first);
  }
}

void ds::cpu::emitAngles(KernelAnglesOp op, ModuleOp module, const Isa &isa,
                         KernelLimits &limits) {
  SmallVector<double> all = getRopeFrequencies(op.getRope());
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT), kTileRows);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value) {
        Value positions = b.seqField(b.arg(args, 0), kSeqPosition);
        Value result = b.arg(args, 1);
        Value first = b.mul(tile, kTileRows);
        Value end = b.min(b.add(first, kTileRows), b.dim(dims, kDimT));
        b.loop(first, end, 1, [&](Value row) {
          Value position = b.loadIndex(b.at(positions, b.mul(row, 4)));
          emitAngleRow(b, all, getRopeGain(op.getRope()), position,
                       b.at(result, b.mul(row, op.getRope().getDims() * 4)));
        });
      });
}
