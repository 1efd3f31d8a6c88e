//===- RowTest.cpp - Row and elementwise kernels --------------------------===//
#include "KernelRunner.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

static void emitRowOrElementwise(Operation *op, ModuleOp module,
                                 const Isa &isa, KernelLimits &limits) {
  if (auto row = dyn_cast<KernelRowOp>(op))
    emitRow(row, module, isa, limits);
  else
    emitElementwise(cast<KernelElementwiseOp>(op), module, isa, limits);
}

static const char *kNorm = R"(
func.func @f(%x: tensor<?xWxf32>, %g: tensor<Wxf32>) {
  %y = ds.kernel.row @norm(%x, %g)
      : (tensor<?xWxf32>, tensor<Wxf32>) -> tensor<?xWxbf16> {
  ^bb0(%a: f32, %w: f32):
    %n = arith.constant W.0 : f32
    %eps = arith.constant 1.0e-6 : f32
    %one = arith.constant 1.0 : f32
    %sq = arith.mulf %a, %a : f32
    %s = ds.row_reduce %sq : f32
    %mean = arith.divf %s, %n : f32
    %e = arith.addf %mean, %eps : f32
    %root = math.sqrt %e : f32
    %inv = arith.divf %one, %root : f32
    %b = arith.mulf %a, %inv : f32
    %c = arith.mulf %b, %w : f32
    %r = arith.truncf %c : f32 to bf16
    ds.yield %r : bf16
  }
  return
}
)";

class RowTest : public testing::TestWithParam<std::tuple<Variant, int64_t>> {
protected:
  Variant variant() { return std::get<0>(GetParam()); }
  int64_t width() { return std::get<1>(GetParam()); }
};

TEST_P(RowTest, NormOfEveryRow) {
  int64_t rows = 7, w = width();
  KernelRunner runner(withWidth(kNorm, w), variant(), emitRowOrElementwise);
  Buffer<float> x(rows * w), g(llvm::alignTo(w, 16));
  Buffer<uint16_t> y(rows * w + 8);
  fillRandom(x, 1);
  fillRandom(g, 2);
  std::vector<int64_t> dims = {rows, 1, 0, 0, 0, 0, 0, 0};
  runner.run("norm", {x.data(), g.data(), y.data()}, dims, 2);
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < w; ++i)
      sum += double(x[r * w + i]) * x[r * w + i];
    double inverse = 1 / std::sqrt(sum / double(w) + 1e-6);
    for (int64_t i = 0; i < w; ++i) {
      double want = x[r * w + i] * inverse * g[i];
      ASSERT_NEAR(getElement(y, r * w + i), want, std::fabs(want) / 255 + 1e-7)
          << "row " << r << " column " << i;
    }
  }
  for (size_t i = rows * w; i < y.size(); ++i)
    ASSERT_EQ(y[i], 0xffff) << "write beyond the last row";
}

/// The sum over lanes and the tree of ds.row_reduce, in f32.
static float reduceInOrder(const float *values, int64_t count) {
  float lanes[16] = {};
  for (int64_t i = 0; i < count; ++i)
    lanes[i % 16] += values[i];
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; ++i)
      lanes[i] += lanes[i + half];
  return lanes[0];
}

static const char *kSpread = R"(
func.func @f(%x: tensor<?xWxf32>) {
  %y = ds.kernel.row @spread(%x) : (tensor<?xWxf32>) -> tensor<?xWxf32> {
  ^bb0(%a: f32):
    %s = ds.row_reduce %a : f32
    %d = arith.subf %a, %s : f32
    %q = arith.mulf %d, %d : f32
    %t = ds.row_reduce %q : f32
    %u = ds.row_reduce %s : f32
    %v = arith.addf %t, %u : f32
    %r = arith.subf %v, %a : f32
    ds.yield %r : f32
  }
  return
}
)";

TEST_P(RowTest, DependentReductionsToTheBit) {
  int64_t rows = 5, w = width();
  KernelRunner runner(withWidth(kSpread, w), variant(), emitRowOrElementwise);
  Buffer<float> x(rows * w), y(rows * w);
  fillRandom(x, 3);
  std::vector<int64_t> dims = {rows, 1, 0, 0, 0, 0, 0, 0};
  runner.run("spread", {x.data(), y.data()}, dims);
  for (int64_t r = 0; r < rows; ++r) {
    const float *row = x.data() + r * w;
    float sum = reduceInOrder(row, w);
    std::vector<float> squares(w), sums(w, sum);
    for (int64_t i = 0; i < w; ++i)
      squares[i] = (row[i] - sum) * (row[i] - sum);
    float both =
        reduceInOrder(squares.data(), w) + reduceInOrder(sums.data(), w);
    for (int64_t i = 0; i < w; ++i)
      ASSERT_EQ(y[r * w + i], both - row[i]);
  }
}

static const char *kSwiglu = R"(
func.func @f(%g: tensor<?xWxbf16>, %u: tensor<?xWxbf16>) {
  %y = ds.kernel.elementwise @swiglu(%g, %u)
      : (tensor<?xWxbf16>, tensor<?xWxbf16>) -> tensor<?xWxbf16> {
  ^bb0(%a: bf16, %b: bf16):
    %one = arith.constant 1.0 : f32
    %x = arith.extf %a : bf16 to f32
    %z = arith.extf %b : bf16 to f32
    %n = arith.negf %x : f32
    %e = math.exp %n : f32
    %d = arith.addf %one, %e : f32
    %s = arith.divf %x, %d : f32
    %p = arith.mulf %s, %z : f32
    %r = arith.truncf %p : f32 to bf16
    ds.yield %r : bf16
  }
  return
}
)";

TEST_P(RowTest, ElementwiseInPlace) {
  int64_t rows = 6, w = width();
  KernelRunner runner(withWidth(kSwiglu, w), variant(), emitRowOrElementwise);
  Buffer<uint16_t> gate(rows * w), up(rows * w);
  fillRandom(gate, 4, 8.0f);
  fillRandom(up, 5);
  std::vector<float> want(rows * w);
  for (int64_t i = 0; i < rows * w; ++i) {
    double x = getElement(gate, i);
    want[i] = float(x / (1 + std::exp(-x)) * getElement(up, i));
  }
  std::vector<int64_t> dims = {rows, 1, 0, 0, 0, 0, 0, 0};
  runner.run("swiglu", {gate.data(), up.data(), up.data()}, dims, 2);
  for (int64_t i = 0; i < rows * w; ++i)
    ASSERT_NEAR(getElement(up, i), want[i], std::fabs(want[i]) / 255 + 1e-6)
        << i;
}

INSTANTIATE_TEST_SUITE_P(
    Variants, RowTest,
    testing::Combine(testing::ValuesIn(getRunnableVariants()),
                     testing::Values(1, 16, 40, 74, 576)),
    [](const auto &info) {
      return std::string(getIsa(std::get<0>(info.param)).name) + "_" +
             std::to_string(std::get<1>(info.param));
    });
