//===- ExpTest.cpp - The project's exp and log, rounding to bf16 ----------===//
#include "KernelRunner.h"
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace ds;
using namespace ds::cpu;

static void emitAnyRow(Operation *op, ModuleOp module, const Isa &isa,
                       KernelLimits &limits) {
  emitRow(cast<KernelRowOp>(op), module, isa, limits);
}

class ExpTest : public testing::TestWithParam<Variant> {};

/// `function` (exp or log) of every value, by a kernel.
static std::vector<float> runMath(StringRef function, Variant variant,
                                  ArrayRef<float> values) {
  std::string source = R"(
func.func @f(%x: tensor<?x16xf32>) {
  %y = ds.kernel.row @math(%x) : (tensor<?x16xf32>) -> tensor<?x16xf32> {
  ^bb0(%a: f32):
    %e = math.)" + function.str() + R"( %a : f32
    ds.yield %e : f32
  }
  return
})";
  KernelRunner runner(source, variant, emitAnyRow);
  auto rows = static_cast<int64_t>(llvm::divideCeil(values.size(), 16));
  Buffer<float> x(rows * 16), y(rows * 16);
  std::copy(values.begin(), values.end(), x.data());
  std::vector<int64_t> dims = {rows, 1, 0, 0, 0, 0, 0, 0};
  runner.run("math", {x.data(), y.data()}, dims);
  return std::vector<float>(y.data(), y.data() + values.size());
}

TEST_P(ExpTest, Ends) {
  float infinity = std::numeric_limits<float>::infinity();
  float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> y =
      runMath("exp", GetParam(), {0.0f, -0.0f, -infinity, -1e30f, -88.0f, nan, 1e30f,
                          infinity, -87.3f});
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y[1], 1.0f);
  for (int i = 2; i < 5; ++i) {
    EXPECT_EQ(y[i], 0.0f) << i;
    EXPECT_FALSE(std::signbit(y[i])) << i;
  }
  EXPECT_TRUE(std::isnan(y[5]));
  EXPECT_GT(y[6], 2e38f);
  EXPECT_EQ(y[6], y[7]);
  EXPECT_GT(y[8], 0.0f);
}

TEST_P(ExpTest, WithinOneUnitInTheLastPlace) {
  std::vector<float> x;
  for (int i = 0; i < 200000; ++i)
    x.push_back(-87.0f + 175.0f * static_cast<float>(i) / 200000);
  for (int i = 0; i < 100000; ++i)
    x.push_back(-1.0f + 2e-5f * static_cast<float>(i));
  std::vector<float> y = runMath("exp", GetParam(), x);
  for (size_t i = 0; i < x.size(); ++i) {
    double want = std::exp(static_cast<double>(x[i]));
    double unit = std::ldexp(1.0, std::ilogb(want) - 23);
    ASSERT_LE(std::fabs(y[i] - want), unit) << x[i];
  }
}

TEST_P(ExpTest, EndsOfLog) {
  float infinity = std::numeric_limits<float>::infinity();
  float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> y =
      runMath("log", GetParam(),
              {1.0f, 0.0f, -0.0f, 1e-39f, infinity, nan, -1.0f, -infinity});
  EXPECT_EQ(y[0], 0.0f);
  for (int i = 1; i < 4; ++i)
    EXPECT_EQ(y[i], -infinity) << i;
  EXPECT_EQ(y[4], infinity);
  for (int i = 5; i < 8; ++i)
    EXPECT_TRUE(std::isnan(y[i])) << i;
}

TEST_P(ExpTest, LogWithinOneUnitInTheLastPlace) {
  std::vector<float> x;
  for (uint32_t bits = 0x00800000; bits < 0x7f800000; bits += 4999) {
    float value;
    memcpy(&value, &bits, 4);
    x.push_back(value);
  }
  for (int i = 0; i < 100000; ++i)
    x.push_back(0.5f + 2e-5f * static_cast<float>(i));
  std::vector<float> y = runMath("log", GetParam(), x);
  for (size_t i = 0; i < x.size(); ++i) {
    double want = std::log(static_cast<double>(x[i]));
    double unit = want == 0 ? 0 : std::ldexp(1.0, std::ilogb(want) - 23);
    ASSERT_LE(std::fabs(y[i] - want), unit) << x[i];
  }
}

TEST_P(ExpTest, RoundsToNearestEven) {
  KernelRunner runner(R"(
func.func @f(%x: tensor<?x16xf32>) {
  %y = ds.kernel.row @round(%x) : (tensor<?x16xf32>) -> tensor<?x16xbf16> {
  ^bb0(%a: f32):
    %r = arith.truncf %a : f32 to bf16
    ds.yield %r : bf16
  }
  return
})",
                      GetParam(), emitAnyRow);
  constexpr int64_t rows = 4096;
  Buffer<float> x(rows * 16);
  Buffer<uint16_t> y(rows * 16);
  std::mt19937 random(1);
  for (size_t i = 0; i < x.size(); ++i) {
    uint32_t bits = random();
    if (i % 4 == 0)
      bits = (bits & 0xffff0000) | 0x8000; // Halfway.
    float value;
    memcpy(&value, &bits, 4);
    x[i] = std::isfinite(value) && std::fabs(value) > 1e-37f ? value : 1.0f;
  }
  std::vector<int64_t> dims = {rows, 1, 0, 0, 0, 0, 0, 0};
  runner.run("round", {x.data(), y.data()}, dims);
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_EQ(y[i], toBf16(x[i])) << x[i];
}

INSTANTIATE_TEST_SUITE_P(Variants, ExpTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
