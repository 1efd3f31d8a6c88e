//===- EntryScoresTest.cpp - What attention and an indexer give to entries ===//
//
// Against sums in f64, for lists that are full, short or empty of what is near;
// the same bits however a sequence is cut and whatever runs beside it.
//
//===----------------------------------------------------------------------===//
#include "AttentionCase.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
constexpr double kScale = 0.21;

struct Sizes {
  int64_t heads, dims, count;
};

/// A sequence with the queries, weights, keys and lists of all its tokens.
template <typename T> struct Case {
  Case(const Sizes &s, int64_t length, unsigned seed)
      : length(length), query(length * s.heads * s.dims), keys(length * s.dims),
        weights(length * s.heads), slopes(length * s.count) {
    fillRandom(query, seed);
    fillRandom(keys, seed + 1);
    fillRandom(weights, seed + 2);
    fillRandom(slopes, seed + 3);
    std::mt19937 random(seed);
    for (int64_t t = 0; t < length; ++t) {
      std::vector<int32_t> seen(t + 1);
      for (int64_t p = 0; p <= t; ++p)
        seen[p] = static_cast<int32_t>(p);
      std::shuffle(seen.begin(), seen.end(), random);
      // Every third list is shorter than it could be.
      int64_t most = t % 3 == 2 ? 1 + t % s.count : s.count;
      seen.resize(std::min<size_t>(seen.size(), most));
      std::sort(seen.begin(), seen.end());
      seen.resize(s.count, -1);
      lists.insert(lists.end(), seen.begin(), seen.end());
    }
  }
  int64_t length;
  Buffer<T> query, keys;
  Buffer<float> weights, slopes;
  std::vector<int32_t> lists;
};

/// Results of a step, or what they should be.
template <typename F> struct Results {
  std::vector<F> share, scores, query, weights, keys;

  /// Those of tokens [past, ...).
  Results from(const Sizes &s, int64_t past) const {
    auto cut = [&](const std::vector<F> &all, int64_t columns) {
      return std::vector<F>(all.begin() + past * columns, all.end());
    };
    return {cut(share, s.count), cut(scores, s.count),
            cut(query, s.heads * s.dims), cut(weights, s.heads),
            cut(keys, s.dims)};
  }
  void append(const Results &other) {
    auto add = [](std::vector<F> &to, const std::vector<F> &all) {
      to.insert(to.end(), all.begin(), all.end());
    };
    add(share, other.share), add(scores, other.scores);
    add(query, other.query), add(weights, other.weights);
    add(keys, other.keys);
  }
};

template <typename T>
Results<double> compute(const Sizes &s, const Case<T> &c) {
  Results<double> r;
  r.share.resize(c.length * s.count);
  r.scores.assign(c.length * s.count, -1e30);
  r.query.resize(c.query.size());
  r.weights.resize(c.weights.size());
  r.keys.resize(c.keys.size());
  for (int64_t t = 0; t < c.length; ++t) {
    const int32_t *list = c.lists.data() + t * s.count;
    int64_t count = std::find(list, list + s.count, -1) - list;
    for (int64_t i = 0; i < count; ++i)
      r.scores[t * s.count + i] = 0;
    for (int64_t h = 0; h < s.heads; ++h) {
      int64_t row = t * s.heads + h;
      std::vector<double> products(count);
      for (int64_t i = 0; i < count; ++i)
        for (int64_t d = 0; d < s.dims; ++d)
          products[i] += double(getElement(c.query, row * s.dims + d)) *
                         getElement(c.keys, list[i] * s.dims + d);
      double sum = 0;
      for (double product : products)
        sum += std::exp(kScale * product);
      for (int64_t i = 0; i < count; ++i) {
        int64_t at = t * s.count + i;
        r.share[at] += std::exp(kScale * products[i]) / sum / s.heads;
        if (products[i] <= 0)
          continue;
        r.scores[at] += kScale * c.weights[row] * products[i];
        r.weights[row] += kScale * c.slopes[at] * products[i];
        double slope = kScale * c.slopes[at] * c.weights[row];
        for (int64_t d = 0; d < s.dims; ++d) {
          r.query[row * s.dims + d] +=
              slope * getElement(c.keys, list[i] * s.dims + d);
          r.keys[list[i] * s.dims + d] +=
              slope * getElement(c.query, row * s.dims + d);
        }
      }
    }
  }
  return r;
}

std::string makeSource(const Sizes &s, StringRef element) {
  auto matrix = [&](int64_t columns, StringRef type) {
    return "tensor<?x" + std::to_string(columns) + "x" + type.str() + ">";
  };
  std::string q = matrix(s.heads * s.dims, element);
  std::string w = matrix(s.heads, "f32"), i = matrix(s.count, "f32");
  std::string p = matrix(s.count, "i32"), dk = matrix(s.dims, element);
  std::string k =
      "!ds.state<[1, " + std::to_string(s.dims) + "], " + element.str() + ">";
  std::string heads = " entries %p heads " + std::to_string(s.heads) +
                      " scale " + std::to_string(kScale);
  std::string index = "%q, %w, %k, %s" + heads + " : (";
  std::string types = q + ", " + w + ", " + k + ", !ds.seq, " + p + ") -> ";
  return "func.func @f(%q: " + q + ", %w: " + w + ", %k: " + k + ", %p: " + p +
         ", %g: " + i + ", %s: !ds.seq) {\n" +
         "%a = ds.kernel.entry_share @share %q, %k, %s" + heads + " : (" + q + ", " + k + ", !ds.seq, " + p +
         ") -> " + i + "\n%i = ds.kernel.index_scores @scores " + index + types +
         i + "\n%dq, %dw = ds.kernel.index_backward_query @query %g, " + index +
         i + ", " + types + "(" + q + ", " + w +
         ")\n%dk = ds.kernel.index_backward_keys @keys %g, " + index + i +
         ", " + types + dk + "\nreturn\n}\n";
}

