//===- Meaning.cpp - Scalar loops that say what operations mean -----------===//
#include "dialect/Meaning.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace ds;

static bool isFloat(Num x) { return x.value.getType().isF64(); }

template <typename Integer, typename Float> static Num binary(Num a, Num b) {
  Meaning &m = *a.meaning;
  Value value =
      isFloat(a) ? Value(Float::create(m.builder, m.loc, a.value, b.value))
                 : Value(Integer::create(m.builder, m.loc, a.value, b.value));
  return m.num(value);
}

Num ds::operator+(Num a, Num b) {
  return binary<arith::AddIOp, arith::AddFOp>(a, b);
}
Num ds::operator-(Num a, Num b) {
  return binary<arith::SubIOp, arith::SubFOp>(a, b);
}
Num ds::operator*(Num a, Num b) {
  return binary<arith::MulIOp, arith::MulFOp>(a, b);
}
Num ds::operator/(Num a, Num b) {
  return binary<arith::DivSIOp, arith::DivFOp>(a, b);
}
Num ds::operator%(Num a, Num b) {
  return binary<arith::RemSIOp, arith::RemFOp>(a, b);
}

static Num compare(Num a, Num b, arith::CmpIPredicate integer,
                   arith::CmpFPredicate number) {
  Meaning &m = *a.meaning;
  if (isFloat(a))
    return m.num(Value(
        arith::CmpFOp::create(m.builder, m.loc, number, a.value, b.value)));
  return m.num(Value(
      arith::CmpIOp::create(m.builder, m.loc, integer, a.value, b.value)));
}

Num ds::operator<(Num a, Num b) {
  return compare(a, b, arith::CmpIPredicate::slt, arith::CmpFPredicate::OLT);
}
Num ds::operator==(Num a, Num b) {
  return compare(a, b, arith::CmpIPredicate::eq, arith::CmpFPredicate::OEQ);
}
Num ds::operator&&(Num a, Num b) {
  Meaning &m = *a.meaning;
  return m.num(
      Value(arith::AndIOp::create(m.builder, m.loc, a.value, b.value)));
}
Num ds::operator||(Num a, Num b) {
  Meaning &m = *a.meaning;
  return m.num(Value(arith::OrIOp::create(m.builder, m.loc, a.value, b.value)));
}
Num ds::makeLike(Num like, double value) {
  return isFloat(like) ? like.meaning->num(value)
                       : like.meaning->num(static_cast<int64_t>(value));
}

