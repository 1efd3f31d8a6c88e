//===- FormMoe.cpp - Kernels of routers and experts -----------------------===//
#include "passes/FormMoe.h"
#include "passes/Regions.h"

using namespace ds;

namespace {
struct FormSoftmax : OpRewritePattern<SoftmaxOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SoftmaxOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel =
        KernelRowOp::create(rewriter, op.getLoc(), op->getResultTypes(),
                            "softmax", ValueRange{op.getInput()});
    RegionBuilder region(kernel.getBody(), rewriter.getF32Type(), op.getLoc());
    Value x = region.argument(0);
    Value e = region.exp(region.sub(x, region.max(x)));
    region.yield(region.div(e, region.reduce(e)));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormSoftmaxBackward : OpRewritePattern<SoftmaxBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SoftmaxBackwardOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel =
        KernelRowOp::create(rewriter, op.getLoc(), op->getResultTypes(),
                            "softmax_backward", op->getOperands());
    Type f32 = rewriter.getF32Type();
    RegionBuilder region(kernel.getBody(), {f32, f32}, op.getLoc());
    Value y = region.argument(0), dy = region.argument(1);
    Value sum = region.reduce(region.mul(y, dy));
    region.yield(region.mul(y, region.sub(dy, sum)));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormSigmoid : OpRewritePattern<SigmoidOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SigmoidOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelElementwiseOp::create(rewriter, op.getLoc(),
                                              op->getResultTypes(), "sigmoid",
                                              ValueRange{op.getInput()});
    Type element = getElement(op.getResult());
    RegionBuilder region(kernel.getBody(), element, op.getLoc());
    Value y = region.sigmoid(region.widen(region.argument(0)));
    region.yield(region.round(y, element));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormTopK : OpRewritePattern<TopKOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TopKOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelTopKOp>(
        op, op.getType(), "top_k", op.getScores(), op.getBias(), op.getK(),
        op.getGroups(), op.getKept(), op.getGroupScore());
    return success();
  }
};

struct FormPick : OpRewritePattern<PickOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(PickOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelPickOp>(
        op, op.getType(), "pick", op.getScores(), op.getPicks(),
        op.getNormalise(), op.getScale());
    return success();
  }
};

struct FormPickBackward : OpRewritePattern<PickBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(PickBackwardOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelPickBackwardOp>(
        op, op.getType(), "pick_backward", op.getScores(), op.getPicks(),
        op.getGradient(), op.getNormalise(), op.getScale());
    return success();
  }
};

struct FormRoute : OpRewritePattern<RouteOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RouteOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelRouteOp>(op, op.getType(), "route",
                                               op.getPicks());
    return success();
  }
};

struct FormDispatch : OpRewritePattern<DispatchOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(DispatchOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelDispatchOp>(
        op, op.getType(), "dispatch", op.getInput(), op.getRouting());
    return success();
  }
};

struct FormCombine : OpRewritePattern<CombineOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(CombineOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelCombineOp::create(
        rewriter, op.getLoc(), op.getType(), "combine", op.getInput(),
        op.getRouting(), op.getWeights(), ValueRange());
    RegionBuilder region(kernel.getEpilogue(), rewriter.getF32Type(),
                         op.getLoc());
    region.yield(region.round(region.argument(0), getElement(op.getResult())));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormCombineBackward : OpRewritePattern<CombineBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(CombineBackwardOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelCombineBackwardOp>(
        op, op->getResultTypes(), "combine_backward", op.getInput(),
        op.getRouting(), op.getWeights(), op.getGradient());
    return success();
  }
};
} // namespace

void ds::addMoePatterns(RewritePatternSet &patterns) {
  patterns.add<FormSoftmax, FormSoftmaxBackward, FormSigmoid, FormTopK,
               FormPick, FormPickBackward, FormRoute, FormDispatch, FormCombine,
               FormCombineBackward>(patterns.getContext());
}
