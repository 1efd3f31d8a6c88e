//===- SelectTokensTest.cpp - The positions that a token attends to -------===//
//
// Small integers, whose scores are exact and often equal, against a sort; the
// same lists however a sequence is cut into steps and whatever runs beside it.
//
//===----------------------------------------------------------------------===//
#include "AttentionCase.h"
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
struct Indexer {
  int64_t heads, dims, count;
};

std::string makeSource(const Indexer &s, StringRef element) {
  auto matrix = [&](int64_t columns, StringRef type) {
    return "tensor<?x" + std::to_string(columns) + "x" + type.str() + ">";
  };
  std::string q = matrix(s.heads * s.dims, element);
  std::string w = matrix(s.heads, "f32");
  std::string k =
      "!ds.state<[1, " + std::to_string(s.dims) + "], " + element.str() + ">";
  return "func.func @f(%q: " + q + ", %w: " + w + ", %k: " + k +
         ", %s: !ds.seq) {\n%p = ds.kernel.select_tokens @select %q, %w, %k, "
         "%s heads " +
         std::to_string(s.heads) + " count " + std::to_string(s.count) +
         " : (" + q + ", " + w + ", " + k + ", !ds.seq) -> " +
         matrix(s.count, "i32") + "\nreturn\n}\n";
}

template <typename T> struct Case {
  /// Values of `width` whole numbers around zero.
  Case(const Indexer &s, int64_t length, int width, unsigned seed)
      : length(length), query(length * s.heads * s.dims), keys(length * s.dims),
        weights(length * s.heads) {
    std::mt19937 random(seed);
    auto fill = [&](auto &buffer) {
      for (size_t i = 0; i < buffer.size(); ++i)
        setElement(buffer, i, static_cast<float>(
                                  static_cast<int>(random() % width) -
                                  width / 2));
    };
    fill(query);
    fill(keys);
    fill(weights);
  }
  int64_t length;
  Buffer<T> query, keys;
  Buffer<float> weights;
};

template <typename T>
std::vector<int32_t> select(const Indexer &s, const Case<T> &c) {
  std::vector<int32_t> lists;
  for (int64_t t = 0; t < c.length; ++t) {
    std::vector<std::pair<double, int32_t>> scores;
    for (int64_t p = 0; p <= t; ++p) {
      double score = 0;
      for (int64_t h = 0; h < s.heads; ++h) {
        double product = 0;
        for (int64_t i = 0; i < s.dims; ++i)
          product += double(getElement(c.query, (t * s.heads + h) * s.dims + i)) *
                     getElement(c.keys, p * s.dims + i);
        score += c.weights[t * s.heads + h] * std::max(product, 0.0);
      }
      scores.push_back({-score, static_cast<int32_t>(p)});
    }
    std::sort(scores.begin(), scores.end());
    std::vector<int32_t> list;
    for (size_t i = 0; i < std::min<size_t>(scores.size(), s.count); ++i)
      list.push_back(scores[i].second);
    std::sort(list.begin(), list.end());
    list.resize(s.count, -1);
    lists.insert(lists.end(), list.begin(), list.end());
  }
  return lists;
}

template <typename T> class Tester {
public:
  Tester(const Indexer &shape, Variant variant)
      : shape(shape),
        runner(makeSource(shape, sizeof(T) == 2 ? "bf16" : "f32"), variant,
               [](Operation *op, ModuleOp module, const Isa &isa,
                  KernelLimits &limits) { emitKernel(op, module, isa, limits); }) {
  }

  /// Lists of tokens [pasts[i], length) of every case, in one step.
  std::vector<int32_t> run(ArrayRef<const Case<T> *> cases,
                           ArrayRef<int64_t> pasts, int threads = 0,
                           unsigned seed = 1) {
    int64_t pageCount = 3;
    for (const Case<T> *c : cases)
      pageCount += c->length / 64 + 1;
    std::vector<int32_t> pages = shufflePages(pageCount, seed);
    StateImage<T> state(1, shape.dims, pageCount);
    TestSeq seq;
    std::vector<T> query;
    std::vector<float> weights;
    size_t page = 0;
    for (size_t i = 0; i < cases.size(); ++i) {
      const Case<T> *c = cases[i];
      int64_t past = pasts[i];
      std::vector<int32_t> table(pages.begin() + page,
                                 pages.begin() + page + c->length / 64 + 1);
      page += table.size();
      for (int64_t t = 0; t < c->length; ++t)
        for (int64_t i = 0; i < state.padded; ++i)
          state.data[state.key(table[t / 64], 0, t % 64, i)] =
              i < shape.dims ? c->keys[t * shape.dims + i] : T(0);
      seq.addSequence(static_cast<int32_t>(past),
                      static_cast<int32_t>(c->length - past), table);
      int64_t width = shape.heads * shape.dims;
      query.insert(query.end(), c->query.data() + past * width,
                   c->query.data() + c->length * width);
      weights.insert(weights.end(), c->weights.data() + past * shape.heads,
                     c->weights.data() + c->length * shape.heads);
    }
    Buffer<int32_t> lists(seq.tokens() * shape.count);
    runner.run("select",
               {query.data(), weights.data(), state.data.data(), seq.abi(),
                lists.data()},
               seq.dims(), threads, seed);
    EXPECT_EQ(lists.data()[lists.size()], -1) << "written beyond the end";
    return std::vector<int32_t>(lists.data(), lists.data() + lists.size());
  }

private:
  Indexer shape;
  KernelRunner runner;
};
} // namespace

class SelectTokensTest : public testing::TestWithParam<Variant> {
protected:
  template <typename T> void check() {
    const Indexer shapes[] = {{8, 32, 24}, {3, 45, 1}, {16, 64, 100}};
    for (const Indexer &shape : shapes) {
      SCOPED_TRACE(testing::Message() << shape.heads << " x " << shape.dims
                                      << ", " << shape.count);
      Tester<T> tester(shape, GetParam());
      int64_t length = shape.heads > 8 ? 500 : 1100;
      // Of three whole numbers many scores are equal, of one all are.
      for (int width : {1, 3, 9}) {
        Case<T> c(shape, length, width, 3);
        std::vector<int32_t> want = select(shape, c);
        EXPECT_EQ(tester.run({&c}, {0}), want) << width;
        Case<T> other(shape, 90, width, 4);
        std::vector<int32_t> both = select(shape, other);
        int64_t past = length - 130;
        both.insert(both.end(), want.begin() + past * shape.count, want.end());
        EXPECT_EQ(tester.run({&other, &c}, {0, past}, 2, 7), both) << width;
      }
    }
  }
};

TEST_P(SelectTokensTest, ListsF32) { check<float>(); }
TEST_P(SelectTokensTest, ListsBf16) { check<uint16_t>(); }

INSTANTIATE_TEST_SUITE_P(Variants, SelectTokensTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
