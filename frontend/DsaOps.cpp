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

static DslType checkSelectTokens(CheckCall &call) {
  const DslType &keys = call.args[2];
  if (keys.dims.size() != 2 || keys.dims[0] != Dim::constant(1)) {
    call.fail(2, "a state [1, columns]");
    return {};
  }
  Dim heads = call.keywords["heads"].dim;
  if (!call.expectArg(
          0, DslType::tensor({Dim::name("T"), heads * keys.dims[1]})) ||
      !call.expectArg(1, DslType::tensor({Dim::name("T"), heads}, true)))
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
}
