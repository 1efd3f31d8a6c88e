//===- FuseLoss.cpp - The head's product with its log-probabilities -------===//
#include "passes/Passes.h"

namespace ds {
#define GEN_PASS_DEF_FUSELOSS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

static bool fuse(LogProbOp op) {
  auto head = op.getLogits().getDefiningOp<LinearOp>();
  if (!head || head.getBias() || !head->hasOneUse() ||
      !head.getWeight().getDefiningOp<GetWeightOp>())
    return false;
  OpBuilder builder(op);
  Location loc = builder.getFusedLoc({head.getLoc(), op.getLoc()});
  auto fused = LinearLogProbOp::create(
      builder, loc, op.getResultTypes(), head.getInput(), head.getWeight(),
      op.getTargets(), op.getInverseTemperature());
  op.replaceAllUsesWith(fused);
  op.erase();
  head.erase();
  return true;
}

namespace {
struct FuseLoss : ds::impl::FuseLossBase<FuseLoss> {
  void runOnOperation() override {
    func::FuncOp entry = findEntry(getOperation(), kTrainEntry);
    if (!entry)
      return;
    SmallVector<LogProbOp> ops;
    entry.walk([&](LogProbOp op) { ops.push_back(op); });
    for (LogProbOp op : ops)
      fused += fuse(op);
  }
};
} // namespace
