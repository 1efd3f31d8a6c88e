//===- Cpu.h - What this CPU runs -----------------------------------------===//
#ifndef DS_RUNTIME_CPU_H
#define DS_RUNTIME_CPU_H

#include "runtime/Result.h"

#include <string>
#include <vector>

namespace ds::runtime {

/// The features that variants need, as CPU and operating system allow them.
struct CpuFeatures {
  bool avx2 = false;       ///< x86-64-v3: AVX2, FMA, BMI, F16C, MOVBE.
  bool avx512 = false;     ///< x86-64-v4: AVX-512 F, BW, CD, DQ, VL.
  bool avx512bf16 = false; ///< vdpbf16ps.
  bool amx = false;        ///< Tiles of bf16, with permission to use them.

  /// Asks CPUID, XGETBV and, for tiles, the kernel. The permission holds for
  /// the process and has to be asked for before threads are started.
  static CpuFeatures ofHost();

  /// Tells whether `variant` runs here.
  bool supports(const std::string &variant) const;

  /// Lists the features, best last, such as "avx2, avx512".
  std::string describe() const;
};

/// Chooses among `available` the best variant that `cpu` runs: amx, avx512bf16,
/// avx512, avx2, in this order; or `forced`, unless that is empty.
Result<std::string> chooseVariant(const std::vector<std::string> &available,
                                  const CpuFeatures &cpu,
                                  const std::string &forced);

/// Sets the floating-point state that kernels expect (round to nearest,
/// denormals kept, no traps) and restores the caller's at the end.
class FloatState {
public:
  FloatState();
  ~FloatState();
  FloatState(const FloatState &) = delete;
  FloatState &operator=(const FloatState &) = delete;

private:
  unsigned saved;
};

/// Returns how many CPUs this process may run on.
int countCpus();

} // namespace ds::runtime

#endif // DS_RUNTIME_CPU_H
