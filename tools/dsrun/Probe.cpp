//===- Probe.cpp - What this machine can do -------------------------------===//
#include "tools/dsrun/Probe.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <immintrin.h>
#include <unistd.h>
#include <vector>

using namespace ds::tool;
using namespace ds::runtime;

static constexpr int64_t tileBytes = 1 << 20, minBytes = 16 << 20;
static constexpr int64_t maxWindow = 256 << 20;

ReadProbe::ReadProbe(ThreadPool &pool, const char *memory, int64_t bytes)
    : pool(pool), own(bytes < minBytes ? minBytes : 0, 1),
      memory(own.empty() ? memory : own.data()),
      bytes(std::max(bytes, minBytes) / tileBytes * tileBytes),
      window(std::min(this->bytes, maxWindow)) {}

/// Reads a tile in four streams with prefetches 1 KB ahead.
__attribute__((target("avx2"))) static int64_t readTile(const char *from) {
  constexpr int64_t stream = tileBytes / 4, ahead = 1024;
  __m256i sums[4] = {};
  for (int64_t i = 0; i < stream; i += 64)
    for (int64_t j = 0; j < 4; ++j) {
      const char *line = from + j * stream + i;
      _mm_prefetch(line + ahead, _MM_HINT_T0);
      const __m256i *words = reinterpret_cast<const __m256i *>(line);
      sums[j] = _mm256_xor_si256(sums[j], _mm256_loadu_si256(words));
      sums[j] = _mm256_xor_si256(sums[j], _mm256_loadu_si256(words + 1));
    }
  __m256i sum = _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]),
                                 _mm256_xor_si256(sums[2], sums[3]));
  return _mm256_extract_epi64(sum, 0) ^ _mm256_extract_epi64(sum, 3);
}

double ReadProbe::measure() {
  std::atomic<int64_t> sink{0};
  double start = now();
  pool.forEach(window / tileBytes, [&](int64_t tile, int) {
    sink ^= readTile(memory + (at + tile * tileBytes) % bytes);
  });
  double seconds = now() - start;
  at = (at + window) % bytes;
  return window / seconds * 1e-9;
}

namespace {
/// A loop over an instruction: runs it `count` times, returns its FLOPs.
using ProductLoop = double (*)(int64_t count);
} // namespace

// Enough independent sums to hide the latency of any of these instructions. The
// empty assembly keeps them from being folded.
#define KEEP(value) __asm__ volatile("" : "+v"(value))

__attribute__((target("avx2,fma"))) static double loopAvx2(int64_t count) {
  __m256 sums[12], a = _mm256_set1_ps(1e-3f);
  for (__m256 &sum : sums)
    sum = a;
  for (int64_t i = 0; i < count; ++i)
    for (__m256 &sum : sums) {
      sum = _mm256_fmadd_ps(a, a, sum);
      KEEP(sum);
    }
  return count * 12.0 * 16;
}

__attribute__((target("avx512f"))) static double loopAvx512(int64_t count) {
  __m512 sums[12], a = _mm512_set1_ps(1e-3f);
  for (__m512 &sum : sums)
    sum = a;
  for (int64_t i = 0; i < count; ++i)
    for (__m512 &sum : sums) {
      sum = _mm512_fmadd_ps(a, a, sum);
      KEEP(sum);
    }
  return count * 12.0 * 32;
}

__attribute__((target("avx512f,avx512bf16"))) static double
loopAvx512Bf16(int64_t count) {
  __m512 sums[12];
  __m512bh a = (__m512bh)_mm512_set1_epi16(0x3c00);
  for (__m512 &sum : sums)
    sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; ++i)
    for (__m512 &sum : sums) {
      sum = _mm512_dpbf16_ps(sum, a, a);
      KEEP(sum);
    }
  return count * 12.0 * 64;
}

namespace {
/// Eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1, row = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
} // namespace

static constexpr double tileFlops = 16 * 16 * 64;

__attribute__((target("amx-tile,amx-bf16"))) static double
loopAmx(int64_t count) {
  TileConfig config;
  alignas(64) uint16_t zeros[512] = {};
  _tile_loadconfig(&config);
  _tile_loadd(4, zeros, 64);
  _tile_loadd(5, zeros, 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t i = 0; i < count; ++i) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_release();
  return count * 4 * tileFlops;
}

