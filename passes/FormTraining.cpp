//===- FormTraining.cpp - Kernels of a training step ----------------------===//
//
// Backward operations become members of the same families as the forward's.
// The product of the head and what follows it, in either direction, becomes a
// function over windows of rows, so that no [R, vocabulary] is ever in memory.
//
//===----------------------------------------------------------------------===//
#include "passes/FormTraining.h"
#include "passes/FormMoe.h"
#include "passes/Regions.h"
#include "passes/WeightTools.h"

using namespace ds;

//===----------------------------------------------------------------------===//
// Rows and elements
//===----------------------------------------------------------------------===//

namespace {
/// With r = 1 / sqrt(mean(x^2) + eps) and d = g dy:
/// dx = r d - x r^3 mean(x d). r is the second result.
struct FormRmsNormBackward : OpRewritePattern<RmsNormBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RmsNormBackwardOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelRowOp::create(
        rewriter, op.getLoc(), op.getResultTypes(),
        (getKernelStem(op.getWeight(), "row") + "_backward").str(),
        ValueRange{op.getInput(), op.getWeight(), op.getOutputGradient()});
    RegionBuilder region(kernel.getBody(),
                         {getElement(op.getInput()), getElement(op.getWeight()),
                          getElement(op.getOutputGradient())},
                         op.getLoc());
    auto type = cast<RankedTensorType>(op.getInput().getType());
    Value width = region.constant(static_cast<double>(type.getDimSize(1)));
    Value x = region.widen(region.argument(0));
    Value d = region.mul(region.widen(region.argument(1)),
                         region.widen(region.argument(2)));
    Value mean = region.div(region.reduce(region.mul(x, x)), width);
    Value eps = region.constant(op.getEps().convertToDouble());
    Value r = region.div(region.constant(1.0),
                         region.sqrt(region.add(mean, eps)));
    Value along = region.div(region.reduce(region.mul(x, d)), width);
    Value cube = region.mul(region.mul(r, r), region.mul(r, along));
    Value dx = region.sub(region.mul(r, d), region.mul(x, cube));
    region.yield({region.round(dx, getElement(kernel.getResult(0))), r});
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormLayerNormBackward : OpRewritePattern<LayerNormBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LayerNormBackwardOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelRowOp::create(
        rewriter, op.getLoc(), op.getResultTypes(),
        (getKernelStem(op.getWeight(), "row") + "_backward").str(),
        ValueRange{op.getInput(), op.getWeight(), op.getOutputGradient()});
    RegionBuilder region(kernel.getBody(),
                         {getElement(op.getInput()), getElement(op.getWeight()),
                          getElement(op.getOutputGradient())},
                         op.getLoc());
    auto type = cast<RankedTensorType>(op.getInput().getType());
    Value width = region.constant(static_cast<double>(type.getDimSize(1)));
    auto mean = [&](Value value) {
      return region.div(region.reduce(value), width);
    };
    Value x = region.widen(region.argument(0));
    Value dy = region.widen(region.argument(2));
    Value from = region.sub(x, mean(x));
    Value root = region.sqrt(
        region.add(mean(region.mul(from, from)),
                   region.constant(op.getEps().convertToDouble())));
    Value r = region.div(region.constant(1.0), root);
    Value n = region.mul(from, r);
    Value d = region.mul(region.widen(region.argument(1)), dy);
    Value along = region.mul(n, mean(region.mul(d, n)));
    Value dx = region.mul(r, region.sub(region.sub(d, mean(d)), along));
    region.yield({region.round(dx, getElement(kernel.getResult(0))),
                  region.mul(dy, n)});
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

/// The derivatives of silu(g) u = g s u with s = 1 / (1 + exp(-g)).
std::pair<Value, Value> swigluBackward(RegionBuilder &region, Value gate,
                                       Value up, Value dz) {
  Value one = region.constant(1.0);
  Value s = region.div(one, region.add(one, region.exp(region.neg(gate))));
  Value silu = region.mul(gate, s);
  Value slope = region.mul(
      s, region.add(one, region.mul(gate, region.sub(one, s))));
  return {region.mul(region.mul(dz, up), slope), region.mul(dz, silu)};
}

/// Of gate and up apart, or side by side in pairs.
template <typename Op> struct FormSwigluGradient : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    bool pairs = std::is_same_v<Op, SwigluPairsBackwardOp>;
    auto kernel = KernelElementwiseOp::create(
        rewriter, op.getLoc(), op->getResultTypes(), "swiglu_backward",
        op->getOperands(), pairs);
    Type element = getElement(op->getResult(0));
    RegionBuilder region(kernel.getBody(), SmallVector<Type>(3, element),
                         op.getLoc());
    auto [gate, up] = swigluBackward(
        region, region.widen(region.argument(0)),
        region.widen(region.argument(1)), region.widen(region.argument(2)));
    region.yield({region.round(gate, element), region.round(up, element)});
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormSelectLess : OpRewritePattern<SelectLessOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SelectLessOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelElementwiseOp::create(
        rewriter, op.getLoc(), op->getResultTypes(), "select_less",
        op->getOperands());
    Type element = getElement(op.getResult());
    RegionBuilder region(kernel.getBody(), SmallVector<Type>(3, element),
                         op.getLoc());
    Value isLess = arith::CmpFOp::create(
        region.builder, region.loc, arith::CmpFPredicate::OLT,
        region.widen(region.argument(0)), region.widen(region.argument(1)));
    Value chosen = arith::SelectOp::create(
        region.builder, region.loc, isLess, region.widen(region.argument(2)),
        region.constant(0.0));
    region.yield(region.round(chosen, element));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormSwigluPairs : OpRewritePattern<SwigluPairsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SwigluPairsOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelElementwiseOp::create(
        rewriter, op.getLoc(), op->getResultTypes(), "swiglu",
        op->getOperands(), /*pairs=*/true);
    Type element = getElement(op.getResult());
    RegionBuilder region(kernel.getBody(), {element, element}, op.getLoc());
    Value y = region.swiglu(region.widen(region.argument(0)),
                            region.widen(region.argument(1)));
    region.yield(region.round(y, element));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Gradients of weights
//===----------------------------------------------------------------------===//

struct FormLinearT : OpRewritePattern<LinearTOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LinearTOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelMatmulOp::create(
        rewriter, op.getLoc(), op.getType(),
        (getKernelStem(op.getWeight(), "matmul") + "_backward").str(), op.getInput(),
        op.getWeight(), ValueRange(), Value(), /*pair=*/false,
        /*transposed=*/true);
    setRouting(kernel, op.getRouting(), /*gathered=*/false);
    RegionBuilder region(kernel.getEpilogue(), rewriter.getF32Type(),
                         op.getLoc());
    region.yield(region.round(region.argument(0), getElement(op.getResult())));
    rewriter.replaceOp(op, kernel);
    return success();
  }
};

