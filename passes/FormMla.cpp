//===- FormMla.cpp - Kernels of latent attention --------------------------===//
#include "passes/FormMla.h"
#include "passes/Regions.h"
#include "passes/WeightTools.h"

using namespace ds;

namespace {
struct FormTakeRows : OpRewritePattern<TakeRowsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TakeRowsOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelTakeRowsOp>(
        op, op.getType(), "take_rows", op.getInput(), op.getView());
    return success();
  }
};

struct FormMergeRows : OpRewritePattern<MergeRowsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MergeRowsOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelMergeRowsOp>(
        op, op.getType(), "merge_rows", op.getPrompt(), op.getGenerated(),
        op.getSeq());
    return success();
  }
};

struct FormReadLatents : OpRewritePattern<ReadLatentsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReadLatentsOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelReadLatentsOp>(
        op, op->getResultTypes(), "read_latents", op.getLatents(),
        op.getView());
    return success();
  }
};

struct FormReadLatentsBackward : OpRewritePattern<ReadLatentsBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReadLatentsBackwardOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelReadLatentsBackwardOp>(
        op, op.getType(), "read_latents_backward", op.getLatentGradient(),
        op.getKeyGradient(), op.getSeq());
    return success();
  }
};

struct FormExpandKeysBackward : OpRewritePattern<ExpandKeysBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ExpandKeysBackwardOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelExpandKeysBackwardOp>(
        op, op->getResultTypes(), "expand_keys_backward", op.getKeyGradient(),
        op.getValueGradient(), op.getHeads());
    return success();
  }
};

/// A product for each head with its rows of the projection.
Value createHeads(PatternRewriter &rewriter, Operation *op, Value input,
                  Value projection, int64_t columns, HeadsAttr heads,
                  bool transposed) {
  auto type = RankedTensorType::get({ShapedType::kDynamic, columns},
                                    getElement(input));
  auto kernel = KernelMatmulOp::create(
      rewriter, op->getLoc(), type,
      (getKernelStem(projection, "matmul") +
       (transposed ? "_query" : "_value")).str(),
      input, projection, ValueRange(), Value(), /*pair=*/false, transposed);
  kernel.setHeadsAttr(heads);
  RegionBuilder region(kernel.getEpilogue(), rewriter.getF32Type(),
                       op->getLoc());
  region.yield(region.round(region.argument(0), type.getElementType()));
  return kernel;
}

struct FormAbsorbQuery : OpRewritePattern<AbsorbQueryOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AbsorbQueryOp op,
                                PatternRewriter &rewriter) const override {
    LatentHeadsAttr heads = op.getHeads();
    int64_t count = heads.getCount(), rank = heads.getRank();
    int64_t rows =
        cast<RankedTensorType>(op.getProjection().getType()).getDimSize(0);
    int64_t width = heads.getNope() + heads.getRope();
    auto products = HeadsAttr::get(
        op.getContext(), count, /*inputBegin=*/0, width, /*weightBegin=*/0,
        heads.getHeadRows(rows), heads.getNope(), rank);
    Value latent = createHeads(rewriter, op, op.getQuery(), op.getProjection(),
                               count * rank, products, /*transposed=*/true);
    auto piece = [&](int64_t begin, int64_t stride,
                     int64_t columns) -> Attribute {
      return PieceAttr::get(op.getContext(), begin, stride, columns);
    };
    rewriter.replaceOpWithNewOp<KernelJoinHeadsOp>(
        op, op.getType(), "join_heads", ValueRange{latent, op.getQuery()},
        count,
        rewriter.getArrayAttr({piece(0, rank, rank),
                               piece(heads.getNope(), width, heads.getRope())}));
    return success();
  }
};

struct FormAbsorbQueryBackward : OpRewritePattern<AbsorbQueryBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AbsorbQueryBackwardOp op,
                                PatternRewriter &rewriter) const override {
    LatentHeadsAttr heads = op.getHeads();
    int64_t count = heads.getCount(), nope = heads.getNope();
    int64_t rows =
        cast<RankedTensorType>(op.getProjection().getType()).getDimSize(0);
    int64_t width = heads.getRank() + heads.getRope();
    auto products = HeadsAttr::get(
        op.getContext(), count, /*inputBegin=*/0, width, /*weightBegin=*/0,
        heads.getHeadRows(rows), nope, nope);
    Value query = createHeads(rewriter, op, op.getGradient(),
                              op.getProjection(), count * nope, products,
                              /*transposed=*/false);
    auto piece = [&](int64_t begin, int64_t stride,
                     int64_t columns) -> Attribute {
      return PieceAttr::get(op.getContext(), begin, stride, columns);
    };
    rewriter.replaceOpWithNewOp<KernelJoinHeadsOp>(
        op, op.getType(), "join_heads", ValueRange{query, op.getGradient()},
        count,
        rewriter.getArrayAttr(
            {piece(0, nope, nope),
             piece(heads.getRank(), width, heads.getRope())}));
    return success();
  }
};

struct FormAbsorbValueBackward : OpRewritePattern<AbsorbValueBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AbsorbValueBackwardOp op,
                                PatternRewriter &rewriter) const override {
    LatentHeadsAttr heads = op.getHeads();
    int64_t rows =
        cast<RankedTensorType>(op.getProjection().getType()).getDimSize(0);
    auto products = HeadsAttr::get(
        op.getContext(), heads.getCount(), /*inputBegin=*/0, heads.getValue(),
        heads.getKeyRows(rows), heads.getHeadRows(rows), heads.getValue(),
        heads.getRank());
    rewriter.replaceOp(
        op, createHeads(rewriter, op, op.getGradient(), op.getProjection(),
                        heads.getCount() * heads.getRank(), products,
                        /*transposed=*/true));
    return success();
  }
};

struct FormAbsorbValue : OpRewritePattern<AbsorbValueOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AbsorbValueOp op,
                                PatternRewriter &rewriter) const override {
    LatentHeadsAttr heads = op.getHeads();
    int64_t rows =
        cast<RankedTensorType>(op.getProjection().getType()).getDimSize(0);
    auto products = HeadsAttr::get(
        op.getContext(), heads.getCount(), /*inputBegin=*/0, heads.getRank(),
        heads.getKeyRows(rows), heads.getHeadRows(rows), heads.getValue(),
        heads.getValue());
    rewriter.replaceOp(
        op, createHeads(rewriter, op, op.getInput(), op.getProjection(),
                        heads.getCount() * heads.getValue(), products,
                        /*transposed=*/false));
    return success();
  }
};
} // namespace

void ds::addMlaPatterns(RewritePatternSet &patterns) {
  patterns.add<FormTakeRows, FormMergeRows, FormReadLatents,
               FormReadLatentsBackward, FormExpandKeysBackward, FormAbsorbQuery,
               FormAbsorbQueryBackward, FormAbsorbValue,
               FormAbsorbValueBackward>(patterns.getContext());
}
