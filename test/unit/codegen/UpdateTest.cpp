//===- UpdateTest.cpp - AdamW and sums of squares -------------------------===//
#include "KernelRunner.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
/// What training keeps of a weight [rows, columns], padded, or of a vector.
struct WeightMemory {
  WeightMemory(int64_t rows, int64_t columns)
      : rows(rows), columns(columns), paddedRows(llvm::alignTo(rows, 32)),
        padded(llvm::alignTo(columns, 32)), size(paddedRows * padded),
        master(size), m(size), v(size), g(size), hyper(16) {
    fillRandom(master, 1);
    fillRandom(m, 2, 0.01f);
    fillRandom(v, 3, 0.001f);
    fillRandom(g, 4, 0.1f);
    for (int64_t i = 0; i < size; ++i) {
      v[i] = std::fabs(v[i]);
      if (i / padded >= rows || i % padded >= columns)
        master[i] = m[i] = v[i] = g[i] = 0;
    }
    float values[] = {1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 1 / (1 - 0.9f * 0.9f),
                      1 / (1 - 0.95f * 0.95f), 0.5f};
    std::copy(std::begin(values), std::end(values), hyper.data());
  }

  int64_t rows, columns, paddedRows, padded, size;
  Buffer<float> master, m, v, g, hyper;

  std::vector<void *> args(void *packed) {
    return {master.data(), m.data(), v.data(), g.data(), packed, hyper.data()};
  }
  std::vector<int64_t> dims() const {
    return {paddedRows, 0, 0, 0, 0, 0, 0, 0};
  }
};

/// A copy of an array.
std::vector<float> copyOf(const Buffer<float> &buffer) {
  return std::vector<float>(buffer.data(), buffer.data() + buffer.size());
}

/// Checks the step against f64.
void checkStep(const WeightMemory &w, const std::vector<float> &master,
               const std::vector<float> &m, const std::vector<float> &v) {
  double lr = w.hyper[0], b1 = w.hyper[1], b2 = w.hyper[2], eps = w.hyper[3];
  double decay = w.hyper[4], c1 = w.hyper[5], c2 = w.hyper[6];
  for (int64_t i = 0; i < w.size; ++i) {
    double g = double(w.g[i]) * w.hyper[7];
    double mi = b1 * m[i] + (1 - b1) * g;
    double vi = b2 * v[i] + (1 - b2) * g * g;
    double p = master[i] * (1 - lr * decay);
    p -= lr * c1 * mi / (std::sqrt(vi * c2) + eps);
    ASSERT_NEAR(w.m[i], mi, std::fabs(mi) * 4e-7 + 1e-9) << i;
    ASSERT_NEAR(w.v[i], vi, vi * 1e-6) << i;
    ASSERT_NEAR(w.master[i], p, std::fabs(p) * 6e-8 + 2e-9) << i;
  }
}

std::string makeSource(int64_t rows, int64_t columns, StringRef element,
                       StringRef layout) {
  std::string shape = std::to_string(rows) + "x" + std::to_string(columns);
  std::string master = "tensor<" + shape + "xf32>";
  std::string packed = "tensor<" + shape + "x" + element.str() + ">";
  return "func.func @f(%p: " + master + ", %w: " + packed +
         ", %h: tensor<16xf32>, %s: tensor<?xf32>) {\n"
         "  ds.kernel.square_sum @sum %p into %s : " + master +
         ", tensor<?xf32>\n  ds.kernel.adamw @adamw %p, %p, %p, %p, %w, %h "
         "layout " + layout.str() + " : " + master + ", " + master + ", " +
         master + ", " + master + ", " + packed +
         ", tensor<16xf32>\n  return\n}\n";
}
} // namespace

