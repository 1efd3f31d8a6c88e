//===- Kernel.cpp - Verifiers and costs of kernels ------------------------===//
#include "dialect/Dialect.h"

using namespace ds;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static double valueBytes(Value value, int64_t rows) {
  RankedTensorType type = typeOf(value);
  int64_t size = getElementBytes(type.getElementType());
  for (int64_t dim : type.getShape())
    size *= ShapedType::isDynamic(dim) ? rows : dim;
  return static_cast<double>(size);
}

/// Checks that a kernel's region takes `arguments` and yields one scalar of
/// the result's element type.
static LogicalResult verifyRegion(Operation *op, Region &region,
                                  ArrayRef<Type> arguments, Value result) {
  Block &block = region.front();
  if (block.getNumArguments() != arguments.size())
    return op->emitOpError() << "expects a region of " << arguments.size()
                             << " arguments, got " << block.getNumArguments();
  for (auto [argument, type] : llvm::zip(block.getArguments(), arguments))
    if (argument.getType() != type)
      return op->emitOpError() << "expects region argument "
                               << argument.getArgNumber() << " to be " << type
                               << ", got " << argument.getType();
  auto yield = dyn_cast<YieldOp>(block.getTerminator());
  if (!yield || yield.getNumOperands() != 1 ||
      yield.getOperand(0).getType() != typeOf(result).getElementType())
    return op->emitOpError() << "expects the region to yield one "
                             << typeOf(result).getElementType();
  return success();
}

LogicalResult KernelMatmulOp::verify() {
  Type f32 = Float32Type::get(getContext());
  SmallVector<Type> arguments(getPair() ? 2 : 1, f32);
  for (Value extra : getExtras())
    arguments.push_back(typeOf(extra).getElementType());
  int64_t outputs = typeOf(getResult()).getDimSize(1) * (getPair() ? 2 : 1);
  if (typeOf(getWeight()).getDimSize(0) != outputs)
    return emitOpError() << "expects a weight of " << outputs
                         << " rows, got " << typeOf(getWeight());
  return verifyRegion(*this, getEpilogue(), arguments, getResult());
}

Cost KernelMatmulOp::getCost(StepShape step) {
  Cost cost;
  int64_t rows = getRows() ? step.rows : step.tokens;
  cost.flops = 2.0 * static_cast<double>(rows) *
               static_cast<double>(typeOf(getWeight()).getNumElements());
  cost.weightBytes = valueBytes(getWeight(), rows);
  cost.activationBytes =
      valueBytes(getA(), rows) + valueBytes(getResult(), rows);
  for (Value extra : getExtras())
    cost.activationBytes += valueBytes(extra, rows);
  return cost;
}

StringRef KernelMatmulOp::getRowSymbol() { return getRows() ? "R" : "T"; }

/// Operand j of a matrix type may be overwritten element by element.
static bool sameShape(Operation *op, unsigned operand, Value result) {
  return operand < op->getNumOperands() &&
         op->getOperand(operand).getType() == result.getType();
}

bool KernelMatmulOp::canReuseOperand(unsigned operand, unsigned result) {
  return operand >= 2 && sameShape(*this, operand, getResult());
}

LogicalResult KernelRowOp::verify() {
  SmallVector<Type> arguments;
  for (Value input : getInputs())
    arguments.push_back(typeOf(input).getElementType());
  return verifyRegion(*this, getBody(), arguments, getResult());
}

static Cost mapCost(Operation *op, Region &region, StepShape step) {
  Cost cost;
  Value result = op->getResult(0);
  int64_t width = typeOf(result).getDimSize(1);
  cost.flops = static_cast<double>(step.tokens * width) *
               static_cast<double>(region.front().getOperations().size() - 1);
  cost.activationBytes = valueBytes(result, step.tokens);
  for (Value input : op->getOperands())
    cost.activationBytes += valueBytes(input, step.tokens);
  return cost;
}

Cost KernelRowOp::getCost(StepShape step) {
  return mapCost(*this, getBody(), step);
}

bool KernelRowOp::canReuseOperand(unsigned operand, unsigned result) {
  return sameShape(*this, operand, getResult());
}

LogicalResult KernelElementwiseOp::verify() {
  SmallVector<Type> arguments;
  for (Value input : getInputs())
    arguments.push_back(typeOf(input).getElementType());
  return verifyRegion(*this, getBody(), arguments, getResult());
}

Cost KernelElementwiseOp::getCost(StepShape step) {
  return mapCost(*this, getBody(), step);
}

bool KernelElementwiseOp::canReuseOperand(unsigned operand, unsigned result) {
  return sameShape(*this, operand, getResult());
}

LogicalResult KernelEmbedOp::verify() {
  if (getLayout() == WeightLayout::VectorF32)
    return emitOpError() << "expects a table that is raw or packed";
  return success();
}

Cost KernelEmbedOp::getCost(StepShape step) {
  Cost cost;
  int64_t width = typeOf(getResult()).getDimSize(1);
  cost.weightBytes = static_cast<double>(step.tokens * width) *
                     getElementBytes(typeOf(getTable()).getElementType());
  cost.activationBytes = valueBytes(getResult(), step.tokens);
  return cost;
}

LogicalResult KernelAnglesOp::verify() {
  if (typeOf(getResult()).getDimSize(1) != getRope().getDims())
    return emitOpError() << "expects a result of " << getRope().getDims()
                         << " columns";
  return success();
}

Cost KernelAnglesOp::getCost(StepShape step) {
  Cost cost;
  cost.flops = 40.0 * static_cast<double>(step.tokens * getRope().getDims());
  cost.activationBytes = valueBytes(getResult(), step.tokens);
  return cost;
}

LogicalResult KernelHeadsOp::verify() {
  size_t states = 0;
  bool hasResult = false;
  for (Attribute attr : getSegments()) {
    auto segment = cast<SegmentAttr>(attr);
    int64_t end = segment.getBegin() + segment.getHeads() * segment.getDim();
    if (segment.getBegin() < 0 || end > typeOf(getInput()).getDimSize(1))
      return emitOpError() << "expects segment " << segment
                           << " to lie within "
                           << typeOf(getInput()).getDimSize(1) << " columns";
    if (segment.getDest() != SegmentDest::Result) {
      ++states;
      continue;
    }
    if (hasResult)
      return emitOpError() << "expects one segment with dest result";
    hasResult = true;
  }
  if (states != getStates().size() || states != getNewStates().size())
    return emitOpError() << "expects " << states << " states, got "
                         << getStates().size();
  if (hasResult != static_cast<bool>(getResult()))
    return emitOpError() << "expects a result for the segment with dest "
                         << "result";
  return success();
}

Cost KernelHeadsOp::getCost(StepShape step) {
  Cost cost;
  int64_t width = typeOf(getInput()).getDimSize(1);
  cost.flops = 3.0 * static_cast<double>(step.tokens * width);
  cost.activationBytes = valueBytes(getInput(), step.tokens);
  if (getResult())
    cost.activationBytes += valueBytes(getResult(), step.tokens);
  for (Value state : getStates()) {
    auto type = cast<StateType>(state.getType());
    cost.stateBytes += static_cast<double>(step.tokens * type.getWidth()) *
                       getElementBytes(type.getElementType());
  }
  return cost;
}

bool KernelHeadsOp::canReuseOperand(unsigned operand, unsigned result) {
  return false;
}
