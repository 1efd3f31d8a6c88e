//===- Attention.cpp - Verifiers and costs of rope, append, attend --------===//
#include "dialect/Dialect.h"

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
  if (rope && rope.getDims() > width / heads)
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

LogicalResult AttendOp::verify() {
  return verifyAttend(*this, getQuery(), getKeys().getType(),
                      getValues().getType(), getResult(), getHeads());
}

/// Queries of a step see `cached` keys, fewer within the step itself.
static Cost attendCost(Value query, StateType keys, StateType values,
                       int64_t heads, StepShape step) {
  Cost cost;
  double perSequence = static_cast<double>(step.tokens) / step.sequences;
  double seen = static_cast<double>(step.cached) - (perSequence - 1) / 2;
  double dims = static_cast<double>(keys.getShape()[1] + values.getShape()[1]);
  double size = getElementBytes(keys.getElementType());
  cost.flops = 2.0 * static_cast<double>(step.tokens * heads) * seen * dims;
  cost.stateBytes = static_cast<double>(step.sequences * step.cached) *
                    static_cast<double>(keys.getWidth() + values.getWidth()) *
                    size;
  cost.activationBytes =
      static_cast<double>(step.tokens * heads) * dims *
      getElementBytes(cast<RankedTensorType>(query.getType()).getElementType());
  return cost;
}

Cost AttendOp::getCost(StepShape step) {
  return attendCost(getQuery(), getKeys().getType(), getValues().getType(),
                    getHeads(), step);
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
  return verifyAttend(*this, getQuery(), getKeys().getType(),
                      getValues().getType(), getResult(), getHeads());
}

Cost KernelAttentionOp::getCost(StepShape step) {
  return attendCost(getQuery(), getKeys().getType(), getValues().getType(),
                    getHeads(), step);
}
