//===- ConcatHeadsTest.cpp - Heads turned back and put side by side -------===//
#include "KernelRunner.h"
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
struct ConcatCase {
  int64_t queryHeads, keyHeads, dim, ropeDims;
  bool interleaved;
};

std::string makeSource(const ConcatCase &c, StringRef element) {
  std::string text;
  llvm::raw_string_ostream out(text);
  auto matrix = [&](int64_t columns, StringRef type) {
    return "tensor<?x" + std::to_string(columns) + "x" + type.str() + ">";
  };
  std::string q = matrix(c.queryHeads * c.dim, element);
  std::string k = matrix(c.keyHeads * c.dim, element);
  std::string row = matrix((c.queryHeads + 2 * c.keyHeads) * c.dim, element);
  std::string angles = matrix(c.ropeDims, "f32");
  auto part = [&](int64_t heads, StringRef rotate) {
    out << "#ds.heads_part<heads = " << heads << ", dim = " << c.dim
        << ", rotate = " << rotate << ">";
  };
  out << "func.func @f(%q: " << q << ", %k: " << k << ", %v: " << k
      << ", %a: " << angles << ") {\n  %y = ds.kernel.concat_heads @turn(%q, "
      << "%k, %v) angles(%a : " << angles << ") <"
      << (c.interleaved ? "interleaved" : "half_split")
      << ", dims = " << c.ropeDims << ", theta = 1.0e4 : f64> [";
  part(c.queryHeads, "true");
  out << ", ";
  part(c.keyHeads, "true");
  out << ", ";
  part(c.keyHeads, "false");
  out << "] : (" << q << ", " << k << ", " << k << ") -> " << row
      << "\n  %z = ds.kernel.concat_heads @plain(%k, %v, %q) [";
  part(c.keyHeads, "false");
  out << ", ";
  part(c.keyHeads, "false");
  out << ", ";
  part(c.queryHeads, "false");
  out << "] : (" << k << ", " << k << ", " << q << ") -> " << row
      << "\n  return\n}\n";
  return text;
}

/// Column `i` of a head turned back, in f32, before it is rounded.
float turnedBack(const ConcatCase &c, const float *head, const float *angles,
                 int64_t i) {
  if (i >= c.ropeDims)
    return head[i];
  int64_t half = c.ropeDims / 2;
  int64_t pair = c.interleaved ? i / 2 : i % half;
  bool second = c.interleaved ? i % 2 : i >= half;
  float x = head[c.interleaved ? 2 * pair : pair];
  float y = head[c.interleaved ? 2 * pair + 1 : pair + half];
  float cosine = angles[pair], sine = angles[half + pair];
  return second ? y * cosine - x * sine : x * cosine + y * sine;
}

template <typename T> T rounded(float value);
template <> uint16_t rounded(float value) { return toBf16(value); }
template <> float rounded(float value) { return value; }

template <typename T>
void runCase(const ConcatCase &c, Variant variant, StringRef element) {
  KernelRunner runner(makeSource(c, element), variant, emitKernel);
  int64_t rows = 19;
  int64_t widths[3] = {c.queryHeads * c.dim, c.keyHeads * c.dim,
                       c.keyHeads * c.dim};
  int64_t width = widths[0] + widths[1] + widths[2];
  Buffer<T> q(rows * widths[0]), k(rows * widths[1]), v(rows * widths[2]),
      y(rows * width + 1), z(rows * width + 1);
  Buffer<float> angles(rows * c.ropeDims);
  fillRandom(q, 1);
  fillRandom(k, 2);
  fillRandom(v, 3);
  fillRandom(angles, 4);
  std::vector<int64_t> dims = {rows, 1, 0, 0, 0, 0, 0, 0};
  runner.run("turn",
             {q.data(), k.data(), v.data(), angles.data(), y.data()}, dims, 2);
  runner.run("plain", {k.data(), v.data(), q.data(), z.data()}, dims, 2);
  const Buffer<T> *inputs[3] = {&q, &k, &v};
  for (int64_t t = 0; t < rows; ++t) {
    int64_t begin = 0, plain[3] = {widths[1] + widths[2], 0, widths[1]};
    for (int64_t p = 0; p < 3; begin += widths[p++]) {
      std::vector<float> row(widths[p]);
      for (int64_t i = 0; i < widths[p]; ++i)
        row[i] = getElement(*inputs[p], t * widths[p] + i);
      for (int64_t i = 0; i < widths[p]; ++i) {
        const float *head = row.data() + i / c.dim * c.dim;
        float want = p == 2 ? row[i]
                            : turnedBack(c, head,
                                         angles.data() + t * c.ropeDims,
                                         i % c.dim);
        ASSERT_EQ(y[t * width + begin + i], rounded<T>(want))
            << "token " << t << " part " << p << " column " << i;
        ASSERT_EQ(z[t * width + plain[p] + i],
                  (*inputs[p])[t * widths[p] + i]);
      }
    }
  }
}
} // namespace

class ConcatHeadsTest : public testing::TestWithParam<Variant> {};

static const ConcatCase kCases[] = {
    {3, 1, 64, 64, false}, {4, 2, 26, 26, false}, {4, 2, 26, 26, true},
    {2, 2, 48, 32, true},  {2, 1, 128, 96, false}, {2, 2, 13, 8, false},
};

TEST_P(ConcatHeadsTest, EveryCase) {
  for (const ConcatCase &c : kCases) {
    SCOPED_TRACE(testing::Message() << "dim " << c.dim << " rope "
                                    << c.ropeDims << " " << c.interleaved);
    runCase<uint16_t>(c, GetParam(), "bf16");
    runCase<float>(c, GetParam(), "f32");
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ConcatHeadsTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
