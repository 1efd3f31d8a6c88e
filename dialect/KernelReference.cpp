//===- KernelReference.cpp - Operations as they mean ----------------------===//
#include "dialect/KernelSupport.h"
#include "dialect/Meaning.h"

using namespace ds;

Operation *KernelReferenceOp::getMeant() {
  auto yield = dyn_cast<YieldOp>(getBody().front().back());
  return yield && yield->getNumOperands() ? yield.getOperand(0).getDefiningOp()
                                          : nullptr;
}

LogicalResult KernelReferenceOp::verify() {
  Block &block = getBody().front();
  if (block.getArgumentTypes() != getInputs().getTypes())
    return emitOpError() << "expects a region that takes what the operands are";
  Operation *meant = getMeant();
  if (!meant)
    return emitOpError() << "expects a region that yields an operation's "
                         << "results";
  if (!hasMeaning(meant))
    return emitOpError() << "expects an operation whose meaning is known, got "
                         << meant->getName();
  auto yield = cast<YieldOp>(block.back());
  if (yield->getOperands() != meant->getResults() ||
      meant->getResultTypes() != getOutputs().getTypes())
    return emitOpError() << "expects to yield all results of "
                         << meant->getName() << ", as its own";
  return success();
}

StringRef KernelReferenceOp::getRowSymbol() { return getRows(); }

Cost KernelReferenceOp::getCost(StepShape step) {
  auto meant = dyn_cast<CostInterface>(getMeant());
  return meant ? meant.getCost(step) : Cost();
}
