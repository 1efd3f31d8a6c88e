//===- FormBalance.cpp - Kernels of what balances experts -----------------===//
#include "passes/FormMoe.h"
#include "passes/Regions.h"
#include "passes/WeightTools.h"

using namespace ds;

namespace {
struct FormExpertLoad : OpRewritePattern<ExpertLoadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ExpertLoadOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelExpertLoadOp>(
        op, op.getType(), "expert_load", op.getPicks(), op.getSeq(),
        op.getGroups(), op.getExpected(), op.getDistinct(),
        op.getPerSequence());
    return success();
  }
};

struct FormDotColumns : OpRewritePattern<DotColumnsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(DotColumnsOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel =
        KernelRowOp::create(rewriter, op.getLoc(), op->getResultTypes(),
                            "dot_columns", op->getOperands());
    Type f32 = rewriter.getF32Type();
    RegionBuilder region(kernel.getBody(), {f32, f32}, op.getLoc());
    Value sum =
        region.reduce(region.mul(region.argument(0), region.argument(1)));
    region.yield(region.mul(
        sum, region.constant(op.getScale().convertToDouble())));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormScaleColumns : OpRewritePattern<ScaleColumnsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ScaleColumnsOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelElementwiseOp::create(
        rewriter, op.getLoc(), op->getResultTypes(), "scale_columns",
        op->getOperands());
    Type f32 = rewriter.getF32Type();
    RegionBuilder region(kernel.getBody(), {f32, f32}, op.getLoc());
    Value factor =
        region.mul(region.argument(1),
                   region.constant(op.getScale().convertToDouble()));
    region.yield(region.mul(region.argument(0), factor));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormNormalise : OpRewritePattern<NormaliseOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(NormaliseOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel =
        KernelRowOp::create(rewriter, op.getLoc(), op->getResultTypes(),
                            "normalise", op->getOperands());
    RegionBuilder region(kernel.getBody(), rewriter.getF32Type(), op.getLoc());
    Value x = region.argument(0);
    region.yield(region.div(x, region.reduce(x)));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormNormaliseBackward : OpRewritePattern<NormaliseBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(NormaliseBackwardOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel =
        KernelRowOp::create(rewriter, op.getLoc(), op->getResultTypes(),
                            "normalise_backward", op->getOperands());
    Type f32 = rewriter.getF32Type();
    RegionBuilder region(kernel.getBody(), {f32, f32}, op.getLoc());
    Value x = region.argument(0), dy = region.argument(1);
    Value sum = region.reduce(x);
    Value along = region.reduce(region.mul(dy, region.div(x, sum)));
    region.yield(region.div(region.sub(dy, along), sum));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormAccumulatePicks : OpRewritePattern<AccumulatePicksOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AccumulatePicksOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelAccumulatePicksOp>(
        op, "accumulate_picks", op.getPicks(), op.getCounts());
    return success();
  }
};

struct FormBalanceStep : OpRewritePattern<BalanceStepOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BalanceStepOp op,
                                PatternRewriter &rewriter) const override {
    auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(
        op, op.getWeightAttr());
    if (weight.getLayout() != WeightLayout::VectorF32)
      return rewriter.notifyMatchFailure(op, "expects a vector of f32");
    Location loc = op.getLoc();
    RankedTensorType type = getPackedType(weight);
    Value master = GetCopyOp::create(rewriter, loc, type, op.getWeight(),
                                     Copy::Master);
    Value counts = GetGradientOp::create(rewriter, loc, type, op.getWeight());
    Value packed = GetWeightOp::create(rewriter, loc, type, op.getWeight());
    rewriter.replaceOpWithNewOp<KernelBalanceStepOp>(
        op, "balance_step", master, counts, packed, op.getRate());
    return success();
  }
};
} // namespace

void ds::addBalancePatterns(RewritePatternSet &patterns) {
  patterns.add<FormExpertLoad, FormDotColumns, FormScaleColumns, FormNormalise,
               FormNormaliseBackward, FormAccumulatePicks, FormBalanceStep>(
      patterns.getContext());
}
