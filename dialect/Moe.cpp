//===- Moe.cpp - Verifiers, costs and derivatives of routers and experts --===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

using Gradients = SmallVector<Value>;

static int64_t columnsOf(Value value) { return typeOf(value).getDimSize(1); }

//===----------------------------------------------------------------------===//
// Routers
//===----------------------------------------------------------------------===//

Cost SoftmaxOp::getCost(StepShape step) {
  return rowsCost(*this, getInput(), 15, step.tokens);
}

Cost SoftmaxBackwardOp::getCost(StepShape step) {
  return rowsCost(*this, getOutput(), 4, step.tokens);
}

Cost SigmoidOp::getCost(StepShape step) {
  return rowsCost(*this, getInput(), 12, step.tokens);
}

Cost TopKOp::getCost(StepShape step) {
  return rowsCost(*this, getScores(), static_cast<double>(getK()), step.tokens);
}

Cost PickOp::getCost(StepShape step) {
  return rowsCost(*this, getPicks(), 3, step.tokens);
}

Cost PickBackwardOp::getCost(StepShape step) {
  return rowsCost(*this, getPicks(), 5, step.tokens);
}

LogicalResult kernel::verifyTopK(Operation *op, TopKShape shape, Value bias,
                                 Value result) {
  if (shape.k <= 0 || shape.groups <= 0 || shape.experts % shape.groups)
    return op->emitOpError()
           << "expects experts (" << shape.experts
           << ") to be a multiple of groups (" << shape.groups << ")";
  if (shape.kept <= 0 || shape.kept > shape.groups)
    return op->emitOpError() << "expects to keep 1 to " << shape.groups
                             << " groups, got " << shape.kept;
  int64_t eligible = shape.kept * (shape.experts / shape.groups);
  if (shape.k > eligible)
    return op->emitOpError() << "expects k (" << shape.k << ") to be at most "
                             << "the experts of the kept groups (" << eligible
                             << ")";
  if (bias && (typeOf(bias).getRank() != 1 ||
               typeOf(bias).getDimSize(0) != shape.experts))
    return op->emitOpError() << "expects a bias of " << shape.experts
                             << " elements, got " << bias.getType();
  return verifyColumns(op, "a result", result, shape.k);
}

LogicalResult TopKOp::verify() {
  return verifyTopK(*this,
                    {columnsOf(getScores()), static_cast<int64_t>(getK()),
                     static_cast<int64_t>(getGroups()),
                     static_cast<int64_t>(getKept())},
                    getBias(), getResult());
}

LogicalResult PickOp::verify() {
  return verifyColumns(*this, "a result", getResult(), columnsOf(getPicks()));
}

LogicalResult PickBackwardOp::verify() {
  if (failed(verifyColumns(*this, "a gradient", getGradient(),
                           columnsOf(getPicks()))))
    return failure();
  return verifyColumns(*this, "a result", getResult(), columnsOf(getScores()));
}

FailureOr<Gradients> SoftmaxOp::buildBackward(OpBuilder &builder,
                                              ValueRange gradients) {
  Value result = SoftmaxBackwardOp::create(builder, getLoc(), getType(),
                                           getResult(), gradients[0]);
  return Gradients{result};
}

/// dx = dy y - dy y y.
FailureOr<Gradients> SigmoidOp::buildBackward(OpBuilder &builder,
                                              ValueRange gradients) {
  Location loc = getLoc();
  Value once = arith::MulFOp::create(builder, loc, gradients[0], getResult());
  Value twice = arith::MulFOp::create(builder, loc, once, getResult());
  Value result = arith::SubFOp::create(builder, loc, once, twice);
  return Gradients{result};
}

FailureOr<Gradients> TopKOp::buildBackward(OpBuilder &, ValueRange) {
  return Gradients(getNumOperands());
}

