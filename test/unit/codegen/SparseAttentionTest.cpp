//===- SparseAttentionTest.cpp - Native sparse attention ------------------===//
//
// The kernels of a layer one after the other, from entries that are kept to
// windows, against softmax in f64, and to the bit against themselves: however a
// sequence is cut into steps and query tiles, wherever its pages lie.
//
//===----------------------------------------------------------------------===//
#include "AttentionCase.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
constexpr double kScale = 0.2;

/// Sizes of arXiv 2502.11089: entries of `length` tokens every `stride`, `count`
/// blocks of `block`, windows of `window`.
struct Sparse {
  Shape shape;
  int64_t length, stride, block, count, window;
};

std::string makeSource(const Sparse &n, StringRef element) {
  const Shape &s = n.shape;
  auto state = [&](int64_t dims, bool entries) {
    return "!ds.state<[" + std::to_string(s.keyHeads) + ", " +
           std::to_string(dims) + "], " + element.str() +
           (entries ? " every " + std::to_string(n.stride) : "") + ">";
  };
  auto matrix = [&](int64_t columns, StringRef type) {
    return "tensor<?x" + std::to_string(columns) + "x" + type.str() + ">";
  };
  std::string q = matrix(s.heads * s.keyDims, element);
  std::string o = matrix(s.heads * s.valueDims, element);
  std::string lse = matrix(s.heads, "f32");
  std::string list = matrix(s.keyHeads * n.count, "i32");
  std::string k = state(s.keyDims, false), v = state(s.valueDims, false);
  std::string ek = state(s.keyDims, true), ev = state(s.valueDims, true);
  std::string rows = " heads " + std::to_string(s.heads) + " scale " +
                     std::to_string(kScale);
  auto number = [](int64_t value) { return " " + std::to_string(value); };
  auto from = [&](StringRef name, StringRef source, int64_t size,
                  const std::string &operands, const std::string &types) {
    return "%" + name.str() + ", %l" + name.str() +
           " = ds.kernel.sparse_attention @" + name.str() + " %q, " + operands +
           rows + " from " + source.str() + number(size) + " : (" + q + ", " +
           types + ") -> (" + o + ", " + lse + ")\n";
  };
  auto append = [&](StringRef name, int64_t dims, StringRef keys) {
    return "%r" + name.str() + " = ds.kernel.gather_blocks @gather_" +
           name.str() + " %" + name.str() + ", %p" + name.str() +
           ", %c length" + number(n.length) + " stride" + number(n.stride) +
           " : (" + state(dims, false) + ", tensor<" +
           std::to_string(n.length) + "x" + std::to_string(dims) +
           "xf32>, !ds.seq) -> " + matrix(n.length * dims, element) + "\n" +
           "%e" + name.str() + "1 = ds.kernel.append_blocks @append_" +
           name.str() + " %e" + name.str() + ", %x" + name.str() + ", %c " +
           keys.str() + " : " + state(dims, true) + ", " +
           matrix(dims, element) + "\n";
  };
  return "func.func @f(%q: " + q + ", %k: " + k + ", %v: " + v + ", %ek: " +
         ek + ", %ev: " + ev + ", %s: !ds.seq, %b: " + list + ", %pk: tensor<" +
         std::to_string(n.length) + "x" + std::to_string(s.keyDims) +
         "xf32>, %pv: tensor<" + std::to_string(n.length) + "x" +
         std::to_string(s.valueDims) + "xf32>, %xk: " +
         matrix(s.keyDims, element) + " {ds.rows = \"C*" +
         std::to_string(s.keyHeads) + "\"}, %xv: " +
         matrix(s.valueDims, element) + " {ds.rows = \"C*" +
         std::to_string(s.keyHeads) + "\"}) {\n%c = ds.view_seq %s blocks\n" +
         append("k", s.keyDims, "keys") + append("v", s.valueDims, "") +
         from("cmp", "entries", n.length, "%ek1, %ev1, %s",
              ek + ", " + ev + ", !ds.seq") +
         "%list = ds.kernel.select_blocks @select %q, %ek1, %lcmp, %s" + rows +
         " length" + number(n.length) + " block" + number(n.block) + " count" +
         number(n.count) + " initial 1 local 2 : (" + q + ", " + ek + ", " +
         lse + ", !ds.seq) -> " + list + "\n" +
         from("slc", "blocks", n.block, "%k, %v, %s, %list",
              k + ", " + v + ", !ds.seq, " + list) +
         from("win", "window", n.window, "%k, %v, %s",
              k + ", " + v + ", !ds.seq") +
         "return\n}\n";
}

