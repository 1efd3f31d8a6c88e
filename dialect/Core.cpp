//===- Core.cpp - Verifiers and costs of embedding, linear, norms ---------===//
#include "dialect/Dialect.h"

using namespace ds;

static int64_t columns(Value value) {
  return cast<RankedTensorType>(value.getType()).getDimSize(1);
}

static double bytes(Type type) { return getTensorBytes(type); }

/// Bytes of `rows` rows of a matrix.
static double rowBytes(Value value, int64_t rows) {
  auto type = cast<RankedTensorType>(value.getType());
  return static_cast<double>(rows * type.getDimSize(1)) *
         getElementBytes(type.getElementType());
}

/// Checks that `weight` is [N, K], or [experts, N, K] with a routing, for an
/// input of K columns.
static LogicalResult verifyProduct(Operation *op, Value input, Value weight,
                                   int64_t outputs, Value routing,
                                   bool gathered) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t rank = routing ? 3 : 2;
  if (type.getRank() != rank)
    return op->emitOpError()
           << "expects a weight of rank " << rank << ", got " << type;
  ArrayRef<int64_t> shape = type.getShape().take_back(2);
  if (shape[1] != columns(input))
    return op->emitOpError() << "expects the weight's columns (" << shape[1]
                             << ") to be the input's (" << columns(input)
                             << ")";
  if (shape[0] != outputs)
    return op->emitOpError() << "expects the weight's rows (" << shape[0]
                             << ") to match the result (" << outputs << ")";
  if (gathered && !routing)
    return op->emitOpError() << "expects a routing to gather by";
  if (!routing)
    return success();
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  if (type.getDimSize(0) != experts)
    return op->emitOpError() << "expects a weight of " << experts
                             << " experts, got " << type;
  return success();
}

/// Rows of a product: routed ones, or as many as the input has.
static StringRef getProductRows(Value input, Value routing) {
  if (routing)
    return cast<RoutingType>(routing.getType()).getRowSymbol();
  return getRowSymbolOf(input);
}

Value ds::sliceColumns(OpBuilder &builder, Location loc, Value matrix,
                       int64_t first, int64_t count) {
  auto type = cast<RankedTensorType>(matrix.getType());
  OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  OpFoldResult rows = tensor::getMixedSize(builder, loc, matrix, 0);
  return tensor::ExtractSliceOp::create(
      builder, loc,
      RankedTensorType::get({type.getDimSize(0), count}, type.getElementType()),
      matrix, ArrayRef<OpFoldResult>{zero, builder.getIndexAttr(first)},
      ArrayRef<OpFoldResult>{rows, builder.getIndexAttr(count)},
      ArrayRef<OpFoldResult>{one, one});
}

LogicalResult EmbeddingOp::verify() {
  auto table = cast<RankedTensorType>(getTable().getType());
  if (table.getRank() != 2 || table.getDimSize(1) != columns(getResult()))
    return emitOpError() << "expects a table of " << columns(getResult())
                         << " columns, got " << table;
  if (isa<Float8E4M3FNType>(table.getElementType()))
    return emitOpError() << "expects a table of bf16 or f32, got " << table;
  return success();
}

Cost EmbeddingOp::getCost(StepShape step) {
  Cost cost;
  auto table = cast<RankedTensorType>(getTable().getType());
  cost.weightBytes = static_cast<double>(step.tokens * table.getDimSize(1)) *
                     getElementBytes(table.getElementType());
  cost.activationBytes = rowBytes(getResult(), step.tokens);
  return cost;
}

LogicalResult LinearOp::verify() {
  if (Value bias = getBias()) {
    auto type = cast<RankedTensorType>(bias.getType());
    if (type.getRank() != 1 || type.getDimSize(0) != columns(getResult()))
      return emitOpError() << "expects a bias of " << columns(getResult())
                           << " elements, got " << type;
    if (getRouting())
      return emitOpError() << "expects no bias of routed rows";
  }
  return verifyProduct(*this, getInput(), getWeight(), columns(getResult()),
                       getRouting(), getGathered());
}