class UpdateTest : public testing::TestWithParam<Variant> {
protected:
  /// `index` gives the packed element (n, k), of which there are `size`.
  template <typename T>
  void checkMatrix(int64_t rows, int64_t columns, StringRef element,
                   StringRef layout, int64_t size,
                   function_ref<int64_t(int64_t, int64_t)> index) {
    SCOPED_TRACE(testing::Message() << layout.str() << " " << rows << " x "
                                    << columns);
    KernelRunner runner(makeSource(rows, columns, element, layout), GetParam(),
                        emitKernel);
    WeightMemory w(rows, columns), other(rows, columns);
    std::vector<float> master = copyOf(w.master), m = copyOf(w.m),
                       v = copyOf(w.v);
    Buffer<T> packed(size + 1), again(size + 1);
    runner.run("adamw", w.args(packed.data()), w.dims());
    runner.run("adamw", other.args(again.data()), w.dims(), 3);
    checkStep(w, master, m, v);
    EXPECT_EQ(memcmp(w.master.data(), other.master.data(), w.size * 4), 0);
    EXPECT_EQ(memcmp(packed.data(), again.data(), (size + 1) * sizeof(T)), 0);
    bool isRaw = layout == "raw";
    std::vector<bool> written(size);
    for (int64_t n = 0; n < (isRaw ? rows : w.paddedRows); ++n)
      for (int64_t k = 0; k < (isRaw ? columns : w.padded); ++k) {
        T want;
        float p = w.master[n * w.padded + k];
        if constexpr (sizeof(T) == 2)
          want = toBf16(p);
        else
          want = p;
        ASSERT_EQ(packed[index(n, k)], want) << n << " " << k;
        written[index(n, k)] = true;
      }
    EXPECT_EQ(std::count(written.begin(), written.end(), false), 0);
    T untouched;
    memset(&untouched, 0xff, sizeof(T));
    EXPECT_EQ(memcmp(&packed[size], &untouched, sizeof(T)), 0);
  }
};

TEST_P(UpdateTest, EveryLayoutOfAMatrix) {
  for (std::pair<int64_t, int64_t> shape :
       {std::pair<int64_t, int64_t>{45, 74}, {64, 64}, {33, 1100}, {20, 512}}) {
    int64_t rows = shape.first, columns = shape.second;
    int64_t padded = llvm::alignTo(columns, 32);
    int64_t all = llvm::alignTo(rows, 32) * padded;
    auto panelBf16 = [&](int64_t n, int64_t k) {
      return (n / 32 * (padded / 32) + k / 32) * 1024 + n % 32 / 16 * 512 +
             k % 32 / 2 * 32 + n % 16 * 2 + k % 2;
    };
    auto panelF32 = [&](int64_t n, int64_t k) {
      return (n / 32 * padded + k) * 32 + n % 32;
    };
    auto raw = [&](int64_t n, int64_t k) { return n * columns + k; };
    checkMatrix<uint16_t>(rows, columns, "bf16", "panel_bf16", all, panelBf16);
    checkMatrix<float>(rows, columns, "f32", "panel_f32", all, panelF32);
    checkMatrix<uint16_t>(rows, columns, "bf16", "raw", rows * columns, raw);
    checkMatrix<float>(rows, columns, "f32", "raw", rows * columns, raw);
  }
}