/// Entries of a sequence: number i ends at token (i + 1) stride - 1.
template <typename T> struct Entries {
  Entries(const Sparse &n, int64_t length, unsigned seed)
      : count(length / n.stride),
        keys(std::max<int64_t>(1, count) * n.shape.keyHeads * n.shape.keyDims),
        values(std::max<int64_t>(1, count) * n.shape.keyHeads *
               n.shape.valueDims) {
    fillRandom(keys, seed + 10, 1.5f);
    fillRandom(values, seed + 11);
  }
  int64_t count;
  Buffer<T> keys, values;
};

/// What the kernels of a layer give, token-major.
template <typename T> struct Results {
  std::vector<T> cmp, slc, win, gathered;
  std::vector<float> lse;
  std::vector<int32_t> blocks;
  bool operator==(const Results &other) const {
    return cmp == other.cmp && slc == other.slc && win == other.win &&
           gathered == other.gathered && blocks == other.blocks &&
           memcmp(lse.data(), other.lse.data(), lse.size() * 4) == 0;
  }
};

/// How a test runs a sequence: rows of the steps, the last until its end.
struct Plan {
  std::vector<int64_t> steps;
  int64_t queryRows;
  int threads;
  unsigned seed;
};

template <typename T> class Tester {
public:
  Tester(const Sparse &n, Variant variant)
      : n(n), variant(variant),
        source(makeSource(n, sizeof(T) == 2 ? "bf16" : "f32")),
        keyPositions(n.length * n.shape.keyDims),
        valuePositions(n.length * n.shape.valueDims) {
    fillRandom(keyPositions, 91);
    fillRandom(valuePositions, 92);
  }

  Results<T> run(const Sequence<T> &q, const Entries<T> &entries,
                 const Plan &plan) {
    const Shape &s = n.shape;
    KernelRunner &runner = getRunner(plan.queryRows);
    int64_t pages = q.length / 64 + 3;
    std::vector<int32_t> table = shufflePages(pages, plan.seed);
    table.resize(q.length / 64 + 1);
    State<T> state(s, pages);
    auto pageOf = [&](int64_t dims) {
      return s.keyHeads * (64 / n.stride) * ((dims + 31) / 32 * 32);
    };
    Buffer<T> entryKeys(pages * pageOf(s.keyDims));
    Buffer<T> entryValues(pages * pageOf(s.valueDims));
    int64_t rows = q.length * s.heads, values = rows * s.valueDims;
    int64_t gatheredRow = s.keyHeads * n.length * s.keyDims;
    Buffer<T> cmp(values), slc(values), win(values);
    Buffer<T> gathered(entries.count * gatheredRow + 1);
    Buffer<T> other(entries.count * s.keyHeads * n.length * s.valueDims + 1);
    Buffer<float> lse(rows), otherLse(rows);
    Buffer<int32_t> list(q.length * s.keyHeads * n.count);
    size_t next = 0;
    for (int64_t past = 0; past < q.length;) {
      int64_t count = plan.steps[std::min(next++, plan.steps.size() - 1)];
      count = std::min(count, q.length - past);
      state.append(q, past, past + count, table);
      TestSeq seq, blocks;
      seq.addSequence(static_cast<int32_t>(past), static_cast<int32_t>(count),
                      table);
      seq.makeQueryTiles(plan.queryRows);
      int64_t done = past / n.stride;
      int64_t fresh = (past + count) / n.stride - done;
      blocks.addSequence(static_cast<int32_t>(past),
                         static_cast<int32_t>(fresh), table);
      for (int64_t i = 0; i < fresh; ++i)
        blocks.position[i] =
            static_cast<int32_t>((done + i + 1) * n.stride - 1);
      std::vector<int64_t> entryDims = blocks.dims();
      entryDims[0] = fresh * s.keyHeads;
      auto launch = [&](StringRef kernel, ArrayRef<void *> args,
                        ArrayRef<int64_t> dims) {
        runner.run(kernel, args, dims, plan.threads, plan.seed);
      };
      auto at = [](const auto &buffer, int64_t index) {
        using E = std::remove_cv_t<
            std::remove_reference_t<decltype(buffer[0])>>;
        return const_cast<E *>(buffer.data()) + index;
      };
      void *keys = state.keys.data.data(), *kept = state.values.data.data();
      launch("gather_k",
             {keyRows(state, q, past, count, table), keyPositions.data(),
              blocks.abi(), at(gathered, done * gatheredRow)},
             entryDims);
      launch("gather_v",
             {kept, valuePositions.data(), blocks.abi(),
              at(other, done * s.keyHeads * n.length * s.valueDims)},
             entryDims);
      launch("append_k",
             {entryKeys.data(),
              at(entries.keys, done * s.keyHeads * s.keyDims), blocks.abi()},
             entryDims);
      launch("append_v",
             {entryValues.data(),
              at(entries.values, done * s.keyHeads * s.valueDims),
              blocks.abi()},
             entryDims);
      void *query = at(q.query, past * s.heads * s.keyDims);
      int64_t out = past * s.heads * s.valueDims;
      int32_t *lists = at(list, past * s.keyHeads * n.count);
      launch("cmp",
             {query, entryKeys.data(), entryValues.data(), seq.abi(),
              at(cmp, out), at(lse, past * s.heads)},
             seq.dims());
      launch("select",
             {query, entryKeys.data(), at(lse, past * s.heads), seq.abi(),
              lists},
             seq.dims());
      launch("slc",
             {query, keys, kept, seq.abi(), lists, at(slc, out),
              at(otherLse, past * s.heads)},
             seq.dims());
      launch("win",
             {query, keys, kept, seq.abi(), at(win, out),
              at(otherLse, past * s.heads)},
             seq.dims());
      past += count;
    }
    EXPECT_EQ(list[list.size()], -1) << "written beyond the end";
    return {take(cmp),
            take(slc),
            take(win),
            std::vector<T>(gathered.data(),
                           gathered.data() + entries.count * gatheredRow),
            take(lse),
            take(list)};
  }

  KernelRunner &getRunner(int64_t queryRows) {
    std::unique_ptr<KernelRunner> &runner = runners[queryRows];
    if (!runner)
      runner = std::make_unique<KernelRunner>(
          source, variant,
          [](Operation *op, ModuleOp module, const Isa &isa,
             KernelLimits &limits) { emitKernel(op, module, isa, limits); },
          queryRows);
    return *runner;
  }

  Buffer<float> &positions() { return keyPositions; }

private:
  Sparse n;
  Variant variant;
  std::string source;
  Buffer<float> keyPositions, valuePositions;
  std::map<int64_t, std::unique_ptr<KernelRunner>> runners;
  std::unique_ptr<StateImage<T>> keyImage;

  template <typename E> static std::vector<E> take(const Buffer<E> &buffer) {
    return std::vector<E>(buffer.data(), buffer.data() + buffer.size());
  }

  /// The keys of all tokens up to the step in the view of values, from which
  /// entries are gathered.
  void *keyRows(const State<T> &, const Sequence<T> &q, int64_t past,
                int64_t count, ArrayRef<int32_t> table) {
    const Shape &s = n.shape;
    if (past == 0)
      keyImage = std::make_unique<StateImage<T>>(s.keyHeads, s.keyDims,
                                                 q.length / 64 + 3);
    for (int64_t t = past; t < past + count; ++t)
      for (int64_t h = 0; h < s.keyHeads; ++h)
        for (int64_t i = 0; i < s.keyDims; ++i)
          keyImage->data[keyImage->value(table[t / 64], h, t % 64, i)] =
              q.keys[(t * s.keyHeads + h) * s.keyDims + i];
    return keyImage->data.data();
  }
};