StringRef LinearOp::getResultRows(unsigned) {
  return getProductRows(getInput(), getRouting());
}

StringRef GatedLinearOp::getResultRows(unsigned) {
  return getProductRows(getInput(), getRouting());
}

StringRef LinearTOp::getResultRows(unsigned) {
  return getProductRows(getInput(), getRouting());
}

StringRef SelectRowsOp::getResultRows(unsigned) { return "R"; }

StringRef ScatterRowsOp::getResultRows(unsigned) { return "T"; }

static Cost productCost(Value input, Value weight, Value result, int64_t rows,
                        Value routing = {}) {
  Cost cost;
  auto type = cast<RankedTensorType>(weight.getType());
  auto elements = static_cast<double>(type.getNumElements());
  cost.weightBytes = bytes(type);
  if (routing) { // Rows of few tokens go to experts of their own.
    rows *= cast<RoutingType>(routing.getType()).getPicks();
    auto experts = static_cast<double>(type.getDimSize(0));
    elements /= experts;
    cost.weightBytes *= std::min(1.0, static_cast<double>(rows) / experts);
  }
  cost.flops = 2.0 * static_cast<double>(rows) * elements;
  cost.activationBytes = rowBytes(input, rows) + rowBytes(result, rows);
  return cost;
}

Cost LinearOp::getCost(StepShape step) {
  bool selected = getInput().getDefiningOp<SelectRowsOp>() != nullptr;
  return productCost(getInput(), getWeight(), getResult(),
                     selected ? step.rows : step.tokens, getRouting());
}

LogicalResult GatedLinearOp::verify() {
  return verifyProduct(*this, getInput(), getWeight(), 2 * columns(getResult()),
                       getRouting(), getGathered());
}

Cost GatedLinearOp::getCost(StepShape step) {
  return productCost(getInput(), getWeight(), getResult(), step.tokens,
                     getRouting());
}

/// Checks a norm of rows with `weights` for their columns.
template <typename Op> static LogicalResult verifyNorm(Op op, ValueRange weights) {
  int64_t width = columns(op.getInput());
  for (Value each : weights) {
    auto weight = cast<RankedTensorType>(each.getType());
    if (weight.getRank() != 1 || weight.getDimSize(0) != width)
      return op.emitOpError() << "expects a weight of " << width
                              << " elements, got " << weight;
  }
  if (columns(op.getResult()) != width)
    return op.emitOpError() << "expects as many columns out ("
                            << columns(op.getResult()) << ") as in (" << width
                            << ")";
  if (op.getEps().convertToDouble() < 0)
    return op.emitOpError() << "expects eps not to be negative";
  return success();
}

LogicalResult RmsNormOp::verify() { return verifyNorm(*this, getWeight()); }

LogicalResult LayerNormOp::verify() {
  return verifyNorm(*this, {getWeight(), getBias()});
}

Cost LayerNormOp::getCost(StepShape step) {
  Cost cost;
  cost.flops = 7.0 * static_cast<double>(step.tokens * columns(getInput()));
  cost.weightBytes = bytes(getWeight().getType()) + bytes(getBias().getType());
  cost.activationBytes =
      rowBytes(getInput(), step.tokens) + rowBytes(getResult(), step.tokens);
  return cost;
}

Cost RmsNormOp::getCost(StepShape step) {
  Cost cost;
  cost.flops = 4.0 * static_cast<double>(step.tokens * columns(getInput()));
  cost.weightBytes = bytes(getWeight().getType());
  cost.activationBytes =
      rowBytes(getInput(), step.tokens) + rowBytes(getResult(), step.tokens);
  return cost;
}

Cost SwigluOp::getCost(StepShape step) {
  Cost cost;
  cost.flops = 5.0 * static_cast<double>(step.tokens * columns(getGate()));
  cost.activationBytes = 3 * rowBytes(getResult(), step.tokens);
  return cost;
}
