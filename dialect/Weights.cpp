//===- Weights.cpp - Verifiers of weights and runs ------------------------===//
#include "dialect/Dialect.h"

using namespace ds;

LogicalResult InitAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               InitKind kind, FloatAttr std) {
  if ((kind == InitKind::Normal) != static_cast<bool>(std))
    return emitError() << "expects std for normal and for no other kind";
  if (std && !(std.getValueAsDouble() >= 0))
    return emitError() << "expects std to be 0 or more";
  return success();
}

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
  unsigned dim = getStack() ? 1 : 0;
  if (getStack() && (type.getRank() != 3 ||
                     static_cast<uint64_t>(type.getDimSize(0)) != *getStack()))
    return emitOpError() << "expects a stack of " << *getStack()
                         << " matrices, got " << type;
  if (!getStack() && type.getRank() == 3)
    return emitOpError() << "expects a weight of rank 3 to be a stack";
  if (rows != type.getDimSize(dim))
    return emitOpError() << "expects rows of all labels (" << rows
                         << ") to be dimension " << dim << " ("
                         << type.getDimSize(dim) << ")";
  if (std::optional<ArrayRef<int64_t>> groups = getRowGroups()) {
    int64_t group = 0;
    for (int64_t count : *groups)
      group += std::max<int64_t>(count, 0);
    if (type.getRank() != 2 || group == 0 || rows % group ||
        llvm::any_of(*groups, [](int64_t n) { return n <= 0; }))
      return emitOpError() << "expects groups of rows that divide the rows of "
                           << type;
  }
  if (getLayers() && (getLayers()->size() != 2 || (*getLayers())[0] < 0 ||
                      (*getLayers())[1] <= 0))
    return emitOpError() << "expects layers to be [first, count]";
  if (getLayout() == WeightLayout::VectorF32 && type.getRank() != 1)
    return emitOpError() << "expects a vector for layout vector_f32, got "
                         << type;
  bool isFp8 = isa<Float8E4M3FNType>(type.getElementType());
  if (isFp8 && type.getRank() == 1)
    return emitOpError() << "expects a weight of f8E4M3FN to be a matrix, got "
                         << type;
  if (isFp8 && getInit())
    return emitOpError() << "expects a weight that is trained to be bf16 or "
                         << "f32, got " << type;
  if (getLayout() && isFp8 != (getLayout() == WeightLayout::PanelE4m3))
    return emitOpError() << "expects layout panel_e4m3 for f8E4M3FN and for no "
                         << "other type, got "
                         << stringifyWeightLayout(*getLayout()) << " of "
                         << type;
  if (getCopies() && (getLabels().size() != 1 || getLayers() || getStack()))
    return emitOpError() << "expects copies of a weight that is one tensor";
  if (getPaired() && (getRows().size() != 2 || getRows()[0] != getRows()[1]))
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
  Type expected = getPackedType(weight);
  if (expected != getResult().getType())
    return emitOpError() << "expects the weight's type " << expected << ", got "
                         << getResult().getType();
  return success();
}

RankedTensorType ds::getValueType(WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  std::optional<ArrayRef<int64_t>> groups = weight.getRowGroups();
  if (!groups)
    return type;
  int64_t rows = 0, padded = 0;
  for (int64_t count : *groups) {
    rows += count;
    padded += static_cast<int64_t>(llvm::alignTo(count, 32));
  }
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = shape[0] / rows * padded;
  return type.clone(shape);
}

RankedTensorType ds::getPackedType(WeightOp weight) {
  RankedTensorType type = getValueType(weight);
  std::optional<WeightLayout> layout = weight.getLayout();
  if (!layout || *layout == WeightLayout::Raw ||
      *layout == WeightLayout::PanelE4m3)
    return type;
  if (*layout == WeightLayout::PanelBf16)
    return type.clone(BFloat16Type::get(type.getContext()));
  return type.clone(Float32Type::get(type.getContext()));
}

