//===- MapTest.cpp - Kernels with several results, pairs, column sums -----===//
#include "KernelRunner.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

class MapTest : public testing::TestWithParam<std::tuple<Variant, int64_t>> {
protected:
  Variant variant() { return std::get<0>(GetParam()); }
  int64_t width() { return std::get<1>(GetParam()); }
};

/// dims of a launch of `rows` rows.
static std::vector<int64_t> dimsOf(int64_t rows) {
  return {rows, 1, 0, 0, 0, 0, 0, 0};
}

template <typename T>
static bool isSame(const Buffer<T> &a, const Buffer<T> &b) {
  return memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

static const char *kNormBackward = R"(
func.func @f(%x: tensor<?xWxf32>, %g: tensor<Wxf32>, %dy: tensor<?xWxbf16>, %s: tensor<?x1xbf16>) {
  %y, %r = ds.kernel.row @norm(%x, %g, %dy, %s)
      : (tensor<?xWxf32>, tensor<Wxf32>, tensor<?xWxbf16>, tensor<?x1xbf16>) -> (tensor<?xWxf32>, tensor<?x1xf32>) {
  ^bb0(%a: f32, %w: f32, %h: bf16, %v: bf16):
    %n = arith.constant W.0 : f32
    %eps = arith.constant 1.0e-6 : f32
    %one = arith.constant 1.0 : f32
    %sq = arith.mulf %a, %a : f32
    %sum = ds.row_reduce %sq : f32
    %mean = arith.divf %sum, %n : f32
    %e = arith.addf %mean, %eps : f32
    %root = math.sqrt %e : f32
    %inv = arith.divf %one, %root : f32
    %hw = arith.extf %h : bf16 to f32
    %vw = arith.extf %v : bf16 to f32
    %d = arith.mulf %w, %hw : f32
    %xd = arith.mulf %a, %d : f32
    %along = ds.row_reduce %xd : f32
    %am = arith.divf %along, %n : f32
    %r2 = arith.mulf %inv, %inv : f32
    %r3 = arith.mulf %inv, %am : f32
    %c = arith.mulf %r2, %r3 : f32
    %p = arith.mulf %inv, %d : f32
    %q = arith.mulf %a, %c : f32
    %dx = arith.subf %p, %q : f32
    %o = arith.mulf %dx, %vw : f32
    ds.yield %o, %inv : f32, f32
  }
  return
}
)";

TEST_P(MapTest, RowGivesValuesOfTheRow) {
  int64_t rows = 9, w = width();
  KernelRunner runner(withWidth(kNormBackward, w), variant(), emitKernel);
  Buffer<float> x(rows * w), g(llvm::alignTo(w, 16)), y(rows * w + 1),
      again(rows * w + 1), r(rows + 1), rAgain(rows + 1);
  Buffer<uint16_t> dy(rows * w), s(rows);
  fillRandom(x, 1);
  fillRandom(g, 2);
  fillRandom(dy, 3);
  fillRandom(s, 4);
  runner.run("norm", {x.data(), g.data(), dy.data(), s.data(), y.data(), r.data()},
             dimsOf(rows));
  runner.run("norm",
             {x.data(), g.data(), dy.data(), s.data(), again.data(),
              rAgain.data()},
             dimsOf(rows), 3);
  EXPECT_TRUE(isSame(y, again));
  EXPECT_TRUE(isSame(r, rAgain));
  for (int64_t t = 0; t < rows; ++t) {
    double sum = 0, along = 0;
    for (int64_t i = 0; i < w; ++i) {
      double a = x[t * w + i];
      sum += a * a;
      along += a * g[i] * getElement(dy, t * w + i);
    }
    double inverse = 1 / std::sqrt(sum / double(w) + 1e-6);
    ASSERT_NEAR(r[t], inverse, inverse * 1e-6);
    for (int64_t i = 0; i < w; ++i) {
      double d = double(g[i]) * getElement(dy, t * w + i);
      double back = x[t * w + i] * std::pow(inverse, 3) * along / double(w);
      double want = (inverse * d - back) * getElement(s, t);
      double size = std::fabs(inverse * d) + std::fabs(back);
      ASSERT_NEAR(y[t * w + i], want, size * 1e-6 + 1e-9) << t << " " << i;
    }
  }
  uint32_t after[2];
  memcpy(&after[0], &y[rows * w], 4);
  memcpy(&after[1], &r[rows], 4);
  EXPECT_EQ(after[0], 0xffffffffu);
  EXPECT_EQ(after[1], 0xffffffffu);
}

