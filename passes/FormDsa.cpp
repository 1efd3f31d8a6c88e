//===- FormDsa.cpp - Kernels of an indexer --------------------------------===//
#include "passes/FormDsa.h"
#include "passes/Regions.h"

using namespace ds;

namespace {
struct FormSelectTokens : OpRewritePattern<SelectTokensOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SelectTokensOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelSelectTokensOp>(
        op, op.getType(), "select_tokens", op.getQuery(), op.getWeights(),
        op.getKeys(), op.getSeq(), op.getHeads(), op.getCount());
    return success();
  }
};

struct FormEntryShare : OpRewritePattern<EntryShareOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(EntryShareOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelEntryShareOp>(
        op, op.getType(), "entry_share", op.getQuery(), op.getKeys(),
        op.getSeq(), op.getEntries(), op.getHeads(), op.getScale());
    return success();
  }
};

struct FormIndexScores : OpRewritePattern<IndexScoresOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(IndexScoresOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelIndexScoresOp>(
        op, op.getType(), "index_scores", op.getQuery(), op.getWeights(),
        op.getKeys(), op.getSeq(), op.getEntries(), op.getHeads(),
        op.getScale());
    return success();
  }
};

struct FormIndexScoresBackward : OpRewritePattern<IndexScoresBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(IndexScoresBackwardOp op,
                                PatternRewriter &rewriter) const override {
    auto query = KernelIndexBackwardQueryOp::create(
        rewriter, op.getLoc(), op.getQuery().getType(),
        op.getWeights().getType(), "index_query", op.getGradient(),
        op.getQuery(), op.getWeights(), op.getKeys(), op.getSeq(),
        op.getEntries(), op.getHeads(), op.getScale());
    Value keys = KernelIndexBackwardKeysOp::create(
        rewriter, op.getLoc(), op.getKeyGradient().getType(), "index_keys",
        op.getGradient(), op.getQuery(), op.getWeights(), op.getKeys(),
        op.getSeq(), op.getEntries(), op.getHeads(), op.getScale());
    rewriter.replaceOp(op, {query.getQueryGradient(),
                            query.getWeightGradient(), keys});
    return success();
  }
};

/// `value` where `target` is positive, and 0 elsewhere.
Value selectPositive(RegionBuilder &region, Value target, Value value) {
  Value zero = region.constant(0.0);
  Value isPositive = arith::CmpFOp::create(
      region.builder, region.loc, arith::CmpFPredicate::OGT, target, zero);
  return arith::SelectOp::create(region.builder, region.loc, isPositive, value,
                                 zero);
}

struct FormKlDivergence : OpRewritePattern<KlDivergenceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(KlDivergenceOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel =
        KernelRowOp::create(rewriter, op.getLoc(), op->getResultTypes(),
                            "kl_divergence", op->getOperands());
    Type f32 = rewriter.getF32Type();
    RegionBuilder region(kernel.getBody(), {f32, f32}, op.getLoc());
    Value p = region.argument(0), q = region.argument(1);
    auto log = [&](Value value) -> Value {
      return math::LogOp::create(region.builder, region.loc, value);
    };
    Value term = region.mul(p, region.sub(log(p), log(q)));
    region.yield(region.reduce(selectPositive(region, p, term)));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormKlDivergenceBackward : OpRewritePattern<KlDivergenceBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(KlDivergenceBackwardOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelElementwiseOp::create(
        rewriter, op.getLoc(), op->getResultTypes(), "kl_backward",
        op->getOperands());
    Type f32 = rewriter.getF32Type();
    RegionBuilder region(kernel.getBody(), {f32, f32, f32}, op.getLoc());
    Value p = region.argument(0), q = region.argument(1);
    Value slope = region.mul(region.neg(region.div(p, q)), region.argument(2));
    region.yield(selectPositive(region, p, slope));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};
} // namespace

void ds::addDsaPatterns(RewritePatternSet &patterns) {
  patterns.add<FormSelectTokens, FormEntryShare, FormIndexScores,
               FormIndexScoresBackward, FormKlDivergence,
               FormKlDivergenceBackward>(patterns.getContext());
}
