//===- Elementwise.cpp - Elementwise kernels ------------------------------===//
#include "codegen/cpu/Row.h"

using namespace ds;
using namespace ds::cpu;

void ds::cpu::emitElementwise(KernelElementwiseOp op, ModuleOp module,
                              const Isa &isa, KernelLimits &limits) {
  emitRows(op.getSymName(), op.getInputs(), op.getResult(), op.getBody(),
           module, isa, op.getLoc());
}
