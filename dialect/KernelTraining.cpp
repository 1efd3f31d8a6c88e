//===- KernelTraining.cpp - Verifiers and costs of training's kernels -----===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

static int64_t columnsOf(Value value) {
  return typeOf(value).getShape().back();
}

/// Elements of a weight's master, moments or gradient, padding included.
static double paddedElements(Value value) {
  RankedTensorType type = typeOf(value);
  int64_t block = type.getRank() == 1 ? 16 : 32;
  double elements = 1;
  for (int64_t dim : type.getShape())
    elements *= static_cast<double>(llvm::alignTo(dim, block));
  return elements;
}

/// Checks that `value` has the type of `like`.
static LogicalResult verifySameType(Operation *op, StringRef name, Value value,
                                    Value like) {
  if (value.getType() != like.getType())
    return op->emitOpError() << "expects " << name << " of type "
                             << like.getType() << ", got " << value.getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

LogicalResult KernelScatterEmbeddingOp::verify() {
  return verifyColumns(*this, "rows", getInput(), columnsOf(getGradient()));
}

Cost KernelScatterEmbeddingOp::getCost(StepShape step) {
  Cost cost;
  auto elements = static_cast<double>(step.tokens * columnsOf(getInput()));
  cost.flops = elements;
  cost.weightBytes = 8 * elements;
  cost.activationBytes = valueBytes(getInput(), step.tokens);
  return cost;
}

StringRef KernelOuterOp::getRowSymbol() {
  return getRowSymbolOf(getOutputGradient());
}

LogicalResult KernelOuterOp::verify() {
  if (typeOf(getInput()).getElementType() !=
      typeOf(getOutputGradient()).getElementType())
    return emitOpError() << "expects operands of one element type";
  if (!getHeads() &&
      failed(verifyMatrices(*this, "gradient", getGradient(),
                            columnsOf(getOutputGradient()),
                            columnsOf(getInput()), getRouting())))
    return failure();
  return verifyRows(*this, getInput(), getRowSymbol());
}

Cost KernelOuterOp::getCost(StepShape step) {
  Cost cost;
  int64_t rows = countRows(*this, step);
  auto elements = static_cast<double>(typeOf(getGradient()).getNumElements());
  cost.weightBytes = 8 * elements;
  if (getRouting())
    elements /= static_cast<double>(typeOf(getGradient()).getDimSize(0));
  cost.flops = 2.0 * static_cast<double>(rows) * elements;
  cost.activationBytes =
      valueBytes(getOutputGradient(), rows) + valueBytes(getInput(), rows);
  return cost;
}

StringRef KernelGatherRowsOp::getRowSymbol() { return "R"; }

StringRef KernelScatterRowsOp::getRowSymbol() { return "T"; }

LogicalResult KernelGatherRowsOp::verify() {
  return verifySameType(*this, "a result", getResult(), getInput());
}

Cost KernelGatherRowsOp::getCost(StepShape step) {
  Cost cost;
  cost.activationBytes = 2 * valueBytes(getResult(), step.rows);
  return cost;
}

LogicalResult KernelScatterRowsOp::verify() {
  return verifySameType(*this, "a result", getResult(), getInput());
}

Cost KernelScatterRowsOp::getCost(StepShape step) {
  Cost cost;
  cost.activationBytes = valueBytes(getInput(), step.rows) +
                         valueBytes(getResult(), step.tokens);
  return cost;
}

StringRef KernelConcatHeadsOp::getRowSymbol() {
  return getInputRows(getInputs());
}

LogicalResult KernelConcatHeadsOp::verify() {
  if (getParts().size() != getInputs().size())
    return emitOpError() << "expects a part for each of "
                         << getInputs().size() << " inputs, got "
                         << getParts().size();
  if (static_cast<bool>(getAngles()) != getRope().has_value())
    return emitOpError() << "expects angles with a rope";
  int64_t columns = 0;
  for (auto [input, part] :
       llvm::zip(getInputs(), getParts().getAsRange<HeadsPartAttr>())) {
    int64_t width = part.getHeads() * part.getDim();
    if (part.getHeads() <= 0 || part.getDim() <= 0 ||
        width != columnsOf(input))
      return emitOpError() << "expects part " << part << " to fill "
                           << input.getType();
    if (typeOf(input).getElementType() != typeOf(getResult()).getElementType())
      return emitOpError() << "expects inputs of the result's element type";
    if (part.getRotate() &&
        (!getRope() || getRope()->getDims() > part.getDim()))
      return emitOpError() << "expects a rope that fits part " << part;
    columns += width;
  }
  if (getAngles() &&
      failed(verifyColumns(*this, "angles", getAngles(), getRope()->getDims())))
    return failure();
  if (failed(verifyRows(*this, getInputs(), getRowSymbol())))
    return failure();
  return verifyColumns(*this, "a result", getResult(), columns);
}

Cost KernelConcatHeadsOp::getCost(StepShape step) {
  Cost cost;
  int64_t rows = countRows(*this, step);
  cost.flops = 3.0 * static_cast<double>(rows * columnsOf(getResult()));
  cost.activationBytes =
      valueBytes(getOperands(), rows) + valueBytes(getResult(), rows);
  return cost;
}

//===----------------------------------------------------------------------===//
// Log-probabilities
//===----------------------------------------------------------------------===//

/// Checks that all values but the logits have one column.
static LogicalResult verifyRowValues(Operation *op, ValueRange values,
                                     StringRef symbol) {
  for (Value value : values)
    if (failed(verifyColumns(op, "row values", value, 1)))
      return failure();
  return verifyRows(op, op->getOperands(), symbol);
}

static Cost logProbCost(KernelInterface op, Value logits, double perElement,
                        StepShape step) {
  Cost cost;
  int64_t rows = countRows(op, step);
  cost.flops = perElement * static_cast<double>(rows * columnsOf(logits));
  cost.activationBytes = valueBytes(op->getOperands(), rows) +
                         valueBytes(op->getResults(), rows);
  return cost;
}

StringRef KernelLogProbOp::getRowSymbol() { return getRowSymbolOf(getLogits()); }

LogicalResult KernelLogProbOp::verify() {
  return verifyRowValues(
      *this, {getTargets(), getInverseTemperature(), getLogProb(), getLse()},
      getRowSymbol());
}

Cost KernelLogProbOp::getCost(StepShape step) {
  return logProbCost(*this, getLogits(), 20, step);
}

StringRef KernelLogProbBackwardOp::getRowSymbol() {
  return getRowSymbolOf(getLogits());
}

LogicalResult KernelLogProbBackwardOp::verify() {
  if (failed(verifyColumns(*this, "a result", getLogitsGradient(),
                           columnsOf(getLogits()))))
    return failure();
  return verifyRowValues(
      *this, {getTargets(), getInverseTemperature(), getLse(), getGradient()},
      getRowSymbol());
}

Cost KernelLogProbBackwardOp::getCost(StepShape step) {
  return logProbCost(*this, getLogits(), 20, step);
}

bool KernelLogProbBackwardOp::canReuseOperand(unsigned operand,
                                              unsigned result) {
  return operand == 0 &&
         getLogits().getType() == getLogitsGradient().getType();
}

//===----------------------------------------------------------------------===//
// The optimiser
//===----------------------------------------------------------------------===//

LogicalResult KernelAdamwOp::verify() {
  for (Value value : {getFirstMoment(), getSecondMoment(), getGradient()})
    if (failed(verifySameType(*this, "moments and a gradient", value,
                              getMaster())))
      return failure();
  RankedTensorType packed = typeOf(getPacked());
  if (packed.getShape() != typeOf(getMaster()).getShape())
    return emitOpError() << "expects a packed weight of the shape of "
                         << getMaster().getType() << ", got " << packed;
  if (columnsOf(getHyper()) != 16)
    return emitOpError() << "expects 16 hyperparameters";
  bool isVector = packed.getRank() == 1;
  bool fits = getLayout() == WeightLayout::Raw ||
              isVector == (getLayout() == WeightLayout::VectorF32);
  if (!fits)
    return emitOpError() << "expects a layout of a tensor of rank "
                         << packed.getRank();
  if (packed.getElementType().isBF16() || packed.getElementType().isF32())
    return success();
  return emitOpError() << "expects a packed weight of bf16 or f32, got "
                       << packed;
}

Cost KernelAdamwOp::getCost(StepShape step) {
  Cost cost;
  double elements = paddedElements(getMaster());
  cost.flops = 15 * elements;
  cost.weightBytes =
      (7 * 4 + getElementBytes(typeOf(getPacked()).getElementType())) *
      elements;
  return cost;
}

LogicalResult KernelSquareSumOp::verify() { return success(); }

Cost KernelSquareSumOp::getCost(StepShape step) {
  Cost cost;
  double elements = paddedElements(getGradient());
  cost.flops = 2 * elements;
  cost.weightBytes = 4 * elements;
  return cost;
}