// A product of 256 rows, 256 columns and 256 sums, in tiles of 1 KB: rows and
// sums lie in the second-level cache, 32 columns at a time in the first.
static constexpr int64_t tile = 1024, blocks = 8, steps = 8;

__attribute__((target("amx-tile,amx-bf16"))) static double
loopAmxBlocked(int64_t count) {
  TileConfig config;
  constexpr int64_t operand = blocks * steps * 2 * tile;
  constexpr int64_t sums = blocks * blocks * 4 * tile;
  std::vector<char> memory(2 * operand + sums + 64);
  char *a = memory.data();
  a += -reinterpret_cast<uintptr_t>(a) % 64;
  char *b = a + operand, *c = b + operand;
  _tile_loadconfig(&config);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t block = 0; block < blocks * blocks; ++block) {
      char *to = c + block * 4 * tile;
      const char *left = a + block % blocks * steps * 2 * tile;
      const char *right = b + block / blocks * steps * 2 * tile;
      _tile_loadd(0, to, 64);
      _tile_loadd(1, to + tile, 64);
      _tile_loadd(2, to + 2 * tile, 64);
      _tile_loadd(3, to + 3 * tile, 64);
      for (int64_t k = 0; k < steps; ++k, left += 2 * tile, right += 2 * tile) {
        _tile_loadd(4, left, 64);
        _tile_loadd(5, left + tile, 64);
        _tile_loadd(6, right, 64);
        _tile_loadd(7, right + tile, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, to, 64);
      _tile_stored(1, to + tile, 64);
      _tile_stored(2, to + 2 * tile, 64);
      _tile_stored(3, to + 3 * tile, 64);
    }
  }
  _tile_release();
  return count * blocks * blocks * steps * 4 * tileFlops;
}

static ProductLoop chooseLoop(const std::string &variant, bool bf16) {
  if (variant == "avx2")
    return loopAvx2;
  if (variant == "avx512" || !bf16)
    return loopAvx512;
  return variant == "amx" ? loopAmx : loopAvx512Bf16;
}

/// Runs `loop` on all threads for about `milliseconds`; returns GFLOP/s.
static double measureLoop(ThreadPool &pool, ProductLoop loop, int64_t count,
                          double milliseconds) {
  double flops = 0, start = now(), end = start + milliseconds * 1e-3;
  int64_t tiles = 4 * pool.threads();
  std::vector<double> done(tiles);
  while (now() < end) {
    pool.forEach(tiles, [&](int64_t tile, int) { done[tile] = loop(count); });
    for (double tile : done)
      flops += tile;
  }
  return flops / (now() - start) * 1e-9;
}

double ds::tool::measureProducts(ThreadPool &pool, const std::string &variant,
                                 bool bf16, double milliseconds) {
  return measureLoop(pool, chooseLoop(variant, bf16), 2000, milliseconds);
}

double ds::tool::measureBlockedProducts(ThreadPool &pool,
                                        const std::string &variant, bool bf16,
                                        double milliseconds) {
  if (variant == "amx" && bf16)
    return measureLoop(pool, loopAmxBlocked, 64, milliseconds);
  return measureProducts(pool, variant, bf16, milliseconds);
}

double ds::tool::measureLaunch(ThreadPool &pool) {
  constexpr int count = 2000;
  std::atomic<int64_t> sink{0};
  double start = now();
  for (int i = 0; i < count; ++i)
    pool.forEach(pool.threads(), [&](int64_t tile, int) { sink += tile; });
  return (now() - start) / count * 1e6;
}

CpuWatch::Times CpuWatch::read() {
  Times times = {0, 0, now()};
  timespec own;
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own) == 0)
    times.own = own.tv_sec + own.tv_nsec * 1e-9;
  FILE *file = fopen("/proc/stat", "r");
  if (!file)
    return times;
  unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0,
                     interrupt = 0, soft = 0;
  if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice,
             &system, &idle, &wait, &interrupt, &soft) == 7)
    times.busy = static_cast<double>(user + nice + system + interrupt + soft) /
                 static_cast<double>(sysconf(_SC_CLK_TCK));
  fclose(file);
  return times;
}

CpuWatch::CpuWatch() : begin(read()) {}

double CpuWatch::others() const {
  Times end = read();
  double busy = end.busy - begin.busy - (end.own - begin.own);
  return std::max(0.0, busy / std::max(1e-3, end.wall - begin.wall));
}