static const char *kOps = R"(
func.func @f(%x: tensor<?xWxf32>, %y: tensor<?xWxbf16>, %r: tensor<?x1xf32>) {
  %u, %v, %z = ds.kernel.elementwise @ops(%x, %y, %r)
      : (tensor<?xWxf32>, tensor<?xWxbf16>, tensor<?x1xf32>) -> (tensor<?xWxf32>, tensor<?xWxbf16>, tensor<?x1xbf16>) {
  ^bb0(%a: f32, %h: bf16, %s: f32):
    %b = arith.extf %h : bf16 to f32
    %low = arith.constant -0.5 : f32
    %high = arith.constant 0.5 : f32
    %c = arith.minimumf %a, %high : f32
    %d = arith.maximumf %c, %low : f32
    %abs = math.absf %b : f32
    %root = math.sqrt %abs : f32
    %is = arith.cmpf ogt, %a, %b : f32
    %pick = arith.select %is, %d, %root : f32
    %o = arith.mulf %pick, %s : f32
    %e = math.exp %a : f32
    %l = math.log %e : f32
    %t = arith.truncf %l : f32 to bf16
    %n = arith.negf %s : f32
    %tn = arith.truncf %n : f32 to bf16
    ds.yield %o, %t, %tn : f32, bf16, bf16
  }
  return
}
)";

TEST_P(MapTest, ElementwiseOpsAndRowValues) {
  int64_t rows = 11, w = width();
  KernelRunner runner(withWidth(kOps, w), variant(), emitKernel);
  Buffer<float> x(rows * w), r(rows), u(rows * w + 1);
  Buffer<uint16_t> y(rows * w), v(rows * w + 1), z(rows + 1);
  fillRandom(x, 1);
  fillRandom(y, 2);
  fillRandom(r, 3);
  runner.run("ops",
             {x.data(), y.data(), r.data(), u.data(), v.data(), z.data()},
             dimsOf(rows), 2);
  for (int64_t t = 0; t < rows; ++t) {
    ASSERT_EQ(z[t], toBf16(-r[t]));
    for (int64_t i = 0; i < w; ++i) {
      float a = x[t * w + i], b = getElement(y, t * w + i);
      float pick = a > b ? std::max(std::min(a, 0.5f), -0.5f)
                         : std::sqrt(std::fabs(b));
      ASSERT_EQ(u[t * w + i], pick * r[t]) << t << " " << i;
      ASSERT_NEAR(getElement(v, t * w + i), a, std::fabs(a) / 255 + 2e-7);
    }
  }
  uint32_t after;
  memcpy(&after, &u[rows * w], 4);
  EXPECT_EQ(after, 0xffffffffu);
  EXPECT_EQ(v[rows * w], 0xffff);
  EXPECT_EQ(z[rows], 0xffff);
}

