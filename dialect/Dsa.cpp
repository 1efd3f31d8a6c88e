//===- Dsa.cpp - Selection of tokens by an indexer ------------------------===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

using Gradients = SmallVector<Value>;

static int64_t columnsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getDimSize(1);
}

/// Checks the queries, weights and keys of an indexer.
template <typename Op> static LogicalResult verifyIndexer(Op op) {
  auto heads = static_cast<int64_t>(op.getHeads());
  auto keys = cast<StateType>(op.getKeys().getType());
  if (keys.getShape().size() != 2 || keys.getShape()[0] != 1)
    return op.emitOpError() << "expects keys of one head, got " << keys;
  if (heads < 1 || columnsOf(op.getQuery()) != heads * keys.getWidth())
    return op.emitOpError() << "expects queries of " << heads << " x "
                            << keys.getWidth() << " columns, got "
                            << columnsOf(op.getQuery());
  auto weights = cast<RankedTensorType>(op.getWeights().getType());
  if (weights.getDimSize(1) != heads || !weights.getElementType().isF32())
    return op.emitOpError() << "expects weights of " << heads
                            << " columns of f32, got " << weights;
  return success();
}

template <typename Op> static LogicalResult verifySelect(Op op) {
  if (failed(verifyIndexer(op)))
    return failure();
  auto count = static_cast<int64_t>(op.getCount());
  if (count < 1 || columnsOf(op.getResult()) != count)
    return op.emitOpError() << "expects a result of count (" << count
                            << ") columns, got " << columnsOf(op.getResult());
  return success();
}

template <typename Op> static Cost getSelectCost(Op op, StepShape step) {
  auto keys = cast<StateType>(op.getKeys().getType());
  Cost cost;
  cost.flops = 2.0 * kernel::countSeen(step, step.cached) *
               static_cast<double>(step.tokens * columnsOf(op.getQuery()));
  cost.stateBytes =
      static_cast<double>(step.sequences * step.cached * keys.getWidth()) *
      getElementBytes(keys.getElementType());
  double row = 4.0 * static_cast<double>(columnsOf(op.getResult()));
  for (Value input : {op.getQuery(), op.getWeights()})
    row += static_cast<double>(columnsOf(input)) *
           getElementBytes(getElementTypeOrSelf(input.getType()));
  cost.activationBytes = static_cast<double>(step.tokens) * row;
  return cost;
}

LogicalResult SelectTokensOp::verify() { return verifySelect(*this); }

Cost SelectTokensOp::getCost(StepShape step) {
  return getSelectCost(*this, step);
}

LogicalResult KernelSelectTokensOp::verify() { return verifySelect(*this); }

Cost KernelSelectTokensOp::getCost(StepShape step) {
  return getSelectCost(*this, step);
}

//===----------------------------------------------------------------------===//
// Training of the indexer
//===----------------------------------------------------------------------===//

/// `perPair` FLOPs for each entry and column of `query`, whose keys are read
/// once for each entry.
static Cost getEntriesCost(Operation *op, Value query, Value entries,
                           StateType keys, double perPair, StepShape step) {
  auto seen = std::min<double>(static_cast<double>(columnsOf(entries)),
                               static_cast<double>(step.cached));
  double pairs = static_cast<double>(step.tokens) * seen;
  Cost cost;
  cost.flops = perPair * pairs * static_cast<double>(columnsOf(query));
  cost.stateBytes = pairs * static_cast<double>(keys.getWidth()) *
                    getElementBytes(keys.getElementType());
  cost.activationBytes = valueBytes(op->getOperands(), step.tokens) +
                         valueBytes(op->getResults(), step.tokens);
  return cost;
}

/// Checks a value for each entry.
static LogicalResult verifyPerEntry(Operation *op, StringRef name, Value values,
                                    Value entries) {
  if (columnsOf(values) != columnsOf(entries))
    return op->emitOpError()
           << "expects " << name << " of " << columnsOf(entries)
           << " columns, one for each entry, got " << columnsOf(values);
  return success();
}

template <typename Op> static LogicalResult verifyShare(Op op) {
  auto heads = static_cast<int64_t>(op.getHeads());
  auto keys = cast<StateType>(op.getKeys().getType());
  if (keys.getShape().size() != 2 || keys.getShape()[0] != 1)
    return op.emitOpError() << "expects keys of one head, got " << keys;
  if (heads < 1 || columnsOf(op.getQuery()) != heads * keys.getWidth())
    return op.emitOpError() << "expects queries of " << heads << " x "
                            << keys.getWidth() << " columns, got "
                            << columnsOf(op.getQuery());
  return verifyPerEntry(op, "a result", op.getResult(), op.getEntries());
}

LogicalResult EntryShareOp::verify() { return verifyShare(*this); }
LogicalResult KernelEntryShareOp::verify() { return verifyShare(*this); }

