//===- FuseProjections.cpp - One product for linears of one input ---------===//
#include "passes/Passes.h"
#include "passes/WeightGroups.h"

namespace ds {
#define GEN_PASS_DEF_FUSEPROJECTIONS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

/// Whether all linears have a bias or none has, and results of one element.
static bool areAlike(ArrayRef<LinearOp> linears) {
  LinearOp first = linears.front();
  auto elementOf = [](LinearOp op) { return op.getType().getElementType(); };
  return llvm::all_of(linears, [&](LinearOp op) {
    return static_cast<bool>(op.getBias()) ==
               static_cast<bool>(first.getBias()) &&
           elementOf(op) == elementOf(first) &&
           op->getBlock() == first->getBlock();
  });
}

/// Columns [begin, begin + width) of `matrix`.
static Value sliceColumns(OpBuilder &builder, Location loc, Value matrix,
                          int64_t begin, RankedTensorType type) {
  Value rows = tensor::DimOp::create(builder, loc, matrix, 0);
  OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  return tensor::ExtractSliceOp::create(
      builder, loc, type, matrix,
      ArrayRef<OpFoldResult>{zero, builder.getIndexAttr(begin)},
      ArrayRef<OpFoldResult>{rows, builder.getIndexAttr(type.getDimSize(1))},
      ArrayRef<OpFoldResult>{one, one});
}

namespace {
struct FuseProjections : ds::impl::FuseProjectionsBase<FuseProjections> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    llvm::MapVector<Value, SmallVector<LinearOp>> groups;
    getOperation().walk(
        [&](LinearOp op) { groups[op.getInput()].push_back(op); });
    for (auto &[input, linears] : groups)
      if (linears.size() > 1 && areAlike(linears))
        fuse(linears, symbols);
  }

  void fuse(ArrayRef<LinearOp> linears, SymbolTable &symbols) {
    SmallVector<Value> weights, biases;
    int64_t width = 0;
    for (LinearOp op : linears) {
      weights.push_back(op.getWeight());
      if (op.getBias())
        biases.push_back(op.getBias());
      width += op.getType().getDimSize(1);
    }
    if (!canConcatenate(weights, symbols) ||
        (!biases.empty() && !canConcatenate(biases, symbols)))
      return;
    LinearOp first = linears.front();
    Location loc = first.getLoc();
    OpBuilder builder(first);
    Value weight = concatenate(builder, loc, weights, "qkv", false, symbols);
    Value bias = biases.empty() ? Value()
                                : concatenate(builder, loc, biases, "qkv_bias",
                                              false, symbols);
    auto type = first.getType().clone({ShapedType::kDynamic, width});
    Value all =
        LinearOp::create(builder, loc, type, first.getInput(), weight, bias);
    int64_t begin = 0;
    for (LinearOp op : linears) {
      op.replaceAllUsesWith(
          sliceColumns(builder, loc, all, begin, op.getType()));
      begin += op.getType().getDimSize(1);
      op.erase();
      ++fused;
    }
  }
};
} // namespace