struct FormAccumulateOuter : OpRewritePattern<AccumulateOuterOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AccumulateOuterOp op,
                                PatternRewriter &rewriter) const override {
    std::string stem = "outer";
    if (auto memory = op.getGradient().getDefiningOp<GetGradientOp>())
      stem = getWeightStem(memory.getWeight()).str();
    rewriter.replaceOpWithNewOp<KernelOuterOp>(
        op, stem, op.getOutputGradient(), op.getInput(), op.getGradient(),
        op.getRouting(), op.getHeadsAttr());
    return success();
  }
};

struct FormAccumulateColumns : OpRewritePattern<AccumulateColumnsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AccumulateColumnsOp op,
                                PatternRewriter &rewriter) const override {
    auto kernel = KernelColumnsOp::create(rewriter, op.getLoc(), "bias",
                                          ValueRange{op.getInput()},
                                          op.getGradient());
    RegionBuilder region(kernel.getBody(), getElement(op.getInput()),
                         op.getLoc());
    region.yield(region.widen(region.argument(0)));
    rewriter.eraseOp(op);
    return success();
  }
};

struct FormAccumulateNorm : OpRewritePattern<AccumulateNormOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AccumulateNormOp op,
                                PatternRewriter &rewriter) const override {
    SmallVector<Value> inputs = {op.getOutputGradient(), op.getInput(),
                                 op.getRstd()};
    auto kernel = KernelColumnsOp::create(rewriter, op.getLoc(), "norm",
                                          inputs, op.getGradient());
    RegionBuilder region(kernel.getBody(),
                         {getElement(inputs[0]), getElement(inputs[1]),
                          getElement(inputs[2])},
                         op.getLoc());
    Value scaled =
        region.mul(region.widen(region.argument(1)), region.argument(2));
    region.yield(region.mul(region.widen(region.argument(0)), scaled));
    rewriter.eraseOp(op);
    return success();
  }
};

