//===- KernelNsa.cpp - Verifiers and costs of sparse attention's kernels --===//
#include "dialect/Nsa.h"

using namespace ds;
using namespace ds::kernel;
using namespace ds::nsa;

LogicalResult KernelGatherBlocksOp::verify() {
  return verifyGather(*this, getState().getType(), getPositions(), getResult(),
                      getLength(), getStride());
}

StringRef KernelGatherBlocksOp::getRowSymbol() {
  return getEntryRows(getState().getType());
}

Cost KernelGatherBlocksOp::getCost(StepShape step) {
  return getMoveCost(*this, getResult(), 1, step);
}

LogicalResult KernelGatherBlocksBackwardOp::verify() {
  return verifyColumns(*this, "a gradient", getGradient(),
                       static_cast<int64_t>(getLength()) *
                           (typeOf(getGradient()).getDimSize(1) /
                            static_cast<int64_t>(getLength())));
}

StringRef KernelGatherBlocksBackwardOp::getRowSymbol() { return "T"; }

Cost KernelGatherBlocksBackwardOp::getCost(StepShape step) {
  return getMoveCost(*this, getGradient(), 1, step);
}

LogicalResult KernelAccumulatePositionsOp::verify() {
  return verifyAccumulate(*this, getGradient(), getInput());
}

StringRef KernelAccumulatePositionsOp::getRowSymbol() {
  return getRowSymbolOf(getInput());
}

Cost KernelAccumulatePositionsOp::getCost(StepShape step) {
  return getMoveCost(*this, getInput(), 1, step);
}

LogicalResult KernelAppendBlocksOp::verify() {
  if (failed(verifyAppend(*this, getState().getType(), getInput())))
    return failure();
  return verifyLinear(*this, getState());
}

StringRef KernelAppendBlocksOp::getRowSymbol() {
  return getEntryRows(getState().getType());
}

Cost KernelAppendBlocksOp::getCost(StepShape step) {
  return getMoveCost(*this, getInput(), 0, step);
}

LogicalResult KernelSparseAttentionOp::verify() {
  Sparse sparse = getSparse(*this);
  if (failed(sparse.verify()) ||
      failed(verifyColumns(*this, "a result", getResult(),
                           sparse.heads * dimsOf(sparse.values))))
    return failure();
  return sparse.verifyStatistic("lse", getLse());
}

Cost KernelSparseAttentionOp::getCost(StepShape step) {
  return getSparse(*this).getCost(step, 1, 1);
}

template <typename Op> static LogicalResult verifyBackward(Op op) {
  Sparse sparse = getSparse(op);
  if (failed(sparse.verify()) ||
      failed(sparse.verifyStatistic("lse", op.getLse())))
    return failure();
  return sparse.verifyStatistic("delta", op.getDelta());
}

LogicalResult KernelSparseBackwardQueryOp::verify() {
  if (getQueryGradient().getType() != getQuery().getType())
    return emitOpError() << "expects a result like the queries "
                         << getQuery().getType() << ", got "
                         << getQueryGradient().getType();
  return verifyBackward(*this);
}

Cost KernelSparseBackwardQueryOp::getCost(StepShape step) {
  return getSparse(*this).getCost(step, 2, 1);
}

LogicalResult KernelSparseBackwardKeysOp::verify() {
  Sparse sparse = getSparse(*this);
  if (failed(verifyBackward(*this)) ||
      failed(sparse.verifyGradient("a gradient of keys", getKeyGradient(),
                                   sparse.keys)))
    return failure();
  return sparse.verifyGradient("a gradient of values", getValueGradient(),
                               sparse.values);
}

StringRef KernelSparseBackwardKeysOp::getRowSymbol() {
  return getSource() == KeySource::Entries ? getEntryRows(getKeys().getType())
                                           : StringRef("T");
}

Cost KernelSparseBackwardKeysOp::getCost(StepShape step) {
  return getSparse(*this).getCost(step, 2, 2);
}

LogicalResult KernelSelectBlocksOp::verify() {
  return verifySelect(*this, getSelection(*this), getQuery(),
                      getKeys().getType(), getLse(), getResult());
}

Cost KernelSelectBlocksOp::getCost(StepShape step) {
  return getSelectCost(*this, getQuery(), getKeys().getType(), step);
}

LogicalResult KernelMixBranchesOp::verify() {
  return verifyMix(*this, getGates(), getFirst(), getHeads());
}

Cost KernelMixBranchesOp::getCost(StepShape step) {
  return getMoveCost(*this, getResult(), 5, step);
}

LogicalResult KernelMixBranchesBackwardOp::verify() {
  return verifyMix(*this, getGates(), getFirst(), getHeads());
}

Cost KernelMixBranchesBackwardOp::getCost(StepShape step) {
  return getMoveCost(*this, getFirst(), 9, step);
}
