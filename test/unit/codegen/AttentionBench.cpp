//===- AttentionBench.cpp - Times attention beside the machine's peaks ----===//
//
// AttentionBench [variant]: one core; prefill as GFLOP/s of the visible half
// of the square, decode as GB/s of keys and values read.
//
//===----------------------------------------------------------------------===//
#include "StateImage.h"
#include <cmath>
#include <cstdio>
#include <immintrin.h>

using namespace ds;
using namespace ds::cpu;

namespace {
struct BenchShape {
  int64_t heads, keyHeads, dims;
};

double secondsOf(function_ref<void()> body) {
  double start = getThreadSeconds();
  body();
  return getThreadSeconds() - start;
}

/// `count` rounds of 12 chains.
__attribute__((target("avx512bf16,avx512f"))) void runDots(int64_t count) {
  __m512 sums[12];
  for (__m512 &sum : sums)
    sum = _mm512_setzero_ps();
  __m512bh ones = (__m512bh)_mm512_set1_epi32(0x3f803f80);
  for (int64_t j = 0; j < count; ++j) {
    for (__m512 &sum : sums)
      sum = _mm512_dpbf16_ps(sum, ones, ones);
    asm volatile("" : "+v"(sums[0]));
  }
  for (__m512 &sum : sums)
    asm volatile("" ::"v"(sum));
}

__attribute__((target("avx2"))) void readAll(const uint8_t *memory,
                                             size_t bytes) {
  __m256i sum = _mm256_setzero_si256();
  for (size_t j = 0; j < bytes; j += 128) {
    for (size_t k = 0; k < 128; k += 64)
      _mm_prefetch(reinterpret_cast<const char *>(memory) + j + k + 4096,
                   _MM_HINT_T1);
    for (size_t k = 0; k < 128; k += 32)
      sum = _mm256_add_epi32(
          sum, _mm256_load_si256(
                   reinterpret_cast<const __m256i *>(memory + j + k)));
  }
  asm volatile("" ::"x"(sum));
}

double bestOf(int repeats, function_ref<void()> body) {
  double best = 1e30;
  for (int i = 0; i < repeats; ++i)
    best = std::min(best, secondsOf(body));
  return best;
}

double medianOf(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2,
                   values.end());
  return values[values.size() / 2];
}

double dotPeak() {
  int64_t count = 2000000;
  return static_cast<double>(count) * 12 * 64 /
         bestOf(5, [&] { runDots(count); }) / 1e9;
}

double readPeak() {
  size_t bytes = size_t(256) << 20;
  Buffer<uint8_t> memory(bytes);
  return static_cast<double>(bytes) /
         bestOf(5, [&] { readAll(memory.data(), bytes); }) / 1e9;
}

class Bench {
public:
  Bench(const BenchShape &shape, Variant variant) : shape(shape) {
    std::string state = "!ds.state<[" + std::to_string(shape.keyHeads) + ", " +
                        std::to_string(shape.dims) + "], bf16>";
    std::string matrix =
        "tensor<?x" + std::to_string(shape.heads * shape.dims) + "xbf16>";
    std::string types =
        "(" + matrix + ", " + state + ", " + state + ") -> " + matrix;
    std::string source =
        "func.func @f(%q: " + matrix + ", %k: " + state + ", %v: " + state +
        ", %s: !ds.seq) {\n  %y = ds.kernel.attention @attend %q, %k, %v, %s "
        "heads " +
        std::to_string(shape.heads) + " scale 0.088 : " + types +
        "\n  return\n}\n";
    OwningOpRef<ModuleOp> module;
    queryRows = std::max<int64_t>(1, 48 / (shape.heads / shape.keyHeads));
    runner = std::make_unique<KernelRunner>(
        source, variant,
        [](Operation *op, ModuleOp module, const Isa &isa,
           KernelLimits &limits) {
          emitAttention(cast<KernelAttentionOp>(op), module, isa, limits);
        },
        queryRows);
  }

