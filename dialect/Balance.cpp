//===- Balance.cpp - What balances experts: verifiers, costs, derivatives -===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

using Gradients = SmallVector<Value>;

static int64_t columnsOf(Value value) {
  return typeOf(value).getShape().back();
}

//===----------------------------------------------------------------------===//
// Terms of the loss
//===----------------------------------------------------------------------===//

/// Checks the groups that picks are counted in.
static LogicalResult verifyLoad(Operation *op, Value result, int64_t groups,
                                int64_t expected) {
  int64_t experts = columnsOf(result);
  if (groups <= 0 || experts % groups)
    return op->emitOpError() << "expects experts (" << experts
                             << ") to be a multiple of groups (" << groups
                             << ")";
  if (expected <= 0)
    return op->emitOpError() << "expects a token to be expected in at least "
                             << "one group, got " << expected;
  return success();
}

LogicalResult ExpertLoadOp::verify() {
  return verifyLoad(*this, getResult(), static_cast<int64_t>(getGroups()),
                    static_cast<int64_t>(getExpected()));
}

LogicalResult KernelExpertLoadOp::verify() {
  return verifyLoad(*this, getResult(), static_cast<int64_t>(getGroups()),
                    static_cast<int64_t>(getExpected()));
}

Cost ExpertLoadOp::getCost(StepShape step) {
  return rowsCost(*this, getPicks(), 1, step.tokens);
}

Cost KernelExpertLoadOp::getCost(StepShape step) {
  return rowsCost(*this, getPicks(), 1, step.tokens);
}

Cost DotColumnsOp::getCost(StepShape step) {
  return rowsCost(*this, getLeft(), 2, step.tokens);
}

Cost ScaleColumnsOp::getCost(StepShape step) {
  return rowsCost(*this, getInput(), 2, step.tokens);
}

Cost NormaliseOp::getCost(StepShape step) {
  return rowsCost(*this, getInput(), 2, step.tokens);
}

Cost NormaliseBackwardOp::getCost(StepShape step) {
  return rowsCost(*this, getInput(), 5, step.tokens);
}

FailureOr<Gradients> ExpertLoadOp::buildBackward(OpBuilder &, ValueRange) {
  return Gradients(getNumOperands());
}

FailureOr<Gradients> DotColumnsOp::buildBackward(OpBuilder &builder,
                                                 ValueRange gradients) {
  auto scaled = [&](Value other) -> Value {
    return ScaleColumnsOp::create(builder, getLoc(), other.getType(), other,
                                  gradients[0], getScaleAttr());
  };
  Value left = scaled(getRight()), right = scaled(getLeft());
  return Gradients{left, right};
}

FailureOr<Gradients> NormaliseOp::buildBackward(OpBuilder &builder,
                                                ValueRange gradients) {
  Value result = NormaliseBackwardOp::create(builder, getLoc(), getType(),
                                             getInput(), gradients[0]);
  return Gradients{result};
}

//===----------------------------------------------------------------------===//
// The update of a router's bias
//===----------------------------------------------------------------------===//

LogicalResult AccumulatePicksOp::verify() {
  if (typeOf(getCounts()).getRank() != 1)
    return emitOpError() << "expects counts of one dimension, got "
                         << getCounts().getType();
  return success();
}

Cost AccumulatePicksOp::getCost(StepShape step) {
  return rowsCost(*this, getPicks(), 1, step.tokens);
}

LogicalResult KernelAccumulatePicksOp::verify() { return success(); }

Cost KernelAccumulatePicksOp::getCost(StepShape step) {
  return rowsCost(*this, getPicks(), 1, step.tokens);
}

LogicalResult
BalanceStepOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto weight =
      symbolTable.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError() << "expects '" << getWeight()
                         << "' to be a declared weight";
  auto type = cast<RankedTensorType>(weight.getType());
  if (type.getRank() != 1 || !type.getElementType().isF32())
    return emitOpError() << "expects a vector of f32, got " << type;
  return success();
}

LogicalResult KernelBalanceStepOp::verify() {
  for (Value other : {getCounts(), getPacked()})
    if (other.getType() != getMaster().getType())
      return emitOpError() << "expects vectors of one type, got "
                           << getMaster().getType() << " and "
                           << other.getType();
  return success();
}

Cost KernelBalanceStepOp::getCost(StepShape) {
  Cost cost;
  cost.flops = 4.0 * static_cast<double>(columnsOf(getMaster()));
  cost.weightBytes = 16.0 * static_cast<double>(columnsOf(getMaster()));
  return cost;
}
