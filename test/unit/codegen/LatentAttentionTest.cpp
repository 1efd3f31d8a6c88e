//===- LatentAttentionTest.cpp - Values that are columns of the keys ------===//
//
// Attention with a prefix, and over lists of positions, with its gradients:
// against f64, and to the bit however a sequence is cut into steps, wherever
// its pages lie and whatever runs beside it. A list of all positions gives what
// no list gives.
//
//===----------------------------------------------------------------------===//
#include "AttentionCase.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
constexpr double kScale = 0.2;

struct Latents {
  int64_t heads, dims, prefix;
  int64_t entries; ///< Positions of a list, 0 where a row sees all.
};

std::string makeSource(const Latents &s, StringRef element) {
  auto matrix = [&](int64_t columns, StringRef type) {
    return "tensor<?x" + std::to_string(columns) + "x" + type.str() + ">";
  };
  std::string q = matrix(s.heads * s.dims, element);
  std::string o = matrix(s.heads * s.prefix, element);
  std::string c = "!ds.state<[1, " + std::to_string(s.dims) + "], " +
                  element.str() + ">";
  std::string stat = matrix(s.heads, "f32");
  std::string heads = " heads " + std::to_string(s.heads);
  std::string scaled = heads + " scale " + std::to_string(kScale) + " prefix " +
                       std::to_string(s.prefix) + " : ";
  std::string list = matrix(std::max<int64_t>(s.entries, 1), "i32");
  std::string seen = s.entries ? " entries %e : " + list : "";
  std::string inputs = "(" + q + ", " + c + ", " + c + ", " + stat + ", " +
                       stat + ", " + o + ", !ds.seq" +
                       (s.entries ? ", " + list : "") + ")";
  std::string operands = "%q, %c, %c, %lse, %delta, %do, %s" +
                         std::string(s.entries ? " entries %e" : "");
  return "func.func @f(%q: " + q + ", %c: " + c + ", %do: " + o + ", %e: " +
         list + ", %s: !ds.seq) {\n"
         "%o, %lse = ds.kernel.attention @attend %q, %c, %c, %s" + seen +
         scaled + "(" + q + ", " + c + ", " + c + ") -> " + o + ", " + stat +
         "\n%delta = ds.kernel.attention_delta @delta %o, %do" + heads +
         " : (" + o + ", " + o + ") -> " + stat +
         "\n%dq = ds.kernel.attention_backward_query @dq " + operands + scaled +
         inputs + " -> " + q +
         "\n%dc = ds.kernel.attention_backward_keys @dc " + operands + scaled +
         inputs + " -> " + matrix(s.dims, element) + "\nreturn\n}\n";
}

/// A sequence with the gradient of its results and lists of positions.
template <typename T> struct Case {
  Case(const Latents &s, int64_t length, unsigned seed)
      : length(length), query(length * s.heads * s.dims),
        kept(length * s.dims), gradient(length * s.heads * s.prefix) {
    fillRandom(query, seed, 10.0f / std::sqrt(static_cast<float>(s.dims)));
    fillRandom(kept, seed + 1, 1.5f);
    fillRandom(gradient, seed + 2);
    std::mt19937 random(seed);
    for (int64_t t = 0; t < length; ++t) {
      std::vector<int32_t> list(t + 1);
      for (int64_t p = 0; p <= t; ++p)
        list[p] = static_cast<int32_t>(p);
      std::shuffle(list.begin(), list.end(), random);
      list.resize(std::min<int64_t>(s.entries, t + 1));
      std::sort(list.begin(), list.end());
      list.resize(s.entries, -1);
      lists.insert(lists.end(), list.begin(), list.end());
    }
  }
  int64_t length;
  Buffer<T> query, kept, gradient;
  std::vector<int32_t> lists;

  /// The positions that token t sees.
  std::vector<int64_t> getSeen(const Latents &s, int64_t t) const {
    std::vector<int64_t> seen;
    for (int64_t i = 0; i < (s.entries ? s.entries : t + 1); ++i)
      if (int64_t p = s.entries ? lists[t * s.entries + i] : i; p >= 0)
        seen.push_back(p);
    return seen;
  }
};

template <typename V> struct Results {
  std::vector<V> output, query, kept;
  bool operator==(const Results &other) const {
    return output == other.output && query == other.query && kept == other.kept;
  }
};