/// Operations on bf16 round every result.
TEST_P(MapTest, ElementwiseOfBf16) {
  int64_t rows = 5, w = width();
  KernelRunner runner(withWidth(R"(
func.func @f(%x: tensor<?xWxbf16>, %y: tensor<?xWxbf16>) {
  %z = ds.kernel.elementwise @ops(%x, %y)
      : (tensor<?xWxbf16>, tensor<?xWxbf16>) -> tensor<?xWxbf16> {
  ^bb0(%a: bf16, %b: bf16):
    %s = arith.addf %a, %b : bf16
    %n = arith.negf %b : bf16
    %p = arith.mulf %s, %n : bf16
    %c = arith.cmpf olt, %a, %b : bf16
    %m = arith.minimumf %p, %a : bf16
    %r = arith.select %c, %m, %s : bf16
    %e = math.exp %r : bf16
    %l = math.log %e : bf16
    ds.yield %l : bf16
  }
  return
}
)", w),
                      variant(), emitKernel);
  Buffer<uint16_t> x(rows * w), y(rows * w), z(rows * w + 1);
  fillRandom(x, 1);
  fillRandom(y, 2);
  runner.run("ops", {x.data(), y.data(), z.data()}, dimsOf(rows), 2);
  for (int64_t i = 0; i < rows * w; ++i) {
    float a = getElement(x, i), b = getElement(y, i);
    float s = fromBf16(toBf16(a + b)), p = fromBf16(toBf16(s * -b));
    float r = a < b ? std::min(p, a) : s;
    // A unit of the last place of exp is one of the logarithm's argument.
    ASSERT_NEAR(getElement(z, i), r, 0.005f + std::fabs(r) / 200) << i;
  }
  EXPECT_EQ(z[rows * w], 0xffff);
}

/// swiglu of packed pairs and its derivative.
static std::string pairSource(int64_t width, StringRef element) {
  std::string text = R"(
func.func @f(%gu: tensor<?xPxE>, %dz: tensor<?xWxE>) {
  %z = ds.kernel.elementwise @forward(%gu) pairs : (tensor<?xPxE>) -> tensor<?xWxE> {
  ^bb0(%a: E, %b: E):
    %x = arith.extf %a : E to f32
    %y = arith.extf %b : E to f32
    %p = arith.subf %x, %y : f32
    %r = arith.truncf %p : f32 to E
    ds.yield %r : E
  }
  %dgu = ds.kernel.elementwise @backward(%gu, %dz) pairs : (tensor<?xPxE>, tensor<?xWxE>) -> tensor<?xPxE> {
  ^bb0(%a: E, %b: E, %c: E):
    %x = arith.extf %a : E to f32
    %y = arith.extf %b : E to f32
    %d = arith.extf %c : E to f32
    %p = arith.mulf %y, %d : f32
    %one = arith.constant 1.0 : f32
    %n = arith.addf %x, %one : f32
    %r = arith.truncf %p : f32 to E
    %s = arith.truncf %n : f32 to E
    ds.yield %r, %s : E, E
  }
  return
}
)";
  auto replace = [&](char what, const std::string &by) {
    for (size_t at; (at = text.find(what)) != std::string::npos;)
      text.replace(at, 1, by);
  };
  replace('P', std::to_string(2 * llvm::alignTo(width, 16)));
  replace('W', std::to_string(width));
  replace('E', element.str());
  return text;
}

TEST_P(MapTest, PairsInPlace) {
  int64_t rows = 7, w = width(), padded = llvm::alignTo(w, 16);
  KernelRunner runner(pairSource(w, "bf16"), variant(), emitKernel);
  Buffer<uint16_t> gu(rows * 2 * padded), dz(rows * w), z(rows * w + 1);
  fillRandom(gu, 1);
  fillRandom(dz, 2);
  auto at = [&](int64_t t, int64_t i, int64_t half) {
    return t * 2 * padded + i / 16 * 32 + half * 16 + i % 16;
  };
  runner.run("forward", {gu.data(), z.data()}, dimsOf(rows), 2);
  std::vector<uint16_t> before(gu.data(), gu.data() + gu.size());
  runner.run("backward", {gu.data(), dz.data(), gu.data()}, dimsOf(rows), 2);
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t i = 0; i < w; ++i) {
      float a = fromBf16(before[at(t, i, 0)]), b = fromBf16(before[at(t, i, 1)]);
      ASSERT_EQ(z[t * w + i], toBf16(a - b));
      ASSERT_EQ(gu[at(t, i, 0)], toBf16(b * getElement(dz, t * w + i)));
      ASSERT_EQ(gu[at(t, i, 1)], toBf16(a + 1.0f));
    }
    for (int64_t i = w; i < padded; ++i)
      for (int64_t half : {0, 1})
        ASSERT_EQ(gu[at(t, i, half)], 0) << "padding of row " << t;
  }
  EXPECT_EQ(z[rows * w], 0xffff);
}