struct FormAccumulateEmbedding : OpRewritePattern<AccumulateEmbeddingOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AccumulateEmbeddingOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelScatterEmbeddingOp>(
        op, "embed_backward", op.getGradient(), op.getInput(), op.getSeq());
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Attention and rows
//===----------------------------------------------------------------------===//

struct FormAttendBackward : OpRewritePattern<AttendBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttendBackwardOp op,
                                PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value delta = KernelAttentionDeltaOp::create(
        rewriter, loc, op.getLse().getType(), "delta", op.getOutput(),
        op.getOutputGradient(), op.getHeads());
    auto query = KernelAttentionBackwardQueryOp::create(
        rewriter, loc, op->getResult(0).getType(), "query", op.getQuery(),
        op.getKeys(), op.getValues(), op.getLse(), delta,
        op.getOutputGradient(), op.getSeq(), op.getEntries(), op.getHeads(),
        op.getScale(), op.getPrefixAttr());
    auto keys = KernelAttentionBackwardKeysOp::create(
        rewriter, loc, TypeRange(op->getResultTypes()).drop_front(), "keys",
        op.getQuery(), op.getKeys(), op.getValues(), op.getLse(), delta,
        op.getOutputGradient(), op.getSeq(), op.getEntries(), op.getKeySeq(),
        op.getHeads(), op.getScale(), op.getPrefixAttr());
    SmallVector<Value> results{query.getResult()};
    llvm::append_range(results, keys->getResults());
    rewriter.replaceOp(op, results);
    return success();
  }
};

struct FormScatterRows : OpRewritePattern<ScatterRowsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ScatterRowsOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelScatterRowsOp>(
        op, op.getType(), "scatter_rows", op.getInput(), op.getSeq());
    return success();
  }
};

struct FormStopGradient : OpRewritePattern<StopGradientOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(StopGradientOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOp(op, op.getInput());
    return success();
  }
};

struct FormLogProb : OpRewritePattern<LogProbOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LogProbOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelLogProbOp>(
        op, op->getResultTypes(), "log_prob", op.getLogits(), op.getTargets(),
        op.getInverseTemperature());
    return success();
  }
};

struct FormLogProbBackward : OpRewritePattern<LogProbBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LogProbBackwardOp op,
                                PatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<KernelLogProbBackwardOp>(
        op, op.getType(), "log_prob_backward", op.getLogits(), op.getTargets(),
        op.getInverseTemperature(), op.getLse(), op.getGradient());
    return success();
  }
};

//===----------------------------------------------------------------------===//
// The optimiser
//===----------------------------------------------------------------------===//

struct FormAdamw : OpRewritePattern<AdamwOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AdamwOp op,
                                PatternRewriter &rewriter) const override {
    auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(
        op, op.getWeightAttr());
    if (!weight.getLayout())
      return rewriter.notifyMatchFailure(op, "expects a layout");
    Location loc = op.getLoc();
    RankedTensorType packed = getPackedType(weight);
    auto type = cast<RankedTensorType>(packed.clone(rewriter.getF32Type()));
    auto copy = [&](Copy which) {
      return GetCopyOp::create(rewriter, loc, type, op.getWeight(), which);
    };
    Value master = copy(Copy::Master), first = copy(Copy::Moment1),
          second = copy(Copy::Moment2);
    Value gradient =
        GetGradientOp::create(rewriter, loc, type, op.getWeight());
    Value weights = GetWeightOp::create(rewriter, loc, packed, op.getWeight());
    Value hyper = GetHyperOp::create(
        rewriter, loc, RankedTensorType::get({16}, rewriter.getF32Type()));
    rewriter.replaceOpWithNewOp<KernelAdamwOp>(op, "adamw", master, first,
                                               second, gradient, weights, hyper,
                                               *weight.getLayout());
    return success();
  }
};