Cost EntryShareOp::getCost(StepShape step) {
  return getEntriesCost(*this, getQuery(), getEntries(), getKeys().getType(), 2,
                        step);
}

Cost KernelEntryShareOp::getCost(StepShape step) {
  return getEntriesCost(*this, getQuery(), getEntries(), getKeys().getType(), 2,
                        step);
}

template <typename Op> static LogicalResult verifyScores(Op op) {
  if (failed(verifyIndexer(op)))
    return failure();
  return verifyPerEntry(op, "a result", op.getResult(), op.getEntries());
}

LogicalResult IndexScoresOp::verify() { return verifyScores(*this); }
LogicalResult KernelIndexScoresOp::verify() { return verifyScores(*this); }

Cost IndexScoresOp::getCost(StepShape step) {
  return getEntriesCost(*this, getQuery(), getEntries(), getKeys().getType(), 2,
                        step);
}

Cost KernelIndexScoresOp::getCost(StepShape step) {
  return getEntriesCost(*this, getQuery(), getEntries(), getKeys().getType(), 2,
                        step);
}

/// Checks that a gradient is like what it is of.
static LogicalResult verifyLike(Operation *op, StringRef name, Value gradient,
                                Value of) {
  if (gradient.getType() != of.getType())
    return op->emitOpError() << "expects a gradient of " << name << " like "
                             << of.getType() << ", got " << gradient.getType();
  return success();
}

template <typename Op> static LogicalResult verifyKeyGradient(Op op) {
  auto keys = cast<StateType>(op.getKeys().getType());
  auto type = cast<RankedTensorType>(op.getKeyGradient().getType());
  if (type.getDimSize(1) != keys.getWidth() ||
      type.getElementType() != keys.getElementType())
    return op.emitOpError() << "expects a gradient of keys of "
                            << keys.getWidth() << " columns of "
                            << keys.getElementType() << ", got " << type;
  return success();
}

template <typename Op> static LogicalResult verifyIndexBackward(Op op) {
  if (failed(verifyIndexer(op)))
    return failure();
  return verifyPerEntry(op, "a gradient", op.getGradient(), op.getEntries());
}

LogicalResult IndexScoresBackwardOp::verify() {
  if (failed(verifyIndexBackward(*this)) ||
      failed(verifyLike(*this, "queries", getQueryGradient(), getQuery())) ||
      failed(verifyLike(*this, "weights", getWeightGradient(), getWeights())))
    return failure();
  return verifyKeyGradient(*this);
}

LogicalResult KernelIndexBackwardQueryOp::verify() {
  if (failed(verifyIndexBackward(*this)) ||
      failed(verifyLike(*this, "queries", getQueryGradient(), getQuery())))
    return failure();
  return verifyLike(*this, "weights", getWeightGradient(), getWeights());
}

LogicalResult KernelIndexBackwardKeysOp::verify() {
  if (failed(verifyIndexBackward(*this)))
    return failure();
  return verifyKeyGradient(*this);
}

Cost IndexScoresBackwardOp::getCost(StepShape step) {
  return getEntriesCost(*this, getQuery(), getEntries(), getKeys().getType(), 8,
                        step);
}

Cost KernelIndexBackwardQueryOp::getCost(StepShape step) {
  return getEntriesCost(*this, getQuery(), getEntries(), getKeys().getType(), 4,
                        step);
}

Cost KernelIndexBackwardKeysOp::getCost(StepShape step) {
  return getEntriesCost(*this, getQuery(), getEntries(), getKeys().getType(), 4,
                        step);
}

FailureOr<Gradients> IndexScoresOp::buildBackward(OpBuilder &builder,
                                                  ValueRange gradients) {
  auto keys = cast<StateType>(getKeys().getType());
  auto kept = RankedTensorType::get({ShapedType::kDynamic, keys.getWidth()},
                                    keys.getElementType());
  auto backward = IndexScoresBackwardOp::create(
      builder, getLoc(), getQuery().getType(), getWeights().getType(), kept,
      gradients[0], getQuery(), getWeights(), getKeys(), getSeq(), getEntries(),
      getHeads(), getScale());
  Gradients result(backward->getResults());
  result.resize(getNumOperands());
  return result;
}

Cost KlDivergenceOp::getCost(StepShape step) {
  return rowsCost(*this, getTarget(), 4, step.tokens);
}

Cost KlDivergenceBackwardOp::getCost(StepShape step) {
  return rowsCost(*this, getTarget(), 2, step.tokens);
}

FailureOr<Gradients> KlDivergenceOp::buildBackward(OpBuilder &builder,
                                                   ValueRange gradients) {
  Value share = KlDivergenceBackwardOp::create(
      builder, getLoc(), getShare().getType(), getTarget(), getShare(),
      gradients[0]);
  return Gradients{Value(), share};
}