static const char *kColumns = R"(
func.func @f(%dy: tensor<?xWxbf16>, %x: tensor<?xWxf32>, %r: tensor<?x1xf32>, %g: tensor<Wxf32>) {
  ds.kernel.columns @columns(%dy, %x, %r) into %g
      : (tensor<?xWxbf16>, tensor<?xWxf32>, tensor<?x1xf32>) -> tensor<Wxf32> {
  ^bb0(%a: bf16, %b: f32, %c: f32):
    %e = arith.extf %a : bf16 to f32
    %p = arith.mulf %e, %b : f32
    %q = arith.mulf %p, %c : f32
    ds.yield %q : f32
  }
  return
}
)";

TEST_P(MapTest, ColumnsInTheOrderOfRows) {
  int64_t rows = 37, w = width();
  KernelRunner runner(withWidth(kColumns, w), variant(), emitKernel);
  Buffer<uint16_t> dy(rows * w);
  Buffer<float> x(rows * w), r(rows), g(w + 1), parts(w + 1);
  fillRandom(dy, 1);
  fillRandom(x, 2);
  fillRandom(r, 3);
  for (int64_t i = 0; i < w; ++i)
    g[i] = parts[i] = 0.25f * float(i % 7);
  std::vector<float> want(g.data(), g.data() + w);
  std::vector<double> exact(want.begin(), want.end());
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t i = 0; i < w; ++i) {
      float d = getElement(dy, t * w + i);
      want[i] += d * x[t * w + i] * r[t];
      exact[i] += double(d) * x[t * w + i] * r[t];
    }
  runner.run("columns", {dy.data(), x.data(), r.data(), g.data()},
             dimsOf(rows), 3);
  // The same rows in two launches.
  runner.run("columns", {dy.data(), x.data(), r.data(), parts.data()},
             dimsOf(20));
  runner.run("columns",
             {dy.data() + 20 * w, x.data() + 20 * w, r.data() + 20,
              parts.data()},
             dimsOf(rows - 20));
  for (int64_t i = 0; i < w; ++i) {
    ASSERT_EQ(g[i], want[i]) << i;
    ASSERT_EQ(g[i], parts[i]) << i;
    ASSERT_NEAR(g[i], exact[i], 1e-5);
  }
  uint32_t after;
  memcpy(&after, &g[w], 4);
  EXPECT_EQ(after, 0xffffffffu);
}

INSTANTIATE_TEST_SUITE_P(
    Variants, MapTest,
    testing::Combine(testing::ValuesIn(getRunnableVariants()),
                     testing::Values(2, 16, 40, 74, 576)),
    [](const auto &info) {
      return std::string(getIsa(std::get<0>(info.param)).name) + "_" +
             std::to_string(std::get<1>(info.param));
    });

class OneColumnTest : public testing::TestWithParam<Variant> {};

/// Losses are matrices of one column.
TEST_P(OneColumnTest, Elementwise) {
  KernelRunner runner(R"(
func.func @f(%x: tensor<?x1xf32>, %y: tensor<?x1xf32>) {
  %z = ds.kernel.elementwise @loss(%x, %y) : (tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?x1xf32> {
  ^bb0(%a: f32, %b: f32):
    %n = arith.negf %a : f32
    %p = arith.mulf %n, %b : f32
    ds.yield %p : f32
  }
  return
})",
                      GetParam(), emitKernel);
  int64_t rows = 5003;
  Buffer<float> x(rows), y(rows), z(rows + 1);
  fillRandom(x, 1);
  fillRandom(y, 2);
  runner.run("loss", {x.data(), y.data(), z.data()}, dimsOf(rows), 2);
  for (int64_t t = 0; t < rows; ++t)
    ASSERT_EQ(z[t], -x[t] * y[t]);
  uint32_t after;
  memcpy(&after, &z[rows], 4);
  EXPECT_EQ(after, 0xffffffffu);
}

INSTANTIATE_TEST_SUITE_P(Variants, OneColumnTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
