//===- FormHeads.h - Kernels that move heads --------------------*- C++ -*-===//
#ifndef DS_PASSES_FORMHEADS_H
#define DS_PASSES_FORMHEADS_H
#include "dialect/Dialect.h"
#include "llvm/ADT/MapVector.h"

namespace ds {

/// Rope angles by function: computed in the entry, passed to bodies.
class AnglesTable {
public:
  /// Finds the ropes of all functions, computes their angles at the beginning
  /// of functions that nothing runs and gives bodies one argument for each,
  /// after the sequences.
  explicit AnglesTable(ModuleOp module);

  /// Returns the angles of `rope` for code at `op`. Without a rope, where
  /// nothing turns but a kernel has the operand, any rope of the function.
  std::pair<RopeAttr, Value> find(Operation *op, RopeAttr rope = {});

private:
  using Ropes = llvm::MapVector<RopeAttr, Value>;
  DenseMap<Operation *, Ropes> functions;

  void collect(func::FuncOp function);
  void computeIn(func::FuncOp function);
  void passTo(func::FuncOp body, ArrayRef<RunOp> runs);
};

/// Makes kernels of rope, append, rope_append and of slices of columns.
void formHeads(ModuleOp module);

} // namespace ds
#endif
