//===- RemoveDeadWeights.cpp - Drops weights that nothing uses ------------===//
#include "passes/Passes.h"

namespace ds {
#define GEN_PASS_DEF_REMOVEDEADWEIGHTS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

namespace {
struct RemoveDeadWeights : ds::impl::RemoveDeadWeightsBase<RemoveDeadWeights> {
  void runOnOperation() override {
    SmallVector<GetWeightOp> unused;
    llvm::StringMap<bool> used;
    getOperation().walk([&](GetWeightOp get) {
      if (get->use_empty())
        unused.push_back(get);
      else
        used[get.getWeight()] = true;
    });
    for (GetWeightOp get : unused)
      get.erase();
    SmallVector<WeightOp> weights(getOperation().getOps<WeightOp>());
    for (WeightOp weight : weights) {
      if (used.lookup(weight.getSymName()))
        continue;
      weight.erase();
      ++removed;
    }
  }
};
} // namespace
