//===- FormNsa.cpp - Kernels of native sparse attention -------------------===//
#include "passes/FormNsa.h"
#include "passes/Regions.h"

using namespace ds;

namespace {
struct FormSilu : OpRewritePattern<SiluOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SiluOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelElementwiseOp::create(rewriter, op.getLoc(),
                                              op->getResultTypes(), "silu",
                                              ValueRange{op.getInput()});
    Type element = getElement(op.getResult());
    RegionBuilder region(kernel.getBody(), element, op.getLoc());
    Value x = region.widen(region.argument(0));
    region.yield(region.round(region.mul(x, region.sigmoid(x)), element));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormSiluBackward : OpRewritePattern<SiluBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SiluBackwardOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelElementwiseOp::create(rewriter, op.getLoc(),
                                              op->getResultTypes(),
                                              "silu_backward",
                                              op->getOperands());
    Type element = getElement(op.getResult());
    RegionBuilder region(kernel.getBody(), {element, element}, op.getLoc());
    Value x = region.widen(region.argument(0));
    Value dy = region.widen(region.argument(1));
    Value s = region.sigmoid(x), one = region.constant(1);
    Value slope = region.add(one, region.mul(x, region.sub(one, s)));
    region.yield(region.round(region.mul(dy, region.mul(s, slope)), element));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormGatherBlocks : OpRewritePattern<GatherBlocksOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatherBlocksOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelGatherBlocksOp>(
        op, op.getType(), "gather_blocks", op.getState(), op.getPositions(),
        op.getSeq(), op.getLength(), op.getStride());
    return success();
  }
};

struct FormGatherBlocksBackward : OpRewritePattern<GatherBlocksBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatherBlocksBackwardOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelGatherBlocksBackwardOp>(
        op, op.getType(), "gather_blocks_backward", op.getGradient(),
        op.getSeq(), op.getLength(), op.getStride());
    return success();
  }
};

struct FormAccumulatePositions : OpRewritePattern<AccumulatePositionsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AccumulatePositionsOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelAccumulatePositionsOp>(
        op, "positions", op.getGradient(), op.getInput());
    return success();
  }
};

/// Whether attention reads the state as keys.
bool isKeys(Value state) {
  return llvm::any_of(state.getUses(), [&](OpOperand &use) {
    Operation *op = use.getOwner();
    if (auto sparse = dyn_cast<SparseAttendOp>(op))
      return sparse.getKeys() == state;
    if (auto sparse = dyn_cast<KernelSparseAttentionOp>(op))
      return sparse.getKeys() == state;
    return isa<SelectBlocksOp, KernelSelectBlocksOp>(op);
  });
}

struct FormAppendBlocks : OpRewritePattern<AppendBlocksOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AppendBlocksOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelAppendBlocksOp>(
        op, op.getType(), "append_blocks", op.getState(), op.getInput(),
        op.getSeq(), isKeys(op.getResult()));
    return success();
  }
};

struct FormSparseAttend : OpRewritePattern<SparseAttendOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SparseAttendOp op,
                                PatternRewriter &rewriter) const override {
    std::string stem =
        ("attention_" + stringifyKeySource(op.getSource())).str();
    rewriter.replaceOpWithNewOp<KernelSparseAttentionOp>(
        op, op->getResultTypes(), stem, op.getQuery(), op.getKeys(),
        op.getValues(), op.getSeq(), op.getBlocks(), op.getHeads(),
        op.getScale(), op.getSource(), op.getSize());
    return success();
  }
};

struct FormSparseAttendBackward : OpRewritePattern<SparseAttendBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SparseAttendBackwardOp op,
                                PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value delta = KernelAttentionDeltaOp::create(
        rewriter, loc, op.getLse().getType(), "delta", op.getOutput(),
        op.getOutputGradient(), op.getHeads());
    StringRef source = stringifyKeySource(op.getSource());
    auto query = KernelSparseBackwardQueryOp::create(
        rewriter, loc, op.getQueryGradient().getType(),
        ("query_" + source).str(), op.getQuery(), op.getKeys(), op.getValues(),
        op.getLse(), delta, op.getOutputGradient(), op.getSeq(),
        op.getBlocks(), op.getHeads(), op.getScale(), op.getSource(),
        op.getSize());
    auto keys = KernelSparseBackwardKeysOp::create(
        rewriter, loc, op.getKeyGradient().getType(),
        op.getValueGradient().getType(), ("keys_" + source).str(),
        op.getQuery(), op.getKeys(), op.getValues(), op.getLse(), delta,
        op.getOutputGradient(), op.getSeq(), op.getBlocks(), op.getHeads(),
        op.getScale(), op.getSource(), op.getSize());
    rewriter.replaceOp(op, {query.getResult(), keys.getResult(0),
                            keys.getResult(1)});
    return success();
  }
};

struct FormSelectBlocks : OpRewritePattern<SelectBlocksOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SelectBlocksOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelSelectBlocksOp>(
        op, op.getType(), "select_blocks", op.getQuery(), op.getKeys(),
        op.getLse(), op.getSeq(), op.getHeads(), op.getScale(), op.getLength(),
        op.getBlock(), op.getCount(), op.getInitial(), op.getLocal());
    return success();
  }
};

struct FormMixBranches : OpRewritePattern<MixBranchesOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MixBranchesOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelMixBranchesOp>(
        op, op.getType(), "mix_branches", op.getGates(), op.getFirst(),
        op.getSecond(), op.getThird(), op.getHeads());
    return success();
  }
};

struct FormMixBranchesBackward : OpRewritePattern<MixBranchesBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MixBranchesBackwardOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelMixBranchesBackwardOp>(
        op, op->getResultTypes(), "mix_branches_backward", op.getGates(),
        op.getFirst(), op.getSecond(), op.getThird(), op.getOutputGradient(),
        op.getHeads());
    return success();
  }
};
} // namespace

void ds::addNsaPatterns(RewritePatternSet &patterns) {
  patterns.add<FormSilu, FormSiluBackward, FormGatherBlocks,
               FormGatherBlocksBackward, FormAccumulatePositions,
               FormAppendBlocks, FormSparseAttend, FormSparseAttendBackward,
               FormSelectBlocks, FormMixBranches, FormMixBranchesBackward>(
      patterns.getContext());
}