/// Attention and the gradients of sum(o * gradient) in f64.
template <typename T>
Results<double> compute(const Latents &s, const Case<T> &c) {
  Results<double> r;
  r.output.resize(c.gradient.size());
  r.query.resize(c.query.size());
  r.kept.resize(c.kept.size());
  for (int64_t t = 0; t < c.length; ++t)
    for (int64_t h = 0; h < s.heads; ++h) {
      int64_t row = (t * s.heads + h) * s.dims;
      int64_t out = (t * s.heads + h) * s.prefix;
      std::vector<int64_t> seen = c.getSeen(s, t);
      std::vector<double> p(seen.size()), dp(seen.size());
      double largest = -1e300, sum = 0, delta = 0;
      for (size_t j = 0; j < seen.size(); ++j) {
        for (int64_t i = 0; i < s.dims; ++i)
          p[j] += kScale * getElement(c.query, row + i) *
                  getElement(c.kept, seen[j] * s.dims + i);
        for (int64_t i = 0; i < s.prefix; ++i)
          dp[j] += double(getElement(c.gradient, out + i)) *
                   getElement(c.kept, seen[j] * s.dims + i);
        largest = std::max(largest, p[j]);
      }
      for (double &x : p)
        sum += x = std::exp(x - largest);
      for (size_t j = 0; j < seen.size(); ++j)
        delta += (p[j] /= sum) * dp[j];
      for (size_t j = 0; j < seen.size(); ++j) {
        double ds = kScale * p[j] * (dp[j] - delta);
        int64_t at = seen[j] * s.dims;
        for (int64_t i = 0; i < s.dims; ++i) {
          r.query[row + i] += ds * getElement(c.kept, at + i);
          r.kept[at + i] += ds * getElement(c.query, row + i);
        }
        for (int64_t i = 0; i < s.prefix; ++i) {
          r.output[out + i] += p[j] * getElement(c.kept, at + i);
          r.kept[at + i] += p[j] * getElement(c.gradient, out + i);
        }
      }
    }
  return r;
}

template <typename T> class Tester {
public:
  Tester(const Latents &shape, Variant variant)
      : shape(shape),
        runner(
            makeSource(shape, sizeof(T) == 2 ? "bf16" : "f32"), variant,
            [](Operation *op, ModuleOp module, const Isa &isa,
               KernelLimits &limits) { emitKernel(op, module, isa, limits); },
            kQueryRows) {}

  /// Runs one step of tokens [pasts[i], length) of every case. Pages that no
  /// sequence owns and positions after its end are NaN.
  Results<T> run(ArrayRef<const Case<T> *> cases, ArrayRef<int64_t> pasts,
                 int threads = 0, unsigned seed = 1) {
    int64_t pageCount = 3;
    for (const Case<T> *c : cases)
      pageCount += c->length / 64 + 1;
    std::vector<int32_t> pages = shufflePages(pageCount, seed);
    StateImage<T> state(1, shape.dims, pageCount);
    TestSeq seq;
    std::vector<T> query, gradient;
    std::vector<int32_t> lists;
    size_t page = 0;
    for (size_t i = 0; i < cases.size(); ++i) {
      const Case<T> *c = cases[i];
      int64_t past = pasts[i];
      std::vector<int32_t> table(pages.begin() + page,
                                 pages.begin() + page + c->length / 64 + 1);
      page += table.size();
      keep(state, *c, table);
      seq.addSequence(static_cast<int32_t>(past),
                      static_cast<int32_t>(c->length - past), table);
      auto append = [&](auto &to, const auto *from, int64_t width) {
        to.insert(to.end(), from + past * width, from + c->length * width);
      };
      append(query, c->query.data(), shape.heads * shape.dims);
      append(gradient, c->gradient.data(), shape.heads * shape.prefix);
      append(lists, c->lists.data(), shape.entries);
    }
    lists.push_back(0);
    seq.makeQueryTiles(kQueryRows);
    int64_t tokens = seq.tokens();
    Buffer<T> output(gradient.size()), dq(query.size());
    Buffer<T> dc(tokens * shape.dims);
    Buffer<float> lse(tokens * shape.heads), delta(tokens * shape.heads);
    auto launch = [&](StringRef kernel, std::vector<void *> args,
                      std::vector<void *> results) {
      if (shape.entries && kernel != "delta")
        args.push_back(lists.data());
      args.insert(args.end(), results.begin(), results.end());
      runner.run(kernel, args, seq.dims(), threads, seed);
    };
    void *kept = state.data.data();
    launch("attend", {query.data(), kept, kept, seq.abi()},
           {output.data(), lse.data()});
    launch("delta", {output.data(), gradient.data()}, {delta.data()});
    std::vector<void *> inputs = {query.data(), kept,          kept,
                                  lse.data(),   delta.data(),  gradient.data(),
                                  seq.abi()};
    launch("dq", inputs, {dq.data()});
    launch("dc", inputs, {dc.data()});
    return {take(output), take(dq), take(dc)};
  }

  Results<T> run(const Case<T> &c) { return run({&c}, {0}); }

private:
  static constexpr int64_t kQueryRows = 4;
  Latents shape;
  KernelRunner runner;

  /// Lists are read from the view of values, which has zeros up to a multiple
  /// of 32 positions.
  void keep(StateImage<T> &state, const Case<T> &c, ArrayRef<int32_t> table) {
    int64_t end = shape.entries ? (c.length + 31) / 32 * 32 : c.length;
    for (int64_t t = 0; t < end; ++t)
      for (int64_t i = 0; i < state.padded; ++i) {
        size_t at = shape.entries ? state.value(table[t / 64], 0, t % 64, i)
                                  : state.key(table[t / 64], 0, t % 64, i);
        state.data[at] = t < c.length && i < shape.dims
                             ? c.kept[t * shape.dims + i]
                             : T(0);
      }
  }

  /// The values; what follows them must not have been written.
  std::vector<T> take(const Buffer<T> &buffer) {
    const auto *after =
        reinterpret_cast<const uint8_t *>(buffer.data() + buffer.size());
    for (int i = 0; i < 64; ++i)
      EXPECT_EQ(after[i], 0xff) << "written beyond the end";
    return std::vector<T>(buffer.data(), buffer.data() + buffer.size());
  }
};

