//===- Mla.cpp - Verifiers, costs and derivatives of latent attention -----===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

using Gradients = SmallVector<Value>;

LogicalResult LatentHeadsAttr::verify(
    function_ref<InFlightDiagnostic()> emitError, int64_t count, int64_t nope,
    int64_t value, int64_t rank, int64_t rope) {
  if (count <= 0 || nope <= 0 || value <= 0 || rank <= 0 || rope <= 0)
    return emitError() << "expects heads and columns to be positive";
  return success();
}

int64_t LatentHeadsAttr::getKeyRows(int64_t rows) const {
  return rows == getCount() * (getNope() + getValue())
             ? getNope()
             : static_cast<int64_t>(llvm::alignTo(getNope(), 32));
}

/// Checks that `projection` has every head's rows, padded or not.
static LogicalResult verifyProjection(Operation *op, LatentHeadsAttr heads,
                                      Value projection) {
  RankedTensorType type = typeOf(projection);
  int64_t plain = heads.getNope() + heads.getValue();
  auto padded = static_cast<int64_t>(llvm::alignTo(heads.getNope(), 32) +
                                     llvm::alignTo(heads.getValue(), 32));
  if (type.getRank() != 2 || type.getDimSize(1) != heads.getRank() ||
      (type.getDimSize(0) != heads.getCount() * plain &&
       type.getDimSize(0) != heads.getCount() * padded))
    return op->emitOpError() << "expects a projection of "
                             << heads.getCount() * plain << " rows and "
                             << heads.getRank() << " columns, got " << type;
  return success();
}

static LogicalResult verifyLatents(Operation *op, LatentHeadsAttr heads,
                                   Value latents) {
  auto type = cast<StateType>(latents.getType());
  if (type.getShape().size() != 2 || type.getShape()[0] != 1 ||
      type.getShape()[1] != heads.getRank() + heads.getRope())
    return op->emitOpError() << "expects a state [1, "
                             << heads.getRank() + heads.getRope() << "], got "
                             << type;
  return success();
}

LogicalResult MlaAttendOp::verify() {
  LatentHeadsAttr heads = getHeads();
  if (failed(verifyProjection(*this, heads, getProjection())) ||
      failed(verifyLatents(*this, heads, getLatents())) ||
      failed(verifyColumns(*this, "queries", getQuery(),
                           heads.getCount() *
                               (heads.getNope() + heads.getRope()))))
    return failure();
  return verifyColumns(*this, "a result", getResult(),
                       heads.getCount() * heads.getValue());
}

/// Of prompt tokens: keys and values are expanded once, and every query meets
/// those before it.
Cost MlaAttendOp::getCost(StepShape step) {
  LatentHeadsAttr heads = getHeads();
  auto pairs = static_cast<double>(heads.getCount() * step.tokens) *
               static_cast<double>(step.cached);
  auto perPair = static_cast<double>(heads.getNope() + heads.getRope() +
                                     heads.getValue());
  auto elements =
      static_cast<double>(typeOf(getProjection()).getNumElements());
  Cost cost;
  cost.flops = 2 * (pairs * perPair +
                    elements * static_cast<double>(step.tokens));
  cost.weightBytes = valueBytes(getProjection(), 0);
  cost.activationBytes = valueBytes(getQuery(), step.tokens) +
                         valueBytes(getResult(), step.tokens);
  auto latents = cast<StateType>(getLatents().getType());
  cost.stateBytes = static_cast<double>(step.sequences * step.cached *
                                        latents.getWidth()) *
                    getElementBytes(latents.getElementType());
  return cost;
}

LogicalResult MlaEntryShareOp::verify() {
  LatentHeadsAttr heads = getHeads();
  if (failed(verifyProjection(*this, heads, getProjection())) ||
      failed(verifyLatents(*this, heads, getLatents())) ||
      failed(verifyColumns(*this, "queries", getQuery(),
                           heads.getCount() *
                               (heads.getNope() + heads.getRope()))))
    return failure();
  return verifyColumns(*this, "a result", getResult(),
                       typeOf(getEntries()).getDimSize(1));
}

