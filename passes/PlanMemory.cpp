//===- PlanMemory.cpp - Where the tensors of a step live ------------------===//
#include "passes/PlanMemory.h"
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

LogicalResult Planner::checkModule() {
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

LogicalResult Planner::planStates(func::FuncOp entry) {
  for (BlockArgument argument : entry.getArguments()) {
    auto type = dyn_cast<StateType>(argument.getType());
    if (!type)
      continue;
    if (type.getShape().size() > 2)
      return entry.emitOpError()
             << "expects states of shape [heads, dims] or [dims], got " << type;
    auto name =
        entry.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kNameAttr);
    states[argument] = plan.states.size();
    plan.states.push_back(
        {name ? name.str() : "state" + std::to_string(plan.states.size()), type,
         std::nullopt});
  }
  return success();
}

/// What the runtime reads after the step lives to its end.
void Planner::planOutputs(func::FuncOp entry) {
  Operation *terminator = entry.getBody().front().getTerminator();
  if (terminator->getNumOperands() == 0)
    return;
  Value logits = terminator->getOperand(0);
  auto it = buffers.find(logits);
  if (it == buffers.end())
    return;
  plan.logits = it->second;
  ++now;
  touch(logits);
  if (auto head = logits.getDefiningOp<KernelMatmulOp>()) {
    plan.finalHidden = buffers.lookup(head.getA());
    touch(head.getA());
  }
}

LogicalResult Planner::run(func::FuncOp entry) {
  if (failed(checkModule()) || failed(planStates(entry)))
    return failure();
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
  planOutputs(entry);
  if (plan.logits < 0)
    return entry.emitOpError() << "expects the entry to return logits first";
  plan.place();
  return success();
}

static FailureOr<func::FuncOp> findInfer(ModuleOp module) {
  if (func::FuncOp entry = ds::findEntry(module, kInferEntry))
    return entry;
  return module.emitError() << "expects an entry function";
}

FailureOr<MemoryPlan> ds::planMemory(ModuleOp module) {
  FailureOr<func::FuncOp> entry = findInfer(module);
  MemoryPlan plan;
  if (failed(entry))
    return failure();
  Planner planner(module, plan);
  if (failed(planner.run(*entry)))
    return failure();
  if (!planner.copies.empty())
    return planner.copies.front()->emitOpError()
           << "expects the activation to be free for what the body returns";
  const PlannedBuffer &logits = plan.buffers[plan.logits];
  if (!logits.perRow || !logits.isF32)
    return entry->emitOpError()
           << "expects to return f32 logits of the rows that ds.select_rows "
           << "chooses";
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
  auto copy = KernelElementwiseOp::create(builder, op->getLoc(), type, name,
                                          ValueRange{value});
  RegionBuilder region(copy.getBody(), type.getElementType(), op->getLoc());
  region.yield(region.argument(0));
  return copy.getResult(0);
}

/// Copies the activation where it has to be: of a run before the run, of a
/// body before it returns.
static void insertCopy(Operation *op) {
  Operation *user = op;
  if (auto body = dyn_cast<func::FuncOp>(op))
    user = body.getBody().front().getTerminator();
  user->setOperand(0, copyBefore(user, user->getOperand(0)));
}

static void recordPlan(ModuleOp module, const MemoryPlan &plan,
                       const Planner &planner) {
  Builder builder(module.getContext());
  SmallVector<Attribute> buffers;
  for (const PlannedBuffer &buffer : plan.buffers)
    buffers.push_back(BufferAttr::get(
        module.getContext(), buffer.name, buffer.perRow ? "R" : "T",
        buffer.rowBytes,
        buffer.isF32 ? Type(builder.getF32Type()) : builder.getBF16Type(),
        buffer.offsetT, buffer.offsetR, 0));
  module->setAttr(kBuffersAttr, builder.getArrayAttr(buffers));
  module->setAttr(kArenaAttr, ArenaAttr::get(module.getContext(), plan.arenaT,
                                             plan.arenaR, kArenaPadding));
  for (auto &[op, ids] : planner.results)
    op->setAttr(kBufferAttr, builder.getDenseI64ArrayAttr(ids));
}

namespace {
struct PlanMemory : ds::impl::PlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    FailureOr<func::FuncOp> entry = findInfer(getOperation());
    // A copy may free a buffer for another use, never take one away.
    while (succeeded(entry)) {
      MemoryPlan plan;
      Planner planner(getOperation(), plan);
      if (failed(planner.run(*entry)))
        break;
      if (planner.copies.empty()) {
        buffers += plan.buffers.size();
        return recordPlan(getOperation(), plan, planner);
      }
      llvm::for_each(planner.copies, insertCopy);
      copies += planner.copies.size();
    }
    signalPassFailure();
  }
};
} // namespace
