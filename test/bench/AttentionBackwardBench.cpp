//===- AttentionBackwardBench.cpp - Times attention's backward ------------===//
//
// AttentionBackwardBench [variant [dims]]: one core, one sequence, bf16. Each
// kernel as GFLOP/s of the products that it takes with the visible half of the
// square (forward 2, queries 3, keys and values 4), the backward as a whole of
// the 5 products that need be taken.
//
//===----------------------------------------------------------------------===//
#include "BenchProbes.h"
#include "test/unit/codegen/StateImage.h"
#include <cmath>
#include <cstdio>

using namespace ds;
using namespace ds::cpu;

namespace {
struct BenchShape {
  int64_t heads, keyHeads, dims;
};

std::string makeSource(const BenchShape &s) {
  auto matrix = [](int64_t columns, StringRef element) {
    return "tensor<?x" + std::to_string(columns) + "x" + element.str() + ">";
  };
  std::string rows = matrix(s.heads * s.dims, "bf16");
  std::string kept = matrix(s.keyHeads * s.dims, "bf16");
  std::string stat = matrix(s.heads, "f32");
  std::string state = "!ds.state<[" + std::to_string(s.keyHeads) + ", " +
                      std::to_string(s.dims) + "], bf16>";
  std::string heads = " heads " + std::to_string(s.heads);
  std::string scaled = heads + " scale 0.088 : ";
  std::string inputs = "(" + rows + ", " + state + ", " + state + ", " + stat +
                       ", " + stat + ", " + rows + ", !ds.seq) -> ";
  std::string operands = "%q, %k, %v, %lse, %delta, %do, %s";
  return "func.func @f(%q: " + rows + ", %k: " + state + ", %v: " + state +
         ", %do: " + rows + ", %s: !ds.seq) {\n" +
         "%o, %lse = ds.kernel.attention @forward %q, %k, %v, %s" + scaled +
         "(" + rows + ", " + state + ", " + state + ") -> " + rows + ", " +
         stat + "\n%delta = ds.kernel.attention_delta @delta %o, %do" + heads +
         " : (" + rows + ", " + rows + ") -> " + stat +
         "\n%dq = ds.kernel.attention_backward_query @query " + operands +
         scaled + inputs + rows +
         "\n%dk, %dv = ds.kernel.attention_backward_keys @keys " + operands +
         scaled + inputs + "(" + kept + ", " + kept + ")\nreturn\n}\n";
}

void emitOne(Operation *op, ModuleOp module, const Isa &isa,
             KernelLimits &limits) {
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](KernelAttentionOp k) { emitAttention(k, module, isa, limits); })
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

double measurePeak() {
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    double start = getThreadSeconds();
    double flops = bench::multiplyPairs(2000000);
    best = std::max(best, flops / (getThreadSeconds() - start));
  }
  return best;
}

void runShape(const BenchShape &s, Variant variant, double peak) {
  int64_t queryRows = std::max<int64_t>(1, 48 / (s.heads / s.keyHeads));
  KernelRunner runner(makeSource(s), variant, emitOne, queryRows);
  for (int64_t rows : {512, 2048}) {
    int64_t pages = (rows + 63) / 64, width = s.heads * s.dims;
    StateImage<uint16_t> keys(s.keyHeads, s.dims, pages);
    StateImage<uint16_t> values(s.keyHeads, s.dims, pages);
    Buffer<uint16_t> query(rows * width), gradient(rows * width);
    Buffer<uint16_t> output(rows * width), dq(rows * width);
    Buffer<uint16_t> dk(rows * s.keyHeads * s.dims), dv(dk.size());
    Buffer<float> lse(rows * s.heads), delta(rows * s.heads);
    fillRandom(keys.data, 1);
    fillRandom(values.data, 2);
    fillRandom(query, 3);
    fillRandom(gradient, 4);
    TestSeq seq;
    std::vector<int32_t> table(pages);
    for (int64_t i = 0; i < pages; ++i)
      table[i] = static_cast<int32_t>(i);
    seq.addSequence(0, static_cast<int32_t>(rows), table);
    seq.makeQueryTiles(queryRows);
    void *k = keys.data.data(), *v = values.data.data();
    double product = 2.0 * static_cast<double>(rows) * (rows + 1) / 2 *
                     static_cast<double>(width);
    std::printf("%ld heads, %ld key heads x %ld, %ld tokens\n", s.heads,
                s.keyHeads, s.dims, rows);
    auto report = [&](const char *name, double seconds, int products) {
      double rate = products * product / seconds;
      std::printf("  %-9s %8.2f ms", name, seconds * 1e3);
      if (products)
        std::printf(", %6.1f GFLOP/s, %.2f of peak", rate / 1e9, rate / peak);
      std::printf("\n");
    };
    auto time = [&](const char *name, ArrayRef<void *> args, int products) {
      double seconds = runner.time(name, args, seq.dims(), 7);
      report(name, seconds, products);
      return seconds;
    };
    time("forward", {query.data(), k, v, seq.abi(), output.data(), lse.data()},
         2);
    double whole =
        time("delta", {output.data(), gradient.data(), delta.data()}, 0);
    whole += time("query",
                  {query.data(), k, v, lse.data(), delta.data(),
                   gradient.data(), seq.abi(), dq.data()},
                  3);
    whole += time("keys",
                  {query.data(), k, v, lse.data(), delta.data(),
                   gradient.data(), seq.abi(), dk.data(), dv.data()},
                  4);
    report("backward", whole, 5);
  }
}
} // namespace

int main(int argc, char **argv) {
  Variant variant = getHostVariant();
  if (argc > 1)
    variant = llvm::cantFail(parseVariants(argv[1])).front();
  double peak = measurePeak();
  std::printf("%s, peak of products %.1f GFLOP/s\n",
              getIsa(variant).name.str().c_str(), peak / 1e9);
  for (const BenchShape &shape :
       {BenchShape{9, 3, 64}, BenchShape{16, 16, 128}, BenchShape{32, 8, 128}})
    if (argc < 3 || std::atoi(argv[2]) == shape.dims)
      runShape(shape, variant, peak);
}
