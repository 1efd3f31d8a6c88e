//===- Attention.cpp - Verifiers and costs of rope, append, attend --------===//
#include "dialect/KernelSupport.h"

using namespace ds;

static int64_t columns(Value value) {
  return cast<RankedTensorType>(value.getType()).getDimSize(1);
}

/// Checks that a row of `width` columns is `heads` heads and that each has
/// room for the rotated columns.
static LogicalResult verifyHeads(Operation *op, int64_t width, int64_t heads,
                                 RopeAttr rope) {
  if (heads <= 0 || width % heads)
    return op->emitOpError() << "expects columns (" << width
                             << ") to be a multiple of heads (" << heads << ")";
  if (rope && rope.getFirst() + rope.getDims() > width / heads)
    return op->emitOpError()
           << "expects rotated dims (" << rope.getDims()
           << ") to fit a head of " << width / heads << " columns";
  return success();
}

LogicalResult RopeOp::verify() {
  return verifyHeads(*this, columns(getInput()), getHeads(), getRope());
}

LogicalResult ds::verifyLinear(Operation *op, ValueRange states) {
  for (Value state : states) {
    if (llvm::count(states, state) > 1)
      return op->emitOpError() << "expects every state once";
    for (Operation *user : state.getUsers()) {
      if (user == op || user->getBlock() != op->getBlock() ||
          user->isBeforeInBlock(op))
        continue;
      InFlightDiagnostic diag =
          op->emitOpError()
          << "expects no use of a state after the operation that updates it";
      diag.attachNote(user->getLoc()) << "used here";
      return diag;
    }
  }
  return success();
}

LogicalResult AppendOp::verify() {
  StateType state = getState().getType();
  auto input = cast<RankedTensorType>(getInput().getType());
  if (state.getWidth() != input.getDimSize(1))
    return emitOpError() << "expects rows of " << state.getWidth()
                         << " values, got " << input;
  if (state.getElementType() != input.getElementType())
    return emitOpError() << "expects rows of " << state.getElementType()
                         << ", got " << input;
  if (state.getLayers() != 1)
    return emitOpError() << "expects the state of one layer, got " << state;
  return verifyLinear(*this, getState());
}

static LogicalResult verifyKeyValue(Operation *op, StateType keys,
                                    StateType values, int64_t heads) {
  if (keys.getShape().size() != 2 || values.getShape().size() != 2)
    return op->emitOpError() << "expects keys and values of shape "
                             << "[heads, dims]";
  int64_t keyHeads = keys.getShape()[0];
  if (values.getShape()[0] != keyHeads)
    return op->emitOpError()
           << "expects as many value heads (" << values.getShape()[0]
           << ") as key heads (" << keyHeads << ")";
  if (heads <= 0 || heads % keyHeads)
    return op->emitOpError()
           << "expects heads (" << heads << ") to be a multiple of key heads ("
           << keyHeads << ")";
  if (keys.getElementType() != values.getElementType())
    return op->emitOpError() << "expects keys and values of one element type";
  return success();
}

/// Checks the positions that queries see, if there are any.
static LogicalResult verifyEntries(Operation *op, Value entries,
                                   std::optional<uint64_t> prefix) {
  if (entries && !prefix)
    return op->emitOpError() << "expects a prefix where there are entries";
  return success();
}

/// The type of what attention reads as values: of a prefix, columns of the
/// keys.
static FailureOr<StateType> getReadValues(Operation *op, Value keys,
                                          Value values,
                                          std::optional<uint64_t> prefix) {
  auto type = cast<StateType>(values.getType());
  if (!prefix)
    return type;
  auto columns = static_cast<int64_t>(*prefix);
  if (keys != values || type.getShape().size() != 2 ||
      type.getShape()[0] != 1 || columns < 1 || columns > type.getShape()[1])
    return op->emitOpError() << "expects a prefix of the keys of one head, "
                             << "which are the values";
  return StateType::get(op->getContext(), {1, columns}, type.getElementType(),
                        1, 1);
}

static LogicalResult verifyAttend(Operation *op, Value query, StateType keys,
                                  StateType values, Value result,
                                  int64_t heads) {
  if (failed(verifyKeyValue(op, keys, values, heads)))
    return failure();
  if (columns(query) != heads * keys.getShape()[1])
    return op->emitOpError()
           << "expects queries of " << heads << " x " << keys.getShape()[1]
           << " columns, got " << columns(query);
  if (columns(result) != heads * values.getShape()[1])
    return op->emitOpError()
           << "expects a result of " << heads << " x " << values.getShape()[1]
           << " columns, got " << columns(result);
  return success();
}

