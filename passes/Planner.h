//===- Planner.h - Builds the memory plan of entries ----------*- C++ -*-===//
#ifndef DS_PASSES_PLANNER_H
#define DS_PASSES_PLANNER_H
#include "passes/PlanMemory.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace ds {

/// Builds the plans of a module's entries, one after the other.
class Planner {
public:
  Planner(ModuleOp module, MemoryPlan &plan)
      : module(module), symbols(module), whole(plan) {}
  /// Plans `entry`, the next of the module's.
  LogicalResult run(func::FuncOp entry);

  /// Operands that have to be copied before their operation, so that the copy
  /// has a buffer of its own.
  llvm::SetVector<OpOperand *> copies;
  /// Of the last entry: buffers of an operation's tensor results, one for each
  /// time that its function runs.
  llvm::MapVector<Operation *, SmallVector<int64_t>> results;

private:
  ModuleOp module;
  SymbolTable symbols;
  MemoryPlan &whole;
  EntryPlan plan; ///< Of the entry at hand.
  int64_t now = 0;
  DenseMap<Value, int64_t> buffers; ///< Of the functions planned so far.
  DenseMap<Value, int64_t> states;
  DenseMap<Value, RowInputOp> inputs; ///< Arguments of windows.
  llvm::StringMap<int64_t> weightIds;
  /// Within a body: the buffer of its activation and the value that holds it,
  /// and the value that the body returns.
  int64_t carry = -1;
  Value holder, returned;
  llvm::SmallDenseSet<int64_t> pinned; ///< What other layers read.
  llvm::SmallDenseMap<Value, int64_t> kept; ///< Layers of a stack, by value.
  bool inWindow = false;

  LogicalResult planStates(func::FuncOp entry);
  LogicalResult planProgram(func::FuncOp function,
                            std::vector<PlannedStep> &program);
  int64_t addBuffer(Type type, StringRef name, RowCount rows);
  int64_t addState(StateType type);
  RowCount rowsOf(StringRef symbol) const;
  FailureOr<PlannedStep> planKernel(Operation *op);
  FailureOr<PlannedArg> planArg(Operation *op, Value operand);
  FailureOr<int64_t> findWeight(Operation *read, StringRef name);
  int64_t findInput(StringRef name, Type element);
  LogicalResult noteView(Operation *op);
  FailureOr<PlannedStep> planRun(RunOp run);
  FailureOr<PlannedStep> planWindows(RunRowsOp run);
  FailureOr<PlannedStep> planUpdate(Operation *op);
  LogicalResult planBody(RunOp run, func::FuncOp body, PlannedStep &step);
  void planStacks(RunOp run, func::FuncOp body);
  void planResult(Operation *op, OpResult result, PlannedStep &step);
  void passStates(Operation *op);
  std::optional<int64_t> findShared(Operation *op, OpResult result);
  bool canTake(Operation *op, OpResult result, Value operand);
  LogicalResult planOutputs(func::FuncOp entry);
  LogicalResult planTerms(func::FuncOp entry, ValueRange values);
  int64_t keepOutput(Value value);
  void touch(Value value);
};

} // namespace ds
#endif