//===----------------------------------------------------------------------===//
// The same in f64
//===----------------------------------------------------------------------===//

/// Probabilities of `seen` keys, whose products with the query `dot` gives;
/// empty where none is seen.
std::vector<double> softmax(ArrayRef<int64_t> seen,
                            function_ref<double(int64_t)> dot) {
  std::vector<double> p;
  double largest = -1e300, sum = 0;
  for (int64_t key : seen) {
    p.push_back(kScale * dot(key));
    largest = std::max(largest, p.back());
  }
  for (double &x : p)
    sum += x = std::exp(x - largest);
  for (double &x : p)
    x /= sum;
  return p;
}

template <typename T> class Reference {
public:
  Reference(const Sparse &n, const Sequence<T> &q, const Entries<T> &entries)
      : n(n), s(n.shape), q(q), entries(entries) {}

  /// The entries that token t sees, by number.
  std::vector<int64_t> seenEntries(int64_t t) const {
    std::vector<int64_t> seen;
    for (int64_t i = n.length / n.stride - 1; i < (t + 1) / n.stride; ++i)
      seen.push_back(i);
    return seen;
  }
  std::vector<int64_t> window(int64_t t) const {
    std::vector<int64_t> seen;
    for (int64_t p = std::max<int64_t>(0, t - n.window + 1); p <= t; ++p)
      seen.push_back(p);
    return seen;
  }
  std::vector<int64_t> inBlocks(int64_t t, ArrayRef<int32_t> blocks) const {
    std::vector<int64_t> seen;
    for (int32_t block : blocks)
      for (int64_t p = block * n.block; p < (block + 1) * n.block; ++p)
        if (block >= 0 && p <= t)
          seen.push_back(p);
    return seen;
  }

  std::vector<double> probabilities(int64_t t, int64_t h,
                                    ArrayRef<int64_t> seen,
                                    const Buffer<T> &keys) const {
    int64_t head = h / (s.heads / s.keyHeads);
    return softmax(seen, [&](int64_t key) {
      double sum = 0;
      for (int64_t i = 0; i < s.keyDims; ++i)
        sum += double(getElement(q.query, (t * s.heads + h) * s.keyDims + i)) *
               getElement(keys, (key * s.keyHeads + head) * s.keyDims + i);
      return sum;
    });
  }

  void expectNear(int64_t t, int64_t h, ArrayRef<int64_t> seen,
                  const Buffer<T> &keys, const Buffer<T> &values,
                  const std::vector<T> &got, double tolerance) const {
    std::vector<double> p = probabilities(t, h, seen, keys);
    int64_t head = h / (s.heads / s.keyHeads);
    for (int64_t i = 0; i < s.valueDims; ++i) {
      double want = 0;
      for (size_t j = 0; j < seen.size(); ++j)
        want += p[j] * getElement(values, (seen[j] * s.keyHeads + head) *
                                                  s.valueDims +
                                              i);
      T bits = got[(t * s.heads + h) * s.valueDims + i];
      double value;
      if constexpr (sizeof(T) == 2)
        value = fromBf16(bits);
      else
        value = bits;
      ASSERT_NEAR(value, want, tolerance)
          << "token " << t << " head " << h << " column " << i;
    }
  }

  /// Checks that the blocks are the best, whatever is within `slack` of it.
  void expectBest(int64_t t, int64_t g, ArrayRef<int32_t> got,
                  double slack) const {
    int64_t group = s.heads / s.keyHeads, last = t / n.block;
    int64_t perBlock = n.block / n.stride, perEntry = n.length / n.stride;
    std::vector<double> score(last + 1);
    std::vector<int64_t> seen = seenEntries(t);
    for (int64_t h = g * group; h < (g + 1) * group; ++h) {
      std::vector<double> p = probabilities(t, h, seen, entries.keys);
      for (int64_t j = 0; j <= last; ++j)
        for (int64_t m = 0; m < perBlock; ++m)
          for (int64_t k = 0; k < perEntry; ++k) {
            int64_t i = perBlock * j + m - k;
            if (i >= 0 && i < static_cast<int64_t>(p.size()))
              score[j] += p[i];
          }
    }
    std::vector<bool> kept(last + 1);
    int64_t count = 0, before = -1;
    for (; count < n.count && got[count] >= 0; ++count) {
      ASSERT_GT(got[count], before);
      ASSERT_LE(got[count], last);
      kept[before = got[count]] = true;
    }
    for (int64_t i = count; i < n.count; ++i)
      ASSERT_EQ(got[i], -1);
    ASSERT_EQ(count, std::min(n.count, last + 1)) << t;
    double worst = 1e300, best = -1;
    for (int64_t j = 0; j <= last; ++j) {
      if (j == 0 || j >= last - 1)
        ASSERT_TRUE(kept[j]) << "token " << t << " block " << j;
      else if (kept[j])
        worst = std::min(worst, score[j]);
      else
        best = std::max(best, score[j]);
    }
    ASSERT_GE(worst, best - slack) << "token " << t << " head " << g;
  }

private:
  const Sparse &n;
  const Shape &s;
  const Sequence<T> &q;
  const Entries<T> &entries;
};

