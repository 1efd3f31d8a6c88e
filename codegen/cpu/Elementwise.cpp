//===- Elementwise.cpp - Elementwise kernels ------------------------------===//
#include "codegen/cpu/Row.h"

using namespace ds;
using namespace ds::cpu;

void ds::cpu::emitElementwise(KernelElementwiseOp op, ModuleOp module,
                              const Isa &isa, KernelLimits &limits) {
  emitRows({op.getSymName(), op.getRowSymbol(), op.getInputs(),
            op.getOutputs(), op.getWidth(), op.getPairs(), op.getBody(),
            op.getLoc()},
           module, isa);
}