/// Queries come to the latents and meet their entries.
Cost MlaEntryShareOp::getCost(StepShape step) {
  LatentHeadsAttr heads = getHeads();
  auto rows = static_cast<double>(heads.getCount() * step.tokens);
  auto seen = static_cast<double>(
      std::min<int64_t>(typeOf(getEntries()).getDimSize(1), step.cached));
  Cost cost;
  cost.flops = 2 * rows *
               (static_cast<double>(heads.getNope() * heads.getRank()) +
                seen * static_cast<double>(heads.getRank() + heads.getRope()));
  cost.weightBytes = valueBytes(getProjection(), 0);
  cost.activationBytes = valueBytes(getQuery(), step.tokens) +
                         valueBytes(getResult(), step.tokens);
  return cost;
}

LogicalResult MergeRowsOp::verify() {
  if (!getPrompt() && !getGenerated())
    return emitOpError() << "expects rows of prompt or of generated tokens";
  for (Value rows : {getPrompt(), getGenerated()})
    if (rows && rows.getType() != getResult().getType())
      return emitOpError() << "expects rows of the result's type";
  return success();
}

LogicalResult ReadLatentsOp::verify() {
  auto latents = cast<StateType>(getLatents().getType());
  if (latents.getWidth() != typeOf(getLatent()).getDimSize(1) +
                                typeOf(getKey()).getDimSize(1))
    return emitOpError() << "expects results that share the columns of "
                         << latents;
  return success();
}

LogicalResult ExpandKeysOp::verify() {
  LatentHeadsAttr heads = getHeads();
  auto check = [&](StringRef name, Value state,
                   int64_t columns) -> LogicalResult {
    auto type = cast<StateType>(state.getType());
    if (type.getShape() == ArrayRef<int64_t>{heads.getCount(), columns})
      return success();
    return emitOpError() << "expects " << name << " [" << heads.getCount()
                         << ", " << columns << "], got " << type;
  };
  if (failed(check("keys", getKeys(), heads.getNope() + heads.getRope())))
    return failure();
  return check("values", getValues(), heads.getValue());
}

LogicalResult AbsorbQueryOp::verify() {
  LatentHeadsAttr heads = getHeads();
  if (failed(verifyProjection(*this, heads, getProjection())))
    return failure();
  return verifyColumns(*this, "a result", getResult(),
                       heads.getCount() * (heads.getRank() + heads.getRope()));
}

LogicalResult AbsorbQueryBackwardOp::verify() {
  LatentHeadsAttr heads = getHeads();
  if (failed(verifyProjection(*this, heads, getProjection())) ||
      failed(verifyColumns(*this, "a gradient", getGradient(),
                           heads.getCount() *
                               (heads.getRank() + heads.getRope()))))
    return failure();
  return verifyColumns(*this, "a result", getResult(),
                       heads.getCount() * (heads.getNope() + heads.getRope()));
}

LogicalResult AbsorbValueOp::verify() {
  LatentHeadsAttr heads = getHeads();
  if (failed(verifyProjection(*this, heads, getProjection())))
    return failure();
  return verifyColumns(*this, "a result", getResult(),
                       heads.getCount() * heads.getValue());
}

