//===- PlanMemory.cpp - Where the tensors of a step live ------------------===//
//
// Steps are numbered in program order, the launches of a layer once. A tensor
// lives from its definition to its last use; what is read within a run lives
// through the whole run. A kernel that may write over an operand which dies
// there shares its buffer. Buffers are then placed greatest first, each at
// the lowest offset that is free for its lifetime.
//
//===----------------------------------------------------------------------===//
#include "passes/PlanMemory.h"

using namespace ds;

static int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int64_t MemoryPlan::arenaBytes(int64_t tokens, int64_t rows) const {
  return roundUp(tokens, 16) * arenaT + roundUp(rows, 16) * arenaR + 64;
}

int64_t ds::getPackedBytes(WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t layers = weight.getLayers() ? (*weight.getLayers())[1] : 1;
  int64_t size = getElementBytes(type.getElementType());
  if (type.getRank() == 1)
    return layers * roundUp(type.getDimSize(0), 16) * size;
  if (weight.getLayout() == WeightLayout::Raw)
    return layers * type.getNumElements() * size;
  int64_t rows = 0;
  for (int64_t part : weight.getRows())
    rows += weight.getPaired() ? roundUp(part, 16) : part;
  return layers * roundUp(rows, 32) * roundUp(type.getDimSize(1), 32) * size;
}

int64_t MemoryPlan::weightBytes() const {
  int64_t bytes = 0;
  for (WeightOp weight : weights)
    bytes += getPackedBytes(weight);
  return bytes;
}

int64_t MemoryPlan::stateBytesPerToken() const {
  int64_t bytes = 0;
  for (const PlannedState &state : states)
    bytes += state.type.getLayers() * state.type.getShape()[0] *
             roundUp(state.type.getShape()[1], 32) *
             getElementBytes(state.type.getElementType());
  return bytes;
}

namespace {
/// Builds the plan of one entry.
class Planner {
public:
  Planner(ModuleOp module, MemoryPlan &plan)
      : symbols(module), plan(plan) {}
  LogicalResult run(func::FuncOp entry);

private:
  SymbolTable symbols;
  MemoryPlan &plan;
  int64_t now = 0;
  llvm::DenseMap<Value, int64_t> buffers; ///< Of the function being planned.
  llvm::DenseMap<Value, int64_t> states;
  llvm::StringMap<int64_t> weightIds;

  int64_t addBuffer(Value value, StringRef name, bool perRow);
  FailureOr<PlannedStep> planKernel(Operation *op);
  FailureOr<PlannedArg> planArg(Operation *op, Value operand);
  FailureOr<PlannedStep> planRun(RunOp run);
  LogicalResult planBody(RunOp run, func::FuncOp body, PlannedStep &step);
  std::optional<int64_t> reuse(Operation *op, Value result);
  void touch(Value value);
  void place();
};
} // namespace

static bool isLastUse(Operation *op, Value value) {
  for (Operation *user : value.getUsers())
    if (user != op && !user->isBeforeInBlock(op))
      return false;
  return true;
}

int64_t Planner::addBuffer(Value value, StringRef name, bool perRow) {
  auto type = cast<RankedTensorType>(value.getType());
  PlannedBuffer buffer;
  buffer.name = name.str();
  buffer.perRow = perRow;
  buffer.isF32 = type.getElementType().isF32();
  buffer.rowBytes =
      type.getDimSize(1) * getElementBytes(type.getElementType());
  buffer.first = buffer.last = now;
  plan.buffers.push_back(buffer);
  return plan.buffers.size() - 1;
}

void Planner::touch(Value value) {
  auto it = buffers.find(value);
  if (it != buffers.end())
    plan.buffers[it->second].last = now;
}

/// The buffer of an operand that dies at `op` and may be written over.
std::optional<int64_t> Planner::reuse(Operation *op, Value result) {
  auto kernel = cast<KernelInterface>(op);
  for (OpOperand &operand : op->getOpOperands()) {
    auto it = buffers.find(operand.get());
    if (it == buffers.end() || !isLastUse(op, operand.get()) ||
        llvm::count(op->getOperands(), operand.get()) != 1)
      continue;
    if (kernel.canReuseOperand(operand.getOperandNumber(),
                               cast<OpResult>(result).getResultNumber()))
      return it->second;
  }
  return std::nullopt;
}

