//===- Planner.cpp - Buffers of the kernels of a step --------------------===//
//
// Steps are numbered in program order, the launches of a layer once. A tensor
// lives from its definition to its last use; what is read within a run lives
// through the whole run. A kernel that may write over an operand which dies
// there shares its buffer. What a body returns takes the buffer of its
// activation; where that still lives, a copy is needed. What it returns beside
// is made in its layer of a stack.
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

RowCount Planner::rowsOf(StringRef symbol) const {
  RowCount count = parseRows(symbol);
  if (inWindow && count.rows == BufferRows::Outputs)
    count.rows = BufferRows::Window;
  return count;
}

/// Ints for each token that a routing has: its order, its inverse, and their
/// share of where every expert begins, as a step has at least 16 rows.
static int64_t getRoutingColumns(RoutingType type) {
  return 2 * type.getPicks() + llvm::divideCeil(type.getExperts() + 1, 16);
}

int64_t Planner::addBuffer(Type type, StringRef name, RowCount rows) {
  PlannedBuffer buffer;
  if (auto routing = dyn_cast<RoutingType>(type)) {
    type = RankedTensorType::get(
        {ShapedType::kDynamic, getRoutingColumns(routing)},
        IntegerType::get(type.getContext(), 32));
    rows = {};
  }
  if (auto stack = dyn_cast<StackType>(type)) {
    buffer.layers = stack.getLayers();
    type = stack.getTensor();
  }
  auto tensor = cast<RankedTensorType>(type);
  buffer.name = name.str();
  buffer.rows = rows.rows;
  buffer.element = tensor.getElementType();
  buffer.rowBytes =
      rows.times * tensor.getDimSize(1) * getElementBytes(buffer.element);
  buffer.first = buffer.last = now;
  plan.buffers.push_back(buffer);
  return plan.buffers.size() - 1;
}

/// State of one step: a buffer with a row for each expanded position.
int64_t Planner::addState(StateType type) {
  int64_t columns = type.getShape().back(), heads = type.getWidth() / columns;
  auto row = RankedTensorType::get(
      {ShapedType::kDynamic,
       heads * static_cast<int64_t>(llvm::alignTo(columns, 32))},
      type.getElementType());
  return addBuffer(row, "expanded", {BufferRows::Expanded});
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
      plan.buffers[it->second].layers > 1 ||
      !isa<RankedTensorType>(result.getType()) ||
      !isa<RankedTensorType>(operand.getType()) ||
      getRowSymbolOf(operand) != getRowSymbolOf(result))
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
  if (isa<RoutingType>(result.getType()))
    return std::nullopt;
  if (result == returned &&
      plan.buffers[carry].rowBytes ==
          cast<RankedTensorType>(result.getType()).getDimSize(1) *
              getElementBytes(getElement(result))) {
    bool isRead = llvm::is_contained(op->getOperands(), holder);
    if (isRead ? canTake(op, result, holder) : diesAt(op, holder))
      return carry;
  }
  // Another result may have taken it already.
  ArrayRef<int64_t> taken = results[op];
  for (Value operand : op->getOperands())
    if (canTake(op, result, operand) &&
        !llvm::is_contained(taken, buffers.lookup(operand)))
      return buffers.lookup(operand);
  return std::nullopt;
}

