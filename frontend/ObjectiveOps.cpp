//===- ObjectiveOps.cpp - The operations that objectives call -------------===//
#include "dialect/Dialect.h"
#include "frontend/Ops.h"

using namespace ds;
using llvm::StringRef;
using llvm::Twine;
using mlir::RankedTensorType;

DslType ds::getRowType() {
  return DslType::tensor({Dim::name("Tout"), Dim::constant(1)}, true);
}

static RankedTensorType getRows(mlir::Type element) {
  return RankedTensorType::get({mlir::ShapedType::kDynamic, 1}, element);
}

static mlir::Value makeInput(BuildCall &call, StringRef name, mlir::Value seq) {
  return RowInputOp::create(call.builder, call.loc,
                            getRows(call.builder.getF32Type()), name, seq);
}

//===----------------------------------------------------------------------===//
// What the data says of a row
//===----------------------------------------------------------------------===//

/// The name of what the data says of a row about the token after it or, with
/// `ahead` 2, about the one after that, which a draft head guesses. Empty after
/// an error.
static std::string getRowName(BuildCall &call, StringRef name) {
  auto ahead = call.keywords.find("ahead");
  if (ahead == call.keywords.end() || ahead->second.integer == 1)
    return name.str();
  if (ahead->second.integer == 2)
    return ("draft_" + name).str();
  call.fail("ahead", "expects ahead to be 1 or 2, got " + ahead->second.str());
  return "";
}

static DslType checkTargets(CheckCall &) { return DslType::Targets; }

static mlir::Value buildTargets(BuildCall &call) {
  auto all = call.keywords.find("all");
  if (all != call.keywords.end() && all->second.boolean)
    call.builder.getInsertionBlock()->getParentOp()->setAttr(
        kAllTargetsAttr, call.builder.getUnitAttr());
  std::string name = getRowName(call, "targets");
  if (name.empty())
    return {};
  return RowInputOp::create(call.builder, call.loc,
                            getRows(call.builder.getI32Type()), name,
                            call.args[0]);
}

static DslType checkRows(CheckCall &) { return getRowType(); }

static mlir::Value buildInverseTemperature(BuildCall &call) {
  return makeInput(call, "inverse_temperature", call.args[0]);
}

//===----------------------------------------------------------------------===//
// Log-probabilities and means
//===----------------------------------------------------------------------===//

static DslType checkLogProb(CheckCall &call) {
  const DslType &logits = call.args[0];
  if (logits.dims.size() != 2 || logits.dims[0] != Dim::name("Tout") ||
      logits == getRowType()) {
    call.fail(0, "the logits of a model");
    return {};
  }
  return call.expectArg(2, getRowType()) ? getRowType() : DslType();
}

static mlir::Value buildLogProb(BuildCall &call) {
  auto type = getRows(call.builder.getF32Type());
  return LogProbOp::create(call.builder, call.loc, type, type, call.args[0],
                           call.args[1], call.args[2])
      .getLogProb();
}

static DslType checkMean(CheckCall &call) {
  return call.expectArg(0, getRowType()) ? getRowType() : DslType();
}

/// A mean over rows is their sum, each times its share.
static mlir::Value buildMean(BuildCall &call, StringRef share) {
  mlir::Value weight = makeInput(call, share, call.args[1]);
  return arith::MulFOp::create(call.builder, call.loc, call.args[0], weight);
}

static mlir::Value buildTokenMean(BuildCall &call) {
  std::string name = getRowName(call, "token_weight");
  return name.empty() ? mlir::Value() : buildMean(call, name);
}

static mlir::Value buildSequenceMean(BuildCall &call) {
  return buildMean(call, "sequence_weight");
}

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

mlir::Value ds::buildFill(mlir::OpBuilder &builder, mlir::Location loc,
                          double value) {
  mlir::Value seq = builder.getInsertionBlock()->getArgument(0);
  return FillOp::create(builder, loc, getRows(builder.getF32Type()),
                        builder.getF64FloatAttr(value), seq);
}

static DslType checkOne(CheckCall &call) { return call.args[0]; }

static DslType checkTwo(CheckCall &call) {
  return call.expectArg(1, call.args[0]) ? call.args[0] : DslType();
}

template <typename Op> static mlir::Value buildOne(BuildCall &call) {
  return Op::create(call.builder, call.loc, call.args[0]);
}

template <typename Op> static mlir::Value buildTwo(BuildCall &call) {
  return Op::create(call.builder, call.loc, call.args[0], call.args[1]);
}

static mlir::Value buildStopGradient(BuildCall &call) {
  return StopGradientOp::create(call.builder, call.loc, call.args[0].getType(),
                                call.args[0]);
}

static mlir::Value buildClip(BuildCall &call) {
  double low = call.keywords["low"].number;
  double high = call.keywords["high"].number;
  if (!(low <= high))
    return call.fail("high", "expects high not to be less than low, got " +
                                 call.keywords["high"].str());
  auto fill = [&](double value) {
    return buildFill(call.builder, call.loc, value);
  };
  mlir::Value bounded = arith::MaximumFOp::create(call.builder, call.loc,
                                                  call.args[0], fill(low));
  return arith::MinimumFOp::create(call.builder, call.loc, bounded, fill(high));
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

const std::vector<OpInfo> &ds::getObjectiveOps() {
  using T = DslType;
  static const std::vector<OpInfo> ops = {
      {"targets",
       {{"sequences", T::Seq}},
       {{"all", T::Bool, true}, {"ahead", T::Int, true}},
       checkTargets,
       buildTargets},
      {"inverse_temperature",
       {{"sequences", T::Seq}},
       {},
       checkRows,
       buildInverseTemperature},
      {"log_prob",
       {{"logits", T::Tensor},
        {"targets", T::Targets},
        {"inverse_temperature", T::Tensor}},
       {},
       checkLogProb,
       buildLogProb},
      {"token_mean",
       {{"input", T::Tensor}, {"sequences", T::Seq}},
       {{"ahead", T::Int, true}},
       checkMean,
       buildTokenMean},
      {"sequence_mean",
       {{"input", T::Tensor}, {"sequences", T::Seq}},
       {},
       checkMean,
       buildSequenceMean},
      {"exp", {{"input", T::Tensor}}, {}, checkOne, buildOne<math::ExpOp>},
      {"log", {{"input", T::Tensor}}, {}, checkOne, buildOne<math::LogOp>},
      {"min",
       {{"left", T::Tensor}, {"right", T::Tensor}},
       {},
       checkTwo,
       buildTwo<arith::MinimumFOp>},
      {"max",
       {{"left", T::Tensor}, {"right", T::Tensor}},
       {},
       checkTwo,
       buildTwo<arith::MaximumFOp>},
      {"clip",
       {{"input", T::Tensor}},
       {{"low", T::Float}, {"high", T::Float}},
       checkOne,
       buildClip},
      {"stop_gradient",
       {{"input", T::Tensor}},
       {},
       checkOne,
       buildStopGradient},
  };
  return ops;
}
