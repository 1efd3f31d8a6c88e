//===- MatmulFormsTest.cpp - Other operands of the same product
//------------===//
//
// From the description of a linear layer: the gradients of its input, from the
// packing that the forward product reads, and of its weight.
//
//===----------------------------------------------------------------------===//
#include "MatmulCase.h"
#include "codegen/cpu/Matmul.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

/// Rows around the sizes of tiles and register blocks.
static constexpr int64_t kRows[] = {1, 3, 16, 17, 48, 100};

namespace {
class MatmulForms : public testing::TestWithParam<Variant> {
protected:
  /// Compiles the kernel of a module.
  void compile(StringRef source) {
    runner = std::make_unique<KernelRunner>(source, GetParam(), emitKernel);
  }

  void run(StringRef suffix, ArrayRef<void *> args, int64_t rows) {
    SmallVector<int64_t> dims(8, 0);
    dims[kDimT] = rows;
    runner->run(("matmul" + suffix).str(), args, dims, /*threads=*/2);
  }

  std::unique_ptr<KernelRunner> runner;
};
} // namespace

INSTANTIATE_TEST_SUITE_P(Variants, MatmulForms,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const testing::TestParamInfo<Variant> &info) {
                           return getIsa(info.param).name.str();
                         });

/// Compares [rows, columns] with `sum(row, column)` of `depth` products.
static void expectSums(const Buffer<float> &result, int64_t rows,
                       int64_t columns, int64_t depth,
                       std::function<double(int64_t, int64_t)> sum) {
  double tolerance = 2e-6 * std::sqrt(static_cast<double>(depth)) + 2e-6;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      double want = sum(r, c);
      ASSERT_NEAR(result[r * columns + c], want,
                  tolerance * (1 + std::abs(want)))
          << "row " << r << " of " << rows << ", column " << c;
    }
}

template <typename T>
static void checkInputGradient(
    int64_t rows, int64_t n, int64_t k, const std::vector<float> &weight,
    Buffer<T> &packed,
    function_ref<void(StringRef, ArrayRef<void *>, int64_t)> run) {
  std::vector<float> dy = makeRandom(rows * n, 2);
  Buffer<T> left = copyTo<T>(dy);
  Buffer<float> result(rows * k);
  run(rows <= kSmallRows ? "_m16" : "",
      {left.data(), packed.data(), result.data()}, rows);
  expectSums(result, rows, k, n, [&](int64_t r, int64_t c) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i)
      sum += double(dy[r * n + i]) * weight[i * k + c];
    return sum;
  });
}

TEST_P(MatmulForms, GradientOfInputReadsTheForwardPacking) {
  struct Shape {
    int64_t n, k;
  };
  auto launch = [&](StringRef suffix, ArrayRef<void *> args, int64_t rows) {
    run(suffix, args, rows);
  };
  for (Shape shape : {Shape{64, 96}, {37, 51}, {601, 33}}) {
    int64_t n = shape.n, k = shape.k;
    std::vector<float> weight = makeRandom(n * k, 1);
    Buffer<uint16_t> narrow = packPanels<uint16_t>(weight, n, k, false);
    Buffer<float> wide = packPanels<float>(weight, n, k, false);
    compile(makeMatmul(n, k, "bf16", "bf16", /*transposed=*/true));
    for (int64_t rows : kRows)
      checkInputGradient(rows, n, k, weight, narrow, launch);
    compile(makeMatmul(n, k, "f32", "f32", /*transposed=*/true));
    for (int64_t rows : kRows)
      checkInputGradient(rows, n, k, weight, wide, launch);
  }
}

/// The text of a module that adds dy^T x to a gradient [n, k].
static std::string makeOuter(int64_t n, int64_t k, StringRef element) {
  std::string N = std::to_string(n), K = std::to_string(k);
  std::string dy = "tensor<?x" + N + "x" + element.str() + ">";
  std::string x = "tensor<?x" + K + "x" + element.str() + ">";
  std::string g = "tensor<" + N + "x" + K + "xf32>";
  return "func.func @f(%dy: " + dy + ", %x: " + x + ", %g: " + g +
         ") {\nds.kernel.outer @matmul %dy, %x into %g : " + dy + ", " + x +
         ", " + g + "\nreturn\n}\n";
}

