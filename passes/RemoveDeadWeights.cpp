//===- RemoveDeadWeights.cpp - Removes weights that nothing reads ---------===//
#include "passes/Passes.h"
#include "passes/WeightTools.h"

namespace ds {
#define GEN_PASS_DEF_REMOVEDEADWEIGHTS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

namespace {
struct RemoveDeadWeights : ds::impl::RemoveDeadWeightsBase<RemoveDeadWeights> {
  void runOnOperation() override {
    removed += removeDeadWeights(getOperation());
  }
};
} // namespace
