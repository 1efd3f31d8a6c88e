//===- LLVM.h - Names of LLVM and MLIR used throughout ----------*- C++ -*-===//
//
// Imports the common names of LLVM and MLIR into namespace ds, once.
//
//===----------------------------------------------------------------------===//
#ifndef DS_DIALECT_LLVM_H
#define DS_DIALECT_LLVM_H
#include "cmake/CompilerHeaders.h"

namespace ds {
using namespace mlir; // NOLINT: the one place where it is done.
namespace arith = ::mlir::arith;
namespace func = ::mlir::func;
namespace math = ::mlir::math;
namespace tensor = ::mlir::tensor;
} // namespace ds
#endif