const Sparse kCases[] = {
    {{8, 2, 24, 16}, 8, 4, 16, 5, 24},
    {{16, 1, 96, 64}, 32, 16, 64, 6, 130},
    {{4, 2, 40, 80}, 16, 8, 32, 7, 64},
    {{3, 3, 32, 32}, 4, 2, 128, 4, 1},
    {{2, 1, 26, 45}, 32, 32, 64, 4, 700},
};
} // namespace

class SparseAttentionTest : public testing::TestWithParam<Variant> {
protected:
  template <typename T>
  void forCases(function_ref<void(const Sparse &, Tester<T> &)> body) {
    for (const Sparse &n : kCases) {
      SCOPED_TRACE(testing::Message()
                   << n.shape.heads << "/" << n.shape.keyHeads << " x "
                   << n.shape.keyDims << ", every " << n.stride);
      Tester<T> tester(n, GetParam());
      body(n, tester);
    }
  }

  template <typename T> void checkValues(double tolerance, int64_t length) {
    forCases<T>([&](const Sparse &n, Tester<T> &tester) {
      Sequence<T> q(n.shape, length, 7);
      Entries<T> entries(n, length, 7);
      Results<T> got = tester.run(q, entries, {{length}, 8, 0, 1});
      Reference<T> reference(n, q, entries);
      for (int64_t t = 0; t < length; t = t < 200 ? t + 1 : t + 37)
        for (int64_t h = 0; h < n.shape.heads; ++h) {
          int64_t g = h / (n.shape.heads / n.shape.keyHeads);
          auto blocks = ArrayRef(got.blocks)
                            .slice((t * n.shape.keyHeads + g) * n.count,
                                   n.count);
          reference.expectNear(t, h, reference.seenEntries(t), entries.keys,
                               entries.values, got.cmp, tolerance);
          reference.expectBest(t, g, blocks, 1e-5);
          reference.expectNear(t, h, reference.inBlocks(t, blocks), q.keys,
                               q.values, got.slc, tolerance);
          reference.expectNear(t, h, reference.window(t), q.keys, q.values,
                               got.win, tolerance);
          if (HasFatalFailure())
            return;
        }
      checkGathered(n, q, tester, got);
    });
  }

