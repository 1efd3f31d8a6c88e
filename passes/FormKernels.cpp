//===- FormKernels.cpp - From ds operations to kernels --------------------===//
//
// Every ds operation becomes one member of a kernel family. What an operation
// computes element by element is a region of scalar arith and math, in which
// truncf and extf are the rounding points.
//
//===----------------------------------------------------------------------===//
#include "passes/FormDsa.h"
#include "passes/FormHeads.h"
#include "passes/FormMla.h"
#include "passes/FormMoe.h"
#include "passes/FormNsa.h"
#include "passes/FormTraining.h"
#include "passes/Passes.h"
#include "passes/Regions.h"
#include "passes/WeightTools.h"

namespace ds {
#define GEN_PASS_DEF_FORMKERNELS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

/// Returns the rows of a product's operand and, if they are selected, the seq
/// that says which.
static std::pair<Value, Value> findRows(Value input) {
  if (auto select = input.getDefiningOp<SelectRowsOp>())
    return {select.getInput(), select.getSeq()};
  return {input, Value()};
}

void ds::setRouting(KernelMatmulOp kernel, Value routing, bool gathered) {
  if (routing)
    kernel.getRoutingMutable().assign(routing);
  kernel.setGathered(gathered);
}

namespace {
/// Norms all rows and selects after it, so that a product can do the selecting.
struct SinkSelectRows : OpRewritePattern<RmsNormOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RmsNormOp op,
                                PatternRewriter &rewriter) const override {
    auto select = op.getInput().getDefiningOp<SelectRowsOp>();
    if (!select)
      return rewriter.notifyMatchFailure(op, "expects selected rows");
    Value all =
        RmsNormOp::create(rewriter, op.getLoc(), op.getType(),
                          select.getInput(), op.getWeight(), op.getEpsAttr());
    rewriter.replaceOpWithNewOp<SelectRowsOp>(op, op.getType(), all,
                                              select.getSeq());
    return success();
  }
};

struct FormLinear : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LinearOp op,
                                PatternRewriter &rewriter) const override {
    auto [input, rows] = findRows(op.getInput());
    SmallVector<Value> extras;
    SmallVector<Type> types = {rewriter.getF32Type()};
    if (Value bias = op.getBias()) {
      extras.push_back(bias);
      types.push_back(getElement(bias));
    }
    auto kernel = KernelMatmulOp::create(rewriter, op.getLoc(), op.getType(),
                                         getKernelStem(op.getWeight(), "matmul"),
                                         input, op.getWeight(), extras, rows);
    setRouting(kernel, op.getRouting(), op.getGathered());
    RegionBuilder region(kernel.getEpilogue(), types, op.getLoc());
    Value sum = region.argument(0);
    if (op.getBias())
      sum = region.add(sum, region.widen(region.argument(1)));
    region.yield(region.round(sum, getElement(op.getResult())));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormGatedLinear : OpRewritePattern<GatedLinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatedLinearOp op,
                                PatternRewriter &rewriter) const override {
    auto [input, rows] = findRows(op.getInput());
    auto kernel = KernelMatmulOp::create(
        rewriter, op.getLoc(), op.getType(), getKernelStem(op.getWeight(), "matmul"),
        input, op.getWeight(), ValueRange(), rows, /*pair=*/true);
    setRouting(kernel, op.getRouting(), op.getGathered());
    Type f32 = rewriter.getF32Type(), element = getElement(op.getResult());
    RegionBuilder region(kernel.getEpilogue(), {f32, f32}, op.getLoc());
    Value gate = region.widen(region.round(region.argument(0), element));
    Value up = region.widen(region.round(region.argument(1), element));
    region.yield(region.round(region.swiglu(gate, up), element));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormRmsNorm : OpRewritePattern<RmsNormOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RmsNormOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelRowOp::create(
        rewriter, op.getLoc(), op.getType(), getKernelStem(op.getWeight(), "row"),
        ValueRange{op.getInput(), op.getWeight()});
    fillRegion(op, kernel.getBody());
    rewriter.replaceOp(op, kernel);
    return success();
  }

  /// x / sqrt(mean(x^2) + eps) * g in f32, rounded once.
  static void fillRegion(RmsNormOp op, Region &body) {
    RegionBuilder region(
        body, {getElement(op.getInput()), getElement(op.getWeight())},
        op.getLoc());
    Value x = region.widen(region.argument(0));
    Value sum = region.reduce(region.mul(x, x));
    auto width = static_cast<double>(op.getType().getDimSize(1));
    Value mean = region.div(sum, region.constant(width));
    double eps = op.getEps().convertToDouble();
    Value root = region.sqrt(region.add(mean, region.constant(eps)));
    Value scaled = region.mul(x, region.div(region.constant(1.0), root));
    Value y = region.mul(scaled, region.widen(region.argument(1)));
    region.yield(region.round(y, getElement(op.getResult())));
  }
};

