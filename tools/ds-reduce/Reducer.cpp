//===- Reducer.cpp - Makes a module smaller that still shows a fault ------===//
#include "tools/ds-reduce/Reducer.h"
#include "mlir/IR/Verifier.h"

using namespace ds;

/// Returns the operations that may go, in order. Code of regions of kernels
/// is part of its kernel.
static SmallVector<Operation *> collect(ModuleOp module) {
  SmallVector<Operation *> ops;
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (op != module && !op->hasTrait<OpTrait::IsTerminator>())
      ops.push_back(op);
    return isa<KernelInterface>(op) ? WalkResult::skip()
                                    : WalkResult::advance();
  });
  return ops;
}

/// Finds a different operand for every result, of the result's type.
static FailureOr<SmallVector<Value>> findStandIns(Operation *op) {
  SmallVector<Value> values;
  for (Value result : op->getResults()) {
    auto fits = [&](Value operand) {
      return operand.getType() == result.getType() &&
             !llvm::is_contained(values, operand);
    };
    auto found = llvm::find_if(op->getOperands(), fits);
    if (found == op->getOperands().end())
      return failure();
    values.push_back(*found);
  }
  return values;
}

/// Takes `op` out, or leaves it if something would miss it.
static bool takeOut(Operation *op) {
  if (auto symbol = dyn_cast<SymbolOpInterface>(op);
      symbol && !symbol.symbolKnownUseEmpty(op->getParentOp()))
    return false;
  if (!op->use_empty()) {
    FailureOr<SmallVector<Value>> standIns = findStandIns(op);
    if (failed(standIns))
      return false;
    op->replaceAllUsesWith(*standIns);
  }
  op->erase();
  return true;
}

static bool isValid(ModuleOp module) {
  ScopedDiagnosticHandler silence(module.getContext(),
                                  [](Diagnostic &) { return success(); });
  return succeeded(verify(module));
}

/// Goes through all operations once. Returns whether one went.
static bool sweep(OwningOpRef<ModuleOp> &module,
                  function_ref<bool(ModuleOp)> isInteresting) {
  bool changed = false;
  for (size_t i = collect(*module).size(); i-- > 0;) {
    OwningOpRef<ModuleOp> smaller = module->clone();
    if (!takeOut(collect(*smaller)[i]) || !isValid(*smaller) ||
        !isInteresting(*smaller))
      continue;
    module = std::move(smaller);
    changed = true;
  }
  return changed;
}

OwningOpRef<ModuleOp> ds::reduce(OwningOpRef<ModuleOp> module,
                                 function_ref<bool(ModuleOp)> isInteresting) {
  while (sweep(module, isInteresting))
    continue;
  return module;
}