  template <typename T>
  void checkGathered(const Sparse &n, const Sequence<T> &q, Tester<T> &tester,
                     const Results<T> &got) {
    const Shape &s = n.shape;
    for (int64_t e = 0; e < q.length / n.stride; ++e)
      for (int64_t h = 0; h < s.keyHeads; ++h)
        for (int64_t i = 0; i < n.length; ++i)
          for (int64_t c = 0; c < s.keyDims; ++c) {
            int64_t t = (e + 1) * n.stride - n.length + i;
            Buffer<T> want(1);
            float value = t < 0 ? 0.0f
                                : getElement(q.keys, (t * s.keyHeads + h) *
                                                             s.keyDims +
                                                         c) +
                                      tester.positions()[i * s.keyDims + c];
            setElement(want, 0, value);
            ASSERT_EQ(got.gathered[((e * s.keyHeads + h) * n.length + i) *
                                       s.keyDims +
                                   c],
                      want[0])
                << "entry " << e << " row " << i << " column " << c;
          }
  }

  template <typename T> void checkPlans() {
    forCases<T>([&](const Sparse &n, Tester<T> &tester) {
      int64_t length = n.stride == 2 ? 1300 : 700;
      Sequence<T> q(n.shape, length, 11);
      Entries<T> entries(n, length, 11);
      Results<T> whole = tester.run(q, entries, {{length}, 16, 0, 1});
      const std::pair<const char *, Plan> plans[] = {
          {"one at a time", {{1}, 16, 0, 2}},
          {"512 at once, two threads", {{512}, 16, 2, 3}},
          {"uneven steps", {{3, 61, 1, 447, 1, 1, 200}, 16, 2, 4}},
          {"tiles of 5 rows", {{37, 1063}, 5, 2, 6}},
      };
      for (const auto &[name, plan] : plans)
        EXPECT_TRUE(tester.run(q, entries, plan) == whole) << name;
    });
  }
};

TEST_P(SparseAttentionTest, ValuesF32) { checkValues<float>(3e-5, 1300); }
TEST_P(SparseAttentionTest, ValuesBf16) { checkValues<uint16_t>(1e-2, 560); }
TEST_P(SparseAttentionTest, StepsDoNotMatterF32) { checkPlans<float>(); }
TEST_P(SparseAttentionTest, StepsDoNotMatterBf16) { checkPlans<uint16_t>(); }

INSTANTIATE_TEST_SUITE_P(Variants, SparseAttentionTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
