//===- Nsa.cpp - Verifiers, costs and derivatives of sparse attention -----===//
#include "dialect/Nsa.h"

using namespace ds;
using namespace ds::kernel;
using namespace ds::nsa;

using Gradients = SmallVector<Value>;

static int64_t columnsOf(Value value) { return typeOf(value).getDimSize(1); }

StringRef nsa::getEntryRows(StateType state) {
  // Attributes live as long as the context.
  return StringAttr::get(state.getContext(), "C*" + Twine(headsOf(state)))
      .getValue();
}

Cost nsa::getMoveCost(Operation *op, Value value, double perElement,
                      StepShape step) {
  Cost cost;
  auto rows = [&](Value each) { return countRows(getRowSymbolOf(each), step); };
  cost.flops = perElement * static_cast<double>(rows(value) * columnsOf(value));
  auto add = [&](Value each) {
    auto type = dyn_cast<RankedTensorType>(each.getType());
    if (type && type.isDynamicDim(0))
      cost.activationBytes += valueBytes(each, rows(each));
  };
  llvm::for_each(op->getOperands(), add);
  llvm::for_each(op->getResults(), add);
  return cost;
}

//===----------------------------------------------------------------------===//
// Silu
//===----------------------------------------------------------------------===//

Cost SiluOp::getCost(StepShape step) {
  return getMoveCost(*this, getInput(), 13, step);
}

Cost SiluBackwardOp::getCost(StepShape step) {
  return getMoveCost(*this, getInput(), 17, step);
}

FailureOr<Gradients> SiluOp::buildBackward(OpBuilder &builder,
                                           ValueRange gradients) {
  Value result = SiluBackwardOp::create(builder, getLoc(), getType(),
                                        getInput(), gradients[0]);
  return Gradients{result};
}

//===----------------------------------------------------------------------===//
// Compression
//===----------------------------------------------------------------------===//

LogicalResult nsa::verifyGather(Operation *op, StateType state, Value positions,
                                Value result, int64_t length, int64_t stride) {
  if (stride <= 0 || length < stride || length % stride)
    return op->emitOpError() << "expects length (" << length
                             << ") to be a multiple of stride (" << stride
                             << ")";
  if (state.getStride() != 1)
    return op->emitOpError() << "expects a state of every token, got " << state;
  RankedTensorType type = typeOf(positions);
  if (type.getRank() != 2 || type.getDimSize(0) != length ||
      type.getDimSize(1) != dimsOf(state))
    return op->emitOpError() << "expects positions of " << length << " x "
                             << dimsOf(state) << ", got " << type;
  return verifyColumns(op, "a result", result, length * dimsOf(state));
}

LogicalResult GatherBlocksOp::verify() {
  return verifyGather(*this, getState().getType(), getPositions(), getResult(),
                      getLength(), getStride());
}

StringRef GatherBlocksOp::getResultRows(unsigned) {
  return getEntryRows(getState().getType());
}

Cost GatherBlocksOp::getCost(StepShape step) {
  return getMoveCost(*this, getResult(), 1, step);
}

FailureOr<Gradients> GatherBlocksOp::buildBackward(OpBuilder &builder,
                                                   ValueRange gradients) {
  if (Value memory = getGradientMemory(builder, getPositions()))
    AccumulatePositionsOp::create(builder, getLoc(), memory, gradients[0]);
  auto type = RankedTensorType::get(
      {ShapedType::kDynamic, getState().getType().getWidth()},
      typeOf(getResult()).getElementType());
  Value seq = getSeq();
  if (auto view = seq.getDefiningOp<ViewSeqOp>())
    seq = view.getSeq();
  Value result = GatherBlocksBackwardOp::create(
      builder, getLoc(), type, gradients[0], seq, getLengthAttr(),
      getStrideAttr());
  return Gradients{result, Value(), Value()};
}

LogicalResult GatherBlocksBackwardOp::verify() {
  auto length = static_cast<int64_t>(getLength());
  auto stride = static_cast<int64_t>(getStride());
  if (stride <= 0 || length < stride || length % stride ||
      columnsOf(getGradient()) % length)
    return emitOpError() << "expects length (" << length
                         << ") to be a multiple of stride (" << stride
                         << ") and to divide the columns of "
                         << getGradient().getType();
  int64_t dims = columnsOf(getGradient()) / length;
  if (columnsOf(getResult()) % dims)
    return emitOpError() << "expects a result of heads of " << dims
                         << " columns, got " << getResult().getType();
  return success();
}

StringRef GatherBlocksBackwardOp::getResultRows(unsigned) { return "T"; }

Cost GatherBlocksBackwardOp::getCost(StepShape step) {
  return getMoveCost(*this, getGradient(), 1, step);
}

LogicalResult nsa::verifyAccumulate(Operation *op, Value gradient,
                                    Value input) {
  RankedTensorType type = typeOf(gradient);
  if (type.getRank() != 2 || !type.getElementType().isF32())
    return op->emitOpError() << "expects a gradient of rank 2 of f32, got "
                             << type;
  return verifyColumns(op, "rows", input, type.getNumElements());
}

