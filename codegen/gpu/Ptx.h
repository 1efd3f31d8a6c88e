//===- Ptx.h - From kernel functions to PTX text ----------------*- C++ -*-===//
#ifndef DS_CODEGEN_GPU_PTX_H
#define DS_CODEGEN_GPU_PTX_H
#include "codegen/gpu/Target.h"
#include "dialect/LLVM.h"
#include "llvm/Support/Error.h"

namespace ds {
namespace gpu {

/// Registers what translation of GPU kernels to LLVM IR needs.
void registerGpuLowering(DialectRegistry &registry);

/// Checks that LLVM takes the target.
llvm::Error checkTarget(const GpuTarget &target);

/// Lowers the functions of `module`, in place, and returns them as PTX.
llvm::Expected<std::string> makePtx(ModuleOp module, const GpuTarget &target);

} // namespace gpu
} // namespace ds
#endif
