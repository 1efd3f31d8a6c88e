//===- TrainingCost.cpp - Costs of losses and derivatives -----------------===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

static double elementsOf(Value weight) {
  return static_cast<double>(typeOf(weight).getNumElements());
}

/// `products` of a matrix [rows, N] or [rows, K] with `weight`.
static Cost productCost(Operation *op, Value weight, double products,
                        int64_t rows) {
  Cost cost = rowsCost(op, op->getOperand(0), 0, rows);
  cost.flops =
      2.0 * products * static_cast<double>(rows) * elementsOf(weight);
  return cost;
}

static int64_t rowsOf(Value matrix, StepShape step) {
  return countRows(getRowSymbolOf(matrix), step);
}

Cost LogProbOp::getCost(StepShape step) {
  return rowsCost(*this, getLogits(), 20, step.rows);
}

Cost LogProbBackwardOp::getCost(StepShape step) {
  return rowsCost(*this, getLogits(), 20, step.rows);
}

Cost LinearLogProbOp::getCost(StepShape step) {
  return productCost(*this, getWeight(), 1, step.rows);
}

/// The logits once more, then the products that give both gradients.
Cost LinearLogProbBackwardOp::getCost(StepShape step) {
  return productCost(*this, getWeight(), getGradient() ? 3 : 2, step.rows);
}

Cost LinearTOp::getCost(StepShape step) {
  Cost cost = productCost(*this, getWeight(), 1, rowsOf(getInput(), step));
  if (getRouting()) // A row meets one expert's matrix.
    cost.flops /= static_cast<double>(typeOf(getWeight()).getDimSize(0));
  return cost;
}

Cost AccumulateOuterOp::getCost(StepShape step) {
  int64_t rows = rowsOf(getOutputGradient(), step);
  Cost cost = rowsCost(*this, getInput(), 0, rows);
  cost.flops = 2.0 * static_cast<double>(rows) * elementsOf(getGradient());
  if (getRouting()) // A row meets one expert's matrix.
    cost.flops /= static_cast<double>(typeOf(getGradient()).getDimSize(0));
  cost.weightBytes *= 2; // Read and written.
  return cost;
}

Cost AccumulateColumnsOp::getCost(StepShape step) {
  return rowsCost(*this, getInput(), 1, rowsOf(getInput(), step));
}

Cost AccumulateNormOp::getCost(StepShape step) {
  return rowsCost(*this, getInput(), 3, rowsOf(getInput(), step));
}

Cost AccumulateEmbeddingOp::getCost(StepShape step) {
  Cost cost;
  auto elements =
      static_cast<double>(step.tokens * typeOf(getInput()).getDimSize(1));
  cost.flops = elements;
  cost.weightBytes = 8 * elements;
  cost.activationBytes = valueBytes(getInput(), step.tokens);
  return cost;
}

Cost RmsNormBackwardOp::getCost(StepShape step) {
  return rowsCost(*this, getInput(), 10, rowsOf(getInput(), step));
}

Cost LayerNormBackwardOp::getCost(StepShape step) {
  return rowsCost(*this, getInput(), 14, rowsOf(getInput(), step));
}

Cost SwigluBackwardOp::getCost(StepShape step) {
  return rowsCost(*this, getGate(), 12, rowsOf(getGate(), step));
}

Cost SwigluPairsOp::getCost(StepShape step) {
  return rowsCost(*this, getResult(), 5, rowsOf(getInput(), step));
}

Cost SwigluPairsBackwardOp::getCost(StepShape step) {
  return rowsCost(*this, getOutputGradient(), 12, rowsOf(getInput(), step));
}

Cost ConcatColumnsOp::getCost(StepShape step) {
  return rowsCost(*this, getResult(), 0, rowsOf(getInputs().front(), step));
}

Cost ScatterRowsOp::getCost(StepShape step) {
  Cost cost;
  cost.activationBytes = valueBytes(getInput(), step.rows) +
                         valueBytes(getResult(), step.tokens);
  return cost;
}
