//===- DecomposeOps.cpp - Fused operations as smaller ones ----------------===//
#include "passes/Passes.h"

namespace ds {
#define GEN_PASS_DEF_DECOMPOSEOPS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

namespace {
struct DecomposeOps : ds::impl::DecomposeOpsBase<DecomposeOps> {
  void runOnOperation() override {
    WalkResult result =
        getOperation().walk([](DecompositionInterface op) -> WalkResult {
          OpBuilder builder(op);
          FailureOr<SmallVector<Value>> values = op.decompose(builder);
          if (failed(values))
            return op->emitError("expects an operation that decomposes");
          op->replaceAllUsesWith(*values);
          op->erase();
          return WalkResult::skip();
        });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
