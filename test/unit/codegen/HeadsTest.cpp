//===- HeadsTest.cpp - Rotation of heads and views of state ---------------===//
#include "StateImage.h"
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
/// Heads of a fused projection [queries, keys, values].
struct HeadsCase {
  int64_t queryHeads, keyHeads, dim, ropeDims;
  bool interleaved;
};

std::string makeSource(const HeadsCase &c, StringRef element) {
  int64_t keys = c.queryHeads * c.dim;
  int64_t values = keys + c.keyHeads * c.dim;
  std::string text;
  llvm::raw_string_ostream out(text);
  auto state = [&] {
    return "!ds.state<[" + std::to_string(c.keyHeads) + ", " +
           std::to_string(c.dim) + "], " + element.str() + ">";
  };
  auto segment = [&](int64_t begin, int64_t heads, StringRef rotate,
                     StringRef dest) {
    out << "#ds.segment<begin = " << begin << ", heads = " << heads
        << ", dim = " << c.dim << ", rotate = " << rotate
        << ", dest = " << dest << ">";
  };
  int64_t width = values + c.keyHeads * c.dim;
  out << "func.func @f(%x: tensor<?x" << width << "x" << element
      << ">, %a: tensor<?x" << c.ropeDims << "xf32>, %s: !ds.seq, %k: "
      << state() << ", %v: " << state() << ") {\n"
      << "  %q, %k1, %v1 = ds.kernel.heads @heads %x, %a, %s states(%k, %v) <"
      << (c.interleaved ? "interleaved" : "half_split")
      << ", dims = " << c.ropeDims << ", theta = 1.0e4 : f64> [";
  segment(0, c.queryHeads, "true", "result");
  out << ", ";
  segment(keys, c.keyHeads, "true", "key");
  out << ", ";
  segment(values, c.keyHeads, "false", "value");
  out << "] {resultSegmentSizes = array<i32: 1, 2>} : (tensor<?x" << width
      << "x" << element << ">, tensor<?x" << c.ropeDims << "xf32>, !ds.seq, " << state() << ", " << state()
      << ") -> (tensor<?x" << keys << "x" << element << ">, " << state()
      << ", " << state() << ")\n  return\n}\n";
  return text;
}

/// Column `i` of a rotated head, in f32, before it is rounded.
float rotated(const HeadsCase &c, const float *head, const float *angles,
              int64_t i) {
  if (i >= c.ropeDims)
    return head[i];
  int64_t half = c.ropeDims / 2;
  int64_t pair = c.interleaved ? i / 2 : i % half;
  bool second = c.interleaved ? i % 2 : i >= half;
  float x = head[c.interleaved ? 2 * pair : pair];
  float y = head[c.interleaved ? 2 * pair + 1 : pair + half];
  float cosine = angles[pair], sine = angles[half + pair];
  return second ? y * cosine + x * sine : x * cosine - y * sine;
}
} // namespace

template <typename T> static T rounded(float value);
template <> uint16_t rounded(float value) { return toBf16(value); }
template <> float rounded(float value) { return value; }

/// Runs a step of two sequences, one that begins and one that goes on, and
/// checks the result and every element of both states.
template <typename T>
static void runCase(const HeadsCase &c, Variant variant, StringRef element) {
  KernelRunner runner(
      makeSource(c, element), variant,
      [](Operation *op, ModuleOp module, const Isa &isa,
         KernelLimits &limits) {
        emitHeads(cast<KernelHeadsOp>(op), module, isa, limits);
      });
  TestSeq seq;
  seq.addSequence(0, 71, {4, 1});
  seq.addSequence(60, 9, {0, 3, 2}); // Ends at position 68.
  seq.addSequence(40, 1, {5});       // Begins no block of 32.
  int64_t tokens = seq.tokens();
  int64_t width = (c.queryHeads + 2 * c.keyHeads) * c.dim;
  Buffer<T> x(tokens * width), result(tokens * c.queryHeads * c.dim + 1);
  Buffer<float> angles(tokens * c.ropeDims);
  fillRandom(x, 1);
  fillRandom(angles, 2);
  StateImage<T> keys(c.keyHeads, c.dim, 6), values(c.keyHeads, c.dim, 6);
  runner.run("heads",
             {x.data(), angles.data(), seq.abi(), keys.data.data(),
              values.data.data(), result.data()},
             seq.dims(), 2);

  StateImage<T> wantKeys(c.keyHeads, c.dim, 6);
  StateImage<T> wantValues(c.keyHeads, c.dim, 6);
  auto zero = [&](int64_t page, int64_t from, int64_t to) {
    for (int64_t q = from; q < to; ++q)
      for (int64_t h = 0; h < c.keyHeads; ++h)
        for (int64_t i = 0; i < wantValues.padded; ++i)
          wantValues.data[wantValues.value(page, h, q, i)] = T(0);
  };
  zero(1, 7, 32);
  zero(3, 5, 32);
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<float> row(width);
    for (int64_t i = 0; i < width; ++i)
      row[i] = getElement(x, t * width + i);
    const float *turn = angles.data() + t * c.ropeDims;
    for (int64_t h = 0; h < c.queryHeads; ++h)
      for (int64_t i = 0; i < c.dim; ++i)
        ASSERT_EQ(result[(t * c.queryHeads + h) * c.dim + i],
                  rounded<T>(rotated(c, row.data() + h * c.dim, turn, i)))
            << "token " << t << " head " << h << " column " << i;
    int64_t at = seq.position[t];
    int64_t page = seq.pages[seq.sequence[t] * seq.maxPages + at / 64];
    for (int64_t h = 0; h < c.keyHeads; ++h)
      for (int64_t i = 0; i < wantKeys.padded; ++i) {
        bool inside = i < c.dim;
        const float *key = row.data() + (c.queryHeads + h) * c.dim;
        const float *value = key + c.keyHeads * c.dim;
        wantKeys.data[wantKeys.key(page, h, at % 64, i)] =
            rounded<T>(inside ? rotated(c, key, turn, i) : 0.0f);
        wantValues.data[wantValues.value(page, h, at % 64, i)] =
            rounded<T>(inside ? value[i] : 0.0f);
      }
  }
  EXPECT_EQ(memcmp(wantKeys.data.data(), keys.data.data(),
                   keys.data.size() * sizeof(T)),
            0);
  EXPECT_EQ(memcmp(wantValues.data.data(), values.data.data(),
                   values.data.size() * sizeof(T)),
            0);
}

class HeadsTest : public testing::TestWithParam<Variant> {};

static const HeadsCase kCases[] = {
    {3, 1, 64, 64, false}, {4, 2, 26, 26, false}, {4, 2, 26, 26, true},
    {2, 2, 48, 32, true},  {2, 1, 128, 96, false}, {2, 2, 13, 8, false},
};

TEST_P(HeadsTest, Bf16) {
  for (const HeadsCase &c : kCases) {
    SCOPED_TRACE(testing::Message() << "dim " << c.dim << " rope "
                                    << c.ropeDims << " " << c.interleaved);
    runCase<uint16_t>(c, GetParam(), "bf16");
  }
}

TEST_P(HeadsTest, F32) {
  for (const HeadsCase &c : kCases) {
    SCOPED_TRACE(testing::Message() << "dim " << c.dim << " rope "
                                    << c.ropeDims << " " << c.interleaved);
    runCase<float>(c, GetParam(), "f32");
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, HeadsTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