struct FormLayerNorm : OpRewritePattern<LayerNormOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LayerNormOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelRowOp::create(
        rewriter, op.getLoc(), op.getType(),
        getKernelStem(op.getWeight(), "row"),
        ValueRange{op.getInput(), op.getWeight(), op.getBias()});
    RegionBuilder region(kernel.getBody(),
                         {getElement(op.getInput()), getElement(op.getWeight()),
                          getElement(op.getBias())},
                         op.getLoc());
    Value width =
        region.constant(static_cast<double>(op.getType().getDimSize(1)));
    Value x = region.widen(region.argument(0));
    Value from = region.sub(x, region.div(region.reduce(x), width));
    Value variance = region.div(region.reduce(region.mul(from, from)), width);
    Value root = region.sqrt(
        region.add(variance, region.constant(op.getEps().convertToDouble())));
    Value scaled = region.mul(from, region.div(region.constant(1.0), root));
    Value y = region.add(region.mul(scaled, region.widen(region.argument(1))),
                         region.widen(region.argument(2)));
    region.yield(region.round(y, getElement(op.getResult())));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormSwiglu : OpRewritePattern<SwigluOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SwigluOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelElementwiseOp::create(
        rewriter, op.getLoc(), op.getType(), "swiglu", op->getOperands());
    Type element = getElement(op.getResult());
    RegionBuilder region(kernel.getBody(), {element, element}, op.getLoc());
    Value y = region.swiglu(region.widen(region.argument(0)),
                            region.widen(region.argument(1)));
    region.yield(region.round(y, element));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

/// arith and math on matrices.
struct FormElementwise : RewritePattern {
  explicit FormElementwise(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/1, context) {}

  static bool isMatrix(Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && tensor.getRank() == 2 &&
           (tensor.getElementType().isF32() ||
            tensor.getElementType().isBF16());
  }

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    StringRef dialect = op->getName().getDialectNamespace();
    if ((dialect != "arith" && dialect != "math") || op->getNumResults() != 1 ||
        op->getNumOperands() == 0 ||
        !OpTrait::hasElementwiseMappableTraits(op) ||
        !isMatrix(op->getResult(0).getType()) ||
        !llvm::all_of(op->getOperandTypes(), isMatrix))
      return failure();
    StringRef stem = op->getName().stripDialect();
    // A fill is a number in the region, unless all operands are fills.
    auto isFill = [](Value value) {
      return value.getDefiningOp<FillOp>() != nullptr;
    };
    bool allFills = llvm::all_of(op->getOperands(), isFill);
    SmallVector<Value> inputs;
    SmallVector<Type> types;
    for (Value operand : op->getOperands()) {
      if (isFill(operand) && !allFills)
        continue;
      inputs.push_back(operand);
      types.push_back(getElement(operand));
    }
    auto kernel = KernelElementwiseOp::create(
        rewriter, op->getLoc(), op->getResult(0).getType(), stem, inputs);
    RegionBuilder region(kernel.getBody(), types, op->getLoc());
    SmallVector<Value> arguments;
    unsigned next = 0;
    for (Value operand : op->getOperands()) {
      auto fill = operand.getDefiningOp<FillOp>();
      if (fill && !allFills)
        arguments.push_back(
            region.constant(fill.getValue().convertToDouble()));
      else
        arguments.push_back(region.argument(next++));
    }
    region.yield(region.apply(op, arguments, getElement(op->getResult(0))));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormAttention : OpRewritePattern<AttendOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttendOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelAttentionOp>(
        op, op->getResultTypes(), "attention", op.getQuery(),
        op.getKeys(), op.getValues(), op.getSeq(), op.getEntries(),
        op.getHeads(), op.getScale(), op.getPrefixAttr());
    return success();
  }
};

