//===- BenchProbes.cpp - What the machine can do ---------------------------===//
#include "BenchProbes.h"
#include <cstdint>
#include <immintrin.h>

namespace {
/// Keeps a value from being optimised away.
template <typename T> void keep(T value) {
  volatile T sink = value;
  (void)sink;
}
} // namespace

__attribute__((target("avx512f"))) static void
readWide(const char *memory, size_t bytes) {
  __m512i sums[4] = {};
  for (size_t i = 0; i + 256 <= bytes; i += 256) {
    _mm_prefetch(memory + i + 4096, _MM_HINT_T1);
    _mm_prefetch(memory + i + 4160, _MM_HINT_T1);
    _mm_prefetch(memory + i + 4224, _MM_HINT_T1);
    _mm_prefetch(memory + i + 4288, _MM_HINT_T1);
    for (int j = 0; j < 4; ++j)
      sums[j] = _mm512_xor_si512(
          sums[j], _mm512_loadu_si512(memory + i + 64 * j));
  }
  keep(_mm512_reduce_add_epi64(_mm512_xor_si512(
      _mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3]))));
}

__attribute__((target("avx2"))) static void readNarrow(const char *memory,
                                                       size_t bytes) {
  __m256i sum = _mm256_setzero_si256();
  for (size_t i = 0; i + 64 <= bytes; i += 64) {
    _mm_prefetch(memory + i + 4096, _MM_HINT_T1);
    for (int j = 0; j < 2; ++j)
      sum = _mm256_xor_si256(
          sum, _mm256_loadu_si256(
                   reinterpret_cast<const __m256i *>(memory + i + 32 * j)));
  }
  keep(_mm256_extract_epi64(sum, 0));
}

void ds::bench::readMemory(const char *memory, size_t bytes) {
  if (__builtin_cpu_supports("avx512f"))
    readWide(memory, bytes);
  else
    readNarrow(memory, bytes);
}

void ds::bench::writeMemory(char *memory, size_t bytes) {
  auto *words = reinterpret_cast<uint64_t *>(memory);
  for (size_t i = 0; i < bytes / 8; ++i) {
    words[i] = i;
    asm volatile("" ::: "memory"); // Not a call of memset.
  }
}

__attribute__((target("avx2"))) void
ds::bench::updateMemory(char *memory, size_t bytes) {
  auto *values = reinterpret_cast<float *>(memory);
  __m256 one = _mm256_set1_ps(1.0f);
  for (size_t i = 0; i + 16 <= bytes / 4; i += 16) {
    _mm_prefetch(memory + 4 * i + 4096, _MM_HINT_T1);
    for (size_t j = i; j < i + 16; j += 8)
      _mm256_storeu_ps(values + j,
                       _mm256_add_ps(_mm256_loadu_ps(values + j), one));
  }
}

constexpr int kChains = 16;

__attribute__((target("avx512f,avx512bf16"))) static double
dotPairs(size_t rounds) {
  __m512 sums[kChains] = {};
  __m512bh one = (__m512bh)_mm512_set1_epi16(0x3f80);
  for (size_t i = 0; i < rounds; ++i)
    for (__m512 &sum : sums) {
      sum = _mm512_dpbf16_ps(sum, one, one);
      asm volatile("" : "+v"(sum));
    }
  for (__m512 sum : sums)
    keep(_mm512_reduce_add_ps(sum));
  return 64.0 * kChains * static_cast<double>(rounds);
}

__attribute__((target("avx512f"))) static double fmaWide(size_t rounds) {
  __m512 sums[kChains] = {}, one = _mm512_set1_ps(1.0f);
  for (size_t i = 0; i < rounds; ++i)
    for (__m512 &sum : sums) {
      sum = _mm512_fmadd_ps(one, one, sum);
      asm volatile("" : "+v"(sum));
    }
  for (__m512 sum : sums)
    keep(_mm512_reduce_add_ps(sum));
  return 32.0 * kChains * static_cast<double>(rounds);
}

__attribute__((target("avx2,fma"))) static double fmaNarrow(size_t rounds) {
  constexpr int chains = 12;
  __m256 sums[chains] = {}, one = _mm256_set1_ps(1.0f);
  for (size_t i = 0; i < rounds; ++i)
    for (__m256 &sum : sums) {
      sum = _mm256_fmadd_ps(one, one, sum);
      asm volatile("" : "+x"(sum));
    }
  for (__m256 sum : sums)
    keep(_mm256_cvtss_f32(sum));
  return 16.0 * chains * static_cast<double>(rounds);
}

double ds::bench::multiplyFloats(size_t rounds) {
  return __builtin_cpu_supports("avx512f") ? fmaWide(rounds)
                                           : fmaNarrow(rounds);
}

double ds::bench::multiplyPairs(size_t rounds) {
  return __builtin_cpu_supports("avx512bf16") ? dotPairs(rounds)
                                              : multiplyFloats(rounds);
}