FailureOr<PlannedArg> Planner::planArg(Operation *op, Value operand) {
  if (auto get = operand.getDefiningOp<GetWeightOp>()) {
    auto [it, added] =
        weightIds.try_emplace(get.getWeight(), plan.weights.size());
    if (added)
      plan.weights.push_back(symbols.lookup<WeightOp>(get.getWeight()));
    return PlannedArg{PlannedArg::Weight, it->second};
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

/// Marks which view each state has.
static void noteView(Operation *op, MemoryPlan &plan,
                     const llvm::DenseMap<Value, int64_t> &states) {
  if (auto attention = dyn_cast<KernelAttentionOp>(op))
    plan.states[states.lookup(attention.getKeys())].key = true;
}

FailureOr<PlannedStep> Planner::planKernel(Operation *op) {
  auto kernel = cast<KernelInterface>(op);
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
  noteView(op, plan, states);
  SmallVector<Value> stateOperands;
  for (Value operand : op->getOperands())
    if (isa<StateType>(operand.getType()))
      stateOperands.push_back(operand);
  size_t state = 0;
  for (Value result : op->getResults()) {
    if (isa<StateType>(result.getType())) {
      states[result] = states.lookup(stateOperands[state++]);
      continue;
    }
    std::optional<int64_t> shared = reuse(op, result);
    int64_t id = shared ? *shared
                        : addBuffer(result, kernel.getKernelName(),
                                    kernel.getRowSymbol() == "R");
    buffers[result] = id;
    plan.buffers[id].last = now;
    step.args.push_back({PlannedArg::Buffer, id});
  }
  return step;
}

LogicalResult Planner::planBody(RunOp run, func::FuncOp body,
                                PlannedStep &step) {
  for (auto [argument, operand] :
       llvm::zip(body.getArguments(), run.getOperands())) {
    if (isa<StateType>(operand.getType()))
      states[argument] = states.lookup(operand);
    else if (isa<RankedTensorType>(operand.getType()))
      buffers[argument] = buffers.lookup(operand);
  }
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
  return success();
}

FailureOr<PlannedStep> Planner::planRun(RunOp run) {
  auto body = symbols.lookup<func::FuncOp>(run.getBody());
  PlannedStep step;
  step.firstLayer = run.getFirst();
  step.layerCount = run.getCount();
  if (!isLastUse(run, run.getOperand(0)))
    return run.emitOpError() << "expects the carried activation to have no "
                             << "later use";
  step.carry = buffers.lookup(run.getOperand(0));
  if (failed(planBody(run, body, step)))
    return failure();
  Operation *terminator = body.getBody().front().getTerminator();
  if (buffers.lookup(terminator->getOperand(0)) != step.carry)
    return body.emitOpError() << "expects the last kernel to write over the "
                              << "carried activation";
  for (Value operand : run.getOperands())
    touch(operand); // Every layer reads them.
  buffers[run.getResult(0)] = step.carry;
  plan.buffers[step.carry].last = now;
  SmallVector<Value> stateOperands;
  for (Value operand : run.getOperands())
    if (isa<StateType>(operand.getType()))
      stateOperands.push_back(operand);
  for (auto [result, operand] :
       llvm::zip(run.getResults().drop_front(), stateOperands))
    states[result] = states.lookup(operand);
  return step;
}

static bool overlap(const PlannedBuffer &a, const PlannedBuffer &b) {
  return a.first <= b.last && b.first <= a.last;
}

void Planner::place() {
  std::vector<PlannedBuffer *> order, placed;
  for (PlannedBuffer &buffer : plan.buffers)
    order.push_back(&buffer);
  llvm::sort(order, [](PlannedBuffer *a, PlannedBuffer *b) {
    return std::make_pair(-a->rowBytes, a) < std::make_pair(-b->rowBytes, b);
  });
  auto offset = [](PlannedBuffer *b) -> int64_t & {
    return b->perRow ? b->offsetR : b->offsetT;
  };
  auto size = [](PlannedBuffer *b) { return roundUp(b->rowBytes, 4); };
  for (PlannedBuffer *buffer : order) {
    std::vector<PlannedBuffer *> rivals;
    for (PlannedBuffer *other : placed)
      if (other->perRow == buffer->perRow && overlap(*other, *buffer))
        rivals.push_back(other);
    llvm::sort(rivals, [&](PlannedBuffer *a, PlannedBuffer *b) {
      return offset(a) < offset(b);
    });
    int64_t at = 0;
    for (PlannedBuffer *rival : rivals)
      if (at + size(buffer) > offset(rival))
        at = std::max(at, offset(rival) + size(rival));
    offset(buffer) = at;
    int64_t &arena = buffer->perRow ? plan.arenaR : plan.arenaT;
    arena = std::max(arena, at + size(buffer));
    placed.push_back(buffer);
  }
  for (PlannedBuffer &buffer : plan.buffers)
    if (buffer.perRow)
      buffer.offsetT = plan.arenaT;
}

LogicalResult Planner::run(func::FuncOp entry) {
  for (BlockArgument argument : entry.getArguments())
    if (auto type = dyn_cast<StateType>(argument.getType())) {
      states[argument] = plan.states.size();
      auto name = entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                     "ds.name");
      plan.states.push_back(
          {name ? name.str() : "state" + std::to_string(plan.states.size()),
           type});
    }
  for (Operation &op : entry.getBody().front()) {
    if (isa<GetWeightOp, func::ReturnOp>(op))
      continue;
    FailureOr<PlannedStep> step = failure();
    if (auto run = dyn_cast<RunOp>(op))
      step = planRun(run);
    else if (isa<KernelInterface>(op))
      step = planKernel(&op);
    else
      return op.emitOpError() << "expects only kernels and runs in an entry";
    if (failed(step))
      return failure();
    plan.program.push_back(std::move(*step));
  }
  Value logits = entry.getBody().front().getTerminator()->getOperand(0);
  plan.logits = buffers.lookup(logits);
  ++now;
  touch(logits);
  if (auto head = logits.getDefiningOp<KernelMatmulOp>()) {
    plan.finalHidden = buffers.lookup(head.getA());
    touch(head.getA());
  }
  place();
  return success();
}

FailureOr<MemoryPlan> ds::planMemory(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function->hasAttr(kEntryAttr))
      continue;
    MemoryPlan plan;
    if (failed(Planner(module, plan).run(function)))
      return failure();
    return plan;
  }
  return module.emitError() << "expects an entry function";
}
