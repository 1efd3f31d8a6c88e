//===- Matmul.h - The matmul family on Hopper -------------------*- C++ -*-===//
#ifndef DS_CODEGEN_GPU_MATMUL_H
#define DS_CODEGEN_GPU_MATMUL_H
#include "codegen/gpu/Target.h"
#include "dialect/Dialect.h"
#include "llvm/Support/Error.h"

namespace ds {
namespace gpu {

/// Makes the kernel of `op`: bf16 operands, f32 sums over k in order whatever
/// the rows of the launch, and the operation's epilogue region on the
/// accumulators. The weight lies as in the checkpoint, [N, K].
///
/// Parameters: the tensor maps of a (box 64 x 128) and of the weight (box
/// 64 x tileColumns), 128-byte swizzle; a pointer for every extra operand and
/// for the result; the rows, i32.
llvm::Expected<GpuKernel> emitPtx(KernelMatmulOp op, const GpuTarget &target);

} // namespace gpu
} // namespace ds
#endif