LogicalResult StackType::verify(function_ref<InFlightDiagnostic()> emitError,
                                RankedTensorType tensor, int64_t layers) {
  if (tensor.getRank() != 2 || !tensor.isDynamicDim(0) || layers <= 0)
    return emitError() << "expects matrices of at least one layer";
  return success();
}

/// The type a body sees: a state or a tensor of one layer.
static Type getBodyType(Type type) {
  if (auto stack = dyn_cast<StackType>(type))
    return stack.getTensor();
  if (auto state = dyn_cast<StateType>(type))
    return StateType::get(type.getContext(), state.getShape(),
                          state.getElementType(), state.getStride(), 1);
  return type;
}

/// Checks that operands are activation, seq, tensors and stacks, states in this
/// order and that results are the activation, all or no states, and stacks.
static LogicalResult verifyRunTypes(RunOp op) {
  TypeRange operands = op.getOperandTypes();
  if (operands.size() < 2 || !isa<RankedTensorType>(operands[0]) ||
      !isa<SeqType>(operands[1]))
    return op.emitOpError() << "expects an activation and a seq as its first "
                            << "operands";
  SmallVector<Type> states;
  for (Type type : operands.drop_front(2)) {
    if (isa<StateType>(type))
      states.push_back(type);
    else if (!isa<RankedTensorType, StackType>(type) || !states.empty())
      return op.emitOpError() << "expects tensors, then states, after the seq, "
                              << "got " << type;
  }
  SmallVector<Type> results(op.getResultTypes());
  while (!results.empty() && isa<StackType>(results.back()))
    results.pop_back();
  if (results.empty() || results.front() != operands[0] ||
      (results.size() > 1 &&
       ArrayRef<Type>(results).drop_front() != ArrayRef<Type>(states)))
    return op.emitOpError() << "expects the types of the activation and of the "
                            << "states as results";
  if (results.size() == 1)
    return success();
  return verifyLinear(op, op.getOperands().take_back(states.size()));
}

/// The layers that a value has one of for each, or 0.
static int64_t getLayers(Type type) {
  if (auto stack = dyn_cast<StackType>(type))
    return stack.getLayers();
  auto state = dyn_cast<StateType>(type);
  return state ? state.getLayers() : 0;
}

LogicalResult RunOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto body =
      symbolTable.lookupNearestSymbolFrom<func::FuncOp>(*this, getBodyAttr());
  if (!body)
    return emitOpError() << "expects '" << getBody() << "' to be a function";
  if (failed(verifyRunTypes(*this)))
    return failure();
  if (body.walk([](RunOp) { return WalkResult::interrupt(); }).wasInterrupted())
    return emitOpError() << "expects a body that runs no other";
  if (static_cast<int64_t>(getFirst()) < 0 ||
      static_cast<int64_t>(getCount()) <= 0)
    return emitOpError() << "expects a range of at least one layer";
  SmallVector<Type> inputs, results;
  auto checkLayers = [&](Type type) -> LogicalResult {
    int64_t layers = getLayers(type);
    if (layers && layers != static_cast<int64_t>(getCount()))
      return emitOpError() << "expects "
                           << (isa<StateType>(type) ? "states" : "stacks")
                           << " of " << getCount() << " layers, got " << type;
    return success();
  };
  for (Type type : getOperandTypes()) {
    if (failed(checkLayers(type)))
      return failure();
    inputs.push_back(getBodyType(type));
  }
  for (Type type : getResultTypes()) {
    if (failed(checkLayers(type)))
      return failure();
    results.push_back(getBodyType(type));
  }
  auto expected = FunctionType::get(getContext(), inputs, results);
  if (body.getFunctionType() != expected) {
    InFlightDiagnostic diag = emitOpError()
                              << "expects a body of type " << expected;
    diag.attachNote(body.getLoc())
        << "the body has type " << body.getFunctionType();
    return diag;
  }
  return success();
}
