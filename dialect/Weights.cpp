//===- Weights.cpp - Verifiers of weights and runs ------------------------===//
#include "dialect/Dialect.h"

using namespace ds;

LogicalResult WeightOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape())
    return emitOpError() << "expects a static shape, got " << type;
  if (getLabels().empty())
    return emitOpError() << "expects at least one label";
  if (getLabels().size() != getRows().size())
    return emitOpError() << "expects one row count for each of "
                         << getLabels().size() << " labels, got "
                         << getRows().size();
  int64_t rows = 0;
  for (int64_t count : getRows())
    rows += count;
  if (rows != type.getDimSize(0))
    return emitOpError() << "expects rows of all labels (" << rows
                         << ") to be dimension 0 (" << type.getDimSize(0)
                         << ")";
  if (getLayers() && (getLayers()->size() != 2 || (*getLayers())[0] < 0 ||
                      (*getLayers())[1] <= 0))
    return emitOpError() << "expects layers to be [first, count]";
  if (getPaired() &&
      (getRows().size() != 2 || getRows()[0] != getRows()[1]))
    return emitOpError() << "expects two labels of equal rows to be paired";
  return success();
}

LogicalResult
GetWeightOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto weight =
      symbolTable.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError() << "expects '" << getWeight()
                         << "' to be a declared weight";
  if (weight.getType() != getResult().getType())
    return emitOpError() << "expects the weight's type " << weight.getType()
                         << ", got " << getResult().getType();
  return success();
}

/// The type a body sees: a state of one layer.
static Type getBodyType(Type type) {
  if (auto state = dyn_cast<StateType>(type))
    return StateType::get(type.getContext(), state.getShape(),
                          state.getElementType(), 1);
  return type;
}

LogicalResult RunOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto body = symbolTable.lookupNearestSymbolFrom<func::FuncOp>(*this,
                                                                getBodyAttr());
  if (!body)
    return emitOpError() << "expects '" << getBody() << "' to be a function";
  if (getFirst() < 0 || getCount() <= 0)
    return emitOpError() << "expects a range of at least one layer";
  SmallVector<Type> inputs, results;
  for (Type type : getOperandTypes()) {
    auto state = dyn_cast<StateType>(type);
    if (state && state.getLayers() != static_cast<int64_t>(getCount()))
      return emitOpError() << "expects states of " << getCount()
                           << " layers, got " << type;
    inputs.push_back(getBodyType(type));
  }
  for (Type type : getResultTypes())
    results.push_back(getBodyType(type));
  auto expected = FunctionType::get(getContext(), inputs, results);
  if (body.getFunctionType() != expected) {
    InFlightDiagnostic diag = emitOpError()
                              << "expects a body of type " << expected;
    diag.attachNote(body.getLoc()) << "the body has type "
                                   << body.getFunctionType();
    return diag;
  }
  return success();
}