/// Checks a value that every query head has: [T, heads], f32.
static LogicalResult verifyStatistic(Operation *op, StringRef name,
                                     Value value, int64_t heads) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getDimSize(1) != heads || !type.getElementType().isF32())
    return op->emitOpError() << "expects " << name << " of " << heads
                             << " columns of f32, got " << type;
  return success();
}

LogicalResult AttendOp::verify() {
  FailureOr<StateType> values =
      getReadValues(*this, getKeys(), getValues(), getPrefix());
  if (failed(values) ||
      failed(verifyEntries(*this, getEntries(), getPrefix())) ||
      failed(verifyAttend(*this, getQuery(), getKeys().getType(), *values,
                          getResult(), getHeads())))
    return failure();
  if (!getLse())
    return success();
  return verifyStatistic(*this, "lse", getLse(), getHeads());
}

/// Pairs of a query head and a key that it sees, at most `limit` each.
static double countPairs(int64_t heads, StepShape step, int64_t limit) {
  return static_cast<double>(step.tokens * heads) *
         kernel::countSeen(step, limit);
}

static double stateBytes(StateType keys, StateType values, StepShape step,
                         int64_t limit) {
  return static_cast<double>(step.sequences * limit) *
         static_cast<double>(keys.getWidth() + values.getWidth()) *
         getElementBytes(keys.getElementType());
}

/// Bytes of `step.tokens` rows of every matrix among `values`.
static double rowBytes(ValueRange values, StepShape step) {
  double bytes = 0;
  for (Value value : values)
    if (auto type = dyn_cast<RankedTensorType>(value.getType()))
      bytes += static_cast<double>(step.tokens * type.getDimSize(1)) *
               getElementBytes(type.getElementType());
  return bytes;
}

/// What queries read as values are the first columns of the keys, and read
/// once, where there is a prefix. Products count `keyProducts` of the keys'
/// width and `valueProducts` of the values'.
template <typename Op>
static Cost attendCost(Op op, int64_t keyProducts, int64_t valueProducts,
                       StepShape step) {
  StateType keys = op.getKeys().getType(), values = op.getValues().getType();
  int64_t limit = step.cached;
  if (Value entries = op.getEntries())
    limit = std::min(limit, columns(entries));
  int64_t valueDims = values.getShape()[1];
  double kept = stateBytes(keys, values, step, limit);
  if (op.getPrefix()) {
    valueDims = static_cast<int64_t>(*op.getPrefix());
    kept /= 2;
  }
  Cost cost;
  cost.flops = 2.0 * countPairs(op.getHeads(), step, limit) *
               static_cast<double>(keyProducts * keys.getShape()[1] +
                                   valueProducts * valueDims);
  cost.stateBytes = kept;
  cost.activationBytes = rowBytes(op->getOperands(), step) +
                         rowBytes(op->getResults(), step);
  return cost;
}

Cost AttendOp::getCost(StepShape step) {
  return attendCost(*this, 1, 1, step);
}

LogicalResult RopeAppendOp::verify() {
  StateType keys = getKeys().getType(), values = getValues().getType();
  if (failed(verifyKeyValue(*this, keys, values, getHeads())))
    return failure();
  int64_t expected =
      getHeads() * keys.getShape()[1] + keys.getWidth() + values.getWidth();
  if (columns(getInput()) != expected)
    return emitOpError() << "expects rows of " << expected << " columns, got "
                         << columns(getInput());
  if (columns(getQuery()) !=
      static_cast<int64_t>(getHeads()) * keys.getShape()[1])
    return emitOpError() << "expects queries of " << getHeads() << " x "
                         << keys.getShape()[1] << " columns, got "
                         << columns(getQuery());
  if (failed(verifyLinear(*this, {getKeys(), getValues()})))
    return failure();
  return verifyHeads(*this, columns(getQuery()), getHeads(), getRope());
}

LogicalResult KernelAttentionOp::verify() {
  FailureOr<StateType> values =
      getReadValues(*this, getKeys(), getValues(), getPrefix());
  if (failed(values) ||
      failed(verifyEntries(*this, getEntries(), getPrefix())) ||
      failed(verifyAttend(*this, getQuery(), getKeys().getType(), *values,
                          getResult(), getHeads())))
    return failure();
  if (!getLse())
    return success();
  return verifyStatistic(*this, "lse", getLse(), getHeads());
}

Cost KernelAttentionOp::getCost(StepShape step) {
  return attendCost(*this, 1, 1, step);
}

LogicalResult KernelAttentionDeltaOp::verify() {
  auto heads = static_cast<int64_t>(getHeads());
  if (heads <= 0 || columns(getOutput()) % heads)
    return emitOpError() << "expects columns (" << columns(getOutput())
                         << ") to be a multiple of heads (" << heads << ")";
  if (columns(getOutputGradient()) != columns(getOutput()))
    return emitOpError() << "expects a gradient of " << columns(getOutput())
                         << " columns, got " << columns(getOutputGradient());
  return verifyStatistic(*this, "a result", getResult(), heads);
}

