//===- Folds.cpp - Folds and canonicalisation of ds operations ------------===//
//
// Bit-preserving only. Folds stand apart from verifiers.
//
//===----------------------------------------------------------------------===//
#include "dialect/Dialect.h"

using namespace ds;

static bool isMatrix(Value value) {
  return cast<RankedTensorType>(value.getType()).getRank() == 2;
}

/// Removes input `index` of a kernel and the argument of its region.
static void dropInput(MutableOperandRange inputs, unsigned index, Block &block,
                      unsigned argument) {
  inputs.erase(index);
  block.eraseArgument(argument);
}

/// Removes inputs that the region does not read or that are there twice. The
/// arguments of the region that stand for inputs begin at `first`. Kernels that
/// map a region keep one matrix, which has their rows.
static LogicalResult dropInputs(PatternRewriter &rewriter, Operation *op,
                                MutableOperandRange inputs, Block &block,
                                unsigned first, bool keepMatrix) {
  int64_t matrices = llvm::count_if(OperandRange(inputs), isMatrix);
  for (unsigned i = 0; i < inputs.size(); ++i) {
    Value input = inputs[i].get();
    BlockArgument argument = block.getArgument(first + i);
    unsigned twin = 0;
    while (inputs[twin].get() != input)
      ++twin;
    bool needed = keepMatrix && matrices == 1 && isMatrix(input);
    if (twin == i && (!argument.use_empty() || needed))
      continue;
    rewriter.modifyOpInPlace(op, [&] {
      rewriter.replaceAllUsesWith(argument, block.getArgument(first + twin));
      dropInput(inputs, i, block, first + i);
    });
    return success();
  }
  return failure();
}

LogicalResult KernelMatmulOp::canonicalize(KernelMatmulOp op,
                                           PatternRewriter &rewriter) {
  return dropInputs(rewriter, op, op.getExtrasMutable(),
                    op.getEpilogue().front(), op.getPair() ? 2 : 1,
                    /*keepMatrix=*/false);
}

LogicalResult KernelRowOp::canonicalize(KernelRowOp op,
                                        PatternRewriter &rewriter) {
  return dropInputs(rewriter, op, op.getInputsMutable(), op.getBody().front(),
                    0, /*keepMatrix=*/true);
}

LogicalResult KernelElementwiseOp::canonicalize(KernelElementwiseOp op,
                                                PatternRewriter &rewriter) {
  if (op.getPairs())
    return failure();
  return dropInputs(rewriter, op, op.getInputsMutable(), op.getBody().front(),
                    0, /*keepMatrix=*/true);
}