template <typename T>
static void checkWeightGradient(
    int64_t tokens, int64_t n, int64_t k,
    function_ref<void(StringRef, ArrayRef<void *>, int64_t)> run) {
  std::vector<float> dy = makeRandom(tokens * n, 1);
  std::vector<float> x = makeRandom(tokens * k, 2);
  Buffer<T> left = copyTo<T>(dy);
  Buffer<T> right = copyTo<T>(x);
  int64_t pitch = (k + 31) / 32 * 32;
  std::vector<float> before = makeRandom((n + 31) / 32 * 32 * pitch, 3);
  Buffer<float> gradient = copyTo<float>(before), result(n * k);
  run("", {left.data(), right.data(), gradient.data()}, tokens);
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = 0; c < k; ++c)
      result[r * k + c] = gradient[r * pitch + c];
  expectSums(result, n, k, tokens, [&](int64_t r, int64_t c) {
    double sum = before[r * pitch + c];
    for (int64_t t = 0; t < tokens; ++t)
      sum += double(dy[t * n + r]) * x[t * k + c];
    return sum;
  });
}

TEST_P(MatmulForms, GradientOfWeightIsAddedTo) {
  struct Shape {
    int64_t n, k;
  };
  auto launch = [&](StringRef suffix, ArrayRef<void *> args, int64_t rows) {
    run(suffix, args, rows);
  };
  for (Shape shape : {Shape{64, 96}, {37, 51}, {151, 33}}) {
    compile(makeOuter(shape.n, shape.k, "bf16"));
    for (int64_t tokens : {1, 3, 16, 17, 48, 100, 301})
      checkWeightGradient<uint16_t>(tokens, shape.n, shape.k, launch);
    compile(makeOuter(shape.n, shape.k, "f32"));
    for (int64_t tokens : {1, 3, 16, 17, 48, 100, 301})
      checkWeightGradient<float>(tokens, shape.n, shape.k, launch);
  }
}

//===----------------------------------------------------------------------===//
// Heads
//===----------------------------------------------------------------------===//

/// Products of three heads: of columns [7 + 40 h, ...) of a matrix of 130 by
/// rows [32 + 96 h, ...) of a weight [288, k], to columns [stride h, ...).
struct HeadsCase {
  static constexpr int64_t kHeads = 3, kBegin = 7, kStride = 40;
  static constexpr int64_t kColumns = 130, kRowBegin = 32, kRowStride = 96;
  static constexpr int64_t kWeightRows = 288;
  int64_t rows, k; ///< Of a head's product.

  std::string attribute(int64_t stride) const {
    return "heads <count = 3, inputBegin = 7, inputStride = 40, weightBegin = "
           "32, weightStride = 96, rows = " +
           std::to_string(rows) + ", resultStride = " + std::to_string(stride) +
           "> ";
  }
};

static std::string makeType(StringRef rows, int64_t columns, StringRef e) {
  return ("tensor<" + rows + "x" + Twine(columns) + "x" + e + ">").str();
}

/// The module of a product by the weight, or by its transpose.
static std::string makeHeads(const HeadsCase &c, int64_t stride, StringRef e,
                             bool transposed) {
  std::string a = makeType("?", HeadsCase::kColumns, e);
  std::string w = makeType(std::to_string(HeadsCase::kWeightRows), c.k, e);
  int64_t last = transposed ? c.k : c.rows;
  std::string y = makeType("?", (HeadsCase::kHeads - 1) * stride + last, "f32");
  return "func.func @f(%a: " + a + ", %w: " + w +
         ") {\n%y = ds.kernel.matmul @matmul %a, %w " +
         (transposed ? "transposed " : "") + c.attribute(stride) + ": (" + a +
         ", " + w + ") -> " + y +
         " {\n^bb0(%r: f32):\n  ds.yield %r : f32\n}\nreturn\n}\n";
}

