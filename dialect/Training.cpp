//===- Training.cpp - Verifiers of losses, derivatives and gradients ------===//
#include "dialect/Dialect.h"

using namespace ds;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

LogicalResult RowInputOp::verify() {
  if (typeOf(getResult()).getDimSize(1) != 1)
    return emitOpError() << "expects one column, got " << getResult().getType();
  return success();
}

/// Checks that `weight` names a weight; `found`, if given, has its f32 type.
static LogicalResult verifyWeight(Operation *op, FlatSymbolRefAttr name,
                                  SymbolTableCollection &symbols, Value found) {
  auto weight = symbols.lookupNearestSymbolFrom<WeightOp>(op, name);
  if (!weight)
    return op->emitOpError()
           << "expects '" << name.getValue() << "' to be a declared weight";
  Type expected =
      getValueType(weight).clone(Float32Type::get(op->getContext()));
  if (found && found.getType() != expected)
    return op->emitOpError() << "expects the weight's type in f32 " << expected
                             << ", got " << found.getType();
  return success();
}

LogicalResult
GetGradientOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  return verifyWeight(*this, getWeightAttr(), symbolTable, getResult());
}

LogicalResult GetCopyOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  return verifyWeight(*this, getWeightAttr(), symbolTable, getResult());
}

LogicalResult
SquareSumOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  return verifyWeight(*this, getWeightAttr(), symbolTable, {});
}

LogicalResult AdamwOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  return verifyWeight(*this, getWeightAttr(), symbolTable, {});
}

/// Checks that `matrix` is [rows of `outer`, columns of `inner`], one for each
/// expert with a routing.
static LogicalResult verifyOuter(Operation *op, Value matrix, Value outer,
                                 Value inner, Value routing) {
  RankedTensorType type = typeOf(matrix);
  int64_t rank = routing ? 3 : 2;
  if (type.getRank() != rank ||
      type.getDimSize(rank - 2) != typeOf(outer).getDimSize(1) ||
      type.getDimSize(rank - 1) != typeOf(inner).getDimSize(1))
    return op->emitOpError() << "expects a matrix of "
                             << typeOf(outer).getDimSize(1) << " rows and "
                             << typeOf(inner).getDimSize(1) << " columns"
                             << (routing ? " for each expert" : "") << ", got "
                             << type;
  if (!routing)
    return success();
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  if (type.getDimSize(0) != experts)
    return op->emitOpError()
           << "expects matrices of " << experts << " experts, got " << type;
  return success();
}

LogicalResult LinearTOp::verify() {
  return verifyOuter(*this, getWeight(), getInput(), getResult(), getRouting());
}

LogicalResult AccumulateOuterOp::verify() {
  if (getHeads()) {
    HeadsAttr heads = *getHeads();
    RankedTensorType type = typeOf(getGradient());
    int64_t last = heads.getCount() - 1;
    if (getRouting() || type.getRank() != 2)
      return emitOpError() << "expects heads of one matrix, got " << type;
    if (heads.getWeightBegin() + last * heads.getWeightStride() +
            heads.getRows() >
        type.getDimSize(0))
      return emitOpError() << "expects the heads' rows to lie within " << type;
    if (heads.getInputBegin() + last * heads.getInputStride() +
                heads.getRows() >
            typeOf(getOutputGradient()).getDimSize(1) ||
        last * heads.getResultStride() + type.getDimSize(1) >
            typeOf(getInput()).getDimSize(1))
      return emitOpError() << "expects the heads' columns to lie within "
                           << getOutputGradient().getType() << " and "
                           << getInput().getType();
    return success();
  }
  return verifyOuter(*this, getGradient(), getOutputGradient(), getInput(),
                     getRouting());
}

/// Checks that `gradient` is [columns of `values`].
static LogicalResult verifySums(Operation *op, Value gradient, Value values) {
  RankedTensorType type = typeOf(gradient);
  if (type.getRank() != 1 || type.getDimSize(0) != typeOf(values).getDimSize(1))
    return op->emitOpError() << "expects a gradient of "
                             << typeOf(values).getDimSize(1)
                             << " elements, got " << type;
  return success();
}

LogicalResult AccumulateColumnsOp::verify() {
  return verifySums(*this, getGradient(), getInput());
}

