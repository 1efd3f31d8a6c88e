//===- Row.h - Regions over the columns of rows -----------------*- C++ -*-===//
#ifndef DS_CODEGEN_CPU_ROW_H
#define DS_CODEGEN_CPU_ROW_H
#include "codegen/cpu/Kernels.h"

namespace ds {
namespace cpu {

/// Emits the kernel `symbol` that stores what `body` yields for every element
/// of `result` [T, W]. The region's arguments are elements of `inputs`: of a
/// matrix [T, W] its own, of a vector [W] (f32 in memory, rounded to its
/// element type) its column's. Reductions within the region are allowed.
void emitRows(StringRef symbol, ValueRange inputs, Value result, Region &body,
              ModuleOp module, const Isa &isa, Location loc);

} // namespace cpu
} // namespace ds
#endif
