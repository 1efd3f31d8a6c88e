//===- AttentionBackwardTest.cpp - Gradients of attention -----------------===//
//
// Forward and backward kernels one after the other against gradients in f64,
// and to the bit against themselves: in any order of tiles, wherever pages
// lie, whatever runs beside a sequence and however it is cut into steps.
//
//===----------------------------------------------------------------------===//
#include "AttentionCase.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
constexpr double kScale = 0.2;

std::string makeSource(const Shape &s, StringRef element) {
  auto state = [&](int64_t dims) {
    return "!ds.state<[" + std::to_string(s.keyHeads) + ", " +
           std::to_string(dims) + "], " + element.str() + ">";
  };
  auto matrix = [&](int64_t columns, StringRef type) {
    return "tensor<?x" + std::to_string(columns) + "x" + type.str() + ">";
  };
  std::string q = matrix(s.heads * s.keyDims, element);
  std::string o = matrix(s.heads * s.valueDims, element);
  std::string k = state(s.keyDims), v = state(s.valueDims);
  std::string stat = matrix(s.heads, "f32");
  std::string heads = " heads " + std::to_string(s.heads);
  std::string scaled = heads + " scale " + std::to_string(kScale) + " : ";
  std::string inputs = "(" + q + ", " + k + ", " + v + ", " + stat + ", " +
                       stat + ", " + o + ", !ds.seq)";
  std::string operands = "%q, %k, %v, %lse, %delta, %do, %s";
  return "func.func @f(%q: " + q + ", %k: " + k + ", %v: " + v + ", %do: " + o +
         ", %s: !ds.seq) {\n"
         "%o, %lse = ds.kernel.attention @attend %q, %k, %v, %s" +
         scaled + "(" + q + ", " + k + ", " + v + ") -> " + o + ", " + stat +
         "\n%delta = ds.kernel.attention_delta @delta %o, %do" + heads +
         " : (" + o + ", " + o + ") -> " + stat +
         "\n%dq = ds.kernel.attention_backward_query @dq " + operands + scaled +
         inputs + " -> " + q +
         "\n%dk, %dv = ds.kernel.attention_backward_keys @dkv " + operands +
         scaled + inputs + " -> (" + matrix(s.keyHeads * s.keyDims, element) +
         ", " + matrix(s.keyHeads * s.valueDims, element) + ")\nreturn\n}\n";
}

/// A sequence with the gradient of its results.
template <typename T> struct Case {
  Case(const Shape &s, int64_t length, unsigned seed)
      : sequence(s, length, seed), gradient(length * s.heads * s.valueDims) {
    fillRandom(gradient, seed + 3);
  }
  Sequence<T> sequence;
  Buffer<T> gradient;
};

/// Gradients of queries, keys and values, token-major.
template <typename V> struct Gradients {
  std::vector<V> query, keys, values;
  bool operator==(const Gradients &other) const {
    return query == other.query && keys == other.keys && values == other.values;
  }
};

/// The gradients of sum(o * gradient) in f64.
template <typename T>
Gradients<double> differentiate(const Shape &s, const Case<T> &c) {
  const Sequence<T> &q = c.sequence;
  Gradients<double> g;
  g.query.resize(q.query.size());
  g.keys.resize(q.keys.size());
  g.values.resize(q.values.size());
  int64_t group = s.heads / s.keyHeads;
  for (int64_t t = 0; t < q.length; ++t)
    for (int64_t h = 0; h < s.heads; ++h) {
      int64_t row = (t * s.heads + h) * s.keyDims;
      int64_t out = (t * s.heads + h) * s.valueDims;
      auto key = [&](int64_t p) {
        return (p * s.keyHeads + h / group) * s.keyDims;
      };
      auto value = [&](int64_t p) {
        return (p * s.keyHeads + h / group) * s.valueDims;
      };
      std::vector<double> p(t + 1), dp(t + 1);
      double largest = -1e300, sum = 0, delta = 0;
      for (int64_t j = 0; j <= t; ++j) {
        for (int64_t i = 0; i < s.keyDims; ++i)
          p[j] += kScale * getElement(q.query, row + i) *
                  getElement(q.keys, key(j) + i);
        for (int64_t i = 0; i < s.valueDims; ++i)
          dp[j] += double(getElement(c.gradient, out + i)) *
                   getElement(q.values, value(j) + i);
        largest = std::max(largest, p[j]);
      }
      for (double &x : p)
        sum += x = std::exp(x - largest);
      for (int64_t j = 0; j <= t; ++j)
        delta += (p[j] /= sum) * dp[j];
      for (int64_t j = 0; j <= t; ++j) {
        double ds = kScale * p[j] * (dp[j] - delta);
        for (int64_t i = 0; i < s.keyDims; ++i) {
          g.query[row + i] += ds * getElement(q.keys, key(j) + i);
          g.keys[key(j) + i] += ds * getElement(q.query, row + i);
        }
        for (int64_t i = 0; i < s.valueDims; ++i)
          g.values[value(j) + i] += p[j] * getElement(c.gradient, out + i);
      }
    }
  return g;
}

