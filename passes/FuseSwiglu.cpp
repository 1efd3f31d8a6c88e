//===- FuseSwiglu.cpp - Gate, up and SwiGLU in one product ----------------===//
#include "passes/Passes.h"
#include "passes/WeightGroups.h"

namespace ds {
#define GEN_PASS_DEF_FUSESWIGLU
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

namespace {
struct FuseSwiglu : ds::impl::FuseSwigluBase<FuseSwiglu> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SmallVector<SwigluOp> ops;
    getOperation().walk([&](SwigluOp op) { ops.push_back(op); });
    for (SwigluOp op : ops)
      fuse(op, symbols);
  }

  void fuse(SwigluOp op, SymbolTable &symbols) {
    auto gate = op.getGate().getDefiningOp<LinearOp>();
    auto up = op.getUp().getDefiningOp<LinearOp>();
    if (!gate || !up || gate == up || gate.getInput() != up.getInput() ||
        gate.getBias() || up.getBias() || !gate->hasOneUse() ||
        !up->hasOneUse() ||
        !canConcatenate({gate.getWeight(), up.getWeight()}, symbols) ||
        gate.getWeight().getType() != up.getWeight().getType())
      return;
    OpBuilder builder(op);
    Value weight =
        concatenate(builder, op.getLoc(), {gate.getWeight(), up.getWeight()},
                    "gate_up", /*paired=*/true, symbols);
    Value fusedOp = GatedLinearOp::create(builder, op.getLoc(), op.getType(),
                                          gate.getInput(), weight);
    op.replaceAllUsesWith(fusedOp);
    op.erase();
    gate.erase();
    up.erase();
    ++fused;
  }
};
} // namespace
