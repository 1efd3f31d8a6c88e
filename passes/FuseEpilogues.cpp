//===- FuseEpilogues.cpp - Elementwise code joins the kernel before it ----===//
#include "passes/FormMoe.h"
#include "passes/Passes.h"
#include "passes/Regions.h"

namespace ds {
#define GEN_PASS_DEF_FUSEEPILOGUES
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

/// Whether `op` makes one tensor, of whose shape are its operands.
static bool isPlain(KernelElementwiseOp op) {
  auto hasColumns = [&](Type type) {
    return cast<RankedTensorType>(type).getShape().back() == op.getWidth();
  };
  return op->getNumResults() == 1 && !op.getPairs() &&
         llvm::all_of(op->getOperandTypes(), hasColumns) &&
         llvm::all_of(op->getResultTypes(), hasColumns);
}

/// Returns the operand of `op` that a kernel `Op` in the same block makes for
/// it alone, or null.
template <typename Op> static OpOperand *findProducer(KernelElementwiseOp op) {
  if (!isPlain(op))
    return nullptr;
  for (OpOperand &operand : op->getOpOperands()) {
    auto producer = operand.get().getDefiningOp<Op>();
    if (producer && operand.get().hasOneUse() &&
        producer->getBlock() == op->getBlock())
      return &operand;
  }
  return nullptr;
}

/// Returns the operands of `op` but the one at `index`.
static SmallVector<Value> getOthers(KernelElementwiseOp op, unsigned index) {
  SmallVector<Value> others(op.getInputs());
  others.erase(others.begin() + index);
  return others;
}

static SmallVector<Type> getElements(ValueRange tensors) {
  SmallVector<Type> types;
  for (Value tensor : tensors)
    types.push_back(getElement(tensor));
  return types;
}

/// Puts `first` and then `op` into `region`. The region's arguments are those
/// of `first`, then those of `op` without the one at `index`.
static void chain(RegionBuilder &region, Region &first, KernelElementwiseOp op,
                  unsigned index) {
  SmallVector<Value> arguments(region.arguments());
  size_t count = first.getNumArguments();
  Value made =
      region.inlineRegion(first, ArrayRef<Value>(arguments).take_front(count));
  SmallVector<Value> rest(ArrayRef<Value>(arguments).drop_front(count));
  rest.insert(rest.begin() + index, made);
  region.yield(region.inlineRegion(op.getBody(), rest));
}

namespace {
struct IntoElementwise : OpRewritePattern<KernelElementwiseOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(KernelElementwiseOp op,
                                PatternRewriter &rewriter) const override {
    OpOperand *operand = findProducer<KernelElementwiseOp>(op);
    if (!operand)
      return rewriter.notifyMatchFailure(op, "no operand made for it alone");
    auto first = operand->get().getDefiningOp<KernelElementwiseOp>();
    if (!isPlain(first))
      return rewriter.notifyMatchFailure(op, "operand of another shape");
    unsigned index = operand->getOperandNumber();
    SmallVector<Value> inputs(first.getInputs());
    llvm::append_range(inputs, getOthers(op, index));
    Location loc = rewriter.getFusedLoc({first.getLoc(), op.getLoc()});
    auto fused = KernelElementwiseOp::create(rewriter, loc,
                                             op->getResultTypes(),
                                             op.getSymName(), inputs);
    RegionBuilder region(fused.getBody(), getElements(inputs), loc);
    chain(region, first.getBody(), op, index);
    rewriter.replaceOp(op, fused);
    rewriter.eraseOp(first);
    return success();
  }
};

struct IntoMatmul : OpRewritePattern<KernelElementwiseOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(KernelElementwiseOp op,
                                PatternRewriter &rewriter) const override {
    OpOperand *operand = findProducer<KernelMatmulOp>(op);
    if (!operand)
      return rewriter.notifyMatchFailure(op, "no operand made for it alone");
    auto matmul = operand->get().getDefiningOp<KernelMatmulOp>();
    unsigned index = operand->getOperandNumber();
    SmallVector<Value> extras(matmul.getExtras());
    llvm::append_range(extras, getOthers(op, index));
    Location loc = rewriter.getFusedLoc({matmul.getLoc(), op.getLoc()});
    auto fused = KernelMatmulOp::create(
        rewriter, loc, op->getResult(0).getType(), matmul.getSymName(), matmul.getA(),
        matmul.getWeight(), extras, matmul.getRows(), matmul.getPair(),
        matmul.getTransposed());
    setRouting(fused, matmul.getRouting(), matmul.getGathered());
    if (matmul.getHeads())
      fused.setHeadsAttr(*matmul.getHeads());
    SmallVector<Type> types(matmul.getPair() ? 2 : 1, rewriter.getF32Type());
    llvm::append_range(types, getElements(extras));
    RegionBuilder region(fused.getEpilogue(), types, loc);
    chain(region, matmul.getEpilogue(), op, index);
    rewriter.replaceOp(op, fused);
    rewriter.eraseOp(matmul);
    return success();
  }
};

struct IntoCombine : OpRewritePattern<KernelElementwiseOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(KernelElementwiseOp op,
                                PatternRewriter &rewriter) const override {
    OpOperand *operand = findProducer<KernelCombineOp>(op);
    if (!operand)
      return rewriter.notifyMatchFailure(op, "no operand made for it alone");
    auto combine = operand->get().getDefiningOp<KernelCombineOp>();
    unsigned index = operand->getOperandNumber();
    SmallVector<Value> extras(combine.getExtras());
    llvm::append_range(extras, getOthers(op, index));
    Location loc = rewriter.getFusedLoc({combine.getLoc(), op.getLoc()});
    auto fused = KernelCombineOp::create(
        rewriter, loc, op->getResult(0).getType(), combine.getSymName(),
        combine.getInput(), combine.getRouting(), combine.getWeights(), extras);
    SmallVector<Type> types = {rewriter.getF32Type()};
    llvm::append_range(types, getElements(extras));
    RegionBuilder region(fused.getEpilogue(), types, loc);
    chain(region, combine.getEpilogue(), op, index);
    rewriter.replaceOp(op, fused);
    rewriter.eraseOp(combine);
    return success();
  }
};

struct FuseEpilogues : ds::impl::FuseEpiloguesBase<FuseEpilogues> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<IntoElementwise>(&getContext(), /*benefit=*/2);
    patterns.add<IntoMatmul, IntoCombine>(&getContext());
    unsigned before = count();
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    fused += before - count();
  }

  unsigned count() {
    unsigned kernels = 0;
    getOperation().walk([&](KernelElementwiseOp) { ++kernels; });
    return kernels;
  }
};
} // namespace