struct FormSquareSum : OpRewritePattern<SquareSumOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SquareSumOp op,
                                PatternRewriter &rewriter) const override {
    auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(
        op, op.getWeightAttr());
    Type f32 = rewriter.getF32Type();
    Value gradient = GetGradientOp::create(
        rewriter, op.getLoc(), getValueType(weight).clone(f32),
        op.getWeight());
    Value partials = GetPartialsOp::create(
        rewriter, op.getLoc(),
        RankedTensorType::get({ShapedType::kDynamic}, f32));
    rewriter.replaceOpWithNewOp<KernelSquareSumOp>(op, "square_sum", gradient,
                                                   partials);
    return success();
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Windows of rows
//===----------------------------------------------------------------------===//

namespace {
/// Moves an operation on R rows into a function that runs on windows of them.
class WindowFormer {
public:
  explicit WindowFormer(ModuleOp module) : module(module), symbols(module) {}

  void form(LinearLogProbOp op) {
    build(op, "head",
          {op.getInput(), op.getTargets(), op.getInverseTemperature()},
          [&](OpBuilder &builder, ValueRange rows) {
            Value logits = buildLogits(builder, op, rows[0], op.getWeight());
            return SmallVector<Value>(
                LogProbOp::create(builder, op.getLoc(), op->getResultTypes(),
                                  logits, rows[1], rows[2])
                    ->getResults());
          });
  }

  void form(LinearLogProbBackwardOp op) {
    build(op, "head_backward",
          {op.getInput(), op.getTargets(), op.getInverseTemperature(),
           op.getLse(), op.getOutputGradient()},
          [&](OpBuilder &builder, ValueRange rows) {
            Location loc = op.getLoc();
            Value weight = readAgain(builder, op.getWeight());
            Value logits = buildLogits(builder, op, rows[0], op.getWeight());
            auto type = cast<RankedTensorType>(logits.getType());
            Value dlogits = LogProbBackwardOp::create(
                builder, loc, type.clone(getElement(op.getInput())), logits,
                rows[1], rows[2], rows[3], rows[4]);
            if (op.getGradient())
              AccumulateOuterOp::create(builder, loc,
                                        readAgain(builder, op.getGradient()),
                                        dlogits, rows[0]);
            Value dx = LinearTOp::create(builder, loc,
                                         op->getResult(0).getType(), dlogits,
                                         weight);
            return SmallVector<Value>{dx};
          });
  }

private:
  ModuleOp module;
  SymbolTable symbols;

  /// Names the memory that `value` names in the function at hand.
  Value readAgain(OpBuilder &builder, Value value) {
    return builder.clone(*value.getDefiningOp())->getResult(0);
  }

  Value buildLogits(OpBuilder &builder, Operation *op, Value x, Value weight) {
    auto rows = cast<RankedTensorType>(weight.getType()).getDimSize(0);
    auto type = RankedTensorType::get({ShapedType::kDynamic, rows},
                                      builder.getF32Type());
    return LinearOp::create(builder, op->getLoc(), type, x,
                            readAgain(builder, weight), Value());
  }

  void build(Operation *op, StringRef name, ArrayRef<Value> rows,
             function_ref<SmallVector<Value>(OpBuilder &, ValueRange)> fill) {
    OpBuilder builder(op);
    auto type = builder.getFunctionType(TypeRange(ValueRange(rows)),
                                        op->getResultTypes());
    auto body = func::FuncOp::create(op->getLoc(), name, type);
    body.setPrivate();
    symbols.insert(body, op->getParentOfType<func::FuncOp>()->getIterator());
    for (unsigned i = 0; i < rows.size(); ++i)
      body.setArgAttr(i, kRowsAttr, builder.getStringAttr("R"));
    builder.setInsertionPointToStart(body.addEntryBlock());
    SmallVector<Value> results = fill(builder, body.getArguments());
    func::ReturnOp::create(builder, op->getLoc(), results);
    builder.setInsertionPoint(op);
    auto run = RunRowsOp::create(builder, op->getLoc(), op->getResultTypes(),
                                 body.getSymName(), rows);
    op->replaceAllUsesWith(run->getResults());
    op->erase();
  }
};
} // namespace

void ds::formWindows(ModuleOp module) {
  WindowFormer former(module);
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) {
    if (isa<LinearLogProbOp, LinearLogProbBackwardOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    if (auto forward = dyn_cast<LinearLogProbOp>(op))
      former.form(forward);
    else
      former.form(cast<LinearLogProbBackwardOp>(op));
  }
}

void ds::addTrainingPatterns(RewritePatternSet &patterns) {
  patterns.add<FormLinearT, FormAccumulateOuter, FormRmsNormBackward,
               FormSwigluGradient<SwigluBackwardOp>, FormSelectLess, FormSwigluPairs,
               FormSwigluGradient<SwigluPairsBackwardOp>, FormAccumulateColumns,
               FormAccumulateNorm, FormAccumulateEmbedding, FormAttendBackward,
               FormLayerNormBackward,
               FormScatterRows, FormStopGradient, FormLogProb,
               FormLogProbBackward, FormAdamw, FormSquareSum>(
      patterns.getContext());
}