template <typename T>
static void
checkHeads(const HeadsCase &c, int64_t tokens, int64_t stride, bool transposed,
           function_ref<void(StringRef, ArrayRef<void *>, int64_t)> run) {
  using H = HeadsCase;
  int64_t outputs = transposed ? c.k : c.rows;
  int64_t depth = transposed ? c.rows : c.k;
  std::vector<float> weight = makeRandom(H::kWeightRows * c.k, 1);
  std::vector<float> a = makeRandom(tokens * H::kColumns, 2);
  Buffer<T> packed = packPanels<T>(weight, H::kWeightRows, c.k, false);
  Buffer<T> left = copyTo<T>(a);
  int64_t width = (H::kHeads - 1) * stride + outputs;
  Buffer<float> result(tokens * width), compact(tokens * H::kHeads * outputs);
  run(tokens <= kSmallRows ? "_m16" : "",
      {left.data(), packed.data(), result.data()}, tokens);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < H::kHeads * outputs; ++i)
      compact[t * H::kHeads * outputs + i] =
          result[t * width + i / outputs * stride + i % outputs];
  expectSums(compact, tokens, H::kHeads * outputs, depth,
             [&](int64_t t, int64_t i) {
               int64_t h = i / outputs, c0 = H::kBegin + h * H::kStride;
               int64_t r0 = H::kRowBegin + h * H::kRowStride;
               double sum = 0;
               for (int64_t d = 0; d < depth; ++d) {
                 int64_t row = transposed ? d : i % outputs;
                 int64_t column = transposed ? i % outputs : d;
                 sum += double(a[t * H::kColumns + c0 + d]) *
                        weight[(r0 + row) * c.k + column];
               }
               return sum;
             });
}

TEST_P(MatmulForms, HeadsMeetRowsOfTheirOwn) {
  auto launch = [&](StringRef suffix, ArrayRef<void *> args, int64_t rows) {
    run(suffix, args, rows);
  };
  for (HeadsCase c : {HeadsCase{32, 32}, {26, 37}, {40, 33}, {17, 40}})
    for (bool transposed : {false, true}) {
      int64_t stride = (transposed ? c.k : c.rows) + 3;
      compile(makeHeads(c, stride, "bf16", transposed));
      for (int64_t tokens : kRows)
        checkHeads<uint16_t>(c, tokens, stride, transposed, launch);
      compile(makeHeads(c, stride, "f32", transposed));
      for (int64_t tokens : kRows)
        checkHeads<float>(c, tokens, stride, transposed, launch);
    }
}

/// The module that adds each head's dy^T x to rows of a gradient.
static std::string makeOuterHeads(const HeadsCase &c, int64_t stride,
                                  StringRef e) {
  std::string dy = makeType("?", HeadsCase::kColumns, e);
  std::string x = makeType("?", (HeadsCase::kHeads - 1) * stride + c.k, e);
  std::string g = makeType(std::to_string(HeadsCase::kWeightRows), c.k, "f32");
  return "func.func @f(%dy: " + dy + ", %x: " + x + ", %g: " + g +
         ") {\nds.kernel.outer @matmul %dy, %x into %g " + c.attribute(stride) +
         ": " + dy + ", " + x + ", " + g + "\nreturn\n}\n";
}

template <typename T>
static void
checkOuterHeads(const HeadsCase &c, int64_t tokens, int64_t stride,
                function_ref<void(StringRef, ArrayRef<void *>, int64_t)> run) {
  using H = HeadsCase;
  int64_t width = (H::kHeads - 1) * stride + c.k;
  int64_t pitch = (c.k + 31) / 32 * 32;
  std::vector<float> dy = makeRandom(tokens * H::kColumns, 1);
  std::vector<float> x = makeRandom(tokens * width, 2);
  std::vector<float> before = makeRandom(H::kWeightRows * pitch, 3);
  Buffer<T> left = copyTo<T>(dy), right = copyTo<T>(x);
  Buffer<float> gradient = copyTo<float>(before);
  Buffer<float> result(H::kWeightRows * c.k);
  run("", {left.data(), right.data(), gradient.data()}, tokens);
  for (int64_t i = 0; i < H::kWeightRows * c.k; ++i)
    result[i] = gradient[i / c.k * pitch + i % c.k];
  expectSums(result, H::kWeightRows, c.k, tokens, [&](int64_t r, int64_t i) {
    double sum = before[r * pitch + i];
    int64_t h = (r - H::kRowBegin) / H::kRowStride;
    int64_t row = (r - H::kRowBegin) % H::kRowStride;
    if (r < H::kRowBegin || h >= H::kHeads || row >= c.rows)
      return sum; // No head's.
    for (int64_t t = 0; t < tokens; ++t)
      sum += double(dy[t * H::kColumns + H::kBegin + h * H::kStride + row]) *
             x[t * width + h * stride + i];
    return sum;
  });
}

