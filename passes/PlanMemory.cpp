//===- PlanMemory.cpp - Where the tensors of a step live ------------------===//
#include "passes/PlanMemory.h"
#include "dialect/ValueNames.h"
#include "passes/Passes.h"
#include "passes/Planner.h"
#include "passes/Regions.h"
#include "llvm/Support/FormatVariadic.h"

namespace ds {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

static LogicalResult checkModule(ModuleOp module) {
  auto expects = [&](StringRef name, StringRef what) {
    return module.emitError()
           << "expects module attribute '" << name << "' to be " << what;
  };
  if (!module->getAttrOfType<StringAttr>(kModelAttr))
    return expects(kModelAttr, "the model's name");
  if (!module->getAttrOfType<TypeAttr>(kComputeAttr))
    return expects(kComputeAttr, "bf16 or f32");
  if (!module->getAttrOfType<DictionaryAttr>(kConfigAttr))
    return expects(kConfigAttr, "a dictionary");
  return success();
}

/// Entries share states by name.
LogicalResult Planner::planStates(func::FuncOp entry) {
  int64_t index = 0;
  for (BlockArgument argument : entry.getArguments()) {
    auto type = dyn_cast<StateType>(argument.getType());
    if (!type)
      continue;
    if (type.getShape().size() > 2)
      return entry.emitOpError()
             << "expects states of shape [heads, dims] or [dims], got " << type;
    auto attr =
        entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kNameAttr);
    std::string name =
        attr ? attr.getValue().str() : "state" + std::to_string(index);
    ++index;
    plan.stride = std::max(plan.stride, type.getStride());
    auto it = llvm::find_if(whole.states, [&](const PlannedState &each) {
      return each.name == name;
    });
    if (it == whole.states.end())
      it = whole.states.insert(
          it, {name, type, std::nullopt, plan.name == kDraftEntry});
    if (it->type != type)
      return entry.emitOpError() << "expects state '" << name << "' to be "
                                 << it->type << " in all entries, got " << type;
    states[argument] = it - whole.states.begin();
  }
  return success();
}

/// What the runtime reads after the step lives to its end.
int64_t Planner::keepOutput(Value value) {
  touch(value);
  auto it = buffers.find(value);
  return it == buffers.end() ? -1 : it->second;
}

LogicalResult Planner::planOutputs(func::FuncOp entry) {
  Operation *terminator = entry.getBody().front().getTerminator();
  ValueRange values = terminator->getOperands();
  ++now;
  if (plan.name == kInferEntry || plan.name == kDraftEntry) {
    plan.logits = values.empty() ? -1 : keepOutput(values[0]);
    if (plan.logits < 0)
      return entry.emitOpError() << "expects the entry to return logits first";
    if (values.size() > 1 && isa<RankedTensorType>(values[1].getType()))
      plan.finalHidden = keepOutput(values[1]);
    else if (auto head = values[0].getDefiningOp<KernelMatmulOp>())
      plan.finalHidden = keepOutput(head.getA());
  }
  if (plan.name == kLogProbEntry)
    plan.logProb = values.empty() ? -1 : keepOutput(values[0]);
  if (plan.name == kTrainEntry) {
    plan.loss = values.size() < 2 ? -1 : keepOutput(values[0]);
    plan.logProb = values.size() < 2 ? -1 : keepOutput(values[1]);
    if (plan.loss < 0 || plan.logProb < 0)
      return entry.emitOpError() << "expects the entry to return losses and "
                                 << "log-probabilities first";
    return planTerms(entry, values);
  }
  return success();
}

/// Terms of the loss are the last results.
LogicalResult Planner::planTerms(func::FuncOp entry, ValueRange values) {
  auto names = entry->getAttrOfType<ArrayAttr>(kAuxiliaryAttr);
  if (!names)
    return success();
  if (names.size() + 2 > values.size())
    return entry.emitOpError() << "expects a result for each of "
                               << names.size() << " terms of the loss";
  for (auto [name, value] :
       llvm::zip(names, values.take_back(names.size()))) {
    int64_t buffer = keepOutput(value);
    if (buffer < 0 || plan.buffers[buffer].rows != BufferRows::Tokens ||
        plan.buffers[buffer].rowBytes != 4)
      return entry.emitOpError() << "expects term " << name
                                 << " of the loss to be f32 [T, 1]";
    plan.auxiliary.push_back({cast<StringAttr>(name).str(), buffer});
  }
  return success();
}

/// Checks that what the runtime reads has a value for each wanted row.
static LogicalResult checkOutputs(func::FuncOp entry, const EntryPlan &plan) {
  auto isOutput = [&](int64_t id) {
    return id < 0 || (plan.buffers[id].element.isF32() &&
                      plan.buffers[id].rows == BufferRows::Outputs);
  };
  if (!isOutput(plan.logits))
    return entry.emitOpError() << "expects to return f32 logits of the rows "
                               << "that ds.select_rows chooses";
  if (plan.name == kDraftEntry &&
      (plan.finalHidden < 0 ||
       plan.buffers[plan.finalHidden].rows != BufferRows::Tokens))
    return entry.emitOpError() << "expects to return hidden rows of all tokens "
                               << "after the logits";
  if (!isOutput(plan.loss) || !isOutput(plan.logProb))
    return entry.emitOpError() << "expects to return f32 losses and "
                               << "log-probabilities of the rows that "
                               << "ds.select_rows chooses";
  return success();
}

