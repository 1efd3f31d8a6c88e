//===- MoveRowsTest.cpp - Rows taken, put back, added to a table ----------===//
#include "KernelRunner.h"
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

class MoveRowsTest
    : public testing::TestWithParam<std::tuple<Variant, int64_t>> {
protected:
  Variant variant() { return std::get<0>(GetParam()); }
  int64_t width() { return std::get<1>(GetParam()); }
};

static const char *kMove = R"(
func.func @f(%x: tensor<?xWxbf16>, %y: tensor<?xWxf32>, %s: !ds.seq) {
  %a = ds.kernel.gather_rows @gather %x, %s : tensor<?xWxbf16> -> tensor<?xWxbf16>
  %b = ds.kernel.scatter_rows @scatter %y, %s : tensor<?xWxf32> -> tensor<?xWxf32>
  return
}
)";

TEST_P(MoveRowsTest, GatherAndScatter) {
  int64_t w = width(), tokens = 100;
  KernelRunner runner(withWidth(kMove, w), variant(), emitKernel);
  std::vector<std::vector<int32_t>> choices = {
      {}, {0}, {99}, {0, 1, 2, 50, 63, 64, 98, 99}, {5, 6, 7, 15, 16, 17}};
  std::vector<int32_t> all(tokens);
  for (int64_t t = 0; t < tokens; ++t)
    all[t] = static_cast<int32_t>(t);
  choices.push_back(all);
  for (const std::vector<int32_t> &rows : choices) {
    TestSeq seq;
    seq.addSequence(0, static_cast<int32_t>(tokens), {0});
    seq.outRows = rows;
    Buffer<uint16_t> x(tokens * w), a(rows.size() * w + 1);
    Buffer<float> y(rows.size() * w), b(tokens * w + 1);
    fillRandom(x, 1);
    fillRandom(y, 2);
    runner.run("gather", {x.data(), seq.abi(), a.data()}, seq.dims(), 2);
    runner.run("scatter", {y.data(), seq.abi(), b.data()}, seq.dims(), 2);
    std::vector<float> want(tokens * w, 0.0f);
    for (size_t r = 0; r < rows.size(); ++r)
      for (int64_t i = 0; i < w; ++i) {
        ASSERT_EQ(a[r * w + i], x[rows[r] * w + i]);
        want[rows[r] * w + i] = y[r * w + i];
      }
    ASSERT_EQ(memcmp(want.data(), b.data(), want.size() * 4), 0);
    EXPECT_EQ(a[rows.size() * w], 0xffff);
    uint32_t after;
    memcpy(&after, &b[tokens * w], 4);
    EXPECT_EQ(after, 0xffffffffu);
  }
}

static const char *kEmbed = R"(
func.func @f(%x: tensor<?xWxf32>, %y: tensor<?xWxbf16>, %g: tensor<301xWxf32>, %s: !ds.seq) {
  ds.kernel.scatter_embedding @wide %x, %s into %g : tensor<?xWxf32> -> tensor<301xWxf32>
  ds.kernel.scatter_embedding @narrow %y, %s into %g : tensor<?xWxbf16> -> tensor<301xWxf32>
  return
}
)";

template <typename T>
static void checkEmbedding(KernelRunner &runner, StringRef symbol,
                           int64_t w) {
  int64_t tokens = 2300, padded = llvm::alignTo(w, 32);
  TestSeq seq;
  seq.addSequence(0, static_cast<int32_t>(tokens), {0});
  std::mt19937 random(3);
  for (int32_t &id : seq.ids)
    id = static_cast<int32_t>(random() % 4 ? random() % 301 : 17);
  Buffer<T> x(tokens * w);
  fillRandom(x, 1);
  Buffer<float> g(320 * padded), again(320 * padded);
  std::vector<float> want(320 * padded);
  for (size_t i = 0; i < want.size(); ++i)
    g[i] = again[i] = want[i] = static_cast<float>(i % 5);
  runner.run(symbol, {g.data(), x.data(), seq.abi()}, seq.dims());
  runner.run(symbol, {again.data(), x.data(), seq.abi()}, seq.dims(), 3);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < w; ++i)
      want[seq.ids[t] * padded + i] += getElement(x, t * w + i);
  EXPECT_EQ(memcmp(g.data(), want.data(), want.size() * 4), 0);
  EXPECT_EQ(memcmp(again.data(), want.data(), want.size() * 4), 0);
}

TEST_P(MoveRowsTest, EmbeddingInTheOrderOfTokens) {
  KernelRunner runner(withWidth(kEmbed, width()), variant(), emitKernel);
  checkEmbedding<float>(runner, "wide", width());
  checkEmbedding<uint16_t>(runner, "narrow", width());
}

INSTANTIATE_TEST_SUITE_P(
    Variants, MoveRowsTest,
    testing::Combine(testing::ValuesIn(getRunnableVariants()),
                     testing::Values(1, 16, 37, 74, 128)),
    [](const auto &info) {
      return std::string(getIsa(std::get<0>(info.param)).name) + "_" +
             std::to_string(std::get<1>(info.param));
    });
