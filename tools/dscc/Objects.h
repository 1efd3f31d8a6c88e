//===- Objects.h - Kernels to object code, in parallel ----------*- C++ -*-===//
#ifndef DS_TOOLS_DSCC_OBJECTS_H
#define DS_TOOLS_DSCC_OBJECTS_H
#include "codegen/cpu/Isa.h"
#include "dialect/Dialect.h"

namespace ds {

/// What is made of a module of kernel functions.
enum class ObjectForm { Object, Assembly, LlvmIr };

/// Makes one buffer of `form` for each function module, several at a time.
/// The order of the results is that of `modules`.
llvm::Expected<SmallVector<SmallVector<char, 0>>>
makeObjects(ArrayRef<std::pair<cpu::Variant, ModuleOp>> modules,
            ObjectForm form);

} // namespace ds
#endif
