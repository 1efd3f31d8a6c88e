//===- Planner.cpp - Buffers of the kernels of a step --------------------===//
//
// Steps are numbered in program order, the launches of a layer once. A tensor
// lives from its definition to its last use; what is read within a run lives
// through the whole run. A kernel that may write over an operand which dies
// there shares its buffer. What a body returns takes the buffer of its
// activation; where that still lives, a copy is needed.
//
//===----------------------------------------------------------------------===//
#include "passes/Planner.h"
#include "passes/Regions.h"

using namespace ds;

/// Returns whether nothing reads `value` after `op`.
static bool diesAt(Operation *op, Value value) {
  return llvm::all_of(value.getUsers(), [&](Operation *user) {
    return user == op || user->isBeforeInBlock(op);
  });
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

int64_t Planner::addBuffer(Value value, StringRef name, bool perRow) {
  auto type = cast<RankedTensorType>(value.getType());
  PlannedBuffer buffer;
  buffer.name = name.str();
  buffer.perRow = perRow;
  buffer.isF32 = type.getElementType().isF32();
  buffer.rowBytes = type.getDimSize(1) * getElementBytes(type.getElementType());
  buffer.first = buffer.last = now;
  plan.buffers.push_back(buffer);
  return plan.buffers.size() - 1;
}

void Planner::touch(Value value) {
  auto it = buffers.find(value);
  if (it != buffers.end())
    plan.buffers[it->second].last = now;
}

/// Returns whether `result` may be written over `operand`, which dies at `op`.
bool Planner::canTake(Operation *op, OpResult result, Value operand) {
  auto kernel = cast<KernelInterface>(op);
  auto it = buffers.find(operand);
  if (it == buffers.end() || pinned.contains(it->second) ||
      plan.buffers[it->second].perRow != (kernel.getRowSymbol() == "R"))
    return false;
  // Operands that stand for the same memory must all allow it.
  for (OpOperand &use : op->getOpOperands()) {
    auto other = buffers.find(use.get());
    if (other != buffers.end() && other->second == it->second &&
        (!diesAt(op, use.get()) ||
         !kernel.canReuseOperand(use.getOperandNumber(),
                                 result.getResultNumber())))
      return false;
  }
  return true;
}

/// Returns the buffer of an operand that `result` may be written over. What a
/// body returns asks for the activation's first.
std::optional<int64_t> Planner::findShared(Operation *op, OpResult result) {
  if (result == returned &&
      plan.buffers[carry].rowBytes ==
          cast<RankedTensorType>(result.getType()).getDimSize(1) *
              getElementBytes(getElement(result))) {
    bool isRead = llvm::is_contained(op->getOperands(), holder);
    if (isRead ? canTake(op, result, holder) : diesAt(op, holder))
      return carry;
  }
  for (Value operand : op->getOperands())
    if (canTake(op, result, operand))
      return buffers.lookup(operand);
  return std::nullopt;
}

void Planner::planResult(Operation *op, OpResult result, PlannedStep &step) {
  auto kernel = cast<KernelInterface>(op);
  std::optional<int64_t> shared = findShared(op, result);
  int64_t id = shared ? *shared
                      : addBuffer(result, kernel.getKernelName(),
                                  kernel.getRowSymbol() == "R");
  buffers[result] = id;
  results[op].push_back(id);
  plan.buffers[id].last = now;
  if (id == carry)
    holder = result;
  step.args.push_back({PlannedArg::Buffer, id});
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

FailureOr<int64_t> Planner::findWeight(GetWeightOp read) {
  auto [it, added] =
      weightIds.try_emplace(read.getWeight(), plan.weights.size());
  if (!added)
    return it->second;
  auto weight = symbols.lookup<WeightOp>(read.getWeight());
  if (!weight.getLayout())
    return read.emitOpError() << "expects a weight with a layout";
  plan.weights.push_back(weight);
  return it->second;
}

FailureOr<PlannedArg> Planner::planArg(Operation *op, Value operand) {
  if (auto read = operand.getDefiningOp<GetWeightOp>()) {
    FailureOr<int64_t> id = findWeight(read);
    if (failed(id))
      return failure();
    return PlannedArg{PlannedArg::Weight, *id};
  }
  if (isa<SeqType>(operand.getType()))
    return PlannedArg{PlannedArg::Seq};
  if (isa<StateType>(operand.getType()))
    return PlannedArg{PlannedArg::State, states.lookup(operand)};
  auto it = buffers.find(operand);
  if (it == buffers.end())
    return op->emitOpError() << "expects operands that kernels made";
  return PlannedArg{PlannedArg::Buffer, it->second};
}

/// Notes in which view a kernel takes a state; all have to agree.
LogicalResult Planner::noteView(Operation *op) {
  auto note = [&](Value state, bool key) -> LogicalResult {
    PlannedState &planned = plan.states[states.lookup(state)];
    if (planned.key.value_or(key) != key)
      return op->emitOpError() << "expects state '" << planned.name
                               << "' not to be kept as keys and as values";
    planned.key = key;
    return success();
  };
  if (auto attention = dyn_cast<KernelAttentionOp>(op))
    return success(succeeded(note(attention.getKeys(), true)) &&
                   succeeded(note(attention.getValues(), false)));
  auto heads = dyn_cast<KernelHeadsOp>(op);
  if (!heads)
    return success();
  size_t next = 0;
  for (SegmentAttr segment : heads.getSegments().getAsRange<SegmentAttr>())
    if (segment.getDest() != SegmentDest::Result &&
        failed(note(heads.getStates()[next++],
                    segment.getDest() == SegmentDest::Key)))
      return failure();
  return success();
}

/// A state result is the same memory as the state operand in its place.
void Planner::passStates(Operation *op) {
  SmallVector<int64_t> ids;
  for (Value operand : op->getOperands())
    if (isa<StateType>(operand.getType()))
      ids.push_back(states.lookup(operand));
  size_t next = 0;
  for (Value result : op->getResults())
    if (isa<StateType>(result.getType()))
      states[result] = ids[next++];
}

FailureOr<PlannedStep> Planner::planKernel(Operation *op) {
  PlannedStep step;
  step.kernel = op;
  ++now;
  for (Value operand : op->getOperands()) {
    FailureOr<PlannedArg> arg = planArg(op, operand);
    if (failed(arg))
      return failure();
    step.args.push_back(*arg);
    touch(operand);
  }
  if (failed(noteView(op)))
    return failure();
  passStates(op);
  for (OpResult result : op->getResults())
    if (isa<RankedTensorType>(result.getType()))
      planResult(op, result, step);
  return step;
}

//===----------------------------------------------------------------------===//
// Runs
//===----------------------------------------------------------------------===//

LogicalResult Planner::planBody(RunOp run, func::FuncOp body,
                                PlannedStep &step) {
  pinned.clear();
  for (auto [argument, operand] :
       llvm::zip(body.getArguments(), run.getOperands())) {
    if (isa<StateType>(operand.getType())) {
      states[argument] = states.lookup(operand);
      continue;
    }
    auto it = buffers.find(operand);
    if (it == buffers.end())
      continue;
    buffers[argument] = it->second;
    if (argument.getArgNumber() > 0)
      pinned.insert(it->second);
  }
  holder = body.getArgument(0);
  returned = body.getBody().front().getTerminator()->getOperand(0);
  for (Operation &op : body.getBody().front()) {
    if (isa<GetWeightOp, func::ReturnOp>(op))
      continue;
    if (!isa<KernelInterface>(op))
      return op.emitOpError() << "expects only kernels in a layer body";
    FailureOr<PlannedStep> launch = planKernel(&op);
    if (failed(launch))
      return failure();
    step.body.push_back(*launch);
  }
  if (buffers.lookup(returned) != carry)
    copies.insert(body);
  return success();
}

FailureOr<PlannedStep> Planner::planRun(RunOp run) {
  auto body = symbols.lookup<func::FuncOp>(run.getBody());
  if (body.isExternal())
    return run.emitOpError() << "expects a body that is defined";
  PlannedStep step;
  step.firstLayer = run.getFirst();
  step.layerCount = run.getCount();
  Value input = run.getOperand(0);
  if (!buffers.count(input))
    return run.emitOpError() << "expects an activation that a kernel made";
  if (!diesAt(run, input) || llvm::count(run.getOperands(), input) != 1)
    copies.insert(run);
  carry = step.carry = buffers.lookup(input);
  if (failed(planBody(run, body, step)))
    return failure();
  for (Value operand : run.getOperands())
    touch(operand); // Every layer reads them.
  carry = -1;
  pinned.clear();
  holder = returned = Value();
  buffers[run.getResult(0)] = step.carry;
  results[run].push_back(step.carry);
  plan.buffers[step.carry].last = now;
  passStates(run);
  return step;
}
