//===- Probe.h - What this machine can do ---------------------------------===//
//
// Quick measurements that results are set beside: how fast memory is read, how
// fast products are added, and how busy other processes are.
//
//===----------------------------------------------------------------------===//
#ifndef DS_TOOLS_DSRUN_PROBE_H
#define DS_TOOLS_DSRUN_PROBE_H

#include "runtime/ThreadPool.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ds::tool {

/// Reads memory with all threads of a pool, a window at a time, going on where
/// it ended, so that memory larger than the caches is read from DRAM. Less than
/// some megabytes is not worth reading: then it reads memory of its own.
class ReadProbe {
public:
  ReadProbe(runtime::ThreadPool &pool, const char *memory, int64_t bytes);

  /// Reads one window and returns GB/s.
  double measure();

private:
  runtime::ThreadPool &pool;
  std::vector<char> own;
  const char *memory;
  int64_t bytes, window, at = 0;
};

/// Returns the GFLOP/s of all threads of `pool` in the instruction that
/// products of `variant` are made of, from registers, for about `milliseconds`.
/// `bf16` tells the type of the operands.
double measureProducts(runtime::ThreadPool &pool, const std::string &variant,
                       bool bf16, double milliseconds);

/// Returns the GFLOP/s that products of `variant` reach when their operands
/// come from the second-level cache, as those of a good kernel do. Tiles of AMX
/// wait for them; for the other variants this is measureProducts().
double measureBlockedProducts(runtime::ThreadPool &pool,
                              const std::string &variant, bool bf16,
                              double milliseconds);

/// Returns the microseconds that a launch of one tile for each thread takes.
double measureLaunch(runtime::ThreadPool &pool);

/// Measures how many CPUs other processes keep busy.
class CpuWatch {
public:
  CpuWatch();

  /// Returns the CPUs that were busy with other processes since construction.
  double others() const;

private:
  struct Times {
    double busy, own, wall;
  };
  static Times read();
  Times begin;
};

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_PROBE_H
