//===- Derivatives.cpp - The derivative of every operation ----------------===//
//
// Each builds the gradients of its operands from those of its results, adds
// the gradients of weights to the memory that gathers them, and returns one
// value for each operand. A gradient has the type of its value; that of a state
// is a matrix with what every token of the step kept.
//
//===----------------------------------------------------------------------===//
#include "dialect/Dialect.h"

using namespace ds;

using Gradients = SmallVector<Value>;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

Value ds::getGradientMemory(OpBuilder &builder, Value weight) {
  auto read = weight.getDefiningOp<GetWeightOp>();
  if (!read)
    return {};
  auto declared = SymbolTable::lookupNearestSymbolFrom<WeightOp>(
      read, read.getWeightAttr());
  if (declared.getFrozen())
    return {};
  RankedTensorType type = getValueType(declared);
  return GetGradientOp::create(builder, read.getLoc(),
                               type.clone(builder.getF32Type()),
                               read.getWeight());
}

/// Reports that no gradient can be had from result `index` of `op`.
static FailureOr<Gradients> failOnResult(Operation *op, unsigned index) {
  return op->emitOpError() << "has no derivative of result " << index;
}

FailureOr<Gradients> EmbeddingOp::buildBackward(OpBuilder &builder,
                                                ValueRange gradients) {
  if (Value memory = getGradientMemory(builder, getTable()))
    AccumulateEmbeddingOp::create(builder, getLoc(), memory, gradients[0],
                                  getSeq());
  return Gradients{Value(), Value()};
}

FailureOr<Gradients> LinearOp::buildBackward(OpBuilder &builder,
                                             ValueRange gradients) {
  // A sum that is kept in f32, as logits are, meets products of its operands'
  // type.
  Value dy = gradients[0];
  Type element = typeOf(getInput()).getElementType();
  if (typeOf(dy).getElementType() != element)
    dy = arith::TruncFOp::create(builder, getLoc(),
                                 typeOf(dy).clone(element), dy);
  if (Value memory = getGradientMemory(builder, getWeight())) {
    Value x = getInput();
    if (getGathered())
      x = DispatchOp::create(builder, getLoc(), x.getType(), x, getRouting());
    AccumulateOuterOp::create(builder, getLoc(), memory, dy, x, getRouting(),
                              HeadsAttr());
  }
  if (getBias())
    if (Value memory = getGradientMemory(builder, getBias()))
      AccumulateColumnsOp::create(builder, getLoc(), memory, dy);
  Gradients result(getNumOperands());
  result[0] = LinearTOp::create(builder, getLoc(), getInput().getType(), dy,
                                getWeight(), getRouting());
  // What a token gave to its experts comes back from all of them.
  if (getGathered())
    result[0] = CombineOp::create(builder, getLoc(), getInput().getType(),
                                  result[0], getRouting(), Value());
  return result;
}

FailureOr<Gradients> RmsNormOp::buildBackward(OpBuilder &builder,
                                              ValueRange gradients) {
  auto backward = RmsNormBackwardOp::create(
      builder, getLoc(), getInput().getType(),
      RankedTensorType::get({ShapedType::kDynamic, 1}, builder.getF32Type()),
      getInput(), getWeight(), gradients[0], getEpsAttr());
  if (Value memory = getGradientMemory(builder, getWeight()))
    AccumulateNormOp::create(builder, getLoc(), memory, gradients[0],
                             getInput(), backward.getRstd());
  return Gradients{backward.getResult(), Value()};
}

FailureOr<Gradients> LayerNormOp::buildBackward(OpBuilder &builder,
                                                ValueRange gradients) {
  RankedTensorType type = typeOf(getInput());
  auto backward = LayerNormBackwardOp::create(
      builder, getLoc(), type, type.clone(builder.getF32Type()), getInput(),
      getWeight(), gradients[0], getEpsAttr());
  if (Value memory = getGradientMemory(builder, getWeight()))
    AccumulateColumnsOp::create(builder, getLoc(), memory, backward.getGain());
  if (Value memory = getGradientMemory(builder, getBias()))
    AccumulateColumnsOp::create(builder, getLoc(), memory, gradients[0]);
  return Gradients{backward.getResult(), Value(), Value()};
}

FailureOr<Gradients> SwigluOp::buildBackward(OpBuilder &builder,
                                             ValueRange gradients) {
  auto backward = SwigluBackwardOp::create(
      builder, getLoc(), getGate().getType(), getGate().getType(), getGate(),
      getUp(), gradients[0]);
  return Gradients(backward->getResults());
}

FailureOr<Gradients> SwigluPairsOp::buildBackward(OpBuilder &builder,
                                                  ValueRange gradients) {
  Value result =
      SwigluPairsBackwardOp::create(builder, getLoc(), getInput().getType(),
                                    getInput(), gradients[0]);
  return Gradients{result};
}