void Planner::planResult(Operation *op, OpResult result, PlannedStep &step) {
  auto kernel = cast<KernelInterface>(op);
  int64_t id;
  if (auto it = kept.find(result); it != kept.end())
    id = it->second;
  else if (std::optional<int64_t> shared = findShared(op, result))
    id = *shared;
  else
    id = addBuffer(result.getType(), kernel.getKernelName(),
                   rowsOf(getRowSymbolOf(result)));
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

FailureOr<int64_t> Planner::findWeight(Operation *read, StringRef name) {
  auto [it, added] = weightIds.try_emplace(name, whole.weights.size());
  if (!added)
    return it->second;
  auto weight = symbols.lookup<WeightOp>(name);
  if (!weight.getLayout())
    return read->emitOpError() << "expects a weight with a layout";
  whole.weights.push_back(weight);
  return it->second;
}

int64_t Planner::findInput(StringRef name, Type element) {
  auto it = llvm::find_if(
      plan.inputs, [&](const PlannedInput &each) { return each.name == name; });
  if (it == plan.inputs.end())
    it = plan.inputs.insert(it, {name.str(), element});
  return it - plan.inputs.begin();
}

/// Returns what kind of a weight's memory `op` names, and the weight.
static std::optional<std::pair<PlannedArg::Kind, StringRef>>
getWeightMemory(Operation *op) {
  if (auto read = dyn_cast_or_null<GetWeightOp>(op))
    return std::make_pair(PlannedArg::Weight, read.getWeight());
  if (auto gradient = dyn_cast_or_null<GetGradientOp>(op))
    return std::make_pair(PlannedArg::Gradient, gradient.getWeight());
  if (auto copy = dyn_cast_or_null<GetCopyOp>(op))
    return std::make_pair(copy.getCopy() == Copy::Master    ? PlannedArg::Master
                          : copy.getCopy() == Copy::Moment1 ? PlannedArg::Moment1
                                                            : PlannedArg::Moment2,
                          copy.getWeight());
  return std::nullopt;
}

/// Returns the name of an entry's argument that the runtime gives, or null.
static StringAttr getInputName(Value operand) {
  auto argument = dyn_cast<BlockArgument>(operand);
  if (!argument || !isa<RankedTensorType>(argument.getType()))
    return {};
  auto entry = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  if (!entry || !entry->hasAttr(kEntryAttr))
    return {};
  return entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kNameAttr);
}

FailureOr<PlannedArg> Planner::planArg(Operation *op, Value operand) {
  Operation *source = operand.getDefiningOp();
  if (auto memory = getWeightMemory(source)) {
    FailureOr<int64_t> id = findWeight(source, memory->second);
    if (failed(id))
      return failure();
    return PlannedArg{memory->first, *id};
  }
  auto input = dyn_cast_or_null<RowInputOp>(source);
  if (!input)
    input = inputs.lookup(operand);
  if (input)
    return PlannedArg{PlannedArg::Input,
                      findInput(input.getName(), getElement(operand))};
  if (auto name = getInputName(operand))
    return PlannedArg{PlannedArg::Input,
                      findInput(name.getValue(), getElement(operand))};
  if (isa_and_nonnull<GetHyperOp>(source))
    return PlannedArg{PlannedArg::Hyper};
  if (isa_and_nonnull<GetPartialsOp>(source))
    return PlannedArg{PlannedArg::Partials};
  if (auto view = dyn_cast_or_null<ViewSeqOp>(source))
    return PlannedArg{PlannedArg::Seq,
                      1 + static_cast<int64_t>(view.getRows())};
  if (isa<SeqType>(operand.getType()))
    return PlannedArg{PlannedArg::Seq};
  if (isa<StateType>(operand.getType()) && !buffers.count(operand))
    return PlannedArg{PlannedArg::State, states.lookup(operand)};
  auto it = buffers.find(operand);
  if (it == buffers.end())
    return op->emitOpError() << "expects operands that kernels made";
  return PlannedArg{PlannedArg::Buffer, it->second};
}

