//===- SparseBackwardTest.cpp - Gradients of sparse attention -------------===//
//
// Forward and backward kernels one after the other against gradients in f64,
// for every source of keys; and to the bit against themselves, in any order of
// tiles and wherever pages lie.
//
//===----------------------------------------------------------------------===//
#include "AttentionCase.h"
#include <cmath>
#include <gtest/gtest.h>
#include <set>

using namespace ds;
using namespace ds::cpu;

namespace {
constexpr double kScale = 0.2;
constexpr int64_t kQueryRows = 8;

struct Case {
  Shape shape;
  KeySource source;
  int64_t size, stride, count;
};

std::string makeSource(const Case &n, StringRef element) {
  const Shape &s = n.shape;
  auto state = [&](int64_t dims) {
    return "!ds.state<[" + std::to_string(s.keyHeads) + ", " +
           std::to_string(dims) + "], " + element.str() +
           (n.stride > 1 ? " every " + std::to_string(n.stride) : "") + ">";
  };
  auto matrix = [&](int64_t columns, StringRef type) {
    return "tensor<?x" + std::to_string(columns) + "x" + type.str() + ">";
  };
  bool entries = n.source == KeySource::Entries;
  bool lists = n.source == KeySource::Blocks;
  int64_t kept = entries ? 1 : s.keyHeads;
  std::string q = matrix(s.heads * s.keyDims, element);
  std::string o = matrix(s.heads * s.valueDims, element);
  std::string stat = matrix(s.heads, "f32");
  std::string k = state(s.keyDims), v = state(s.valueDims);
  std::string list = matrix(s.keyHeads * n.count, "i32");
  std::string heads = " heads " + std::to_string(s.heads);
  std::string attributes = heads + " scale " + std::to_string(kScale) +
                           " from " + stringifyKeySource(n.source).str() +
                           " " + std::to_string(n.size) + " : ";
  std::string tail = lists ? ", %b" : "", tailType = lists ? ", " + list : "";
  std::string rows = entries ? " {ds.rows = \"C*" +
                                   std::to_string(s.keyHeads) + "\"}"
                             : "";
  auto append = [&](StringRef name, int64_t dims, StringRef keys) {
    std::string x = name.str();
    return "%" + x + "1 = ds.kernel.append_blocks @append_" + x + " %" + x +
           ", %x" + x + ", %c" + keys.str() + " : " + state(dims) + ", " +
           matrix(dims, element) + "\n";
  };
  std::string text =
      "func.func @f(%q: " + q + ", %k: " + k + ", %v: " + v + ", %do: " + o +
      ", %s: !ds.seq, %b: " + list + ", %xk: " + matrix(s.keyDims, element) +
      rows + ", %xv: " + matrix(s.valueDims, element) + rows + ") {\n";
  std::string kName = "%k", vName = "%v";
  if (entries) {
    text += "%c = ds.view_seq %s blocks\n" + append("k", s.keyDims, " keys") +
            append("v", s.valueDims, "");
    kName = "%k1", vName = "%v1";
  }
  std::string inputs = "(" + q + ", " + k + ", " + v + ", " + stat + ", " +
                       stat + ", " + o + ", !ds.seq" + tailType + ") -> ";
  std::string operands = "%q, " + kName + ", " + vName +
                         ", %lse, %delta, %do, %s" + tail;
  return text + "%o, %lse = ds.kernel.sparse_attention @attend %q, " + kName +
         ", " + vName + ", %s" + tail + attributes + "(" + q + ", " + k +
         ", " + v + ", !ds.seq" + tailType + ") -> (" + o + ", " + stat +
         ")\n%delta = ds.kernel.attention_delta @delta %o, %do" + heads +
         " : (" + o + ", " + o + ") -> " + stat +
         "\n%dq = ds.kernel.sparse_backward_query @dq " + operands +
         attributes + inputs + q +
         "\n%dk, %dv = ds.kernel.sparse_backward_keys @dkv " + operands +
         attributes + inputs + "(" + matrix(kept * s.keyDims, element) + ", " +
         matrix(kept * s.valueDims, element) + ")\nreturn\n}\n";
}

/// Gradients of queries, keys and values, token-major or entry-major.
template <typename V> struct Gradients {
  std::vector<V> query, keys, values;
  bool operator==(const Gradients &other) const {
    return query == other.query && keys == other.keys && values == other.values;
  }
};

float toFloat(uint16_t value) { return fromBf16(value); }
float toFloat(float value) { return value; }

template <typename T> class Tester {
public:
  Tester(const Case &n, Variant variant)
      : n(n), s(n.shape),
        runner(makeSource(n, sizeof(T) == 2 ? "bf16" : "f32"), variant,
               [](Operation *op, ModuleOp module, const Isa &isa,
                  KernelLimits &limits) { emitKernel(op, module, isa, limits); },
               kQueryRows) {}

  /// Blocks of every token and key head: the first, its own, and some between.
  std::vector<int32_t> makeLists(int64_t length) const {
    std::vector<int32_t> lists;
    std::mt19937 random(5);
    for (int64_t t = 0; t < length; ++t)
      for (int64_t h = 0; h < s.keyHeads; ++h) {
        std::set<int32_t> blocks = {0, static_cast<int32_t>(t / n.size)};
        for (int64_t i = 2; i < n.count; ++i)
          blocks.insert(static_cast<int32_t>(random() % (t / n.size + 1)));
        lists.insert(lists.end(), blocks.begin(), blocks.end());
        lists.resize((t * s.keyHeads + h + 1) * n.count, -1);
      }
    return lists;
  }

  std::vector<int64_t> seen(int64_t t, int64_t head,
                            ArrayRef<int32_t> lists) const {
    std::vector<int64_t> keys;
    if (n.source == KeySource::Window)
      for (int64_t p = std::max<int64_t>(0, t - n.size + 1); p <= t; ++p)
        keys.push_back(p);
    else if (n.source == KeySource::Entries)
      for (int64_t i = n.size / n.stride - 1; i < (t + 1) / n.stride; ++i)
        keys.push_back(i);
    else
      for (int32_t block :
           lists.slice((t * s.keyHeads + head) * n.count, n.count))
        for (int64_t p = block * n.size; p < (block + 1) * n.size; ++p)
          if (block >= 0 && p <= t)
            keys.push_back(p);
    return keys;
  }

  Gradients<T> run(const Sequence<T> &q, const Buffer<T> &gradient,
                   std::vector<int32_t> &lists, int threads, unsigned seed) {
    bool entries = n.source == KeySource::Entries;
    std::vector<int32_t> table = shufflePages(q.length / 64 + 3, seed);
    table.resize(q.length / 64 + 1);
    State<T> state(s, q.length / 64 + 3);
    TestSeq seq, blocks;
    seq.addSequence(0, static_cast<int32_t>(q.length), table);
    seq.makeQueryTiles(kQueryRows);
    int64_t fresh = q.length / n.stride;
    std::vector<int64_t> keyDims = seq.dims();
    auto launch = [&](StringRef kernel, ArrayRef<void *> args,
                      ArrayRef<int64_t> dims) {
      runner.run(kernel, args, dims, threads, seed);
    };
    void *keys = state.keys.data.data(), *values = state.values.data.data();
    if (entries) {
      blocks.addSequence(0, static_cast<int32_t>(fresh), table);
      for (int64_t i = 0; i < fresh; ++i)
        blocks.position[i] = static_cast<int32_t>((i + 1) * n.stride - 1);
      keyDims = blocks.dims();
      keyDims[0] = fresh * s.keyHeads;
      launch("append_k",
             {keys, const_cast<T *>(q.keys.data()), blocks.abi()}, keyDims);
      launch("append_v",
             {values, const_cast<T *>(q.values.data()), blocks.abi()}, keyDims);
    } else {
      state.append(q, 0, q.length, table);
    }
    void *query = const_cast<T *>(q.query.data());
    void *dy = const_cast<T *>(gradient.data());
    Buffer<T> output(gradient.size());
    Buffer<float> lse(q.length * s.heads), delta(q.length * s.heads);
    Buffer<T> dq(q.query.size()), dk(fresh * s.keyHeads * s.keyDims),
        dv(fresh * s.keyHeads * s.valueDims);
    SmallVector<void *> attend = {query, keys, values, seq.abi()};
    SmallVector<void *> back = {query, keys,         values, lse.data(),
                                delta.data(), dy, seq.abi()};
    if (n.source == KeySource::Blocks) {
      attend.push_back(lists.data());
      back.push_back(lists.data());
    }
    attend.append({output.data(), lse.data()});
    launch("attend", attend, seq.dims());
    launch("delta", {output.data(), dy, delta.data()}, seq.dims());
    SmallVector<void *> toQuery(back), toKeys(back);
    toQuery.push_back(dq.data());
    toKeys.append({dk.data(), dv.data()});
    launch("dq", toQuery, seq.dims());
    launch("dkv", toKeys, keyDims);
    auto take = [](const Buffer<T> &buffer) {
      const auto *after =
          reinterpret_cast<const uint8_t *>(buffer.data() + buffer.size());
      for (int i = 0; i < 64; ++i)
        EXPECT_EQ(after[i], 0xff) << "written beyond the end";
      return std::vector<T>(buffer.data(), buffer.data() + buffer.size());
    };
    return {take(dq), take(dk), take(dv)};
  }

  /// The gradients of sum(o * gradient) in f64.
  Gradients<double> differentiate(const Sequence<T> &q,
                                  const Buffer<T> &gradient,
                                  ArrayRef<int32_t> lists) const {
    Gradients<double> g;
    int64_t kept = q.length / n.stride * s.keyHeads;
    g.query.resize(q.query.size());
    g.keys.resize(kept * s.keyDims);
    g.values.resize(kept * s.valueDims);
    for (int64_t t = 0; t < q.length; ++t)
      for (int64_t h = 0; h < s.heads; ++h) {
        int64_t head = h / (s.heads / s.keyHeads);
        int64_t row = (t * s.heads + h) * s.keyDims;
        int64_t out = (t * s.heads + h) * s.valueDims;
        std::vector<int64_t> keys = seen(t, head, lists);
        std::vector<double> p(keys.size()), dp(keys.size());
        double largest = -1e300, sum = 0, delta = 0;
        for (size_t j = 0; j < keys.size(); ++j) {
          int64_t at = keys[j] * s.keyHeads + head;
          for (int64_t i = 0; i < s.keyDims; ++i)
            p[j] += kScale * getElement(q.query, row + i) *
                    getElement(q.keys, at * s.keyDims + i);
          for (int64_t i = 0; i < s.valueDims; ++i)
            dp[j] += double(getElement(gradient, out + i)) *
                     getElement(q.values, at * s.valueDims + i);
          largest = std::max(largest, p[j]);
        }
        for (double &x : p)
          sum += x = std::exp(x - largest);
        for (size_t j = 0; j < keys.size(); ++j)
          delta += (p[j] /= sum) * dp[j];
        for (size_t j = 0; j < keys.size(); ++j) {
          int64_t at = keys[j] * s.keyHeads + head;
          double ds = kScale * p[j] * (dp[j] - delta);
          for (int64_t i = 0; i < s.keyDims; ++i) {
            g.query[row + i] += ds * getElement(q.keys, at * s.keyDims + i);
            g.keys[at * s.keyDims + i] += ds * getElement(q.query, row + i);
          }
          for (int64_t i = 0; i < s.valueDims; ++i)
            g.values[at * s.valueDims + i] +=
                p[j] * getElement(gradient, out + i);
        }
      }
    return g;
  }

private:
  const Case &n;
  const Shape &s;
  KernelRunner runner;
};

template <typename T>
void expectNear(const char *name, ArrayRef<T> got, ArrayRef<double> want,
                double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(toFloat(got[i]), want[i], tolerance * (1 + std::fabs(want[i])))
        << name << " element " << i;
}

const Case kCases[] = {
    {{8, 2, 24, 16}, KeySource::Window, 24, 1, 0},
    {{3, 1, 45, 40}, KeySource::Window, 100, 1, 0},
    {{8, 2, 24, 16}, KeySource::Blocks, 16, 1, 5},
    {{4, 1, 64, 32}, KeySource::Blocks, 64, 1, 3},
    {{8, 2, 24, 16}, KeySource::Entries, 8, 4, 0},
    {{4, 1, 40, 45}, KeySource::Entries, 32, 16, 0},
};
} // namespace

