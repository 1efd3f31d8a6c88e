//===- BalanceOps.cpp - What balances experts, in model texts -------------===//
#include "dialect/Dialect.h"
#include "frontend/Ops.h"

using namespace ds;
using llvm::StringRef;
using llvm::Twine;
using mlir::RankedTensorType;

static RankedTensorType getMatrix(BuildCall &call, int64_t columns) {
  return RankedTensorType::get({mlir::ShapedType::kDynamic, columns},
                               call.builder.getF32Type());
}

/// `f32[T, 1]`: a value for each token.
static DslType getTokenType() {
  return DslType::tensor({Dim::name("T"), Dim::constant(1)}, true);
}

static bool expectScores(CheckCall &call, size_t index) {
  const DslType &type = call.args[index];
  return (type.isF32 && type.dims.size() == 2 &&
          type.dims[0] == Dim::name("T")) ||
         call.fail(index, "a matrix of f32 of T rows");
}

static int64_t getNumber(BuildCall &call, StringRef name, int64_t otherwise) {
  auto found = call.keywords.find(name);
  return found == call.keywords.end() ? otherwise : found->second.integer;
}

static bool getFlag(BuildCall &call, StringRef name) {
  auto found = call.keywords.find(name);
  return found != call.keywords.end() && found->second.boolean;
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

static DslType checkExpertLoad(CheckCall &call) {
  const DslType &picks = call.args[0];
  if (!picks.isI32 || picks.dims.size() != 2 ||
      picks.dims[0] != Dim::name("T")) {
    call.fail(0, "picks, a matrix of i32 of T rows");
    return {};
  }
  return DslType::tensor({Dim::name("T"), call.keywords["experts"].dim}, true);
}

static mlir::Value buildExpertLoad(BuildCall &call) {
  int64_t experts = call.keywords["experts"].integer;
  int64_t groups = getNumber(call, "groups", experts);
  auto picks = mlir::cast<RankedTensorType>(call.args[0].getType());
  int64_t expected = getNumber(call, "sent_to", picks.getDimSize(1));
  if (experts < 1)
    return call.fail("experts", "expects at least one expert, got " +
                                    Twine(experts));
  if (groups < 1 || experts % groups)
    return call.fail("groups", "expects experts (" + Twine(experts) +
                                   ") to be a multiple of groups (" +
                                   Twine(groups) + ")");
  if (expected < 1)
    return call.fail("sent_to", "expects a token to be sent to at least one "
                                "group, got " +
                                    Twine(expected));
  return ExpertLoadOp::create(call.builder, call.loc,
                              getMatrix(call, experts), call.args[0],
                              call.args[1], groups, expected,
                              call.keywords.count("sent_to") != 0,
                              getFlag(call, "per_sequence"));
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

static DslType checkDotColumns(CheckCall &call) {
  if (!expectScores(call, 0) || !call.expectArg(1, call.args[0]))
    return {};
  return getTokenType();
}

static mlir::Value buildDotColumns(BuildCall &call) {
  auto scale = call.keywords.find("scale");
  double factor = scale == call.keywords.end() ? 1.0 : scale->second.number;
  return DotColumnsOp::create(call.builder, call.loc, getMatrix(call, 1),
                              call.args[0], call.args[1],
                              call.builder.getF64FloatAttr(factor));
}

static DslType checkNormalise(CheckCall &call) {
  return expectScores(call, 0) ? call.args[0] : DslType();
}

static mlir::Value buildNormalise(BuildCall &call) {
  return NormaliseOp::create(call.builder, call.loc, call.args[0]);
}

static DslType checkRowMean(CheckCall &call) {
  return call.expectArg(0, getTokenType()) ? getTokenType() : DslType();
}

/// A mean is the sum over the rows, each times its share.
static mlir::Value buildRowMean(BuildCall &call) {
  mlir::Value rows = call.args[0];
  auto scale = call.keywords.find("scale");
  if (scale != call.keywords.end())
    rows = arith::MulFOp::create(
        call.builder, call.loc, rows,
        FillOp::create(call.builder, call.loc, getMatrix(call, 1),
                       call.builder.getF64FloatAttr(scale->second.number),
                       call.args[1], call.builder.getUnitAttr()));
  mlir::Value share = RowInputOp::create(
      call.builder, call.loc, getMatrix(call, 1),
      getFlag(call, "per_sequence") ? "sequence_share" : "batch_share",
      call.args[1], /*tokens=*/true);
  return arith::MulFOp::create(call.builder, call.loc, rows, share);
}

static DslType checkStopGradient(CheckCall &call) {
  if (call.args[0].dims.size() == 2 && !call.args[0].isI32)
    return call.args[0];
  call.fail(0, "a matrix of numbers");
  return {};
}

static mlir::Value buildStopGradient(BuildCall &call) {
  if (!call.trains)
    return call.args[0];
  return StopGradientOp::create(call.builder, call.loc,
                                call.args[0].getType(), call.args[0]);
}

void ds::addBalanceOps(std::vector<OpInfo> &ops) {
  using T = DslType;
  ops.push_back({"expert_load",
                 {{"picks", T::Tensor}, {"sequences", T::Seq}},
                 {{"experts", T::Int},
                  {"groups", T::Int, true},
                  {"sent_to", T::Int, true},
                  {"per_sequence", T::Bool, true}},
                 checkExpertLoad,
                 buildExpertLoad});
  ops.push_back({"dot_columns",
                 {{"left", T::Tensor}, {"right", T::Tensor}},
                 {{"scale", T::Float, true}},
                 checkDotColumns,
                 buildDotColumns});
  ops.push_back({"normalise",
                 {{"scores", T::Tensor}},
                 {},
                 checkNormalise,
                 buildNormalise});
  ops.push_back({"row_mean",
                 {{"rows", T::Tensor}, {"sequences", T::Seq}},
                 {{"per_sequence", T::Bool, true}, {"scale", T::Float, true}},
                 checkRowMean,
                 buildRowMean});
  ops.push_back({"stop_gradient",
                 {{"input", T::Tensor}},
                 {},
                 checkStopGradient,
                 buildStopGradient});
}
