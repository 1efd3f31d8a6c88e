//===- MatmulCase.h - A matmul kernel and its operands ----------*- C++ -*-===//
#ifndef DS_TEST_UNIT_CODEGEN_MATMULCASE_H
#define DS_TEST_UNIT_CODEGEN_MATMULCASE_H
#include "KernelRunner.h"

namespace ds {
namespace cpu {

/// Packs [n, k] as docs/artifact.md says, written down independently of the
/// runtime. `paired`: rows are gate's, then up's. T is uint16_t or float.
template <typename T>
Buffer<T> packPanels(const std::vector<float> &weight, int64_t n, int64_t k,
                     bool paired);

/// Values in [-1, 1] that bf16 holds exactly.
std::vector<float> makeRandom(int64_t count, unsigned seed);
/// Copies to memory of uint16_t (bf16) or float; zeros up to `padded` elements.
template <typename T>
Buffer<T> copyTo(const std::vector<float> &values, int64_t padded = 0);

/// The text of a module with a matmul of a [?, k] and w [n, k], which yields
/// f32; with `transposed`, of a [?, n].
std::string makeMatmul(int64_t n, int64_t k, StringRef a, StringRef w,
                       bool transposed = false);

/// One kernel and random operands for it.
class MatmulCase {
public:
  enum Form { kPlain, kPair, kExtras, kGathered };

  /// `n` columns of the result; `a` and `w` are "bf16" or "f32".
  MatmulCase(Variant variant, int64_t n, int64_t k, StringRef a, StringRef w,
             Form form = kPlain);

  /// Makes `rows` rows of activations; `run` makes as many as it needs.
  void setRows(int64_t rows);
  /// Runs `matmul<suffix>` and returns the result.
  std::vector<float> run(int64_t rows, StringRef suffix, int threads = 0);
  /// Runs it and compares with sums in double.
  void check(int64_t rows, StringRef suffix);

private:
  int64_t n, k;
  bool aIsBf16, wIsBf16;
  Form form;
  KernelRunner runner;
  int64_t held = 0; ///< Rows of activations.
  std::vector<float> weight, a, bias, residual;
  std::vector<int32_t> outRows;
  Buffer<uint16_t> packedBf16, aBf16;
  Buffer<float> packedF32, aF32, biasF32, residualF32;

  int64_t outputs() const { return form == kPair ? 2 * n : n; }
  double expected(int64_t row, int64_t column);
  double sum(int64_t row, int64_t output);
};

} // namespace cpu
} // namespace ds
#endif