  /// Seconds of one layer: a sequence of `rows` new tokens after `past`. With
  /// several `layers` their states come from memory; `probe` then gets the
  /// time of reading as many bytes, in turns with the layers.
  double run(int64_t past, int64_t rows, int64_t layers, int repeats,
             double *probe = nullptr) {
    int64_t pages = (past + rows + 63) / 64;
    std::vector<std::unique_ptr<StateImage<uint16_t>>> keys, values;
    for (int64_t i = 0; i < layers; ++i) {
      keys.push_back(std::make_unique<StateImage<uint16_t>>(
          shape.keyHeads, shape.dims, pages));
      values.push_back(std::make_unique<StateImage<uint16_t>>(
          shape.keyHeads, shape.dims, pages));
      fillRandom(keys.back()->data, 1);
      fillRandom(values.back()->data, 2);
    }
    Buffer<uint16_t> query(rows * shape.heads * shape.dims),
        result(rows * shape.heads * shape.dims);
    fillRandom(query, 3);
    TestSeq seq;
    std::vector<int32_t> table(pages);
    for (int64_t i = 0; i < pages; ++i)
      table[i] = static_cast<int32_t>(i);
    seq.addSequence(static_cast<int32_t>(past), static_cast<int32_t>(rows),
                    table);
    seq.makeQueryTiles(queryRows);
    size_t bytes = 2 * keys[0]->data.size() * sizeof(uint16_t);
    Buffer<uint8_t> memory(probe ? bytes * layers : 0);
    std::vector<double> seconds, probeSeconds;
    for (int i = 0; i < repeats; ++i)
      for (int64_t layer = 0; layer < layers; ++layer) {
        seconds.push_back(runner->time(
            "attend",
            {query.data(), keys[layer]->data.data(),
             values[layer]->data.data(), seq.abi(), result.data()},
            seq.dims(), 1));
        if (probe)
          probeSeconds.push_back(secondsOf(
              [&] { readAll(memory.data() + layer * bytes, bytes); }));
      }
    if (probe)
      *probe = medianOf(probeSeconds);
    return medianOf(seconds);
  }

  void prefill(int64_t rows) {
    double seconds = run(0, rows, 1, 7);
    double visible = static_cast<double>(rows) * (rows + 1) / 2;
    std::printf("  prefill %5ld: %8.2f ms, %6.1f GFLOP/s\n", rows,
                seconds * 1e3,
                4.0 * visible * shape.heads * shape.dims / seconds / 1e9);
  }

  void decode(int64_t depth) {
    double bytes = 4.0 * static_cast<double>(depth) * shape.keyHeads *
                   shape.dims;
    auto layers = static_cast<int64_t>(200e6 / bytes) + 1;
    double probe = 0;
    double seconds = run(depth - 1, 1, layers, 5, &probe);
    std::printf("  decode at %5ld: %7.1f us, %5.1f GB/s, %.2f of reading\n",
                depth, seconds * 1e6, bytes / seconds / 1e9, probe / seconds);
  }

private:
  BenchShape shape;
  int64_t queryRows;
  std::unique_ptr<KernelRunner> runner;
};
} // namespace

int main(int argc, char **argv) {
  Variant variant = getHostVariant();
  if (argc > 1)
    variant = llvm::cantFail(parseVariants(argv[1])).front();
  if (getHostVariant() >= Variant::Avx512Bf16)
    std::printf("vdpbf16ps %.1f GFLOP/s\n", dotPeak());
  std::printf("read %.1f GB/s\n", readPeak());
  for (const BenchShape &shape :
       {BenchShape{16, 16, 128}, BenchShape{9, 3, 64}, BenchShape{32, 8, 128},
        BenchShape{14, 2, 64}}) {
    std::printf("%s, %ld heads, %ld key heads x %ld\n",
                getIsa(variant).name.str().c_str(), shape.heads,
                shape.keyHeads, shape.dims);
    Bench bench(shape, variant);
    bench.prefill(512);
    bench.prefill(2048);
    bench.decode(2048);
    if (argc > 2)
      for (int64_t depth : {128, 512, 1024})
        std::printf("  hot decode at %5ld: %7.1f us\n", depth,
                    bench.run(depth - 1, 1, 1, 200) * 1e6);
  }
}