FailureOr<Gradients> PickOp::buildBackward(OpBuilder &builder,
                                           ValueRange gradients) {
  Value result = PickBackwardOp::create(
      builder, getLoc(), getScores().getType(), getScores(), getPicks(),
      gradients[0], getNormaliseAttr(), getScaleAttr());
  return Gradients{result, Value()};
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

static RoutingType routingOf(Value value) {
  return cast<RoutingType>(value.getType());
}

Cost RouteOp::getCost(StepShape step) {
  return rowsCost(*this, getPicks(), 4, step.tokens);
}

Cost CombineOp::getCost(StepShape step) {
  Cost cost = rowsCost(*this, getResult(), 0, step.tokens);
  int64_t rows = step.tokens * routingOf(getRouting()).getPicks();
  cost.flops = 2.0 * static_cast<double>(rows * columnsOf(getResult()));
  cost.activationBytes +=
      valueBytes(getInput(), rows) - valueBytes(getInput(), step.tokens);
  return cost;
}

Cost CombineBackwardOp::getCost(StepShape step) {
  int64_t rows = step.tokens * routingOf(getRouting()).getPicks();
  Cost cost;
  cost.flops = 3.0 * static_cast<double>(rows * columnsOf(getInput()));
  cost.activationBytes = 2 * valueBytes(getInput(), rows) +
                         valueBytes(getGradient(), step.tokens);
  return cost;
}

Cost DispatchOp::getCost(StepShape step) {
  Cost cost;
  int64_t rows = step.tokens * routingOf(getRouting()).getPicks();
  cost.activationBytes =
      valueBytes(getInput(), step.tokens) + valueBytes(getResult(), rows);
  return cost;
}

StringRef DispatchOp::getResultRows(unsigned) {
  return routingOf(getRouting()).getRowSymbol();
}

LogicalResult RouteOp::verify() {
  return verifyColumns(*this, "picks", getPicks(),
                       routingOf(getResult()).getPicks());
}

LogicalResult kernel::verifyCombine(Operation *op, Value input, Value routing,
                                    Value weights, Value result) {
  if (StringRef rows = routingOf(routing).getRowSymbol();
      isa_and_present<RowsInterface, KernelInterface>(input.getDefiningOp()) &&
      getRowSymbolOf(input) != rows)
    return op->emitOpError() << "expects rows of " << rows << ", got "
                             << getRowSymbolOf(input);
  if (weights && failed(verifyColumns(op, "weights", weights,
                                      routingOf(routing).getPicks())))
    return failure();
  return verifyColumns(op, "a result", result, columnsOf(input));
}

LogicalResult CombineOp::verify() {
  return verifyCombine(*this, getInput(), getRouting(), getWeights(),
                       getResult());
}

LogicalResult CombineBackwardOp::verify() {
  if (getInputGradient().getType() != getInput().getType())
    return emitOpError() << "expects a gradient of the input's type";
  if (getWeightGradient().getType() != getWeights().getType())
    return emitOpError() << "expects a gradient of the weights' type";
  return verifyCombine(*this, getInput(), getRouting(), getWeights(),
                       getGradient());
}

StringRef CombineOp::getResultRows(unsigned) { return "T"; }

StringRef CombineBackwardOp::getResultRows(unsigned index) {
  return index == 0 ? routingOf(getRouting()).getRowSymbol() : "T";
}

FailureOr<Gradients> RouteOp::buildBackward(OpBuilder &, ValueRange) {
  return Gradients(1);
}

FailureOr<Gradients> CombineOp::buildBackward(OpBuilder &builder,
                                              ValueRange gradients) {
  if (!getWeights())
    return emitOpError() << "has a derivative with weights only";
  auto backward = CombineBackwardOp::create(
      builder, getLoc(), getInput().getType(), getWeights().getType(),
      getInput(), getRouting(), getWeights(), gradients[0]);
  return Gradients{backward.getInputGradient(), Value(),
                   backward.getWeightGradient()};
}