struct FormEmbedding : OpRewritePattern<EmbeddingOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(EmbeddingOp op,
                                PatternRewriter &rewriter) const override {
    WeightLayout layout = WeightLayout::Raw;
    if (auto read = op.getTable().getDefiningOp<GetWeightOp>())
      if (auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(
              op, read.getWeightAttr()))
        layout = weight.getLayout().value_or(layout);
    rewriter.replaceOpWithNewOp<KernelEmbedOp>(
        op, op.getType(), "embed", op.getTable(), op.getSeq(), layout);
    return success();
  }
};

/// A number that is no part of another kernel's region.
struct FormFill : OpRewritePattern<FillOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(FillOp op,
                                PatternRewriter &rewriter) const override {
    bool tokens = op.getTokens();
    Value rows = RowInputOp::create(rewriter, op.getLoc(), op.getType(),
                                    tokens ? "batch_share" : "token_weight",
                                    op.getSeq(), tokens);
    auto kernel = KernelElementwiseOp::create(rewriter, op.getLoc(),
                                              op.getType(), "fill", rows);
    RegionBuilder region(kernel.getBody(), rewriter.getF32Type(), op.getLoc());
    region.yield(region.constant(op.getValue().convertToDouble()));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

/// Rows that something else than a product reads.
struct FormGatherRows : OpRewritePattern<SelectRowsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SelectRowsOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelGatherRowsOp>(
        op, op.getType(), "gather_rows", op.getInput(), op.getSeq());
    return success();
  }
};

struct FormKernels : ds::impl::FormKernelsBase<FormKernels> {
  void runOnOperation() override {
    formWindows(getOperation());
    formHeads(getOperation());
    RewritePatternSet sinking(&getContext()), patterns(&getContext()),
        gathering(&getContext());
    sinking.add<SinkSelectRows>(&getContext());
    patterns.add<FormLinear, FormGatedLinear, FormRmsNorm, FormLayerNorm, FormSwiglu,
                 FormElementwise, FormAttention, FormEmbedding>(&getContext());
    addTrainingPatterns(patterns);
    addMoePatterns(patterns);
    addBalancePatterns(patterns);
    addNsaPatterns(patterns);
    addDsaPatterns(patterns);
    addMlaPatterns(patterns);
    gathering.add<FormGatherRows, FormFill>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(sinking))) ||
        failed(applyPatternsGreedily(getOperation(), std::move(patterns))) ||
        failed(applyPatternsGreedily(getOperation(), std::move(gathering))))
      return signalPassFailure();
    WalkResult result = getOperation().walk<WalkOrder::PreOrder>(check);
    if (result.wasInterrupted())
      signalPassFailure();
  }

  /// Reports operations of which no kernel could be made.
  static WalkResult check(Operation *op) {
    if (isa<KernelInterface>(op))
      return WalkResult::skip();
    if (isa<ModuleOp, func::FuncOp, func::ReturnOp, WeightOp, GetWeightOp,
            RunOp, RunRowsOp, ViewSeqOp, NewStateOp, RowInputOp, GetGradientOp, GetCopyOp, GetHyperOp,
            GetPartialsOp>(op))
      return WalkResult::advance();
    return op->emitOpError() << "expects an operation of which a kernel can "
                             << "be made";
  }
};
} // namespace
