//===- KernelMla.cpp - Verifiers and costs of latent attention's kernels --===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

/// All operands and results moved once for `rows` rows.
static Cost moveCost(Operation *op, int64_t rows) {
  Cost cost;
  cost.activationBytes =
      valueBytes(op->getOperands(), rows) + valueBytes(op->getResults(), rows);
  return cost;
}

StringRef KernelTakeRowsOp::getRowSymbol() { return getSeqRows(getView()); }

LogicalResult KernelTakeRowsOp::verify() { return success(); }

Cost KernelTakeRowsOp::getCost(StepShape step) {
  return moveCost(*this, step.tokens);
}

StringRef KernelMergeRowsOp::getRowSymbol() { return "T"; }

LogicalResult KernelMergeRowsOp::verify() {
  if (!getPrompt() && !getGenerated())
    return emitOpError() << "expects rows of prompt or of generated tokens";
  return success();
}

Cost KernelMergeRowsOp::getCost(StepShape step) {
  return moveCost(*this, step.tokens);
}

StringRef KernelReadLatentsOp::getRowSymbol() { return "E"; }

LogicalResult KernelReadLatentsOp::verify() {
  auto latents = cast<StateType>(getLatents().getType());
  if (latents.getWidth() != typeOf(getLatent()).getDimSize(1) +
                                typeOf(getKey()).getDimSize(1))
    return emitOpError() << "expects results that share the columns of "
                         << latents;
  return success();
}

Cost KernelReadLatentsOp::getCost(StepShape step) {
  Cost cost = moveCost(*this, step.tokens);
  auto latents = cast<StateType>(getLatents().getType());
  cost.stateBytes = static_cast<double>(step.sequences * step.cached *
                                        latents.getWidth()) *
                    getElementBytes(latents.getElementType());
  return cost;
}

StringRef KernelReadLatentsBackwardOp::getRowSymbol() { return "T"; }

LogicalResult KernelReadLatentsBackwardOp::verify() {
  return verifyColumns(*this, "a result", getResult(),
                       typeOf(getLatentGradient()).getDimSize(1) +
                           typeOf(getKeyGradient()).getDimSize(1));
}

Cost KernelReadLatentsBackwardOp::getCost(StepShape step) {
  return moveCost(*this, step.tokens);
}

LogicalResult KernelJoinHeadsOp::verify() {
  if (getPieces().size() != getInputs().size())
    return emitOpError() << "expects one piece of each operand";
  int64_t columns = 0;
  auto last = static_cast<int64_t>(getHeads()) - 1;
  for (auto [input, attr] : llvm::zip(getInputs(), getPieces())) {
    auto piece = cast<PieceAttr>(attr);
    columns += piece.getColumns();
    if (piece.getBegin() < 0 || piece.getStride() < 0 ||
        piece.getColumns() <= 0 ||
        piece.getBegin() + last * piece.getStride() + piece.getColumns() >
            typeOf(input).getDimSize(1))
      return emitOpError() << "expects piece " << piece << " to lie within "
                           << input.getType();
  }
  return verifyColumns(*this, "a result", getResult(), (last + 1) * columns);
}

Cost KernelJoinHeadsOp::getCost(StepShape step) {
  return moveCost(*this, step.tokens);
}

LogicalResult KernelExpandKeysBackwardOp::verify() {
  LatentHeadsAttr heads = getHeads();
  if (failed(verifyColumns(*this, "gradients of keys", getKeyGradient(),
                           heads.getCount() *
                               (heads.getNope() + heads.getRope()))) ||
      failed(verifyColumns(*this, "gradients of values", getValueGradient(),
                           heads.getCount() * heads.getValue())))
    return failure();
  return verifyColumns(*this, "a gradient of the shared key",
                       getSharedGradient(), heads.getRope());
}

Cost KernelExpandKeysBackwardOp::getCost(StepShape step) {
  return moveCost(*this, step.tokens);
}
