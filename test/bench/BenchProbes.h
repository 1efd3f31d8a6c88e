//===- BenchProbes.h - What the machine can do ------------------*- C++ -*-===//
#ifndef DS_TEST_BENCH_BENCHPROBES_H
#define DS_TEST_BENCH_BENCHPROBES_H
#include <cstddef>

namespace ds {
namespace bench {

/// Reads `bytes` of memory once, as plainly as memory allows.
void readMemory(const char *memory, size_t bytes);

/// Overwrites `bytes` of memory, or adds to every f32 of it.
void writeMemory(char *memory, size_t bytes);
void updateMemory(char *memory, size_t bytes);

/// Multiplies in registers; returns the FLOPs done in `rounds` rounds.
double multiplyPairs(size_t rounds);  ///< vdpbf16ps, or FMA without it.
double multiplyFloats(size_t rounds); ///< f32 FMA of the widest registers.

} // namespace bench
} // namespace ds
#endif
