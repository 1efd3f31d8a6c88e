//===- Target.h - The GPU that code is made for -----------------*- C++ -*-===//
#ifndef DS_CODEGEN_GPU_TARGET_H
#define DS_CODEGEN_GPU_TARGET_H
#include <cstdint>
#include <string>

namespace ds {
namespace gpu {

/// A chip and the PTX version to write. LLVM ends the process where the two do
/// not fit, so only what is known to fit is accepted.
struct GpuTarget {
  std::string chip = "sm_90a";
  std::string features = "+ptx80";
};

/// A kernel as text, with what its launch needs.
struct GpuKernel {
  std::string name, ptx;
  int64_t threads = 0;     ///< Of a block.
  int64_t sharedBytes = 0; ///< Dynamic shared memory.
  int64_t tileRows = 0;    ///< Grid y is the rows over this, rounded up.
  int64_t tileColumns = 0; ///< Grid x is the columns over this, rounded up.
};

} // namespace gpu
} // namespace ds
#endif
