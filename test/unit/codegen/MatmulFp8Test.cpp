//===- MatmulFp8Test.cpp - Products with FP8 weights
//-----------------------===//
//
// A product with an FP8 weight has the bits of the product with what it
// decodes to: e4m3 x scale in f32, rounded to bf16 where that is multiplied.
// Scales belong to rows of tensors that are concatenated, so blocks of 128 are
// cut wherever a tensor begins.
//
//===----------------------------------------------------------------------===//
#include "MatmulCase.h"
#include "codegen/cpu/Matmul.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

/// Rows around the sizes of tiles, of register blocks, and of those that decode
/// while they multiply.
static constexpr int64_t kRows[] = {1, 2, 3, 4, 5, 16, 17, 100};

/// The value of an e4m3 code.
static float decode(uint8_t code) {
  int exponent = (code >> 3) & 15, mantissa = code & 7;
  float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                  : std::ldexp(8.0f + mantissa, exponent - 10);
  if ((code & 0x7f) == 0x7f)
    magnitude = NAN;
  return code & 0x80 ? -magnitude : magnitude;
}

namespace {
/// A weight [n, k] whose first `cut` rows are one tensor and the others
/// another, each with scales of 128 x 128 blocks.
struct Fp8Weight {
  int64_t n, k, cut;
  std::vector<uint8_t> codes;
  std::vector<float> scales; ///< [blocks of the first, of the second][k / 128]

  Fp8Weight(int64_t n, int64_t k, int64_t cut) : n(n), k(k), cut(cut) {
    std::mt19937 random(1);
    codes.resize(n * k);
    for (uint8_t &code : codes) // All but NaN.
      do
        code = static_cast<uint8_t>(random());
      while ((code & 0x7f) == 0x7f);
    scales.resize((blocks(cut) + blocks(n - cut)) * blocks(k));
    for (size_t i = 0; i < scales.size(); ++i)
      scales[i] = 0.0011f * static_cast<float>(1 + i * 7 % 13);
  }

  static int64_t blocks(int64_t size) { return (size + 127) / 128; }
  float scale(int64_t row, int64_t column) const {
    int64_t block = row < cut ? row / 128 : blocks(cut) + (row - cut) / 128;
    return scales[block * blocks(k) + column / 128];
  }
  float value(int64_t row, int64_t column, bool isF32) const {
    float value = decode(codes[row * k + column]) * scale(row, column);
    return isF32 ? value : fromBf16(toBf16(value));
  }
  std::vector<float> values(bool isF32) const {
    std::vector<float> result;
    for (int64_t row = 0; row < n; ++row)
      for (int64_t column = 0; column < k; ++column)
        result.push_back(value(row, column, isF32));
    return result;
  }
  Buffer<uint8_t> pack() const;
};
} // namespace

/// Packs as docs/artifact.md says, written down independently of the runtime.
Buffer<uint8_t> Fp8Weight::pack() const {
  int64_t panels = (n + 31) / 32, deep = (k + 31) / 32;
  int64_t panelBytes = deep * 1024 + blocks(k) * 128;
  Buffer<uint8_t> packed(panels * panelBytes);
  memset(packed.data(), 0, packed.size());
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < k; ++column) {
      int64_t group = row / 32 * panelBytes + column / 128 * (128 + 4 * 1024);
      float scaled = scale(row, column);
      memcpy(packed.data() + group + row % 32 * 4, &scaled, 4);
      int64_t pair = column % 128 / 2;
      packed[group + 128 + pair / 2 * 128 + row % 32 / 16 * 64 +
             row % 16 / 4 * 16 + pair % 2 * 8 + row % 4 * 2 + column % 2] =
          codes[row * k + column];
    }
  return packed;
}

namespace {
class MatmulFp8 : public testing::TestWithParam<Variant> {
protected:
  KernelRunner compile(StringRef text) {
    return KernelRunner(text, GetParam(), emitKernel);
  }
  void run(KernelRunner &runner, ArrayRef<void *> args, int64_t rows) {
    SmallVector<int64_t> dims(8, 0);
    dims[kDimT] = rows;
    runner.run(rows <= kSmallRows ? "matmul_m16" : "matmul", args, dims,
               /*threads=*/2);
  }