class SparseBackwardTest : public testing::TestWithParam<Variant> {
protected:
  template <typename T> void check(double tolerance) {
    for (const Case &n : kCases) {
      SCOPED_TRACE(stringifyKeySource(n.source).str() + " " +
                   std::to_string(n.size));
      Tester<T> tester(n, GetParam());
      Sequence<T> q(n.shape, 300, 3);
      Buffer<T> gradient(300 * n.shape.heads * n.shape.valueDims);
      fillRandom(gradient, 9);
      std::vector<int32_t> lists;
      if (n.source == KeySource::Blocks)
        lists = tester.makeLists(300);
      Gradients<T> got = tester.run(q, gradient, lists, 0, 1);
      EXPECT_TRUE(tester.run(q, gradient, lists, 2, 7) == got);
      Gradients<double> want = tester.differentiate(q, gradient, lists);
      expectNear<T>("dq", got.query, want.query, tolerance);
      expectNear<T>("dk", got.keys, want.keys, tolerance);
      expectNear<T>("dv", got.values, want.values, tolerance);
    }
  }
};

TEST_P(SparseBackwardTest, F32) { check<float>(2e-5); }
TEST_P(SparseBackwardTest, Bf16) { check<uint16_t>(4e-2); }

INSTANTIATE_TEST_SUITE_P(Variants, SparseBackwardTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