template <typename T> class Tester {
public:
  Tester(const Sizes &sizes, Variant variant)
      : sizes(sizes),
        runner(makeSource(sizes, sizeof(T) == 2 ? "bf16" : "f32"), variant,
               [](Operation *op, ModuleOp module, const Isa &isa,
                  KernelLimits &limits) { emitKernel(op, module, isa, limits); }) {
  }

  /// One step of tokens [pasts[i], length) of every case.
  Results<float> run(ArrayRef<const Case<T> *> cases, ArrayRef<int64_t> pasts,
                     int threads, unsigned seed) {
    int64_t pageCount = 3;
    for (const Case<T> *c : cases)
      pageCount += c->length / 64 + 1;
    std::vector<int32_t> pages = shufflePages(pageCount, seed);
    StateImage<T> asKeys(1, sizes.dims, pageCount);
    StateImage<T> asValues(1, sizes.dims, pageCount);
    TestSeq seq;
    std::vector<T> query;
    std::vector<float> weights, slopes;
    std::vector<int32_t> lists;
    size_t page = 0;
    for (auto [c, past] : llvm::zip(cases, pasts)) {
      std::vector<int32_t> table(pages.begin() + page,
                                 pages.begin() + page + c->length / 64 + 1);
      page += table.size();
      for (int64_t t = 0; t < c->length; ++t)
        for (int64_t d = 0; d < asKeys.padded; ++d) {
          T value = d < sizes.dims ? c->keys[t * sizes.dims + d] : T(0);
          asKeys.data[asKeys.key(table[t / 64], 0, t % 64, d)] = value;
          asValues.data[asValues.value(table[t / 64], 0, t % 64, d)] = value;
        }
      seq.addSequence(static_cast<int32_t>(past),
                      static_cast<int32_t>(c->length - past), table);
      auto add = [&](auto &to, const auto *from, int64_t columns) {
        to.insert(to.end(), from + past * columns, from + c->length * columns);
      };
      add(query, c->query.data(), sizes.heads * sizes.dims);
      add(weights, c->weights.data(), sizes.heads);
      add(slopes, c->slopes.data(), sizes.count);
      add(lists, c->lists.data(), sizes.count);
    }
    int64_t tokens = seq.tokens();
    Buffer<float> share(tokens * sizes.count), scores(tokens * sizes.count);
    Buffer<float> dw(tokens * sizes.heads);
    Buffer<T> dq(query.size()), dk(tokens * sizes.dims);
    auto launch = [&](StringRef kernel, ArrayRef<void *> args) {
      runner.run(kernel, args, seq.dims(), threads, seed);
    };
    void *keys = asKeys.data.data();
    launch("share", {query.data(), asValues.data.data(), seq.abi(),
                     lists.data(), share.data()});
    launch("scores", {query.data(), weights.data(), keys, seq.abi(),
                      lists.data(), scores.data()});
    launch("query", {slopes.data(), query.data(), weights.data(), keys,
                     seq.abi(), lists.data(), dq.data(), dw.data()});
    launch("keys", {slopes.data(), query.data(), weights.data(), keys,
                    seq.abi(), lists.data(), dk.data()});
    auto read = [](const auto &buffer) {
      std::vector<float> values(buffer.size());
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = getElement(buffer, i);
      return values;
    };
    EXPECT_TRUE(std::isnan(share[share.size()])) << "written beyond the end";
    return {read(share), read(scores), read(dq), read(dw), read(dk)};
  }

private:
  Sizes sizes;
  KernelRunner runner;
};

void expectNear(const std::vector<float> &found,
                const std::vector<double> &expected, double tolerance,
                StringRef what) {
  ASSERT_EQ(found.size(), expected.size()) << what.str();
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], expected[i],
                tolerance * (1 + std::abs(expected[i])))
        << what.str() << " " << i;
}
} // namespace

class EntryScoresTest : public testing::TestWithParam<Variant> {
protected:
  template <typename T> void check() {
    for (const Sizes &sizes : {Sizes{8, 32, 24}, {3, 45, 1}, {5, 80, 33}}) {
      SCOPED_TRACE(testing::Message() << sizes.heads << " x " << sizes.dims
                                      << ", " << sizes.count);
      Tester<T> tester(sizes, GetParam());
      Case<T> c(sizes, 150, 3), other(sizes, 70, 9);
      Results<float> found = tester.run({&c}, {0}, 0, 1);
      Results<double> want = compute(sizes, c);
      double rounded = sizeof(T) == 2 ? 5e-3 : 1e-5;
      expectNear(found.share, want.share, 1e-6, "share");
      expectNear(found.scores, want.scores, 1e-5, "score");
      expectNear(found.query, want.query, rounded, "query");
      expectNear(found.weights, want.weights, 1e-5, "weight");
      expectNear(found.keys, want.keys, rounded, "key");
      // The last tokens of one sequence behind another.
      Results<float> both = tester.run({&other}, {0}, 0, 2);
      both.append(found.from(sizes, 101));
      Results<float> step = tester.run({&other, &c}, {0, 101}, 2, 7);
      EXPECT_EQ(step.share, both.share);
      EXPECT_EQ(step.scores, both.scores);
      EXPECT_EQ(step.query, both.query);
      EXPECT_EQ(step.weights, both.weights);
      EXPECT_EQ(step.keys, both.keys);
    }
  }
};

TEST_P(EntryScoresTest, ValuesF32) { check<float>(); }
TEST_P(EntryScoresTest, ValuesBf16) { check<uint16_t>(); }

INSTANTIATE_TEST_SUITE_P(Variants, EntryScoresTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