  /// Compares a product of `text(element of the weight)` with FP8 and with what
  /// it decodes to. `inputs` and `outputs` are columns of both sides.
  template <typename T>
  void compare(const Fp8Weight &weight, int64_t inputs, int64_t outputs,
               function_ref<std::string(StringRef)> text) {
    constexpr bool isF32 = sizeof(T) == 4;
    KernelRunner fp8 = compile(text("f8E4M3FN"));
    KernelRunner wide = compile(text(isF32 ? "f32" : "bf16"));
    Buffer<uint8_t> packed = weight.pack();
    Buffer<T> decoded =
        packPanels<T>(weight.values(isF32), weight.n, weight.k, false);
    for (int64_t rows : kRows) {
      Buffer<T> left = copyTo<T>(makeRandom(rows * inputs, 2));
      Buffer<float> result(rows * outputs), expected(rows * outputs);
      run(fp8, {left.data(), packed.data(), result.data()}, rows);
      run(wide, {left.data(), decoded.data(), expected.data()}, rows);
      for (int64_t i = 0; i < rows * outputs; ++i)
        ASSERT_EQ(result[i], expected[i])
            << (isF32 ? "f32" : "bf16") << " row " << i / outputs << " of "
            << rows << ", column " << i % outputs << " of " << weight.n << " x "
            << weight.k;
    }
  }
};

struct Shape {
  int64_t n, k, cut;
};
} // namespace

INSTANTIATE_TEST_SUITE_P(Variants, MatmulFp8,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const testing::TestParamInfo<Variant> &info) {
                           return getIsa(info.param).name.str();
                         });

/// Tensors that begin at multiples of 16 and not; sums that are cut into
/// blocks.
static constexpr Shape kShapes[] = {{170, 291, 136}, {96, 2200, 16}};
static constexpr Shape kTransposed[] = {{170, 291, 136}, {301, 160, 144}};

TEST_P(MatmulFp8, IsTheProductWithWhatItDecodesTo) {
  for (const Shape &shape : kShapes) {
    Fp8Weight weight(shape.n, shape.k, shape.cut);
    compare<uint16_t>(weight, shape.k, shape.n, [&](StringRef element) {
      return makeMatmul(shape.n, shape.k, "bf16", element);
    });
    compare<float>(weight, shape.k, shape.n, [&](StringRef element) {
      return makeMatmul(shape.n, shape.k, "f32", element);
    });
  }
}

TEST_P(MatmulFp8, Transposed) {
  for (const Shape &shape : kTransposed) {
    Fp8Weight weight(shape.n, shape.k, shape.cut);
    compare<uint16_t>(weight, shape.n, shape.k, [&](StringRef element) {
      return makeMatmul(shape.n, shape.k, "bf16", element, true);
    });
    compare<float>(weight, shape.n, shape.k, [&](StringRef element) {
      return makeMatmul(shape.n, shape.k, "f32", element, true);
    });
  }
}

/// A product of 3 heads with 64 of each 96 rows of a weight [288, 136].
static std::string makeHeads(StringRef left, StringRef element,
                             bool transposed) {
  std::string in = transposed ? "192" : "408", out = transposed ? "408" : "192";
  std::string a = "tensor<?x" + in + "x" + left.str() + ">";
  std::string w = "tensor<288x136x" + element.str() + ">";
  std::string heads =
      transposed
          ? "inputStride = 64, weightBegin = 32, weightStride = 96, rows = 64, "
            "resultStride = 136"
          : "inputStride = 136, weightBegin = 32, weightStride = 96, "
            "rows = 64, resultStride = 64";
  return "func.func @f(%a: " + a + ", %w: " + w +
         ") {\n%y = ds.kernel.matmul @matmul %a, %w " +
         (transposed ? "transposed " : "") +
         "heads <count = 3, inputBegin = 0, " + heads + "> : (" + a + ", " + w +
         ") -> tensor<?x" + out + "xf32> {\n^bb0(%s: f32):\n" +
         "ds.yield %s : f32\n}\nreturn\n}\n";
}

TEST_P(MatmulFp8, Heads) {
  Fp8Weight weight(288, 136, 288);
  for (bool transposed : {false, true}) {
    int64_t in = transposed ? 192 : 408, out = transposed ? 408 : 192;
    compare<uint16_t>(weight, in, out, [&](StringRef element) {
      return makeHeads("bf16", element, transposed);
    });
    compare<float>(weight, in, out, [&](StringRef element) {
      return makeHeads("f32", element, transposed);
    });
  }
}

TEST_P(MatmulFp8, NaNStaysOne) {
  Fp8Weight weight(64, 160, 40);
  weight.codes[5 * weight.k + 140] = 0x7f;
  weight.codes[50 * weight.k + 3] = 0xff;
  Buffer<uint8_t> packed = weight.pack();
  KernelRunner runner = compile(makeMatmul(64, 160, "bf16", "f8E4M3FN"));
  for (int64_t rows : kRows) {
    Buffer<uint16_t> left = copyTo<uint16_t>(makeRandom(rows * 160, 2));
    Buffer<float> result(rows * 64);
    run(runner, {left.data(), packed.data(), result.data()}, rows);
    for (int64_t i = 0; i < rows * 64; ++i)
      ASSERT_EQ(std::isnan(result[i]), i % 64 == 5 || i % 64 == 50)
          << "row " << i / 64 << " of " << rows << ", column " << i % 64;
  }
}