Num Meaning::num(int64_t value) {
  return num(Value(arith::ConstantOp::create(
      builder, loc, builder.getI64IntegerAttr(value))));
}
Num Meaning::num(double value) {
  return num(Value(
      arith::ConstantOp::create(builder, loc, builder.getF64FloatAttr(value))));
}
Num Meaning::isTrue(bool value) {
  return num(Value(
      arith::ConstantOp::create(builder, loc, builder.getBoolAttr(value))));
}
Num Meaning::negate(Num condition) {
  return num(Value(arith::XOrIOp::create(builder, loc, condition.value,
                                         isTrue(true).value)));
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

void Meaning::forEach(Num lower, Num upper, Action body) {
  Num one = num(int64_t(1));
  scf::ForOp::create(
      builder, loc, lower.value, upper.value, one.value, ValueRange(),
      [&](OpBuilder &, Location, Value index, ValueRange) {
        OpBuilder::InsertionGuard guard(builder);
        builder.setInsertionPointToEnd(cast<BlockArgument>(index).getOwner());
        body(num(index));
        scf::YieldOp::create(builder, loc);
      });
}

static Num carry(Meaning &m, Num first, Num lower, Num upper,
                 llvm::function_ref<Num(Num, Num)> next) {
  Num one = m.num(int64_t(1));
  auto loop = scf::ForOp::create(
      m.builder, m.loc, lower.value, upper.value, one.value, first.value,
      [&](OpBuilder &, Location, Value index, ValueRange before) {
        OpBuilder::InsertionGuard guard(m.builder);
        m.builder.setInsertionPointToEnd(cast<BlockArgument>(index).getOwner());
        Num value = next(m.num(index), m.num(before.front()));
        scf::YieldOp::create(m.builder, m.loc, value.value);
      });
  return m.num(loop.getResult(0));
}

void Meaning::forEach(int64_t upper, Action body) {
  forEach(num(int64_t(0)), num(upper), body);
}
Num Meaning::sum(Num lower, Num upper, Function term) {
  return carry(*this, num(0.0), lower, upper,
               [&](Num i, Num before) { return before + term(i); });
}
Num Meaning::sum(int64_t upper, Function term) {
  return sum(num(int64_t(0)), num(upper), term);
}
Num Meaning::max(Num lower, Num upper, Function term) {
  return carry(*this, num(-INFINITY), lower, upper, [&](Num i, Num before) {
    Num value = term(i);
    return select(before < value, value, before);
  });
}
Num Meaning::max(int64_t upper, Function term) {
  return max(num(int64_t(0)), num(upper), term);
}
Num Meaning::count(Num lower, Num upper, Function condition) {
  return carry(*this, num(int64_t(0)), lower, upper, [&](Num i, Num before) {
    return select(condition(i), before + 1, before);
  });
}
Num Meaning::count(int64_t upper, Function condition) {
  return count(num(int64_t(0)), num(upper), condition);
}
Num Meaning::fold(Num first, Num lower, Num upper,
                  llvm::function_ref<Num(Num, Num)> next) {
  return carry(*this, first, lower, upper, next);
}

void Meaning::when(Num condition, llvm::function_ref<void()> then) {
  auto branch = scf::IfOp::create(builder, loc, condition.value,
                                  /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(branch.thenBlock()->getTerminator());
  then();
}

Num Meaning::choose(Num condition, llvm::function_ref<Num()> then,
                    llvm::function_ref<Num()> otherwise) {
  auto build = [&](llvm::function_ref<Num()> value) {
    return [&, value](OpBuilder &inner, Location) {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToEnd(inner.getInsertionBlock());
      scf::YieldOp::create(builder, loc, value().value);
    };
  };
  auto branch = scf::IfOp::create(builder, loc, condition.value, build(then),
                                  build(otherwise));
  return num(branch.getResult(0));
}

Num Meaning::select(Num condition, Num a, Num b) {
  return num(Value(arith::SelectOp::create(builder, loc, condition.value,
                                           a.value, b.value)));
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

Num Meaning::toNumber(Num integer) {
  return num(Value(arith::SIToFPOp::create(builder, loc, builder.getF64Type(),
                                           integer.value)));
}

/// The sum of coefficients[i] x^i.
Num Meaning::polynomial(Num x, llvm::ArrayRef<double> coefficients) {
  Num sum = num(coefficients.back());
  for (double coefficient : llvm::reverse(coefficients.drop_back()))
    sum = sum * x + coefficient;
  return sum;
}

/// Rounds to the nearest integer, |x| < 2^31.
static Num nearest(Num x) {
  const double magic = 6755399441055744.0; // 1.5 * 2^52
  return (x + magic) + -magic;
}

static Num toInteger(Num x) {
  Meaning &m = *x.meaning;
  return m.num(Value(arith::FPToSIOp::create(m.builder, m.loc,
                                             m.builder.getI64Type(), x.value)));
}

/// 2^n e^r, r in [-ln 2 / 2, ln 2 / 2]; 0 below -700, as at 700 above.
Num Meaning::exp(Num x) {
  Num low = num(-700.0), high = num(700.0);
  Num bounded = select(x < low, low, select(high < x, high, x));
  Num n = nearest(bounded * (1 / M_LN2));
  // ln 2 in two parts, the first of which has 32 bits.
  Num r = bounded - n * 0.693147180369123816490;
  r = r - n * 1.90821492927058770002e-10;
  SmallVector<double> coefficients = {1};
  for (int i = 1; i < 16; ++i)
    coefficients.push_back(coefficients.back() / i);
  Num bits = (toInteger(n) + 1023) * std::ldexp(1.0, 52);
  Num scale = num(Value(arith::BitcastOp::create(
      builder, loc, builder.getF64Type(), bits.value)));
  return select(x < low, num(0.0), polynomial(r, coefficients) * scale);
}

/// Halley's iteration for e^y = x, from the exponent's bits: three steps from
/// an error of 0.06.
Num Meaning::log(Num x) {
  Num bits = num(Value(
      arith::BitcastOp::create(builder, loc, builder.getI64Type(), x.value)));
  Num y = (toNumber(bits) * std::ldexp(1.0, -52) + -1023.0) * M_LN2;
  for (int i = 0; i < 3; ++i) {
    Num e = exp(y);
    y = y + (x - e) / (x + e) * 2.0;
  }
  return y;
}

Num Meaning::sqrt(Num x) {
  return num(Value(math::SqrtOp::create(builder, loc, x.value)));
}

Num Meaning::sigmoid(Num x) { return num(1.0) / (exp(num(0.0) - x) + 1.0); }

/// (cos, sin): x less a multiple of pi / 2, then their series.
std::pair<Num, Num> Meaning::turn(Num x) {
  Num n = nearest(x * M_2_PI);
  Num r = x - n * 1.5707963267341256142; // pi / 2 to 33 bits, then the rest.
  r = r - n * 6.0771005065061922015e-11;
  SmallVector<double> cosine, sine;
  double factorial = 1;
  for (int i = 0; i < 10; ++i) {
    double sign = i % 2 ? -1 : 1;
    factorial *= i ? 2 * i : 1;
    cosine.push_back(sign / factorial);
    factorial *= 2 * i + 1;
    sine.push_back(sign / factorial);
  }
  Num z = r * r, c = polynomial(z, cosine), s = r * polynomial(z, sine);
  Num quadrant = (toInteger(n) % 4 + 4) % 4;
  Num odd = quadrant % 2 == 1;
  Num cosOut = select(odd, s, c), sinOut = select(odd, c, s);
  Num zero = num(0.0);
  Num negative = quadrant == 1 || quadrant == 2;
  cosOut = select(negative, zero - cosOut, cosOut);
  sinOut = select(num(int64_t(1)) < quadrant, zero - sinOut, sinOut);
  return {cosOut, sinOut};
}

Num Meaning::cos(Num x) { return turn(x).first; }
Num Meaning::sin(Num x) { return turn(x).second; }

void Meaning::fill(Value result, Function value) {
  forEach(cast<RankedTensorType>(result.getType()).getDimSize(1),
          [&](Num column) {
            put(result, {row, column}, value(column));
          });
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

void ds::meanHead(Meaning &m, const MeantHead &head, Value scores,
                  llvm::function_ref<void(Num, Num)> put,
                  llvm::function_ref<void(Num)> putLse) {
  Num first = m.num(int64_t(0)), zero = m.num(0.0);
  Num most = m.max(first, head.count, [&](Num i) {
    return m.choose(
        head.sees(i),
        [&] {
          Num dot = m.sum(head.keyColumns, [&](Num column) {
            return head.query(column) * head.key(i, column);
          });
          m.putArray(scores, i, dot * head.scale);
          return dot * head.scale;
        },
        [&] { return m.num(-INFINITY); });
  });
  Num total = m.sum(first, head.count, [&](Num i) {
    return m.choose(
        head.sees(i),
        [&] {
          Num e = m.exp(m.arrayAt(scores, i) - most);
          m.putArray(scores, i, m.round(e, head.element));
          return e;
        },
        [&] { return m.num(0.0); });
  });
  Num seesAny = zero < total;
  m.forEach(head.valueColumns, [&](Num column) {
    Num sum = m.sum(first, head.count, [&](Num i) {
      return m.choose(
          head.sees(i),
          [&] { return m.arrayAt(scores, i) * head.value(i, column); },
          [&] { return m.num(0.0); });
    });
    put(column, m.select(seesAny, sum / total, zero));
  });
  if (putLse)
    putLse(m.select(seesAny, most + m.log(m.select(seesAny, total, most)),
                    m.num(-INFINITY)));
}