TEST_P(UpdateTest, Vectors) {
  for (int64_t length : {16, 576, 1024, 2600}) {
    std::string n = std::to_string(length - 3), t = "tensor<" + n + "xf32>";
    KernelRunner runner(
        "func.func @f(%p: " + t + ", %w: tensor<" + n +
            "xbf16>, %h: tensor<16xf32>, %s: tensor<?xf32>) {\n"
            "  ds.kernel.square_sum @sum %p into %s : " + t +
            ", tensor<?xf32>\n  ds.kernel.adamw @packed %p, %p, %p, %p, %p, "
            "%h layout vector_f32 : " + t + ", " + t + ", " + t + ", " + t +
            ", " + t + ", tensor<16xf32>\n  ds.kernel.adamw @raw %p, %p, %p, "
            "%p, %w, %h layout raw : " + t + ", " + t + ", " + t + ", " + t +
            ", tensor<" + n + "xbf16>, tensor<16xf32>\n  return\n}\n",
        GetParam(), emitKernel);
    // The memory of a vector is that of a matrix of one row.
    WeightMemory w(1, length - 3), other(1, length - 3);
    std::vector<float> master = copyOf(w.master), m = copyOf(w.m),
                       v = copyOf(w.v);
    int64_t padded = llvm::alignTo(length - 3, 16);
    std::vector<int64_t> dims = {padded, 0, 0, 0, 0, 0, 0, 0};
    Buffer<float> packed(padded + 1), sums(4);
    Buffer<uint16_t> raw(length - 3 + 1);
    runner.run("packed", w.args(packed.data()), dims, 2);
    runner.run("raw", other.args(raw.data()), dims, 2);
    runner.run("sum", {w.g.data(), sums.data()}, dims, 2);
    for (int64_t i = 0; i < padded; ++i)
      ASSERT_EQ(packed[i], w.master[i]);
    for (int64_t i = 0; i < length - 3; ++i)
      ASSERT_EQ(raw[i], toBf16(w.master[i]));
    EXPECT_EQ(raw[length - 3], 0xffff);
    w.size = padded;
    checkStep(w, master, m, v);
    for (int64_t tile = 0; tile < (padded + 1023) / 1024; ++tile) {
      double want = 0;
      for (int64_t i = tile * 1024; i < std::min(padded, (tile + 1) * 1024);
           ++i)
        want += double(w.g[i]) * w.g[i];
      ASSERT_NEAR(sums[tile], want, want * 1e-6);
    }
  }
}

TEST_P(UpdateTest, SquareSumOfRows) {
  int64_t rows = 100, columns = 74;
  KernelRunner runner(makeSource(rows, columns, "bf16", "panel_bf16"),
                      GetParam(), emitKernel);
  WeightMemory w(rows, columns);
  Buffer<float> sums(5), again(5);
  runner.run("sum", {w.g.data(), sums.data()}, w.dims());
  runner.run("sum", {w.g.data(), again.data()}, w.dims(), 2);
  EXPECT_EQ(memcmp(sums.data(), again.data(), 5 * 4), 0);
  for (int64_t tile = 0; tile < 4; ++tile) {
    double want = 0;
    for (int64_t i = tile * 32 * w.padded; i < (tile + 1) * 32 * w.padded; ++i)
      want += double(w.g[i]) * w.g[i];
    ASSERT_NEAR(sums[tile], want, want * 1e-6);
  }
  EXPECT_TRUE(std::isnan(sums[4]));
}

TEST_P(UpdateTest, SameBitsAsTheFirstVariant) {
  auto compute = [&](Variant which) {
    KernelRunner runner(makeSource(45, 74, "f32", "panel_f32"), which,
                        emitKernel);
    WeightMemory w(45, 74);
    Buffer<float> packed(w.size);
    runner.run("adamw", w.args(packed.data()), w.dims());
    return copyOf(packed);
  };
  std::vector<float> a = compute(getRunnableVariants().front());
  std::vector<float> b = compute(GetParam());
  EXPECT_EQ(memcmp(a.data(), b.data(), a.size() * 4), 0);
}

TEST_P(UpdateTest, NothingMovesWithoutAGradient) {
  KernelRunner runner(makeSource(32, 64, "bf16", "panel_bf16"), GetParam(),
                      emitKernel);
  WeightMemory w(32, 64);
  for (int64_t i = 0; i < w.size; ++i)
    w.m[i] = w.v[i] = w.g[i] = 0;
  w.hyper[4] = 0; // No decay.
  std::vector<float> master = copyOf(w.master);
  Buffer<uint16_t> packed(w.size);
  runner.run("adamw", w.args(packed.data()), w.dims());
  EXPECT_EQ(memcmp(master.data(), w.master.data(), w.size * 4), 0);
}

INSTANTIATE_TEST_SUITE_P(Variants, UpdateTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
