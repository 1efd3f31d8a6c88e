//===- KernelMoe.cpp - Verifiers and costs of routers' kernels ------------===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

static int64_t columnsOf(Value value) { return typeOf(value).getDimSize(1); }

static RoutingType routingOf(Value value) {
  return cast<RoutingType>(value.getType());
}

static Cost tokensCost(Operation *op, double flops, StepShape step) {
  Cost cost;
  cost.flops = flops * static_cast<double>(step.tokens);
  cost.activationBytes = valueBytes(op->getOperands(), step.tokens) +
                         valueBytes(op->getResults(), step.tokens);
  return cost;
}

LogicalResult KernelTopKOp::verify() {
  return verifyTopK(*this,
                    {columnsOf(getScores()), static_cast<int64_t>(getK()),
                     static_cast<int64_t>(getGroups()),
                     static_cast<int64_t>(getKept())},
                    getBias(), getResult());
}

Cost KernelTopKOp::getCost(StepShape step) {
  return tokensCost(*this,
                    static_cast<double>(getK()) *
                        static_cast<double>(columnsOf(getScores())),
                    step);
}

LogicalResult KernelPickOp::verify() {
  return verifyColumns(*this, "a result", getResult(), columnsOf(getPicks()));
}

Cost KernelPickOp::getCost(StepShape step) {
  return tokensCost(*this, 3.0 * static_cast<double>(columnsOf(getPicks())),
                    step);
}

LogicalResult KernelPickBackwardOp::verify() {
  if (failed(verifyColumns(*this, "a gradient", getGradient(),
                           columnsOf(getPicks()))))
    return failure();
  return verifyColumns(*this, "a result", getResult(), columnsOf(getScores()));
}

Cost KernelPickBackwardOp::getCost(StepShape step) {
  return tokensCost(*this, 5.0 * static_cast<double>(columnsOf(getPicks())),
                    step);
}

LogicalResult KernelRouteOp::verify() {
  return verifyColumns(*this, "picks", getPicks(),
                       routingOf(getResult()).getPicks());
}

Cost KernelRouteOp::getCost(StepShape step) {
  return tokensCost(*this, 4.0 * static_cast<double>(columnsOf(getPicks())),
                    step);
}

LogicalResult KernelDispatchOp::verify() {
  if (getInput().getType() != getResult().getType())
    return emitOpError() << "expects a result of the input's type";
  return success();
}

StringRef KernelDispatchOp::getRowSymbol() {
  return routingOf(getRouting()).getRowSymbol();
}

Cost KernelDispatchOp::getCost(StepShape step) {
  Cost cost;
  cost.activationBytes =
      valueBytes(getInput(), step.tokens) +
      valueBytes(getResult(), step.tokens * routingOf(getRouting()).getPicks());
  return cost;
}

LogicalResult KernelCombineOp::verify() {
  if (failed(verifyCombine(*this, getInput(), getRouting(), getWeights(),
                           getResult())))
    return failure();
  SmallVector<Type> arguments = {Float32Type::get(getContext())};
  for (Value extra : getExtras()) {
    RankedTensorType type = typeOf(extra);
    if (type.getRank() != 2 || type.getDimSize(1) != columnsOf(getResult()))
      return emitOpError() << "expects operands of " << columnsOf(getResult())
                           << " columns, got " << type;
    arguments.push_back(type.getElementType());
  }
  if (failed(verifyRows(*this, getExtras(), getRowSymbol())))
    return failure();
  return verifyRegion(*this, getEpilogue(), arguments,
                      typeOf(getResult()).getElementType(), /*reduces=*/false);
}

StringRef KernelCombineOp::getRowSymbol() { return "T"; }

bool KernelCombineOp::canReuseOperand(unsigned operand, unsigned) {
  unsigned first = getWeights() ? 3 : 2;
  return operand >= first &&
         getOperand(operand).getType() == getResult().getType();
}

Cost KernelCombineOp::getCost(StepShape step) {
  int64_t rows = step.tokens * routingOf(getRouting()).getPicks();
  Cost cost;
  cost.flops = 2.0 * static_cast<double>(rows * columnsOf(getResult()));
  cost.activationBytes = valueBytes(getInput(), rows) +
                         valueBytes(getResult(), step.tokens) +
                         valueBytes(getExtras(), step.tokens);
  return cost;
}

LogicalResult KernelCombineBackwardOp::verify() {
  if (getInputGradient().getType() != getInput().getType() ||
      getWeightGradient().getType() != getWeights().getType())
    return emitOpError() << "expects gradients of their operands' types";
  return verifyCombine(*this, getInput(), getRouting(), getWeights(),
                       getGradient());
}

StringRef KernelCombineBackwardOp::getRowSymbol() { return "T"; }

StringRef KernelCombineBackwardOp::getResultRows(unsigned index) {
  return index == 0 ? routingOf(getRouting()).getRowSymbol() : "T";
}

Cost KernelCombineBackwardOp::getCost(StepShape step) {
  int64_t rows = step.tokens * routingOf(getRouting()).getPicks();
  Cost cost;
  cost.flops = 3.0 * static_cast<double>(rows * columnsOf(getInput()));
  cost.activationBytes = 2 * valueBytes(getInput(), rows) +
                         valueBytes(getGradient(), step.tokens);
  return cost;
}