float toFloat(uint16_t value) { return fromBf16(value); }
float toFloat(float value) { return value; }

template <typename T>
void expectNear(const char *name, ArrayRef<T> got, ArrayRef<double> want,
                double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_LE(std::fabs(toFloat(got[i]) - want[i]),
              tolerance * (1 + std::fabs(want[i])))
        << name << " element " << i << " of " << want[i];
}

/// One that is no multiple of anything, one of many rows, and V3's with few
/// heads.
const Latents kShapes[] = {
    {3, 45, 29, 0},  {16, 96, 64, 0},  {5, 576, 512, 0},
    {3, 45, 29, 70}, {28, 96, 64, 40}, {5, 576, 512, 600},
};
const int64_t kLengths[] = {1, 7, 96, 600};
} // namespace

class LatentAttentionTest : public testing::TestWithParam<Variant> {
protected:
  template <typename T>
  void forShapes(ArrayRef<Latents> shapes,
                 function_ref<void(const Latents &, Tester<T> &)> body) {
    for (const Latents &shape : shapes) {
      SCOPED_TRACE(testing::Message()
                   << shape.heads << " x " << shape.dims << ", prefix "
                   << shape.prefix << ", entries " << shape.entries);
      Tester<T> tester(shape, GetParam());
      body(shape, tester);
    }
  }

  template <typename T> void checkValues(double tolerance) {
    forShapes<T>(kShapes, [&](const Latents &shape, Tester<T> &tester) {
      for (int64_t length : kLengths) {
        if (length * shape.dims > 60000)
          continue;
        SCOPED_TRACE(length);
        Case<T> c(shape, length, static_cast<unsigned>(10 * length));
        Results<T> got = tester.run(c);
        Results<double> want = compute(shape, c);
        expectNear<T>("o", got.output, want.output, tolerance);
        expectNear<T>("dq", got.query, want.query, tolerance);
        expectNear<T>("dc", got.kept, want.kept, tolerance);
      }
    });
  }

  /// Tokens after kept positions, beside others, have what they have in the
  /// whole sequence alone.
  template <typename T> void checkSteps() {
    forShapes<T>({kShapes[0], kShapes[1], kShapes[3], kShapes[4]},
                 [&](const Latents &shape, Tester<T> &tester) {
      Case<T> c(shape, 600, 77), other(shape, 130, 5);
      Results<T> whole = tester.run(c), beside = tester.run(other);
      for (int64_t past : {1, 64, 101, 599}) {
        SCOPED_TRACE(past);
        Results<T> step = tester.run({&other, &c}, {0, past}, 2, 5);
        auto isTail = [](const std::vector<T> &all, const std::vector<T> &first,
                         const std::vector<T> &both) {
          size_t rest = both.size() - first.size();
          return std::equal(first.begin(), first.end(), both.begin()) &&
                 std::equal(both.end() - rest, both.end(), all.end() - rest);
        };
        EXPECT_TRUE(isTail(whole.output, beside.output, step.output));
        EXPECT_TRUE(isTail(whole.query, beside.query, step.query));
        EXPECT_TRUE(isTail(whole.kept, beside.kept, step.kept));
      }
    });
  }

  /// Lists that hold every position, and places beyond.
  template <typename T> void checkAll() {
    for (Latents shape : {kShapes[0], kShapes[1]}) {
      Latents listed = shape;
      listed.entries = 700;
      Tester<T> plain(shape, GetParam()), tester(listed, GetParam());
      for (int64_t length : {7, 600}) {
        Case<T> c(listed, length, 9);
        EXPECT_TRUE(plain.run(c) == tester.run(c)) << length;
      }
    }
  }
};

TEST_P(LatentAttentionTest, ValuesF32) { checkValues<float>(4e-5); }
TEST_P(LatentAttentionTest, ValuesBf16) { checkValues<uint16_t>(6e-2); }
TEST_P(LatentAttentionTest, StepsDoNotMatterF32) { checkSteps<float>(); }
TEST_P(LatentAttentionTest, StepsDoNotMatterBf16) { checkSteps<uint16_t>(); }
TEST_P(LatentAttentionTest, ListsOfAllPositionsF32) { checkAll<float>(); }
TEST_P(LatentAttentionTest, ListsOfAllPositionsBf16) { checkAll<uint16_t>(); }

INSTANTIATE_TEST_SUITE_P(Variants, LatentAttentionTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
