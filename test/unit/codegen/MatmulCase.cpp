//===- MatmulCase.cpp - A matmul kernel and its operands -------------------===//
#include "MatmulCase.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

static void setValue(uint16_t &to, float value) { to = toBf16(value); }
static void setValue(float &to, float value) { to = value; }

template <typename T>
Buffer<T> ds::cpu::packPanels(const std::vector<float> &weight, int64_t n,
                              int64_t k, bool paired) {
  int64_t rows = paired ? n / 2 : n;
  int64_t panels = paired ? (rows + 15) / 16 : (n + 31) / 32;
  int64_t depth = (k + 31) / 32 * 32;
  Buffer<T> result(panels * 32 * depth);
  for (int64_t p = 0; p < panels; ++p)
    for (int64_t j = 0; j < 32; ++j)
      for (int64_t d = 0; d < depth; ++d) {
        int64_t row = paired ? p * 16 + j % 16 : p * 32 + j;
        bool inside = row < rows && d < k;
        if (paired && j >= 16)
          row += rows;
        int64_t at = p * 32 * depth;
        if (sizeof(T) == 4)
          at += d * 32 + j;
        else
          at += d / 32 * 1024 + j / 16 * 512 + d % 32 / 2 * 32 + j % 16 * 2 +
                d % 2;
        setValue(result[at], inside ? weight[row * k + d] : 0.0f);
      }
  return result;
}

template Buffer<uint16_t>
ds::cpu::packPanels(const std::vector<float> &, int64_t, int64_t, bool);
template Buffer<float> ds::cpu::packPanels(const std::vector<float> &, int64_t,
                                           int64_t, bool);

std::vector<float> ds::cpu::makeRandom(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-1.0f, 1.0f);
  std::vector<float> result(count);
  for (float &value : result)
    value = fromBf16(toBf16(values(random)));
  return result;
}

template <typename T>
Buffer<T> ds::cpu::copyTo(const std::vector<float> &values, int64_t padded) {
  auto count = static_cast<int64_t>(values.size());
  Buffer<T> result(std::max(count, padded));
  for (int64_t i = 0; i < count; ++i)
    setValue(result[i], values[i]);
  for (int64_t i = count; i < padded; ++i)
    setValue(result[i], 0);
  return result;
}

template Buffer<uint16_t> ds::cpu::copyTo(const std::vector<float> &, int64_t);
template Buffer<float> ds::cpu::copyTo(const std::vector<float> &, int64_t);

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

static std::string getRegion(MatmulCase::Form form) {
  switch (form) {
  case MatmulCase::kPair:
    return "^bb0(%g: f32, %u: f32):\n"
           "  %zero = arith.constant 0.0 : f32\n"
           "  %one = arith.constant 1.0 : f32\n"
           "  %n = arith.subf %zero, %g : f32\n"
           "  %e = math.exp %n : f32\n"
           "  %d = arith.addf %one, %e : f32\n"
           "  %q = arith.divf %g, %d : f32\n"
           "  %r = arith.mulf %q, %u : f32\n";
  case MatmulCase::kExtras:
    return "^bb0(%v: f32, %c: f32, %e: f32):\n"
           "  %t = arith.addf %v, %c : f32\n"
           "  %r = arith.addf %t, %e : f32\n";
  case MatmulCase::kPlain:
  case MatmulCase::kGathered:
    return "^bb0(%r: f32):\n";
  }
  return "";
}

static std::string makeSource(int64_t n, int64_t k, StringRef a, StringRef w,
                              MatmulCase::Form form) {
  std::string N = std::to_string(n), K = std::to_string(k);
  std::string rows = std::to_string(form == MatmulCase::kPair ? 2 * n : n);
  std::string aType = "tensor<?x" + K + "x" + a.str() + ">";
  std::string wType = "tensor<" + rows + "x" + K + "x" + w.str() + ">";
  std::string result = "tensor<?x" + N + "xf32>";
  std::string bias = "tensor<" + N + "xf32>";
  std::string text = "func.func @f(%a: " + aType + ", %w: " + wType +
                     ", %b: " + bias + ", %x: " + result + ", %s: !ds.seq) {\n"
                     "%y = ds.kernel.matmul @matmul %a, %w ";
  if (form == MatmulCase::kExtras)
    text += "extras(%b, %x : " + bias + ", " + result + ") ";
  if (form == MatmulCase::kGathered)
    text += "rows %s ";
  if (form == MatmulCase::kPair)
    text += "pair ";
  return text + ": (" + aType + ", " + wType + ") -> " + result + " {\n" +
         getRegion(form) + "  ds.yield %r : f32\n}\nreturn\n}\n";
}

