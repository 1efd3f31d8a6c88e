//===- FuseSwiglu.cpp - One product for gate, up and SwiGLU ---------------===//
#include "passes/Passes.h"
#include "passes/WeightTools.h"

namespace ds {
#define GEN_PASS_DEF_FUSESWIGLU
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

/// Returns whether the weights of `gate` and `up` may be interleaved: one
/// label each, of equal type and layers, in whole groups of 16 rows.
static bool canPair(WeightTable &weights, LinearOp gate, LinearOp up) {
  WeightOp first = weights.findSole(gate.getWeight());
  WeightOp second = weights.findSole(up.getWeight());
  return first && second && first != second && first.getLabels().size() == 1 &&
         second.getLabels().size() == 1 &&
         first.getType() == second.getType() &&
         first.getRows()[0] % 16 == 0 &&
         first.getLayersAttr() == second.getLayersAttr() &&
         areTrainedAlike(first, second);
}

/// Returns whether only a SwiGLU uses the product and nothing is added to it.
static bool isPlain(LinearOp linear) {
  return linear && !linear.getBias() && linear->hasOneUse();
}

static bool fuse(WeightTable &weights, SwigluOp swiglu) {
  auto gate = swiglu.getGate().getDefiningOp<LinearOp>();
  auto up = swiglu.getUp().getDefiningOp<LinearOp>();
  if (!isPlain(gate) || !isPlain(up) || gate.getInput() != up.getInput() ||
      gate.getRouting() != up.getRouting() || !canPair(weights, gate, up))
    return false;
  OpBuilder builder(swiglu);
  Value weight = weights.readConcatenated(builder, swiglu.getLoc(),
                                          {gate.getWeight(), up.getWeight()},
                                          /*paired=*/true);
  auto fused = GatedLinearOp::create(builder, swiglu.getLoc(), swiglu.getType(),
                                     gate.getInput(), weight, gate.getRouting(),
                                     gate.getGathered());
  swiglu.replaceAllUsesWith(fused.getResult());
  swiglu.erase();
  gate.erase();
  up.erase();
  return true;
}

namespace {
struct FuseSwiglu : ds::impl::FuseSwigluBase<FuseSwiglu> {
  void runOnOperation() override {
    WeightTable weights(getOperation());
    SmallVector<SwigluOp> ops;
    getOperation().walk([&](SwigluOp op) { ops.push_back(op); });
    for (SwigluOp op : ops)
      fused += fuse(weights, op);
    removeDeadWeights(getOperation());
  }
};
} // namespace
