//===- EmbedTest.cpp - Embedding rows and rope angles ---------------------===//
#include "KernelRunner.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

class EmbedTest : public testing::TestWithParam<Variant> {
protected:
  /// Gathers rows of a table [rows, columns] of which element i of the packed
  /// memory is `table`; `index` finds (row, column) in it.
  template <typename T>
  void check(StringRef layout, StringRef element, Buffer<T> &table,
             int64_t rows, int64_t columns,
             function_ref<size_t(int64_t, int64_t)> index) {
    std::string shape = std::to_string(rows) + "x" + std::to_string(columns) +
                        "x" + element.str();
    std::string result = "tensor<?x" + std::to_string(columns) + "xf32>";
    std::string source = "func.func @f(%t: tensor<" + shape +
                         ">, %s: !ds.seq) {\n  %y = ds.kernel.embed @embed %t,"
                         " %s layout " +
                         layout.str() + " : tensor<" + shape + "> -> " +
                         result + "\n  return\n}\n";
    KernelRunner runner(source, GetParam(),
                        [](Operation *op, ModuleOp module, const Isa &isa,
                           KernelLimits &limits) {
                          emitEmbed(cast<KernelEmbedOp>(op), module, isa,
                                    limits);
                        });
    TestSeq seq;
    seq.addSequence(0, 6, {0});
    seq.ids = {0, static_cast<int32_t>(rows) - 1, 17, 5, 31, 32};
    Buffer<float> y(6 * columns + 1);
    runner.run("embed", {table.data(), seq.abi(), y.data()}, seq.dims(), 2);
    for (int64_t t = 0; t < 6; ++t)
      for (int64_t k = 0; k < columns; ++k)
        ASSERT_EQ(y[t * columns + k], getElement(table, index(seq.ids[t], k)))
            << layout.str() << " token " << t << " column " << k;
    uint32_t after;
    memcpy(&after, &y[6 * columns], 4);
    EXPECT_EQ(after, 0xffffffffu);
  }
};

TEST_P(EmbedTest, EveryLayout) {
  int64_t rows = 45, rowBlocks = 2;
  for (int64_t columns : {64, 74, 37}) {
    int64_t padded = llvm::alignTo(columns, 32);
    Buffer<uint16_t> half(rowBlocks * 32 * padded);
    Buffer<float> full(rowBlocks * 32 * padded);
    fillRandom(half, 1);
    fillRandom(full, 2);
    auto raw = [&](int64_t n, int64_t k) { return n * columns + k; };
    check("raw", "bf16", half, rows, columns, raw);
    check("raw", "f32", full, rows, columns, raw);
    // [N/32][K/32][2][16][16][2]
    check("panel_bf16", "bf16", half, rows, columns,
          [&](int64_t n, int64_t k) {
            return (n / 32 * (padded / 32) + k / 32) * 1024 +
                   n % 32 / 16 * 512 + k % 32 / 2 * 32 + n % 16 * 2 + k % 2;
          });
    // [N/32][K][32]
    check("panel_f32", "f32", full, rows, columns, [&](int64_t n, int64_t k) {
      return (n / 32 * padded + k) * 32 + n % 32;
    });
  }
}

TEST_P(EmbedTest, AnglesAtFarPositions) {
  for (int64_t dims : {64, 26, 8}) {
    std::string text = std::to_string(dims);
    KernelRunner runner("func.func @f(%s: !ds.seq) {\n  %y = ds.kernel.angles "
                        "@angles %s <half_split, dims = " +
                            text + ", theta = 5.0e5 : f64> : tensor<?x" +
                            text + "xf32>\n  return\n}\n",
                        GetParam(),
                        [](Operation *op, ModuleOp module, const Isa &isa,
                           KernelLimits &limits) {
                          emitAngles(cast<KernelAnglesOp>(op), module, isa,
                                     limits);
                        });
    TestSeq seq;
    seq.addSequence(0, 4000, {});
    for (int64_t t = 2000; t < 4000; ++t)
      seq.position[t] = static_cast<int32_t>(1048576 - (t - 2000) * 517);
    Buffer<float> y(4000 * dims);
    runner.run("angles", {seq.abi(), y.data()}, seq.dims(), 2);
    int64_t different = 0;
    for (int64_t t = 0; t < 4000; ++t)
      for (int64_t i = 0; i < dims / 2; ++i) {
        double frequency =
            std::pow(5.0e5, -2.0 * static_cast<double>(i) /
                                static_cast<double>(dims));
        double angle = seq.position[t] * frequency;
        float want[2] = {static_cast<float>(std::cos(angle)),
                         static_cast<float>(std::sin(angle))};
        for (int64_t j = 0; j < 2; ++j) {
          float got = y[t * dims + j * (dims / 2) + i];
          different += got != want[j];
          ASSERT_NEAR(got, want[j], std::fabs(want[j]) * 1.2e-7)
              << "position " << seq.position[t] << " pair " << i;
        }
      }
    // Only where the f64 value lies at a boundary of f32.
    EXPECT_LE(different, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, EmbedTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
