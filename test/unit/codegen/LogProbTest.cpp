//===- LogProbTest.cpp - Log-probabilities and their gradient -------------===//
#include "KernelRunner.h"
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace ds;
using namespace ds::cpu;

static const char *kSource = R"(
func.func @f(%z: tensor<?xWxf32>, %t: tensor<?x1xi32>, %i: tensor<?x1xf32>, %dp: tensor<?x1xf32>) {
  %p, %lse = ds.kernel.log_prob @forward %z, %t, %i
      : (tensor<?xWxf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
  %d = ds.kernel.log_prob_backward @backward %z, %t, %i, %lse, %dp
      : (tensor<?xWxf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?xWxf32>
  %e = ds.kernel.log_prob_backward @rounded %z, %t, %i, %lse, %dp
      : (tensor<?xWxf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?xWxbf16>
  return
}
)";

class LogProbTest
    : public testing::TestWithParam<std::tuple<Variant, int64_t>> {
protected:
  Variant variant() { return std::get<0>(GetParam()); }
  int64_t width() { return std::get<1>(GetParam()); }
};

static std::vector<int64_t> dimsOf(int64_t rows) {
  return {rows, 1, rows, 0, 0, 0, 0, 0};
}

/// The logarithm of the sum of exponentials of `row` times `scale`.
static double logSum(const float *row, int64_t count, float scale) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::max(largest, double(row[i]) * scale);
  for (int64_t i = 0; i < count; ++i)
    sum += std::exp(double(row[i]) * scale - largest);
  return largest + std::log(sum);
}

TEST_P(LogProbTest, ForwardAndBackward) {
  int64_t rows = 21, w = width();
  KernelRunner runner(withWidth(kSource, w), variant(), emitKernel);
  Buffer<float> z(rows * w), scale(rows), dp(rows), p(rows + 1), lse(rows + 1),
      pAgain(rows + 1), lseAgain(rows + 1), d(rows * w + 1);
  Buffer<uint16_t> e(rows * w + 1);
  Buffer<int32_t> targets(rows);
  fillRandom(z, 1, 12.0f);
  fillRandom(scale, 2, 0.5f);
  fillRandom(dp, 3);
  for (int64_t r = 0; r < rows; ++r) {
    scale[r] = r ? scale[r] + 0.6f : 1.0f;
    targets[r] = static_cast<int32_t>(r == 1 ? w - 1 : r * 7919 % w);
  }
  // One column stands out of a row.
  z[2 * w + w / 2] = 400.0f;
  runner.run("forward",
             {z.data(), targets.data(), scale.data(), p.data(), lse.data()},
             dimsOf(rows));
  runner.run("forward",
             {z.data(), targets.data(), scale.data(), pAgain.data(),
              lseAgain.data()},
             dimsOf(rows), 3);
  EXPECT_EQ(memcmp(p.data(), pAgain.data(), rows * 4), 0);
  EXPECT_EQ(memcmp(lse.data(), lseAgain.data(), rows * 4), 0);
  std::vector<void *> args = {z.data(), targets.data(), scale.data(),
                              lse.data(), dp.data(), e.data()};
  runner.run("rounded", args, dimsOf(rows), 2);
  args.back() = d.data();
  runner.run("backward", args, dimsOf(rows), 2);
  for (int64_t r = 0; r < rows; ++r) {
    const float *row = z.data() + r * w;
    double want = logSum(row, w, scale[r]);
    ASSERT_NEAR(lse[r], want, std::fabs(want) * 2e-7 + 1e-6) << r;
    double target = double(row[targets[r]]) * scale[r];
    ASSERT_NEAR(p[r], target - want,
                (std::fabs(want) + std::fabs(target)) * 2e-7 + 1e-6)
        << r;
    double factor = double(scale[r]) * dp[r];
    for (int64_t i = 0; i < w; ++i) {
      double share = std::exp(double(row[i]) * scale[r] - want);
      double slope = factor * ((i == targets[r]) - share);
      // exp of z - lse: an error of half a unit of either counts.
      double error = std::fabs(factor) *
                     (share * (std::fabs(want) * 4e-7 + 4e-7) + 1e-7);
      ASSERT_NEAR(d[r * w + i], slope, error) << r << " " << i;
      ASSERT_EQ(e[r * w + i], toBf16(d[r * w + i]));
    }
  }
  // The gradient may take the place of the logits.
  args.back() = z.data();
  runner.run("backward", args, dimsOf(rows), 2);
  EXPECT_EQ(memcmp(z.data(), d.data(), rows * w * 4), 0);
  uint32_t after[3];
  memcpy(&after[0], &p[rows], 4);
  memcpy(&after[1], &lse[rows], 4);
  memcpy(&after[2], &d[rows * w], 4);
  for (uint32_t bits : after)
    EXPECT_EQ(bits, 0xffffffffu);
  EXPECT_EQ(e[rows * w], 0xffff);
}

/// Lanes are 16 whatever registers hold.
TEST_P(LogProbTest, SameBitsAsTheFirstVariant) {
  int64_t rows = 3, w = width();
  auto compute = [&](Variant which) {
    KernelRunner runner(withWidth(kSource, w), which, emitKernel);
    Buffer<float> z(rows * w), scale(rows), p(rows), lse(rows), d(rows * w);
    Buffer<int32_t> targets(rows);
    fillRandom(z, 1, 12.0f);
    for (int64_t r = 0; r < rows; ++r) {
      scale[r] = 0.7f;
      targets[r] = static_cast<int32_t>(w / 2);
    }
    runner.run("forward",
               {z.data(), targets.data(), scale.data(), p.data(), lse.data()},
               dimsOf(rows));
    runner.run("backward",
               {z.data(), targets.data(), scale.data(), lse.data(), p.data(),
                d.data()},
               dimsOf(rows));
    std::vector<float> all(d.data(), d.data() + d.size());
    all.insert(all.end(), p.data(), p.data() + rows);
    all.insert(all.end(), lse.data(), lse.data() + rows);
    return all;
  };
  std::vector<float> a = compute(getRunnableVariants().front());
  std::vector<float> b = compute(variant());
  EXPECT_EQ(memcmp(a.data(), b.data(), a.size() * 4), 0);
}

TEST_P(LogProbTest, EqualLogits) {
  int64_t w = width();
  KernelRunner runner(withWidth(kSource, w), variant(), emitKernel);
  Buffer<float> z(w), scale(1), p(1), lse(1);
  Buffer<int32_t> targets(1);
  for (int64_t i = 0; i < w; ++i)
    z[i] = -3.0f;
  scale[0] = 1.0f;
  targets[0] = 0;
  runner.run("forward",
             {z.data(), targets.data(), scale.data(), p.data(), lse.data()},
             dimsOf(1));
  // exp(0) = 1 and sums of ones are exact.
  float want = std::log(float(w));
  EXPECT_NEAR(p[0], -want, want * 2.5e-7f);
  if (w == 1) {
    EXPECT_EQ(p[0], 0.0f);
  }
}

/// -inf hides a column, even all columns of a block.
TEST_P(LogProbTest, HiddenColumns) {
  int64_t w = width();
  KernelRunner runner(withWidth(kSource, w), variant(), emitKernel);
  Buffer<float> z(w), scale(1), p(1), lse(1);
  Buffer<int32_t> targets(1);
  for (int64_t i = 0; i < w; ++i)
    z[i] = -std::numeric_limits<float>::infinity();
  z[w - 1] = 2.0f;
  scale[0] = 1.0f;
  targets[0] = static_cast<int32_t>(w - 1);
  runner.run("forward",
             {z.data(), targets.data(), scale.data(), p.data(), lse.data()},
             dimsOf(1));
  EXPECT_EQ(p[0], 0.0f);
  EXPECT_EQ(lse[0], 2.0f);
}

INSTANTIATE_TEST_SUITE_P(
    Variants, LogProbTest,
    testing::Combine(testing::ValuesIn(getRunnableVariants()),
                     testing::Values(1, 74, 301, 512, 1024, 2600)),
    [](const auto &info) {
      return std::string(getIsa(std::get<0>(info.param)).name) + "_" +
             std::to_string(std::get<1>(info.param));
    });