LogicalResult AccumulateNormOp::verify() {
  if (typeOf(getInput()).getDimSize(1) !=
      typeOf(getOutputGradient()).getDimSize(1))
    return emitOpError() << "expects an input of "
                         << typeOf(getOutputGradient()).getDimSize(1)
                         << " columns, got " << getInput().getType();
  return verifySums(*this, getGradient(), getInput());
}

LogicalResult AccumulateEmbeddingOp::verify() {
  RankedTensorType type = typeOf(getGradient());
  if (type.getRank() != 2 ||
      type.getDimSize(1) != typeOf(getInput()).getDimSize(1))
    return emitOpError() << "expects a gradient of "
                         << typeOf(getInput()).getDimSize(1)
                         << " columns, got " << type;
  return success();
}

/// Checks the gradient of a norm's input.
template <typename Op> static LogicalResult verifyNormBackward(Op op) {
  if (op.getResult().getType() != op.getInput().getType())
    return op.emitOpError() << "expects a result of the input's type "
                         << op.getInput().getType() << ", got "
                         << op.getResult().getType();
  if (typeOf(op.getOutputGradient()).getDimSize(1) !=
      typeOf(op.getInput()).getDimSize(1))
    return op.emitOpError() << "expects a gradient of "
                         << typeOf(op.getInput()).getDimSize(1)
                         << " columns, got " << op.getOutputGradient().getType();
  return verifySums(op, op.getWeight(), op.getInput());
}

LogicalResult RmsNormBackwardOp::verify() { return verifyNormBackward(*this); }

LogicalResult LayerNormBackwardOp::verify() {
  if (failed(verifyNormBackward(*this)))
    return failure();
  RankedTensorType type = typeOf(getInput());
  if (getGain().getType() !=
      type.clone(Float32Type::get(getContext())))
    return emitOpError() << "expects a second result of f32 like the input, got "
                         << getGain().getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Log-probabilities
//===----------------------------------------------------------------------===//

LogicalResult LogProbBackwardOp::verify() {
  if (typeOf(getResult()).getDimSize(1) != typeOf(getLogits()).getDimSize(1))
    return emitOpError() << "expects a result of "
                         << typeOf(getLogits()).getDimSize(1)
                         << " columns, got " << getResult().getType();
  return success();
}

/// Checks that `weight` is [vocabulary, columns of `input`].
static LogicalResult verifyHead(Operation *op, Value input, Value weight) {
  RankedTensorType type = typeOf(weight);
  if (type.getRank() != 2 ||
      type.getDimSize(1) != typeOf(input).getDimSize(1))
    return op->emitOpError() << "expects a weight of "
                             << typeOf(input).getDimSize(1)
                             << " columns, got " << type;
  return success();
}

LogicalResult LinearLogProbOp::verify() {
  return verifyHead(*this, getInput(), getWeight());
}

LogicalResult LinearLogProbBackwardOp::verify() {
  if (getResult().getType() != getInput().getType())
    return emitOpError() << "expects a result of the input's type "
                         << getInput().getType() << ", got "
                         << getResult().getType();
  if (getGradient() &&
      typeOf(getGradient()).getShape() != typeOf(getWeight()).getShape())
    return emitOpError() << "expects a gradient of the weight's shape, got "
                         << getGradient().getType();
  return verifyHead(*this, getInput(), getWeight());
}

//===----------------------------------------------------------------------===//
// Columns
//===----------------------------------------------------------------------===//

LogicalResult SwigluPairsBackwardOp::verify() {
  int64_t columns = typeOf(getOutputGradient()).getDimSize(1);
  if (columns % 16 || typeOf(getInput()).getDimSize(1) != 2 * columns)
    return emitOpError() << "expects whole groups of 16 columns and twice as "
                         << "many of the product, got " << getInput().getType();
  return success();
}

LogicalResult SwigluPairsOp::verify() {
  int64_t columns = typeOf(getResult()).getDimSize(1);
  if (columns % 16 || typeOf(getInput()).getDimSize(1) != 2 * columns)
    return emitOpError() << "expects whole groups of 16 columns and twice as "
                         << "many in as out, got " << getInput().getType();
  return success();
}

LogicalResult ConcatColumnsOp::verify() {
  int64_t columns = 0;
  for (Value input : getInputs())
    columns += typeOf(input).getDimSize(1);
  if (columns != typeOf(getResult()).getDimSize(1))
    return emitOpError() << "expects a result of " << columns
                         << " columns, got " << getResult().getType();
  return success();
}