/// How a step is run.
struct Plan {
  int threads = 0;
  unsigned seed = 1; ///< Of the order of tiles and of the pages.
};

template <typename T> class Tester {
public:
  Tester(const Shape &shape, Variant variant)
      : shape(shape),
        runner(
            makeSource(shape, sizeof(T) == 2 ? "bf16" : "f32"), variant,
            [](Operation *op, ModuleOp module, const Isa &isa,
               KernelLimits &limits) { emitOne(op, module, isa, limits); },
            kQueryRows) {}

  /// Runs one step of tokens [pasts[i], length) of every case. Pages that no
  /// sequence owns and positions after its end are NaN.
  Gradients<T> run(ArrayRef<const Case<T> *> cases, ArrayRef<int64_t> pasts,
                   Plan plan) {
    int64_t pageCount = 3;
    for (const Case<T> *c : cases)
      pageCount += c->sequence.length / 64 + 1;
    std::vector<int32_t> pages = shufflePages(pageCount, plan.seed);
    State<T> state(shape, pageCount);
    TestSeq seq;
    Joined query, gradient;
    size_t page = 0;
    for (auto [c, past] : llvm::zip(cases, pasts)) {
      const Sequence<T> &q = c->sequence;
      std::vector<int32_t> table(pages.begin() + page,
                                 pages.begin() + page + q.length / 64 + 1);
      page += table.size();
      state.append(q, 0, q.length, table);
      seq.addSequence(static_cast<int32_t>(past),
                      static_cast<int32_t>(q.length - past), table);
      query.append(q.query, past * shape.heads * shape.keyDims);
      gradient.append(c->gradient, past * shape.heads * shape.valueDims);
    }
    seq.makeQueryTiles(kQueryRows);
    int64_t tokens = seq.tokens();
    Buffer<T> output(tokens * shape.heads * shape.valueDims);
    Buffer<float> lse(tokens * shape.heads), delta(tokens * shape.heads);
    Buffer<T> dq(query.values.size());
    Buffer<T> dk(tokens * shape.keyHeads * shape.keyDims);
    Buffer<T> dv(tokens * shape.keyHeads * shape.valueDims);
    auto launch = [&](StringRef kernel, ArrayRef<void *> args) {
      runner.run(kernel, args, seq.dims(), plan.threads, plan.seed);
    };
    void *keys = state.keys.data.data(), *values = state.values.data.data();
    launch("attend",
           {query.data(), keys, values, seq.abi(), output.data(), lse.data()});
    launch("delta", {output.data(), gradient.data(), delta.data()});
    launch("dq", {query.data(), keys, values, lse.data(), delta.data(),
                  gradient.data(), seq.abi(), dq.data()});
    launch("dkv", {query.data(), keys, values, lse.data(), delta.data(),
                   gradient.data(), seq.abi(), dk.data(), dv.data()});
    return {take(dq), take(dk), take(dv)};
  }

  Gradients<T> run(const Case<T> &c) { return run({&c}, {0}, Plan()); }

private:
  static constexpr int64_t kQueryRows = 16;
  Shape shape;
  KernelRunner runner;

  /// Rows of several sequences.
  struct Joined {
    std::vector<T> values;
    void append(const Buffer<T> &from, int64_t begin) {
      values.insert(values.end(), from.data() + begin,
                    from.data() + from.size());
    }
    void *data() { return values.data(); }
  };

  static void emitOne(Operation *op, ModuleOp module, const Isa &isa,
                      KernelLimits &limits) {
    llvm::TypeSwitch<Operation *>(op)
        .Case(
            [&](KernelAttentionOp k) { emitAttention(k, module, isa, limits); })
        .Case([&](KernelAttentionDeltaOp k) {
          emitAttentionDelta(k, module, isa, limits);
        })
        .Case([&](KernelAttentionBackwardQueryOp k) {
          emitAttentionBackwardQuery(k, module, isa, limits);
        })
        .Case([&](KernelAttentionBackwardKeysOp k) {
          emitAttentionBackwardKeys(k, module, isa, limits);
        });
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

/// Every element within `each` x (1 + its size), and the difference's norm
/// within `norm` of the whole's, were each element 1 larger.
struct Tolerance {
  double each, norm;
};

template <typename T>
void expectNear(const char *name, ArrayRef<T> got, ArrayRef<double> want,
                Tolerance tolerance) {
  ASSERT_EQ(got.size(), want.size());
  double error = 0, size = static_cast<double>(want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    double difference = toFloat(got[i]) - want[i];
    ASSERT_LE(std::fabs(difference), tolerance.each * (1 + std::fabs(want[i])))
        << name << " element " << i << " of " << want[i];
    error += difference * difference;
    size += want[i] * want[i];
  }
  EXPECT_LE(std::sqrt(error), tolerance.norm * std::sqrt(size)) << name;
}

const Shape kShapes[] = {
    {2, 2, 64, 64},   {6, 2, 26, 26}, {3, 1, 13, 45},
    {4, 2, 128, 128}, {1, 1, 96, 80}, {2, 2, 160, 144},
};
const int64_t kLengths[] = {1, 7, 33, 96, 600};
} // namespace

class AttentionBackwardTest : public testing::TestWithParam<Variant> {
protected:
  template <typename T>
  void forShapes(ArrayRef<Shape> shapes,
                 function_ref<void(const Shape &, Tester<T> &)> body) {
    for (const Shape &shape : shapes) {
      SCOPED_TRACE(testing::Message()
                   << shape.heads << "/" << shape.keyHeads << " x "
                   << shape.keyDims << ", " << shape.valueDims);
      Tester<T> tester(shape, GetParam());
      body(shape, tester);
    }
  }

  template <typename T>
  std::vector<std::unique_ptr<Case<T>>> makeCases(const Shape &shape) {
    std::vector<std::unique_ptr<Case<T>>> cases;
    for (int64_t length : kLengths)
      cases.push_back(std::make_unique<Case<T>>(
          shape, length, static_cast<unsigned>(10 * length)));
    return cases;
  }

  template <typename T> void checkValues(Tolerance tolerance) {
    forShapes<T>(kShapes, [&](const Shape &shape, Tester<T> &tester) {
      for (const auto &c : makeCases<T>(shape)) {
        SCOPED_TRACE(c->sequence.length);
        Gradients<T> got = tester.run(*c);
        Gradients<double> want = differentiate(shape, *c);
        expectNear<T>("dq", got.query, want.query, tolerance);
        expectNear<T>("dk", got.keys, want.keys, tolerance);
        expectNear<T>("dv", got.values, want.values, tolerance);
      }
    });
  }

  /// All sequences in one step, each as if it were alone.
  template <typename T> void checkBatch() {
    forShapes<T>(ArrayRef(kShapes).take_front(3), [&](const Shape &shape,
                                                      Tester<T> &tester) {
      auto cases = makeCases<T>(shape);
      std::vector<const Case<T> *> all;
      Gradients<T> want;
      for (const auto &c : cases) {
        all.push_back(c.get());
        Gradients<T> alone = tester.run(*c);
        auto append = [](std::vector<T> &to, const std::vector<T> &from) {
          to.insert(to.end(), from.begin(), from.end());
        };
        append(want.query, alone.query);
        append(want.keys, alone.keys);
        append(want.values, alone.values);
      }
      std::vector<int64_t> pasts(all.size(), 0);
      for (unsigned seed : {2, 3})
        EXPECT_TRUE(tester.run(all, pasts, {2, seed}) == want) << seed;
      EXPECT_TRUE(tester.run(all, pasts, {0, 4}) == want);
    });
  }

  /// A step after kept positions: its tokens' gradients are those that they
  /// have in the whole sequence.
  template <typename T> void checkPast() {
    forShapes<T>(ArrayRef(kShapes).take_front(3), [&](const Shape &shape,
                                                      Tester<T> &tester) {
      Case<T> c(shape, 200, 77);
      Gradients<T> whole = tester.run(c);
      for (int64_t past : {1, 64, 101, 199}) {
        Gradients<T> step = tester.run({&c}, {past}, {2, 5});
        auto isTail = [](const std::vector<T> &all,
                         const std::vector<T> &tail) {
          return std::equal(tail.rbegin(), tail.rend(), all.rbegin());
        };
        EXPECT_TRUE(isTail(whole.query, step.query)) << past;
        EXPECT_TRUE(isTail(whole.keys, step.keys)) << past;
        EXPECT_TRUE(isTail(whole.values, step.values)) << past;
      }
    });
  }
};

TEST_P(AttentionBackwardTest, ValuesF32) { checkValues<float>({2e-5, 1e-6}); }
TEST_P(AttentionBackwardTest, ValuesBf16) {
  checkValues<uint16_t>({2e-2, 3e-3});
}
TEST_P(AttentionBackwardTest, BatchDoesNotMatterF32) { checkBatch<float>(); }
TEST_P(AttentionBackwardTest, BatchDoesNotMatterBf16) {
  checkBatch<uint16_t>();
}
TEST_P(AttentionBackwardTest, PastDoesNotMatterF32) { checkPast<float>(); }
TEST_P(AttentionBackwardTest, PastDoesNotMatterBf16) { checkPast<uint16_t>(); }

INSTANTIATE_TEST_SUITE_P(Variants, AttentionBackwardTest,
                         testing::ValuesIn(getRunnableVariants()),
                         [](const auto &info) {
                           return std::string(getIsa(info.param).name);
                         });