std::string ds::cpu::makeMatmul(int64_t n, int64_t k, StringRef a, StringRef w,
                                bool transposed) {
  std::string N = std::to_string(n), K = std::to_string(k);
  std::string aType =
      "tensor<?x" + (transposed ? N : K) + "x" + a.str() + ">";
  std::string wType = "tensor<" + N + "x" + K + "x" + w.str() + ">";
  std::string result = "tensor<?x" + (transposed ? K : N) + "xf32>";
  return "func.func @f(%a: " + aType + ", %w: " + wType +
         ") {\n%y = ds.kernel.matmul @matmul %a, %w " +
         (transposed ? "transposed " : "") + ": (" + aType + ", " + wType +
         ") -> " + result +
         " {\n^bb0(%r: f32):\n  ds.yield %r : f32\n}\nreturn\n}\n";
}

static void emitBoth(Operation *op, ModuleOp module, const Isa &isa,
                     KernelLimits &limits) {
  emitMatmul(cast<KernelMatmulOp>(op), module, isa, limits);
}

MatmulCase::MatmulCase(Variant variant, int64_t n, int64_t k, StringRef a,
                       StringRef w, Form form)
    : n(n), k(k), aIsBf16(a == "bf16"), wIsBf16(w == "bf16"), form(form),
      runner(makeSource(n, k, a, w, form), variant, emitBoth),
      weight(makeRandom(outputs() * k, 1)), bias(makeRandom(n, 2)),
      packedBf16(packPanels<uint16_t>(weight, outputs(), k, form == kPair)),
      aBf16(0), packedF32(packPanels<float>(weight, outputs(), k,
                                            form == kPair)),
      aF32(0), biasF32(copyTo<float>(bias, (n + 15) / 16 * 16)),
      residualF32(0) {}

void MatmulCase::setRows(int64_t rows) {
  held = rows;
  a = makeRandom(rows * k, 3);
  aBf16 = copyTo<uint16_t>(a);
  aF32 = copyTo<float>(a);
  residual = makeRandom(rows * n, 4);
  residualF32 = copyTo<float>(residual);
  outRows.clear();
  for (int64_t r = 0; r < rows; ++r)
    outRows.push_back(static_cast<int32_t>((r * 7 + 3) % rows));
}

std::vector<float> MatmulCase::run(int64_t rows, StringRef suffix,
                                   int threads) {
  if (held < rows)
    setRows(rows);
  // Rows after the last stay as they were.
  Buffer<float> result((rows + 1) * n);
  void *seq[9] = {};
  seq[7] = outRows.data();
  SmallVector<void *> args = {
      aIsBf16 ? static_cast<void *>(aBf16.data()) : aF32.data(),
      wIsBf16 ? static_cast<void *>(packedBf16.data()) : packedF32.data()};
  if (form == kExtras)
    args.append({biasF32.data(), residualF32.data()});
  if (form == kGathered)
    args.push_back(seq);
  args.push_back(result.data());
  SmallVector<int64_t> dims(8, 0);
  dims[form == kGathered ? kDimR : kDimT] = rows;
  runner.run(("matmul" + suffix).str(), args, dims, threads);
  for (int64_t i = rows * n; i < (rows + 1) * n; ++i)
    EXPECT_TRUE(std::isnan(result[i])) << "write beyond the last row";
  return std::vector<float>(result.data(), result.data() + rows * n);
}

//===----------------------------------------------------------------------===//
// The reference
//===----------------------------------------------------------------------===//

double MatmulCase::sum(int64_t row, int64_t output) {
  if (form == kGathered)
    row = outRows[row];
  double result = 0;
  for (int64_t d = 0; d < k; ++d)
    result += double(a[row * k + d]) * weight[output * k + d];
  return result;
}

double MatmulCase::expected(int64_t row, int64_t column) {
  double value = sum(row, column);
  if (form == kPair)
    value = value / (1 + std::exp(-value)) * sum(row, n + column);
  if (form == kExtras)
    value += bias[column] + residual[row * n + column];
  return value;
}

void MatmulCase::check(int64_t rows, StringRef suffix) {
  std::vector<float> result = run(rows, suffix);
  double tolerance = 2e-6 * std::sqrt(static_cast<double>(k)) + 2e-6;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < n; ++c) {
      double want = expected(r, c);
      ASSERT_NEAR(result[r * n + c], want, tolerance * (1 + std::abs(want)))
          << "row " << r << " of " << rows << ", column " << c << ", n " << n
          << ", k " << k << suffix.str();
    }
}
