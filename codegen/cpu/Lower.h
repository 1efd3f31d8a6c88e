//===- Lower.h - From kernel functions to object code -----------*- C++ -*-===//
#ifndef DS_CODEGEN_CPU_LOWER_H
#define DS_CODEGEN_CPU_LOWER_H
#include "codegen/cpu/Isa.h"
#include "dialect/Dialect.h"
#include <memory>

namespace llvm {
class LLVMContext;
class Module;
class TargetMachine;
} // namespace llvm

namespace ds {
namespace cpu {

/// Registers what translation to LLVM IR needs.
void registerLowering(DialectRegistry &registry);

/// Lowers the functions of `module` to the LLVM dialect, in place.
LogicalResult lowerToLLVM(ModuleOp module);

/// Makes LLVM IR for `isa`, optimised.
std::unique_ptr<llvm::Module> makeLLVMIR(ModuleOp module, const Isa &isa,
                                         llvm::LLVMContext &context);

/// Makes an object file (or assembly text) from LLVM IR.
SmallVector<char, 0> makeObject(llvm::Module &module, const Isa &isa,
                                bool assembly = false);

} // namespace cpu
} // namespace ds
#endif
