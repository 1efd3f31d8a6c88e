//===- AttentionTest.cpp - Attention over paged state ---------------------===//
//
// Against softmax in f64, and to the bit against itself: however a sequence
// is cut into steps and query tiles, wherever its pages lie, whatever runs
// beside it and whatever memory it does not own holds.
//
//===----------------------------------------------------------------------===//
#include "AttentionCase.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
std::string makeSource(const Shape &s, StringRef element, bool lse = false) {
  auto state = [&](int64_t dims) {
    return "!ds.state<[" + std::to_string(s.keyHeads) + ", " +
           std::to_string(dims) + "], " + element.str() + ">";
  };
  auto matrix = [&](int64_t dims) {
    return "tensor<?x" + std::to_string(s.heads * dims) + "x" +
           element.str() + ">";
  };
  std::string types = "(" + matrix(s.keyDims) + ", " + state(s.keyDims) +
                      ", " + state(s.valueDims) + ") -> " +
                      matrix(s.valueDims);
  if (lse)
    types += ", tensor<?x" + std::to_string(s.heads) + "xf32>";
  return "func.func @f(%q: " + matrix(s.keyDims) + ", %k: " +
         state(s.keyDims) + ", %v: " + state(s.valueDims) +
         ", %s: !ds.seq) {\n  %y" + (lse ? ", %lse" : "") +
         " = ds.kernel.attention @attend %q, %k, %v, "
         "%s heads " +
         std::to_string(s.heads) + " scale 0.35 : " + types +
         "\n  return\n}\n";
}

/// Attention of every query of `q` in f64; `lse` gets log(sum(exp(score))).
template <typename T>
std::vector<double> attend(const Shape &s, const Sequence<T> &q,
                           std::vector<double> *lse = nullptr) {
  std::vector<double> result(q.length * s.heads * s.valueDims);
  int64_t group = s.heads / s.keyHeads;
  for (int64_t t = 0; t < q.length; ++t)
    for (int64_t h = 0; h < s.heads; ++h) {
      std::vector<double> score(t + 1);
      double largest = -1e300, sum = 0;
      for (int64_t p = 0; p <= t; ++p) {
        for (int64_t i = 0; i < s.keyDims; ++i)
          score[p] +=
              double(getElement(q.query, (t * s.heads + h) * s.keyDims + i)) *
              getElement(q.keys,
                         (p * s.keyHeads + h / group) * s.keyDims + i);
        score[p] *= 0.35;
        largest = std::max(largest, score[p]);
      }
      for (double &x : score)
        sum += x = std::exp(x - largest);
      if (lse)
        lse->push_back(largest + std::log(sum));
      for (int64_t p = 0; p <= t; ++p)
        for (int64_t i = 0; i < s.valueDims; ++i)
          result[(t * s.heads + h) * s.valueDims + i] +=
              score[p] / sum *
              getElement(q.values,
                         (p * s.keyHeads + h / group) * s.valueDims + i);
    }
  return result;
}

/// How a test runs a sequence: rows of the steps, the last until its end.
struct Plan {
  std::vector<int64_t> steps;
  int64_t queryRows;
  int threads;
  unsigned seed;
};

template <typename T> class Tester {
public:
  Tester(const Shape &shape, Variant variant, StringRef element,
         bool keepsLse = false)
      : shape(shape), variant(variant),
        source(makeSource(shape, element, keepsLse)) {}

  /// The rows of all steps of `q`, run by `plan`; and their lse if kept.
  std::vector<T> run(const Sequence<T> &q, const Plan &plan,
                     Buffer<float> *lse = nullptr) {
    KernelRunner &runner = getRunner(plan.queryRows);
    int64_t pages = q.length / 64 + 3;
    std::vector<int32_t> table = shufflePages(pages, plan.seed);
    table.resize(q.length / 64 + 1);
    State<T> state(shape, pages);
    Buffer<T> result(q.length * shape.heads * shape.valueDims);
    size_t next = 0;
    for (int64_t past = 0; past < q.length;) {
      int64_t rows = plan.steps[std::min(next++, plan.steps.size() - 1)];
      rows = std::min(rows, q.length - past);
      state.append(q, past, past + rows, table);
      TestSeq seq;
      seq.addSequence(static_cast<int32_t>(past), static_cast<int32_t>(rows),
                      table);
      seq.makeQueryTiles(plan.queryRows);
      const T *query = q.query.data() + past * shape.heads * shape.keyDims;
      runner.run("attend",
                 {const_cast<T *>(query), state.keys.data.data(),
                  state.values.data.data(), seq.abi(),
                  result.data() + past * shape.heads * shape.valueDims,
                  lse ? lse->data() + past * shape.heads : nullptr},
                 seq.dims(), plan.threads, plan.seed);
      past += rows;
    }
    return std::vector<T>(result.data(), result.data() + result.size());
  }

  KernelRunner &getRunner(int64_t queryRows) {
    std::unique_ptr<KernelRunner> &runner = runners[queryRows];
    if (!runner)
      runner = std::make_unique<KernelRunner>(
          source, variant,
          [](Operation *op, ModuleOp module, const Isa &isa,
             KernelLimits &limits) {
            emitAttention(cast<KernelAttentionOp>(op), module, isa, limits);
          },
          queryRows);
    return *runner;
  }

private:
  Shape shape;
  Variant variant;
  std::string source;
  std::map<int64_t, std::unique_ptr<KernelRunner>> runners;
};