/// Notes in which view a kernel takes a state; all have to agree.
LogicalResult Planner::noteView(Operation *op) {
  auto note = [&](Value state, bool key) -> LogicalResult {
    if (buffers.count(state))
      return success(); // Of this step alone.
    PlannedState &planned = whole.states[states.lookup(state)];
    if (planned.key.value_or(key) != key)
      return op->emitOpError() << "expects state '" << planned.name
                               << "' not to be kept as keys and as values";
    planned.key = key;
    return success();
  };
  if (auto gather = dyn_cast<KernelGatherBlocksOp>(op))
    return note(gather.getState(), false);
  if (auto append = dyn_cast<KernelAppendBlocksOp>(op))
    return note(append.getState(), append.getKeys());
  if (auto sparse = dyn_cast<KernelSparseAttentionOp>(op))
    return success(succeeded(note(sparse.getKeys(), true)) &&
                   succeeded(note(sparse.getValues(), false)));
  auto noteRead = [&](auto attention) {
    if (attention.getPrefix())
      return note(attention.getKeys(), !attention.getEntries());
    return success(succeeded(note(attention.getKeys(), true)) &&
                   succeeded(note(attention.getValues(), false)));
  };
  if (auto attention = dyn_cast<KernelAttentionOp>(op))
    return noteRead(attention);
  if (auto query = dyn_cast<KernelAttentionBackwardQueryOp>(op))
    return noteRead(query);
  if (auto keys = dyn_cast<KernelAttentionBackwardKeysOp>(op))
    return noteRead(keys);
  if (auto select = dyn_cast<KernelSelectTokensOp>(op))
    return note(select.getKeys(), true);
  if (auto scores = dyn_cast<KernelIndexScoresOp>(op))
    return note(scores.getKeys(), true);
  if (auto query = dyn_cast<KernelIndexBackwardQueryOp>(op))
    return note(query.getKeys(), true);
  if (auto keys = dyn_cast<KernelIndexBackwardKeysOp>(op))
    return note(keys.getKeys(), true);
  if (auto share = dyn_cast<KernelEntryShareOp>(op))
    return note(share.getKeys(), false);
  if (auto read = dyn_cast<KernelReadLatentsOp>(op))
    return note(read.getLatents(), true);
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
  SmallVector<Value> olds;
  for (Value operand : op->getOperands())
    if (isa<StateType>(operand.getType()))
      olds.push_back(operand);
  size_t next = 0;
  for (Value result : op->getResults()) {
    if (!isa<StateType>(result.getType()))
      continue;
    Value old = olds[next++];
    if (auto it = buffers.find(old); it != buffers.end())
      buffers[result] = it->second;
    else
      states[result] = states.lookup(old);
  }
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
    if (isa<RankedTensorType, RoutingType>(result.getType()))
      planResult(op, result, step);
  return step;
}

//===----------------------------------------------------------------------===//
// Runs
//===----------------------------------------------------------------------===//

/// Returns whether `op` only names something that kernels take.
static bool isSource(Operation &op) {
  return isa<RowInputOp, GetHyperOp, GetPartialsOp, ViewSeqOp, func::ReturnOp>(
             op) ||
         getWeightMemory(&op);
}

/// Gives the tensors that `body` returns beside the activation their places in
/// the stacks of the run's results, or has them copied there.
void Planner::planStacks(RunOp run, func::FuncOp body) {
  Operation *terminator = body.getBody().front().getTerminator();
  for (OpResult result : run.getResults()) {
    if (!isa<StackType>(result.getType()))
      continue;
    OpOperand &value = terminator->getOpOperand(result.getResultNumber());
    buffers[result] =
        addBuffer(result.getType(), body.getName(),
                  parseRows(getRowSymbolOf(value.get())));
    if (isa<BlockArgument>(value.get()) || value.get() == returned ||
        !kept.try_emplace(value.get(), buffers[result]).second)
      copies.insert(&value);
  }
}

LogicalResult Planner::planBody(RunOp run, func::FuncOp body,
                                PlannedStep &step) {
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
  OpOperand &activation =
      body.getBody().front().getTerminator()->getOpOperand(0);
  returned = activation.get();
  planStacks(run, body);
  if (failed(planProgram(body, step.body)))
    return failure();
  if (buffers.lookup(returned) != carry)
    copies.insert(&activation);
  return success();
}

FailureOr<PlannedStep> Planner::planRun(RunOp run) {
  auto body = symbols.lookup<func::FuncOp>(run.getBody());
  if (body.isExternal())
    return run.emitOpError() << "expects a body that is defined";
  PlannedStep step;
  step.firstLayer = run.getFirst();
  step.layerCount = run.getCount();
  step.reverse = run.getReverse();
  Value input = run.getOperand(0);
  if (!buffers.count(input))
    return run.emitOpError() << "expects an activation that a kernel made";
  if (!diesAt(run, input) || llvm::count(run.getOperands(), input) != 1)
    copies.insert(&run->getOpOperand(0));
  carry = step.carry = buffers.lookup(input);
  if (failed(planBody(run, body, step)))
    return failure();
  for (Value operand : run.getOperands())
    touch(operand); // Every layer reads them.
  for (Value result : run.getResults())
    touch(result); // Every layer may write them.
  carry = -1;
  pinned.clear();
  kept.clear();
  holder = returned = Value();
  buffers[run.getResult(0)] = step.carry;
  results[run].push_back(step.carry);
  plan.buffers[step.carry].last = now;
  passStates(run);
  return step;
}