LogicalResult Planner::run(func::FuncOp entry) {
  plan = EntryPlan();
  plan.name = entry->getAttrOfType<StringAttr>(kEntryAttr).getValue().str();
  now = 0;
  results.clear();
  if (failed(planStates(entry)) || failed(planProgram(entry, plan.program)) ||
      failed(planOutputs(entry)))
    return failure();
  plan.place();
  whole.entries.push_back(plan);
  return success();
}

/// The module's entries in the order of the plan.
static FailureOr<SmallVector<func::FuncOp>> findEntries(ModuleOp module) {
  if (failed(checkModule(module)))
    return failure();
  SmallVector<func::FuncOp> entries;
  for (StringRef name :
       {kInferEntry, kDraftEntry, kLogProbEntry, kTrainEntry, kUpdateEntry})
    if (func::FuncOp entry = findEntry(module, name))
      entries.push_back(entry);
  if (entries.empty())
    return module.emitError() << "expects an entry function";
  return entries;
}

FailureOr<MemoryPlan> ds::planMemory(ModuleOp module) {
  FailureOr<SmallVector<func::FuncOp>> entries = findEntries(module);
  if (failed(entries))
    return failure();
  MemoryPlan plan;
  Planner planner(module, plan);
  for (func::FuncOp entry : *entries)
    if (failed(planner.run(entry)) ||
        failed(checkOutputs(entry, plan.entries.back())))
      return failure();
  if (!planner.copies.empty())
    return planner.copies.front()->getOwner()->emitOpError()
           << "expects a buffer of its own for operand "
           << planner.copies.front()->getOperandNumber();
  return plan;
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

/// Copies a matrix before `op`.
static Value copyBefore(Operation *op, Value value) {
  OpBuilder builder(op);
  auto type = cast<RankedTensorType>(value.getType());
  std::string name = llvm::formatv(
      "elementwise_copy_{0}_{1}_{2}", getRowSymbolOf(value),
      type.getElementType().isF32() ? "f32" : "bf16", type.getDimSize(1));
  Location loc = getPlace(op->getLoc());
  auto copy = KernelElementwiseOp::create(builder, loc, type, name,
                                          ValueRange{value});
  RegionBuilder region(copy.getBody(), type.getElementType(), loc);
  region.yield(region.argument(0));
  return copy.getResult(0);
}

/// Makes `operand` a copy: an argument as its function begins, anything else
/// before the operation.
static void insertCopy(OpOperand *operand) {
  Operation *place = operand->getOwner();
  if (isa<BlockArgument>(operand->get()) && isa<func::ReturnOp>(place))
    place = &place->getBlock()->front();
  operand->set(copyBefore(place, operand->get()));
}

static void recordPlan(func::FuncOp entry, const EntryPlan &plan,
                       const Planner &planner) {
  MLIRContext *context = entry.getContext();
  Builder builder(context);
  auto getBytes = [&](const LinearBytes &bytes) {
    return BytesAttr::get(context, bytes.per[0], bytes.per[1], bytes.constant,
                          bytes.per[2], bytes.per[3], bytes.per[4],
                          bytes.per[5]);
  };
  SmallVector<Attribute> buffers;
  for (const PlannedBuffer &buffer : plan.buffers)
    buffers.push_back(BufferAttr::get(
        context, buffer.name, stringifyRows(buffer.rows), buffer.rowBytes,
        buffer.layers, buffer.element, getBytes(buffer.offset)));
  entry->setAttr(kBuffersAttr, builder.getArrayAttr(buffers));
  LinearBytes arena = plan.arena;
  arena.constant += kArenaPadding;
  entry->setAttr(kArenaAttr, getBytes(arena));
  for (auto &[op, ids] : planner.results)
    op->setAttr(kBufferAttr, builder.getDenseI64ArrayAttr(ids));
}

namespace {
struct PlanMemory : ds::impl::PlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    FailureOr<SmallVector<func::FuncOp>> entries = findEntries(getOperation());
    if (failed(entries))
      return signalPassFailure();
    // A copy may free a buffer for another use, never take one away.
    while (true) {
      MemoryPlan plan;
      Planner planner(getOperation(), plan);
      for (func::FuncOp entry : *entries) {
        if (failed(planner.run(entry)))
          return signalPassFailure();
        if (planner.copies.empty())
          recordPlan(entry, plan.entries.back(), planner);
      }
      if (planner.copies.empty()) {
        for (const EntryPlan &entry : plan.entries)
          buffers += entry.buffers.size();
        return;
      }
      // What a stack keeps of an activation first: the activation may then do
      // without a copy.
      bool keeps = llvm::any_of(planner.copies, [](OpOperand *operand) {
        return operand->getOperandNumber() > 0;
      });
      for (OpOperand *operand : planner.copies)
        if (!keeps || operand->getOperandNumber() > 0) {
          insertCopy(operand);
          ++copies;
        }
    }
  }
};
} // namespace