LogicalResult AbsorbValueBackwardOp::verify() {
  LatentHeadsAttr heads = getHeads();
  if (failed(verifyProjection(*this, heads, getProjection())) ||
      failed(verifyColumns(*this, "a gradient", getGradient(),
                           heads.getCount() * heads.getValue())))
    return failure();
  return verifyColumns(*this, "a result", getResult(),
                       heads.getCount() * heads.getRank());
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

StringRef TakeRowsOp::getResultRows(unsigned) { return getSeqRows(getView()); }
StringRef MergeRowsOp::getResultRows(unsigned) { return "T"; }
StringRef ReadLatentsOp::getResultRows(unsigned) { return "E"; }
StringRef ReadLatentsBackwardOp::getResultRows(unsigned) { return "T"; }

//===----------------------------------------------------------------------===//
// Derivatives
//===----------------------------------------------------------------------===//

/// The sequences of the step that `view` is a view of.
static Value getStep(Value view) {
  return view.getDefiningOp<ViewSeqOp>().getSeq();
}

static Value createView(OpBuilder &builder, Location loc, Value seq,
                        SeqRows rows) {
  return ViewSeqOp::create(builder, loc, seq, rows);
}

Value ds::createKeyView(OpBuilder &builder, Location loc, Value seq) {
  StringRef rows = getSeqRows(seq);
  if (rows == "P")
    return createView(builder, loc, getStep(seq), SeqRows::Expanded);
  return rows == "G" ? getStep(seq) : Value();
}

FailureOr<Gradients> TakeRowsOp::buildBackward(OpBuilder &builder,
                                               ValueRange gradients) {
  bool isPrompt = getSeqRows(getView()) == "P";
  Value rows = gradients[0];
  Value result = MergeRowsOp::create(
      builder, getLoc(), getInput().getType(), isPrompt ? rows : Value(),
      isPrompt ? Value() : rows, getStep(getView()));
  return Gradients{result, Value()};
}

FailureOr<Gradients> MergeRowsOp::buildBackward(OpBuilder &builder,
                                                ValueRange gradients) {
  Gradients result;
  auto take = [&](Value rows, SeqRows kind) {
    if (!rows)
      return;
    Value view = createView(builder, getLoc(), getSeq(), kind);
    result.push_back(
        TakeRowsOp::create(builder, getLoc(), gradients[0], view));
  };
  take(getPrompt(), SeqRows::Prompt);
  take(getGenerated(), SeqRows::Generated);
  result.push_back(Value());
  return result;
}

FailureOr<Gradients> ReadLatentsOp::buildBackward(OpBuilder &builder,
                                                  ValueRange gradients) {
  if (!gradients[0] || !gradients[1])
    return emitOpError() << "expects the loss to depend on both results";
  auto type = RankedTensorType::get(
      {ShapedType::kDynamic,
       cast<StateType>(getLatents().getType()).getWidth()},
      typeOf(getLatent()).getElementType());
  Value result = ReadLatentsBackwardOp::create(
      builder, getLoc(), type, gradients[0], gradients[1], getStep(getView()));
  return Gradients{result, Value()};
}

FailureOr<Gradients> ExpandKeysOp::buildBackward(OpBuilder &builder,
                                                 ValueRange gradients) {
  if (!gradients[0] || !gradients[1])
    return emitOpError() << "expects the loss to depend on keys and values";
  auto backward = ExpandKeysBackwardOp::create(
      builder, getLoc(), getExpanded().getType(), getKey().getType(),
      gradients[0], gradients[1], getHeads());
  return Gradients{backward.getExpandedGradient(),
                   backward.getSharedGradient(), Value()};
}

FailureOr<Gradients> AbsorbQueryOp::buildBackward(OpBuilder &builder,
                                                  ValueRange gradients) {
  LatentHeadsAttr heads = getHeads();
  int64_t rows = typeOf(getProjection()).getDimSize(0);
  if (Value memory = getGradientMemory(builder, getProjection()))
    AccumulateOuterOp::create(
        builder, getLoc(), memory, getQuery(), gradients[0], Value(),
        HeadsAttr::get(getContext(), heads.getCount(), /*inputBegin=*/0,
                       heads.getNope() + heads.getRope(), /*weightBegin=*/0,
                       heads.getHeadRows(rows), heads.getNope(),
                       heads.getRank() + heads.getRope()));
  Value result =
      AbsorbQueryBackwardOp::create(builder, getLoc(), getQuery().getType(),
                                    gradients[0], getProjection(), heads);
  return Gradients{result, Value()};
}

FailureOr<Gradients> AbsorbValueOp::buildBackward(OpBuilder &builder,
                                                  ValueRange gradients) {
  LatentHeadsAttr heads = getHeads();
  int64_t rows = typeOf(getProjection()).getDimSize(0);
  if (Value memory = getGradientMemory(builder, getProjection()))
    AccumulateOuterOp::create(
        builder, getLoc(), memory, gradients[0], getInput(), Value(),
        HeadsAttr::get(getContext(), heads.getCount(), /*inputBegin=*/0,
                       heads.getValue(), heads.getKeyRows(rows),
                       heads.getHeadRows(rows), heads.getValue(),
                       heads.getRank()));
  Value result =
      AbsorbValueBackwardOp::create(builder, getLoc(), getInput().getType(),
                                    gradients[0], getProjection(), heads);
  return Gradients{result, Value()};
}