const Shape kShapes[] = {
    {2, 2, 128, 128}, {6, 2, 64, 64},   {7, 1, 26, 26},
    {2, 1, 13, 45},   {4, 1, 96, 96},   {2, 2, 160, 144},
};
} // namespace

class AttentionTest : public testing::TestWithParam<Variant> {
protected:
  template <typename T>
  void forShapes(function_ref<void(const Shape &, Tester<T> &)> body) {
    for (const Shape &shape : kShapes) {
      SCOPED_TRACE(testing::Message()
                   << shape.heads << "/" << shape.keyHeads << " x "
                   << shape.keyDims << ", " << shape.valueDims);
      Tester<T> tester(shape, GetParam(), sizeof(T) == 2 ? "bf16" : "f32");
      body(shape, tester);
    }
  }

  template <typename T> void checkValues(double tolerance) {
    forShapes<T>([&](const Shape &shape, Tester<T> &tester) {
      Sequence<T> q(shape, 560, 7);
      std::vector<T> got = tester.run(q, {{560}, 8, 0, 1});
      std::vector<double> want = attend(shape, q);
      for (size_t i = 0; i < want.size(); ++i) {
        float value;
        if constexpr (sizeof(T) == 2)
          value = fromBf16(got[i]);
        else
          value = got[i];
        ASSERT_NEAR(value, want[i], tolerance)
            << "row " << i / (shape.heads * shape.valueDims) << " element "
            << i;
      }
    });
  }

  template <typename T> void checkPlans() {
    forShapes<T>([&](const Shape &shape, Tester<T> &tester) {
      Sequence<T> q(shape, 1100, 11);
      std::vector<T> whole = tester.run(q, {{1100}, 16, 0, 1});
      const std::pair<const char *, Plan> plans[] = {
          {"one at a time", {{1}, 16, 0, 2}},
          {"512 at once, two threads", {{512}, 16, 2, 3}},
          {"uneven steps", {{3, 61, 1, 447, 1, 1, 200}, 16, 2, 4}},
          {"tiles of 5 rows", {{37, 1063}, 5, 2, 6}},
      };
      for (const auto &[name, plan] : plans)
        EXPECT_EQ(memcmp(whole.data(), tester.run(q, plan).data(),
                         whole.size() * sizeof(T)),
                  0)
            << name;
    });
  }
};

/// lse is one more store: it is right, and the result's bits stay.
TEST_P(AttentionTest, KeepsLse) {
  for (const Shape &shape : kShapes) {
    Tester<float> plain(shape, GetParam(), "f32");
    Tester<float> keeping(shape, GetParam(), "f32", /*keepsLse=*/true);
    Sequence<float> q(shape, 560, 7);
    Plan plan{{20, 540}, 8, 2, 1};
    Buffer<float> lse(q.length * shape.heads);
    EXPECT_EQ(plain.run(q, plan), keeping.run(q, plan, &lse));
    std::vector<double> want;
    attend(shape, q, &want);
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(lse[i], want[i], 4e-6 * (1 + std::fabs(want[i]))) << i;
    EXPECT_TRUE(std::isnan(lse[want.size()]));
  }
}

TEST_P(AttentionTest, ValuesBf16) { checkValues<uint16_t>(8e-3); }
TEST_P(AttentionTest, ValuesF32) { checkValues<float>(2e-5); }
TEST_P(AttentionTest, StepsDoNotMatterBf16) { checkPlans<uint16_t>(); }
TEST_P(AttentionTest, StepsDoNotMatterF32) { checkPlans<float>(); }

/// Sequences of a step, at different places, do not touch each other.
TEST_P(AttentionTest, BatchDoesNotMatter) {
  Shape shape{6, 2, 64, 64};
  using T = uint16_t;
  Tester<T> tester(shape, GetParam(), "bf16");
  KernelRunner &runner = tester.getRunner(16);
  const int64_t lengths[] = {530, 1, 75, 640};
  const int64_t pasts[] = {529, 0, 10, 100};
  std::vector<int32_t> pages = shufflePages(32, 3);
  State<T> state(shape, 32);
  TestSeq seq;
  std::vector<T> query;
  std::vector<T> want;
  size_t page = 0;
  for (int64_t b = 0; b < 4; ++b) {
    Sequence<T> q(shape, lengths[b], static_cast<unsigned>(20 + b));
    std::vector<int32_t> table(pages.begin() + page,
                               pages.begin() + page + lengths[b] / 64 + 1);
    page += table.size();
    state.append(q, 0, lengths[b], table);
    seq.addSequence(static_cast<int32_t>(pasts[b]),
                    static_cast<int32_t>(lengths[b] - pasts[b]), table);
    int64_t width = shape.heads * shape.keyDims;
    query.insert(query.end(), q.query.data() + pasts[b] * width,
                 q.query.data() + lengths[b] * width);
    std::vector<T> alone = tester.run(q, {{lengths[b]}, 16, 0, 1});
    want.insert(want.end(), alone.begin() + pasts[b] * width, alone.end());
  }
  seq.makeQueryTiles(16);
  Buffer<T> result(want.size() + 1);
  runner.run("attend",
             {query.data(), state.keys.data.data(), state.values.data.data(),
              seq.abi(), result.data()},
             seq.dims(), 2, 9);
  EXPECT_EQ(memcmp(result.data(), want.data(), want.size() * sizeof(T)), 0);
  EXPECT_EQ(result[want.size()], 0xffff);
}

INSTANTIATE_TEST_SUITE_P(Variants, AttentionTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
