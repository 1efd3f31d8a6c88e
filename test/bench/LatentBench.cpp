//===- LatentBench.cpp - Times attention over latents ---------------------===//
//
// LatentBench [positions]: one core, bf16, key rows of 576 columns of which 512
// are the values. Full attention of 16 and of 128 heads as a share of what
// vdpbf16ps takes in registers; then, for one token after `positions` (16384),
// full attention beside the indexer (64 heads x 128) and attention to the 2048
// positions that it chose.
//
//===----------------------------------------------------------------------===//
#include "../unit/codegen/StateImage.h"
#include "BenchProbes.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>

using namespace ds;
using namespace ds::cpu;

namespace {
constexpr int64_t kDims = 576, kPrefix = 512, kCount = 2048;
constexpr int64_t kIndexHeads = 64, kIndexDims = 128;

double peak; ///< GFLOP/s.

void measurePeak() {
  bench::multiplyPairs(1000000);
  for (int i = 0; i < 5; ++i) {
    double start = getThreadSeconds();
    double flops = bench::multiplyPairs(4000000);
    peak = std::max(peak, flops / (getThreadSeconds() - start) / 1e9);
  }
}

/// Seconds of reading `bytes` of memory once.
double timeReading(size_t bytes) {
  Buffer<char> memory(std::max<size_t>(bytes, size_t(256) << 20));
  double best = 1e30;
  for (int i = 0; i < 3; ++i) {
    double start = getThreadSeconds();
    bench::readMemory(memory.data(), memory.size());
    best = std::min(best, getThreadSeconds() - start);
  }
  return best * static_cast<double>(bytes) / static_cast<double>(memory.size());
}

std::string matrix(int64_t columns, const char *type) {
  return "tensor<?x" + std::to_string(columns) + "x" + type + ">";
}

/// Full attention (no entries), attention to entries, or selection.
std::string makeSource(int64_t heads) {
  std::string q = matrix(heads * kDims, "bf16");
  std::string o = matrix(heads * kPrefix, "bf16");
  std::string c = "!ds.state<[1, " + std::to_string(kDims) + "], bf16>";
  std::string list = matrix(kCount, "i32");
  std::string iq = matrix(kIndexHeads * kIndexDims, "bf16");
  std::string iw = matrix(kIndexHeads, "f32");
  std::string ik = "!ds.state<[1, " + std::to_string(kIndexDims) + "], bf16>";
  std::string rest = " heads " + std::to_string(heads) +
                     " scale 0.07 prefix " + std::to_string(kPrefix) + " : (" +
                     q + ", " + c + ", " + c + ") -> " + o + "\n";
  return "func.func @f(%q: " + q + ", %c: " + c + ", %e: " + list +
         ", %iq: " + iq + ", %iw: " + iw + ", %ik: " + ik +
         ", %s: !ds.seq) {\n%x = ds.kernel.attention @full %q, %c, %c, %s" +
         rest + "%y = ds.kernel.attention @chosen %q, %c, %c, %s entries %e : " +
         list + rest +
         "%p = ds.kernel.select_tokens @select %iq, %iw, %ik, %s heads " +
         std::to_string(kIndexHeads) + " count " + std::to_string(kCount) +
         " : (" + iq + ", " + iw + ", " + ik + ", !ds.seq) -> " + list +
         "\nreturn\n}\n";
}

/// A sequence of `rows` tokens after `past`.
class Bench {
public:
  Bench(int64_t heads)
      : heads(heads), queryRows(std::max<int64_t>(1, 48 / heads)),
        runner(
            makeSource(heads), getHostVariant(),
            [](Operation *op, ModuleOp module, const Isa &isa,
               KernelLimits &limits) { emitKernel(op, module, isa, limits); },
            queryRows) {}

  void full(int64_t past, int64_t rows) {
    double seconds = time("full", past, rows);
    double pairs = static_cast<double>(rows) *
                   (static_cast<double>(past) + (rows + 1) / 2.0);
    report("full attention", past, rows, seconds,
           2 * pairs * static_cast<double>(heads * (kDims + kPrefix)));
  }
  void chosen(int64_t past) {
    report("chosen 2048", past, 1, time("chosen", past, 1),
           2.0 * kCount * static_cast<double>(heads * (kDims + kPrefix)));
  }
  void select(int64_t past) {
    report("indexer", past, 1, time("select", past, 1),
           2.0 * static_cast<double>((past + 1) * kIndexHeads * kIndexDims));
  }

private:
  int64_t heads, queryRows;
  KernelRunner runner;

  void report(const char *what, int64_t past, int64_t rows, double seconds,
              double flops) {
    std::printf("%3ld heads, %-14s %5ld tokens after %5ld: %10.1f us, %6.1f "
                "GFLOP/s, %.2f of peak\n",
                heads, what, rows, past, seconds * 1e6, flops / seconds / 1e9,
                flops / seconds / 1e9 / peak);
    std::fflush(stdout);
  }

  double time(const char *kernel, int64_t past, int64_t rows) {
    int64_t pages = (past + rows + 63) / 64;
    StateImage<uint16_t> latents(1, kDims, pages), keys(1, kIndexDims, pages);
    fillRandom(latents.data, 1);
    fillRandom(keys.data, 2);
    Buffer<uint16_t> query(rows * heads * kDims),
        result(rows * heads * kPrefix),
        indexQuery(rows * kIndexHeads * kIndexDims);
    Buffer<float> weights(rows * kIndexHeads);
    fillRandom(query, 3);
    fillRandom(indexQuery, 4);
    fillRandom(weights, 5);
    TestSeq seq;
    std::vector<int32_t> table(pages);
    for (int64_t i = 0; i < pages; ++i)
      table[i] = static_cast<int32_t>(i);
    seq.addSequence(static_cast<int32_t>(past), static_cast<int32_t>(rows),
                    table);
    seq.makeQueryTiles(queryRows);
    Buffer<int32_t> lists(rows * kCount);
    std::vector<void *> select = {indexQuery.data(), weights.data(),
                                  keys.data.data(), seq.abi(), lists.data()};
    std::vector<void *> attend = {query.data(), latents.data.data(),
                                  latents.data.data(), seq.abi()};
    if (kernel == std::string("select"))
      return runner.time(kernel, select, seq.dims(), 7);
    if (kernel == std::string("chosen")) {
      runner.run("select", select, seq.dims());
      attend.push_back(lists.data());
    }
    attend.push_back(result.data());
    return runner.time(kernel, attend, seq.dims(), rows > 1 ? 3 : 7);
  }
};
} // namespace

int main(int argc, char **argv) {
  int64_t positions = argc > 1 ? std::atol(argv[1]) : 16384;
  measurePeak();
  std::printf("peak %.1f GFLOP/s; reading 16384 rows of 1152 bytes %.0f us, "
              "2048 rows in pairs %.0f us\n",
              peak, timeReading(16384 * 1152) * 1e6,
              timeReading(2048 * 2304) * 1e6);
  for (int64_t heads : {16, 128}) {
    Bench bench(heads);
    bench.full(2047, 1);
    bench.full(0, 512);
    bench.full(positions - 1, 1);
    bench.chosen(positions - 1);
    bench.select(positions - 1);
  }
}