TEST_P(MatmulForms, HeadsAddToRowsOfTheirOwn) {
  auto launch = [&](StringRef suffix, ArrayRef<void *> args, int64_t rows) {
    run(suffix, args, rows);
  };
  for (HeadsCase c : {HeadsCase{32, 32}, {26, 37}, {40, 65}, {17, 16}}) {
    int64_t stride = c.k + 5;
    compile(makeOuterHeads(c, stride, "bf16"));
    for (int64_t tokens : {1, 3, 16, 17, 48, 100, 301})
      checkOuterHeads<uint16_t>(c, tokens, stride, launch);
    compile(makeOuterHeads(c, stride, "f32"));
    for (int64_t tokens : {1, 3, 16, 17, 48, 100, 301})
      checkOuterHeads<float>(c, tokens, stride, launch);
  }
}

TEST_P(MatmulForms, InputGradientsOfARowDoNotDependOnM) {
  int64_t n = 700, k = 65, most = 300;
  std::vector<float> weight = makeRandom(n * k, 1);
  Buffer<uint16_t> packed = packPanels<uint16_t>(weight, n, k, false);
  Buffer<uint16_t> left = copyTo<uint16_t>(makeRandom(most * n, 2));
  compile(makeMatmul(n, k, "bf16", "bf16", /*transposed=*/true));
  Buffer<float> all(most * k), some(most * k);
  run("", {left.data(), packed.data(), all.data()}, most);
  for (int64_t rows : kRows) {
    run(rows <= kSmallRows ? "_m16" : "",
        {left.data(), packed.data(), some.data()}, rows);
    ASSERT_EQ(0, memcmp(some.data(), all.data(), rows * k * 4)) << rows;
  }
}

/// Intel's definition of tdpbf16ps (Architecture Instruction Set Extensions,
/// TDPBF16PS): products of even and of odd k from +0, fused, then both sums to
/// each other, then to the accumulator, for each 32 k.
TEST(MatmulTiles, EmulationHasTheOrderOfTdpbf16ps) {
  if (getHostVariant() < Variant::Avx512Bf16)
    GTEST_SKIP() << "expects avx512bf16";
  int64_t rows = 19, n = 33, k = 300;
  std::vector<float> a = makeRandom(rows * k, 1), w = makeRandom(n * k, 2);
  Buffer<uint16_t> left = copyTo<uint16_t>(a);
  Buffer<uint16_t> packed = packPanels<uint16_t>(w, n, k, false);
  Buffer<float> result(rows * n);
  KernelRunner runner(makeMatmul(n, k, "bf16", "bf16"), Variant::AmxEmulated,
                      emitKernel);
  runner.run("matmul", {left.data(), packed.data(), result.data()},
             {rows, 0, 0, 0, 0, 0, 0, 0});
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < n; ++c) {
      float sum = 0;
      for (int64_t block = 0; block < k; block += 32) {
        float part[2] = {0, 0};
        for (int64_t d = block; d < std::min(k, block + 32); ++d)
          part[d % 2] = std::fmaf(a[r * k + d], w[c * k + d], part[d % 2]);
        sum += part[0] + part[1];
      }
      ASSERT_EQ(sum, result[r * n + c]) << "row " << r << ", column " << c;
    }
}