/// A launch on a weight's memory, once for each of its layers.
/// The first layer of `weight` that a training step has gradients of, and how
/// many there are: without that of a draft head that the objective leaves out.
static std::pair<int64_t, int64_t> getTrainedLayers(ModuleOp module,
                                                    WeightOp weight) {
  int64_t first = (*weight.getLayers())[0], count = (*weight.getLayers())[1];
  int64_t begin = first + count, end = first;
  func::FuncOp train = findEntry(module, kTrainEntry);
  if (!train)
    return {first, count};
  for (RunOp run : train.getOps<RunOp>()) {
    auto body = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
        run, run.getBodyAttr());
    if (llvm::none_of(body.getOps<GetGradientOp>(), [&](GetGradientOp op) {
          return op.getWeight() == weight.getSymName();
        }))
      continue;
    auto from = static_cast<int64_t>(run.getFirst());
    begin = std::min(begin, from);
    end = std::max(end, from + static_cast<int64_t>(run.getCount()));
  }
  return begin < end ? std::pair(begin, end - begin) : std::pair(first, count);
}

FailureOr<PlannedStep> Planner::planUpdate(Operation *op) {
  FailureOr<PlannedStep> launch = planKernel(op);
  if (failed(launch))
    return failure();
  Operation *source = op->getOperand(0).getDefiningOp();
  auto memory = getWeightMemory(source);
  if (!memory)
    return op->emitOpError() << "expects the memory of a weight";
  auto weight = symbols.lookup<WeightOp>(memory->second);
  launch->rows = getTrainedRows(weight) *
                 static_cast<int64_t>(weight.getStack().value_or(1));
  if (!weight.getLayers())
    return launch;
  PlannedStep loop;
  std::tie(loop.firstLayer, loop.layerCount) = getTrainedLayers(module, weight);
  loop.body.push_back(std::move(*launch));
  return loop;
}

/// What a window's body returns is a window of the run's result.
FailureOr<PlannedStep> Planner::planWindows(RunRowsOp run) {
  auto body = symbols.lookup<func::FuncOp>(run.getBody());
  if (body.isExternal())
    return run.emitOpError() << "expects a body that is defined";
  PlannedStep step;
  step.window = kWindowRows;
  for (auto [argument, operand] :
       llvm::zip(body.getArguments(), run.getOperands())) {
    auto it = buffers.find(operand);
    if (it != buffers.end())
      buffers[argument] = it->second;
    else if (auto input = operand.getDefiningOp<RowInputOp>())
      inputs[argument] = input;
    else
      return run.emitOpError() << "expects operands that kernels made";
    if (it != buffers.end())
      pinned.insert(it->second);
  }
  Operation *terminator = body.getBody().front().getTerminator();
  for (auto [value, result] :
       llvm::zip(terminator->getOpOperands(), run.getResults())) {
    int64_t id =
        addBuffer(result.getType(), body.getName(), {BufferRows::Outputs});
    buffers[result] = id;
    results[run].push_back(id);
    if (isa<BlockArgument>(value.get()) ||
        !kept.try_emplace(value.get(), id).second)
      copies.insert(&value);
  }
  inWindow = true;
  LogicalResult planned = planProgram(body, step.body);
  inWindow = false;
  pinned.clear();
  kept.clear();
  for (Value operand : run.getOperands())
    touch(operand); // Every window reads them.
  for (Value result : run.getResults())
    touch(result);
  if (failed(planned))
    return failure();
  return step;
}

LogicalResult Planner::planProgram(func::FuncOp function,
                                   std::vector<PlannedStep> &program) {
  for (Operation &op : function.getBody().front()) {
    if (isSource(op))
      continue;
    if (auto state = dyn_cast<NewStateOp>(op)) {
      buffers[state] = addState(state.getType());
      continue;
    }
    FailureOr<PlannedStep> step = failure();
    if (auto run = dyn_cast<RunOp>(op))
      step = planRun(run);
    else if (auto windows = dyn_cast<RunRowsOp>(op))
      step = planWindows(windows);
    else if (isa<KernelAdamwOp, KernelSquareSumOp, KernelBalanceStepOp>(op))
      step = planUpdate(&op);
    else if (isa<KernelInterface>(op))
      step = planKernel(&op);
    else
      return op.emitOpError() << "expects only kernels and runs of bodies";
    if (failed(step))
      return failure();
    program.push_back(std::move(*step));
  }
  return success();
}
