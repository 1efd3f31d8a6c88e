//===- Scalar.h - A kernel's region on scalars ------------------*- C++ -*-===//
#ifndef DS_CODEGEN_GPU_SCALAR_H
#define DS_CODEGEN_GPU_SCALAR_H
#include "dialect/LLVM.h"

namespace ds {
namespace gpu {

/// Clones the straight-line code of a kernel's region, which yields one value,
/// with `arguments` in the place of its arguments. Returns that value.
Value cloneScalarRegion(OpBuilder &builder, Location loc, Region &region,
                        ValueRange arguments);

} // namespace gpu
} // namespace ds
#endif
