//===- Dsa.cpp - Selection of tokens by an indexer ------------------------===//
#include "dialect/KernelSupport.h"

using namespace ds;

static int64_t columnsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getDimSize(1);
}

template <typename Op> static LogicalResult verifySelect(Op op) {
  auto heads = static_cast<int64_t>(op.getHeads());
  auto count = static_cast<int64_t>(op.getCount());
  auto keys = cast<StateType>(op.getKeys().getType());
  if (keys.getShape().size() != 2 || keys.getShape()[0] != 1)
    return op.emitOpError() << "expects keys of one head, got " << keys;
  if (heads < 1 || columnsOf(op.getQuery()) != heads * keys.getWidth())
    return op.emitOpError() << "expects queries of " << heads << " x "
                            << keys.getWidth() << " columns, got "
                            << columnsOf(op.getQuery());
  auto weights = cast<RankedTensorType>(op.getWeights().getType());
  if (weights.getDimSize(1) != heads || !weights.getElementType().isF32())
    return op.emitOpError() << "expects weights of " << heads
                            << " columns of f32, got " << weights;
  if (count < 1 || columnsOf(op.getResult()) != count)
    return op.emitOpError() << "expects a result of count (" << count
                            << ") columns, got " << columnsOf(op.getResult());
  return success();
}

template <typename Op> static Cost getSelectCost(Op op, StepShape step) {
  auto keys = cast<StateType>(op.getKeys().getType());
  Cost cost;
  cost.flops = 2.0 * kernel::countSeen(step, step.cached) *
               static_cast<double>(step.tokens * columnsOf(op.getQuery()));
  cost.stateBytes =
      static_cast<double>(step.sequences * step.cached * keys.getWidth()) *
      getElementBytes(keys.getElementType());
  double row = 4.0 * static_cast<double>(columnsOf(op.getResult()));
  for (Value input : {op.getQuery(), op.getWeights()})
    row += static_cast<double>(columnsOf(input)) *
           getElementBytes(getElementTypeOrSelf(input.getType()));
  cost.activationBytes = static_cast<double>(step.tokens) * row;
  return cost;
}

LogicalResult SelectTokensOp::verify() { return verifySelect(*this); }

Cost SelectTokensOp::getCost(StepShape step) {
  return getSelectCost(*this, step);
}

LogicalResult KernelSelectTokensOp::verify() { return verifySelect(*this); }

Cost KernelSelectTokensOp::getCost(StepShape step) {
  return getSelectCost(*this, step);
}