FailureOr<Gradients> SelectRowsOp::buildBackward(OpBuilder &builder,
                                                 ValueRange gradients) {
  Value result = ScatterRowsOp::create(builder, getLoc(), getInput().getType(),
                                       gradients[0], getSeq());
  return Gradients{result, Value()};
}

FailureOr<Gradients> ConcatColumnsOp::buildBackward(OpBuilder &builder,
                                                    ValueRange gradients) {
  Gradients result;
  int64_t first = 0;
  for (Value input : getInputs()) {
    int64_t columns = typeOf(input).getDimSize(1);
    result.push_back(
        sliceColumns(builder, getLoc(), gradients[0], first, columns));
    first += columns;
  }
  return result;
}

FailureOr<Gradients> RopeOp::buildBackward(OpBuilder &builder,
                                           ValueRange gradients) {
  auto back = cast<RopeOp>(builder.clone(**this));
  back.getInputMutable().assign(gradients[0]);
  back.setInverse(!getInverse());
  return Gradients{back.getResult(), Value()};
}

FailureOr<Gradients> AppendOp::buildBackward(OpBuilder &builder,
                                             ValueRange gradients) {
  return Gradients{Value(), gradients[0], Value()};
}

/// [dq, dk, dv] turned back and side by side.
FailureOr<Gradients> RopeAppendOp::buildBackward(OpBuilder &builder,
                                                 ValueRange gradients) {
  for (unsigned i = 0; i < 3; ++i)
    if (!gradients[i])
      return emitOpError() << "expects the loss to depend on queries, keys and "
                           << "values, not on all but result " << i;
  auto turnBack = [&](Value gradient, int64_t heads) -> Value {
    return RopeOp::create(builder, getLoc(), gradient.getType(), gradient,
                          getSeq(), builder.getI64IntegerAttr(heads),
                          getRope(), /*inverse=*/builder.getUnitAttr());
  };
  Value dq = turnBack(gradients[0], getHeads());
  Value dk = turnBack(gradients[1], getKeys().getType().getShape()[0]);
  Value row = ConcatColumnsOp::create(builder, getLoc(), getInput().getType(),
                                      ValueRange{dq, dk, gradients[2]});
  Gradients result(getNumOperands());
  result[0] = row;
  return result;
}

FailureOr<Gradients> AttendOp::buildBackward(OpBuilder &builder,
                                             ValueRange gradients) {
  if (gradients.size() > 1 && gradients[1])
    return failOnResult(*this, 1);
  if (!getLse())
    return emitOpError() << "expects the second result to be kept";
  auto kept = [&](StateType state) {
    return RankedTensorType::get({ShapedType::kDynamic, state.getWidth()},
                                 typeOf(getQuery()).getElementType());
  };
  auto backward = AttendBackwardOp::create(
      builder, getLoc(), getQuery().getType(), kept(getKeys().getType()),
      getPrefix() ? Type() : kept(getValues().getType()), getQuery(),
      getKeys(), getValues(), getResult(), getLse(), gradients[0], getSeq(),
      getEntries(), createKeyView(builder, getLoc(), getSeq()), getHeadsAttr(),
      getScaleAttr(), getPrefixAttr());
  Gradients result(backward->getResults());
  result.resize(getNumOperands());
  return result;
}

FailureOr<Gradients> LogProbOp::buildBackward(OpBuilder &builder,
                                              ValueRange gradients) {
  if (gradients[1])
    return failOnResult(*this, 1);
  Value result = LogProbBackwardOp::create(
      builder, getLoc(), getLogits().getType(), getLogits(), getTargets(),
      getInverseTemperature(), getLse(), gradients[0]);
  return Gradients{result, Value(), Value()};
}

FailureOr<Gradients> LinearLogProbOp::buildBackward(OpBuilder &builder,
                                                    ValueRange gradients) {
  if (gradients[1])
    return failOnResult(*this, 1);
  Value result = LinearLogProbBackwardOp::create(
      builder, getLoc(), getInput().getType(), getInput(), getWeight(),
      getTargets(), getInverseTemperature(), getLse(), gradients[0],
      getGradientMemory(builder, getWeight()));
  Gradients all(getNumOperands());
  all[0] = result;
  return all;
}

FailureOr<SmallVector<Value>> LinearLogProbOp::decompose(OpBuilder &builder) {
  auto type = RankedTensorType::get(
      {ShapedType::kDynamic, typeOf(getWeight()).getDimSize(0)},
      builder.getF32Type());
  Value logits = LinearOp::create(builder, getLoc(), type, getInput(),
                                  getWeight(), Value());
  auto logProb =
      LogProbOp::create(builder, getLoc(), getResultTypes(), logits,
                        getTargets(), getInverseTemperature());
  return SmallVector<Value>(logProb->getResults());
}
