//===- DsaOps.cpp - Operations of an indexer ------------------------------===//
#include "dialect/Dialect.h"
#include "frontend/Ops.h"

using namespace ds;
using llvm::Twine;
using mlir::RankedTensorType;

static RankedTensorType getMatrix(int64_t columns, mlir::Type element) {
  return RankedTensorType::get({mlir::ShapedType::kDynamic, columns}, element);
}

static DslType checkLayerNorm(CheckCall &call) {
  const DslType &input = call.args[0];
  if (input.dims.size() != 2 || input.isI32) {
    call.fail(0, "a matrix");
    return {};
  }
  DslType weight(DslType::Weight);
  weight.dims = {input.dims[1]};
  if (!call.expectArg(1, weight) || !call.expectArg(2, weight))
    return {};
  return DslType::tensor(input.dims);
}

static mlir::Value buildLayerNorm(BuildCall &call) {
  double eps = call.keywords["eps"].number;
  if (!(eps >= 0))
    return call.fail("eps", "expects eps not to be negative, got " +
                                call.keywords["eps"].str());
  auto input = mlir::cast<RankedTensorType>(call.args[0].getType());
  return LayerNormOp::create(
      call.builder, call.loc, getMatrix(input.getDimSize(1), call.compute),
      call.args[0], call.args[1], call.args[2],
      call.builder.getF64FloatAttr(eps));
}

/// Checks the queries, weights and keys of an indexer.
static bool checkIndexer(CheckCall &call) {
  const DslType &keys = call.args[2];
  if (keys.dims.size() != 2 || keys.dims[0] != Dim::constant(1))
    return call.fail(2, "a state [1, columns]");
  Dim heads = call.keywords["heads"].dim;
  return call.expectArg(
             0, DslType::tensor({Dim::name("T"), heads * keys.dims[1]})) &&
         call.expectArg(1, DslType::tensor({Dim::name("T"), heads}, true));
}

static DslType checkSelectTokens(CheckCall &call) {
  if (!checkIndexer(call))
    return {};
  DslType list =
      DslType::tensor({Dim::name("T"), call.keywords["count"].dim});
  list.isI32 = true;
  return list;
}

static mlir::Value buildSelectTokens(BuildCall &call) {
  int64_t heads = call.keywords["heads"].integer;
  int64_t count = call.keywords["count"].integer;
  for (auto [name, number] : {std::pair("heads", heads), {"count", count}})
    if (number < 1)
      return call.fail(name, "expects " + Twine(name) + " to be positive, got " +
                                 Twine(number));
  mlir::Builder &b = call.builder;
  return SelectTokensOp::create(
      call.builder, call.loc, getMatrix(count, b.getI32Type()), call.args[0],
      call.args[1], call.args[2], call.args[3], b.getI64IntegerAttr(heads),
      b.getI64IntegerAttr(count));
}

static DslType checkIndexScores(CheckCall &call) {
  const DslType &entries = call.args[4];
  if (!checkIndexer(call))
    return {};
  if (!entries.isI32 || entries.dims.size() != 2 ||
      entries.dims[0] != Dim::name("T")) {
    call.fail(4, "i32[T, entries], positions that tokens see");
    return {};
  }
  return DslType::tensor({Dim::name("T"), entries.dims[1]}, true);
}

static mlir::Value buildIndexScores(BuildCall &call) {
  int64_t heads = call.keywords["heads"].integer;
  if (heads < 1)
    return call.fail("heads",
                     "expects heads to be positive, got " + Twine(heads));
  auto entries = mlir::cast<RankedTensorType>(call.args[4].getType());
  return IndexScoresOp::create(
      call.builder, call.loc,
      getMatrix(entries.getDimSize(1), call.builder.getF32Type()), call.args[0],
      call.args[1], call.args[2], call.args[3], call.args[4],
      call.builder.getI64IntegerAttr(heads),
      call.builder.getF64FloatAttr(call.keywords["scale"].number));
}

static DslType checkKlDivergence(CheckCall &call) {
  const DslType &target = call.args[0];
  if (!target.isF32 || target.dims.size() != 2 ||
      target.dims[0] != Dim::name("T")) {
    call.fail(0, "a matrix of f32 of T rows");
    return {};
  }
  if (!call.expectArg(1, target))
    return {};
  return DslType::tensor({Dim::name("T"), Dim::constant(1)}, true);
}

static mlir::Value buildKlDivergence(BuildCall &call) {
  return KlDivergenceOp::create(call.builder, call.loc,
                                getMatrix(1, call.builder.getF32Type()),
                                call.args[0], call.args[1]);
}

void ds::addDsaOps(std::vector<OpInfo> &ops) {
  using T = DslType;
  ops.push_back({"layer_norm",
                 {{"input", T::Tensor}, {"weight", T::Weight},
                  {"bias", T::Weight}},
                 {{"eps", T::Float}},
                 checkLayerNorm,
                 buildLayerNorm});
  ops.push_back({"select_tokens",
                 {{"query", T::Tensor},
                  {"weights", T::Tensor},
                  {"keys", T::State},
                  {"sequences", T::Seq}},
                 {{"heads", T::Int}, {"count", T::Int}},
                 checkSelectTokens,
                 buildSelectTokens});
  ops.push_back({"index_scores",
                 {{"query", T::Tensor},
                  {"weights", T::Tensor},
                  {"keys", T::State},
                  {"sequences", T::Seq},
                  {"entries", T::Tensor}},
                 {{"heads", T::Int}, {"scale", T::Float}},
                 checkIndexScores,
                 buildIndexScores});
  ops.push_back({"kl_divergence",
                 {{"target", T::Tensor}, {"share", T::Tensor}},
                 {},
                 checkKlDivergence,
                 buildKlDivergence});
}