LogicalResult AccumulatePositionsOp::verify() {
  return verifyAccumulate(*this, getGradient(), getInput());
}

Cost AccumulatePositionsOp::getCost(StepShape step) {
  return getMoveCost(*this, getInput(), 1, step);
}

LogicalResult nsa::verifyAppend(Operation *op, StateType state, Value input) {
  if (state.getStride() == 1 || state.getLayers() != 1)
    return op->emitOpError() << "expects the state of one layer that keeps "
                             << "entries, got " << state;
  if (typeOf(input).getElementType() != state.getElementType())
    return op->emitOpError() << "expects rows of " << state.getElementType()
                             << ", got " << input.getType();
  if (input.getDefiningOp() && getRowSymbolOf(input) != getEntryRows(state))
    return op->emitOpError() << "expects " << getEntryRows(state)
                             << " rows, got " << getRowSymbolOf(input);
  return verifyColumns(op, "rows", input, dimsOf(state));
}

LogicalResult AppendBlocksOp::verify() {
  if (failed(verifyAppend(*this, getState().getType(), getInput())))
    return failure();
  return verifyLinear(*this, getState());
}

FailureOr<Gradients> AppendBlocksOp::buildBackward(OpBuilder &,
                                                   ValueRange gradients) {
  return Gradients{Value(), gradients[0], Value()};
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

LogicalResult Sparse::verify() const {
  int64_t keyHeads = headsOf(keys);
  if (keys.getShape().size() != 2 || values.getShape().size() != 2 ||
      headsOf(values) != keyHeads ||
      keys.getElementType() != values.getElementType() ||
      keys.getStride() != values.getStride())
    return op->emitOpError() << "expects keys and values of equal heads, "
                             << "element type and stride, got " << keys
                             << " and " << values;
  if (heads <= 0 || heads % keyHeads)
    return op->emitOpError()
           << "expects heads (" << heads << ") to be a multiple of key heads ("
           << keyHeads << ")";
  if ((source == KeySource::Entries) != (keys.getStride() > 1))
    return op->emitOpError() << "expects states of entries where keys are "
                             << "entries, got " << keys;
  if ((source == KeySource::Blocks) != static_cast<bool>(blocks))
    return op->emitOpError() << "expects a list where keys are blocks";
  bool fits = size > 0;
  if (source == KeySource::Entries)
    fits &= size % keys.getStride() == 0;
  // A block is part of a page or some pages.
  if (source == KeySource::Blocks)
    fits &= size % 16 == 0 && (64 % size == 0 || size % 64 == 0) &&
            512 % size == 0;
  if (!fits)
    return op->emitOpError()
           << "expects a size that suits " << stringifyKeySource(source)
           << ", got " << size;
  if (blocks && columnsOf(blocks) % keyHeads)
    return op->emitOpError() << "expects a list for each of " << keyHeads
                             << " key heads, got " << blocks.getType();
  return verifyColumns(op, "queries", query, heads * dimsOf(keys));
}

LogicalResult Sparse::verifyStatistic(StringRef name, Value value) const {
  if (!typeOf(value).getElementType().isF32())
    return op->emitOpError() << "expects " << name << " of f32, got "
                             << value.getType();
  return verifyColumns(op, name, value, heads);
}

LogicalResult Sparse::verifyGradient(StringRef name, Value value,
                                     StateType state) const {
  bool entries = source == KeySource::Entries;
  return verifyColumns(op, name, value,
                       entries ? dimsOf(state) : state.getWidth());
}

double Sparse::countSeen(StepShape step) const {
  int64_t most = step.cached;
  if (source == KeySource::Window)
    most = size;
  else if (source == KeySource::Blocks)
    most = columnsOf(blocks) / headsOf(keys) * size;
  else
    return kernel::countSeen(step, most) /
           static_cast<double>(keys.getStride());
  return kernel::countSeen(step, std::min(most, step.cached));
}

Cost Sparse::getCost(StepShape step, int64_t keyProducts,
                     int64_t valueProducts) const {
  Cost cost = getMoveCost(op, query, 0, step);
  double seen = countSeen(step);
  cost.flops = 2.0 * seen * static_cast<double>(step.tokens * heads) *
               static_cast<double>(keyProducts * dimsOf(keys) +
                                   valueProducts * dimsOf(values));
  cost.stateBytes = seen * static_cast<double>(step.sequences) *
                    static_cast<double>(keys.getWidth() + values.getWidth()) *
                    static_cast<double>(getElementBytes(keys.getElementType()));
  return cost;
}

LogicalResult SparseAttendOp::verify() {
  Sparse sparse = getSparse(*this);
  if (failed(sparse.verify()) ||
      failed(verifyColumns(*this, "a result", getResult(),
                           sparse.heads * dimsOf(sparse.values))))
    return failure();
  return sparse.verifyStatistic("lse", getLse());
}

Cost SparseAttendOp::getCost(StepShape step) {
  return getSparse(*this).getCost(step, 1, 1);
}

FailureOr<Gradients> SparseAttendOp::buildBackward(OpBuilder &builder,
                                                   ValueRange gradients) {
  if (gradients[1])
    return emitOpError() << "has no derivative of result 1";
  auto kept = [&](StateType state) {
    int64_t columns = getSource() == KeySource::Entries ? dimsOf(state)
                                                        : state.getWidth();
    return RankedTensorType::get({ShapedType::kDynamic, columns},
                                 typeOf(getQuery()).getElementType());
  };
  auto backward = SparseAttendBackwardOp::create(
      builder, getLoc(), getQuery().getType(), kept(getKeys().getType()),
      kept(getValues().getType()), getQuery(), getKeys(), getValues(),
      getResult(), getLse(), gradients[0], getSeq(), getBlocks(),
      getHeadsAttr(), getScaleAttr(), getSourceAttr(), getSizeAttr());
  Gradients result(backward->getResults());
  result.resize(getNumOperands());
  return result;
}

LogicalResult SparseAttendBackwardOp::verify() {
  Sparse sparse = getSparse(*this);
  if (failed(sparse.verify()) || failed(sparse.verifyStatistic("lse", getLse())))
    return failure();
  if (getQueryGradient().getType() != getQuery().getType() ||
      getOutputGradient().getType() != getOutput().getType())
    return emitOpError() << "expects gradients of the types of queries and "
                         << "output";
  if (failed(sparse.verifyGradient("a gradient of keys", getKeyGradient(),
                                   sparse.keys)))
    return failure();
  return sparse.verifyGradient("a gradient of values", getValueGradient(),
                               sparse.values);
}

StringRef SparseAttendBackwardOp::getResultRows(unsigned index) {
  if (index == 0 || getSource() != KeySource::Entries)
    return "T";
  return getEntryRows(getKeys().getType());
}

Cost SparseAttendBackwardOp::getCost(StepShape step) {
  return getSparse(*this).getCost(step, 4, 3);
}

LogicalResult nsa::verifySelect(Operation *op, const Selection &s, Value query,
                                StateType keys, Value lse, Value result) {
  int64_t stride = keys.getStride();
  if (stride == 1 || s.length % stride || s.block % s.length ||
      512 * stride % s.block)
    return op->emitOpError() << "expects strides (" << stride
                             << ") to make up entries (" << s.length
                             << ") and these blocks (" << s.block << ")";
  if (s.initial < 0 || s.local < 1 || s.count < s.initial + s.local)
    return op->emitOpError() << "expects count (" << s.count
                             << ") to be at least initial + local blocks, and "
                             << "a local one";
  if (s.heads % headsOf(keys) ||
      failed(verifyColumns(op, "queries", query, s.heads * dimsOf(keys))) ||
      failed(verifyColumns(op, "lse", lse, s.heads)))
    return failure();
  return verifyColumns(op, "a result", result, headsOf(keys) * s.count);
}

LogicalResult SelectBlocksOp::verify() {
  return verifySelect(*this, getSelection(*this), getQuery(),
                      getKeys().getType(), getLse(), getResult());
}

Cost nsa::getSelectCost(Operation *op, Value query, StateType keys,
                        StepShape step) {
  Cost cost = getMoveCost(op, query, 0, step);
  auto stride = static_cast<double>(keys.getStride());
  double seen = kernel::countSeen(step, step.cached) / stride;
  double entries = static_cast<double>(step.cached) / stride;
  cost.flops =
      2.0 * seen * static_cast<double>(step.tokens * columnsOf(query));
  cost.stateBytes = entries *
                    static_cast<double>(step.sequences * keys.getWidth() *
                                        getElementBytes(keys.getElementType()));
  return cost;
}

Cost SelectBlocksOp::getCost(StepShape step) {
  return getSelectCost(*this, getQuery(), getKeys().getType(), step);
}

//===----------------------------------------------------------------------===//
// Branches
//===----------------------------------------------------------------------===//

LogicalResult nsa::verifyMix(Operation *op, Value gates, Value branch,
                             int64_t heads) {
  if (heads <= 0 || columnsOf(branch) % heads)
    return op->emitOpError() << "expects columns (" << columnsOf(branch)
                             << ") to be a multiple of heads (" << heads << ")";
  return verifyColumns(op, "gates", gates, 3 * heads);
}

LogicalResult MixBranchesOp::verify() {
  return verifyMix(*this, getGates(), getFirst(), getHeads());
}

Cost MixBranchesOp::getCost(StepShape step) {
  return getMoveCost(*this, getResult(), 5, step);
}

FailureOr<Gradients> MixBranchesOp::buildBackward(OpBuilder &builder,
                                                  ValueRange gradients) {
  auto backward = MixBranchesBackwardOp::create(
      builder, getLoc(), getGates().getType(), getFirst().getType(),
      getSecond().getType(), getThird().getType(), getGates(), getFirst(),
      getSecond(), getThird(), gradients[0], getHeadsAttr());
  return Gradients(backward->getResults());
}

Cost MixBranchesBackwardOp::getCost(StepShape step) {
  return getMoveCost(*this, getFirst(), 9, step);
}
