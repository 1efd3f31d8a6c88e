//===- Planner.h - Builds the memory plan of one entry ----------*- C++ -*-===//
#ifndef DS_PASSES_PLANNER_H
#define DS_PASSES_PLANNER_H
#include "passes/PlanMemory.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace ds {

/// Builds the plan of one entry.
class Planner {
public:
  Planner(ModuleOp module, MemoryPlan &plan)
      : module(module), symbols(module), plan(plan) {}
  LogicalResult run(func::FuncOp entry);

  /// Bodies and runs whose activation has to be copied: before the return, or
  /// before the run.
  llvm::SetVector<Operation *> copies;
  /// Buffers of an operation's tensor result, one for each time that its
  /// function runs.
  llvm::MapVector<Operation *, SmallVector<int64_t>> results;

private:
  ModuleOp module;
  SymbolTable symbols;
  MemoryPlan &plan;
  int64_t now = 0;
  DenseMap<Value, int64_t> buffers; ///< Of the functions planned so far.
  DenseMap<Value, int64_t> states;
  llvm::StringMap<int64_t> weightIds;
  /// Within a body: the buffer of its activation and the value that holds it,
  /// and the value that the body returns.
  int64_t carry = -1;
  Value holder, returned;
  llvm::SmallDenseSet<int64_t> pinned; ///< What other layers read.

  LogicalResult checkModule();
  LogicalResult planStates(func::FuncOp entry);
  int64_t addBuffer(Value value, StringRef name, bool perRow);
  FailureOr<PlannedStep> planKernel(Operation *op);
  FailureOr<PlannedArg> planArg(Operation *op, Value operand);
  FailureOr<int64_t> findWeight(GetWeightOp read);
  LogicalResult noteView(Operation *op);
  FailureOr<PlannedStep> planRun(RunOp run);
  LogicalResult planBody(RunOp run, func::FuncOp body, PlannedStep &step);
  void planResult(Operation *op, OpResult result, PlannedStep &step);
  void passStates(Operation *op);
  std::optional<int64_t> findShared(Operation *op, OpResult result);
  bool canTake(Operation *op, OpResult result, Value operand);
  void planOutputs(func::FuncOp entry);
  void touch(Value value);
};

} // namespace ds
#endif