Cost KernelAttentionDeltaOp::getCost(StepShape step) {
  Cost cost;
  cost.flops = 2.0 * static_cast<double>(step.tokens * columns(getOutput()));
  cost.activationBytes = rowBytes(getOperands(), step) +
                         rowBytes(getOperation()->getResults(), step);
  return cost;
}

/// Checks what both backward kernels take.
template <typename Op> static LogicalResult verifyBackward(Op op) {
  FailureOr<StateType> values =
      getReadValues(op, op.getKeys(), op.getValues(), op.getPrefix());
  if (failed(values) ||
      failed(verifyEntries(op, op.getEntries(), op.getPrefix())) ||
      failed(verifyAttend(op, op.getQuery(), op.getKeys().getType(), *values,
                          op.getOutputGradient(), op.getHeads())))
    return failure();
  if (failed(verifyStatistic(op, "lse", op.getLse(), op.getHeads())))
    return failure();
  return verifyStatistic(op, "delta", op.getDelta(), op.getHeads());
}

LogicalResult KernelAttentionBackwardQueryOp::verify() {
  if (failed(verifyBackward(*this)))
    return failure();
  if (getQueryGradient().getType() != getQuery().getType())
    return emitOpError() << "expects a result like the queries "
                         << getQuery().getType() << ", got "
                         << getQueryGradient().getType();
  return success();
}

Cost KernelAttentionBackwardQueryOp::getCost(StepShape step) {
  return attendCost(*this, 2, 1, step);
}

/// Checks that a gradient has the rows that a state keeps.
static LogicalResult verifyStateGradient(Operation *op, StringRef name,
                                         Value gradient, StateType state) {
  auto type = cast<RankedTensorType>(gradient.getType());
  if (type.getDimSize(1) != state.getWidth() ||
      type.getElementType() != state.getElementType())
    return op->emitOpError() << "expects the gradient of " << name << " to be "
                             << state.getWidth() << " columns of "
                             << state.getElementType() << ", got " << type;
  return success();
}

/// Checks the gradients of keys and, unless they are columns of them, values.
template <typename Op> static LogicalResult verifyKeptGradients(Op op) {
  if (failed(verifyStateGradient(op, "keys", op.getKeyGradient(),
                                 op.getKeys().getType())))
    return failure();
  if (op.getPrefix().has_value() == (op.getValueGradient() != nullptr))
    return op.emitOpError() << "expects a gradient of the values or a prefix";
  if (op.getPrefix())
    return success();
  return verifyStateGradient(op, "values", op.getValueGradient(),
                             op.getValues().getType());
}

StringRef KernelAttentionBackwardKeysOp::getRowSymbol() {
  return getKeySeq() ? getSeqRows(getKeySeq()) : getRowSymbolOf(getQuery());
}

LogicalResult KernelAttentionBackwardKeysOp::verify() {
  if (failed(verifyBackward(*this)))
    return failure();
  return verifyKeptGradients(*this);
}

Cost KernelAttentionBackwardKeysOp::getCost(StepShape step) {
  return attendCost(*this, 2, 2, step);
}

StringRef AttendBackwardOp::getResultRows(unsigned index) {
  return index > 0 && getKeySeq() ? getSeqRows(getKeySeq())
                                  : getRowSymbolOf(getQuery());
}

LogicalResult AttendBackwardOp::verify() {
  auto heads = static_cast<int64_t>(getHeads());
  FailureOr<StateType> values =
      getReadValues(*this, getKeys(), getValues(), getPrefix());
  if (failed(values) ||
      failed(verifyEntries(*this, getEntries(), getPrefix())) ||
      failed(verifyAttend(*this, getQuery(), getKeys().getType(), *values,
                          getOutput(), heads)))
    return failure();
  if (getOutputGradient().getType() != getOutput().getType())
    return emitOpError() << "expects a gradient of the output's type "
                         << getOutput().getType() << ", got "
                         << getOutputGradient().getType();
  if (getQueryGradient().getType() != getQuery().getType())
    return emitOpError() << "expects a result like the queries "
                         << getQuery().getType() << ", got "
                         << getQueryGradient().getType();
  if (failed(verifyStatistic(*this, "lse", getLse(), heads)))
    return failure();
  return verifyKeptGradients(*this);
}

/// The queries' kernel takes three products for each pair, that of the keys
/// four (arXiv 2205.14135, algorithm 4, without one kernel for both).
Cost AttendBackwardOp::getCost(StepShape step) {
  return attendCost(*this, 4, 3, step);
}
