//===- MoeOps.cpp - Routers and experts in model texts --------------------===//
#include "dialect/Dialect.h"
#include "frontend/Ops.h"

using namespace ds;
using llvm::StringRef;
using llvm::Twine;
using mlir::RankedTensorType;

static RankedTensorType getMatrix(int64_t columns, mlir::Type element) {
  return RankedTensorType::get({mlir::ShapedType::kDynamic, columns}, element);
}

static int64_t getColumns(mlir::Value value) {
  return mlir::cast<RankedTensorType>(value.getType()).getShape().back();
}

/// Checks that argument `index` is a matrix of f32, as scores are.
static bool expectScores(CheckCall &call, size_t index) {
  const DslType &type = call.args[index];
  return (type.isF32 && type.dims.size() == 2) ||
         call.fail(index, "a matrix of f32");
}

static bool expectPicks(CheckCall &call, size_t index) {
  const DslType &type = call.args[index];
  return (type.isI32 && type.dims.size() == 2) ||
         call.fail(index, "picks, a matrix of i32");
}

//===----------------------------------------------------------------------===//
// Routers
//===----------------------------------------------------------------------===//

static DslType checkScores(CheckCall &call) {
  return expectScores(call, 0) ? call.args[0] : DslType();
}

static mlir::Value buildSoftmax(BuildCall &call) {
  return SoftmaxOp::create(call.builder, call.loc, call.args[0]);
}

static DslType checkSigmoid(CheckCall &call) {
  const DslType &type = call.args[0];
  if (type.isI32 || type.dims.size() != 2) {
    call.fail(0, "a matrix of numbers");
    return {};
  }
  return type;
}

static mlir::Value buildSigmoid(BuildCall &call) {
  return SigmoidOp::create(call.builder, call.loc, call.args[0]);
}

static DslType checkTopK(CheckCall &call) {
  if (!expectScores(call, 0))
    return {};
  DslType bias(DslType::Weight);
  bias.dims = {call.args[0].dims[1]};
  bias.isF32 = true;
  if (call.args.size() > 1 && !call.expectArg(1, bias))
    return {};
  DslType picks =
      DslType::tensor({call.args[0].dims[0], call.keywords["k"].dim});
  picks.isI32 = true;
  return picks;
}

static mlir::Value buildTopK(BuildCall &call) {
  auto number = [&](StringRef name, int64_t otherwise) {
    auto found = call.keywords.find(name);
    return found == call.keywords.end() ? otherwise : found->second.integer;
  };
  int64_t experts = getColumns(call.args[0]), k = number("k", 0);
  int64_t groups = number("groups", 1), kept = number("kept_groups", groups);
  if (groups < 1 || experts % groups)
    return call.fail("groups", "expects experts (" + Twine(experts) +
                                   ") to be a multiple of groups (" +
                                   Twine(groups) + ")");
  if (kept < 1 || kept > groups)
    return call.fail("kept_groups", "expects 1 to " + Twine(groups) +
                                        " kept groups, got " + Twine(kept));
  if (k < 1 || k > kept * (experts / groups))
    return call.fail("k", "expects 1 to " + Twine(kept * (experts / groups)) +
                              " picks, as many as the kept groups have "
                              "experts, got " +
                              Twine(k));
  GroupScore score = GroupScore::Max;
  auto found = call.keywords.find("group_score");
  if (found != call.keywords.end()) {
    std::optional<GroupScore> named =
        symbolizeGroupScore(found->second.string);
    if (!named)
      return call.fail("group_score",
                       "expects group_score to be \"max\" or \"top2\", got " +
                           found->second.str());
    score = *named;
  }
  mlir::Value bias = call.args.size() > 1 ? call.args[1] : mlir::Value();
  return TopKOp::create(call.builder, call.loc,
                        getMatrix(k, call.builder.getI32Type()), call.args[0],
                        bias, k, groups, kept, score);
}

static DslType checkPick(CheckCall &call) {
  if (!expectScores(call, 0) || !expectPicks(call, 1))
    return {};
  return DslType::tensor(call.args[1].dims, true);
}

static mlir::Value buildPick(BuildCall &call) {
  auto normalise = call.keywords.find("normalise");
  auto scale = call.keywords.find("scale");
  double factor =
      scale == call.keywords.end() ? 1.0 : scale->second.number;
  auto picks = mlir::cast<RankedTensorType>(call.args[1].getType());
  bool isNormalised =
      normalise != call.keywords.end() && normalise->second.boolean;
  return PickOp::create(call.builder, call.loc,
                        picks.clone(call.builder.getF32Type()), call.args[0],
                        call.args[1],
                        isNormalised ? call.builder.getUnitAttr()
                                     : mlir::UnitAttr(),
                        call.builder.getF64FloatAttr(factor));
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

static DslType checkRoute(CheckCall &call) {
  if (!expectPicks(call, 0))
    return {};
  DslType routing(DslType::Routing);
  routing.dims = {call.keywords["experts"].dim, call.args[0].dims[1]};
  return routing;
}

static mlir::Value buildRoute(BuildCall &call) {
  int64_t experts = call.keywords["experts"].integer;
  int64_t picks = getColumns(call.args[0]);
  if (experts < picks)
    return call.fail("experts", "expects at least " + Twine(picks) +
                                    " experts, as many as picks, got " +
                                    Twine(experts));
  auto type = RoutingType::get(call.builder.getContext(), experts, picks);
  return RouteOp::create(call.builder, call.loc, type, call.args[0]);
}

/// The rows that are sorted by expert.
static Dim getRoutedRows(const DslType &routing) {
  return Dim::name("T") * routing.dims[1];
}

static DslType checkExpertLinear(CheckCall &call) {
  const DslType &input = call.args[0], &weight = call.args[1],
                &routing = call.args[2];
  Dim routed = getRoutedRows(routing);
  bool fits = input.dims.size() == 2 && !input.isI32 && !input.isF32 &&
              (input.dims[0] == Dim::name("T") || input.dims[0] == routed);
  if (!fits) {
    call.fail(0, "a tensor of the compute type of T or " + routed.str() +
                     " rows");
    return {};
  }
  if (weight.dims.size() != 3 || weight.dims[0] != routing.dims[0] ||
      weight.dims[2] != input.dims[1]) {
    call.fail(1, "a weight [" + routing.dims[0].str() + ", rows, " +
                     input.dims[1].str() + "]");
    return {};
  }
  return DslType::tensor({routed, weight.dims[1]});
}

static mlir::Value buildExpertLinear(BuildCall &call) {
  mlir::Value input = call.args[0], weight = call.args[1];
  auto routing = mlir::cast<RoutingType>(call.args[2].getType());
  auto shape = mlir::cast<RankedTensorType>(weight.getType()).getShape();
  bool gathered = getRowSymbolOf(input) != routing.getRowSymbol();
  return LinearOp::create(call.builder, call.loc,
                          getMatrix(shape[1], call.compute), input, weight,
                          mlir::Value(), call.args[2], gathered);
}

static DslType checkCombine(CheckCall &call) {
  const DslType &input = call.args[0], &routing = call.args[2];
  if (input.dims.size() != 2 || input.isI32 ||
      input.dims[0] != getRoutedRows(routing)) {
    call.fail(0, "a tensor of " + getRoutedRows(routing).str() + " rows");
    return {};
  }
  if (!call.expectArg(
          1, DslType::tensor({Dim::name("T"), routing.dims[1]}, true)))
    return {};
  return DslType::tensor({Dim::name("T"), input.dims[1]});
}

static mlir::Value buildCombine(BuildCall &call) {
  return CombineOp::create(call.builder, call.loc,
                           getMatrix(getColumns(call.args[0]), call.compute),
                           call.args[0], call.args[2], call.args[1]);
}

//===----------------------------------------------------------------------===//
// Columns
//===----------------------------------------------------------------------===//

static DslType checkColumns(CheckCall &call) {
  const DslType &type = call.args[0];
  if (type.dims.size() != 2) {
    call.fail(0, "a matrix");
    return {};
  }
  DslType result = type;
  result.dims[1] = call.keywords["count"].dim;
  return result;
}

static mlir::Value buildColumns(BuildCall &call) {
  int64_t first = call.keywords["first"].integer;
  int64_t count = call.keywords["count"].integer;
  int64_t columns = getColumns(call.args[0]);
  if (first < 0 || count < 1 || first + count > columns)
    return call.fail("first", "expects columns " + Twine(first) + " to " +
                                  Twine(first + count) + " to lie within " +
                                  Twine(columns));
  return sliceColumns(call.builder, call.loc, call.args[0], first, count);
}

static DslType checkConcat(CheckCall &call) {
  const DslType &left = call.args[0], &right = call.args[1];
  if (left.dims.size() != 2 || right.dims.size() != 2 ||
      left.dims[0] != right.dims[0] || left.isF32 != right.isF32 ||
      left.isI32 || right.isI32) {
    call.fail(1, "a matrix of as many rows and of the type of the first");
    return {};
  }
  DslType result = left;
  result.dims[1] = left.dims[1] + right.dims[1];
  return result;
}

static mlir::Value buildConcat(BuildCall &call) {
  auto type = mlir::cast<RankedTensorType>(call.args[0].getType());
  return ConcatColumnsOp::create(
      call.builder, call.loc,
      getMatrix(getColumns(call.args[0]) + getColumns(call.args[1]),
                type.getElementType()),
      call.args);
}

//===----------------------------------------------------------------------===//
// Latent attention
//===----------------------------------------------------------------------===//

/// Checks the operands of latent attention.
static bool checkLatents(CheckCall &call) {
  const DslType &latents = call.args[1], &projection = call.args[2];
  Dim heads = call.keywords["heads"].dim, nope = call.keywords["nope"].dim;
  Dim value = call.keywords["value"].dim;
  if (projection.dims.size() != 2 ||
      projection.dims[0] != heads * (nope + value)) {
    call.fail(2, "a weight [" + (heads * (nope + value)).str() + ", rank]");
    return false;
  }
  if (latents.dims.size() != 2 || latents.dims[0] != Dim::constant(1)) {
    call.fail(1, "a state [1, rank + rotated columns]");
    return false;
  }
  Dim rope = latents.dims[1] + -projection.dims[1];
  if (!call.expectArg(
          0, DslType::tensor({Dim::name("T"), heads * (nope + rope)})))
    return false;
  if (call.args.size() > 4 && (call.args[4].dims.size() != 2 ||
                               !call.args[4].isI32 ||
                               call.args[4].dims[0] != Dim::name("T"))) {
    call.fail(4, "i32[T, entries], the positions that tokens see");
    return false;
  }
  return true;
}

static DslType checkMlaAttend(CheckCall &call) {
  if (!checkLatents(call))
    return {};
  Dim heads = call.keywords["heads"].dim, value = call.keywords["value"].dim;
  return DslType::tensor({Dim::name("T"), heads * value});
}

static DslType checkMlaEntryShare(CheckCall &call) {
  if (!checkLatents(call))
    return {};
  return DslType::tensor({Dim::name("T"), call.args[4].dims[1]}, true);
}

/// Reads the heads of latent attention; null after an error.
static LatentHeadsAttr readHeads(BuildCall &call) {
  int64_t heads = call.keywords["heads"].integer;
  int64_t nope = call.keywords["nope"].integer;
  int64_t value = call.keywords["value"].integer;
  int64_t rank = getColumns(call.args[2]);
  int64_t rope =
      mlir::cast<StateType>(call.args[1].getType()).getWidth() - rank;
  for (auto [name, number] : {std::pair("heads", heads), {"nope", nope},
                              {"value", value}})
    if (number < 1) {
      call.fail(name, "expects " + Twine(name) + " to be positive, got " +
                          Twine(number));
      return {};
    }
  if (rope < 1) {
    call.fail("heads", "expects what is kept to be wider than the projection's " +
                           Twine(rank) + " columns");
    return {};
  }
  return LatentHeadsAttr::get(call.builder.getContext(), heads, nope, value,
                              rank, rope);
}

static mlir::Value buildMlaAttend(BuildCall &call) {
  LatentHeadsAttr heads = readHeads(call);
  if (!heads)
    return {};
  return MlaAttendOp::create(
      call.builder, call.loc,
      getMatrix(heads.getCount() * heads.getValue(), call.compute),
      call.args[0], call.args[1], call.args[2], call.args[3],
      call.args.size() > 4 ? call.args[4] : mlir::Value(), heads,
      call.builder.getF64FloatAttr(call.keywords["scale"].number));
}

static mlir::Value buildMlaEntryShare(BuildCall &call) {
  LatentHeadsAttr heads = readHeads(call);
  if (!heads)
    return {};
  return MlaEntryShareOp::create(
      call.builder, call.loc,
      getMatrix(getColumns(call.args[4]), call.builder.getF32Type()),
      call.args[0], call.args[1], call.args[2], call.args[3], call.args[4],
      heads, call.builder.getF64FloatAttr(call.keywords["scale"].number));
}

void ds::addMoeOps(std::vector<OpInfo> &ops) {
  using T = DslType;
  ops.push_back(
      {"softmax", {{"scores", T::Tensor}}, {}, checkScores, buildSoftmax});
  ops.push_back(
      {"sigmoid", {{"scores", T::Tensor}}, {}, checkSigmoid, buildSigmoid});
  ops.push_back({"top_k",
                 {{"scores", T::Tensor}, {"bias", T::Weight, true}},
                 {{"k", T::Int},
                  {"groups", T::Int, true},
                  {"kept_groups", T::Int, true},
                  {"group_score", T::String, true}},
                 checkTopK,
                 buildTopK});
  ops.push_back({"pick",
                 {{"scores", T::Tensor}, {"picks", T::Tensor}},
                 {{"normalise", T::Bool, true}, {"scale", T::Float, true}},
                 checkPick,
                 buildPick});
  ops.push_back({"route",
                 {{"picks", T::Tensor}},
                 {{"experts", T::Int}},
                 checkRoute,
                 buildRoute});
  ops.push_back({"expert_linear",
                 {{"input", T::Tensor},
                  {"weight", T::Weight},
                  {"routing", T::Routing}},
                 {},
                 checkExpertLinear,
                 buildExpertLinear});
  ops.push_back({"combine",
                 {{"input", T::Tensor},
                  {"weights", T::Tensor},
                  {"routing", T::Routing}},
                 {},
                 checkCombine,
                 buildCombine});
  ops.push_back({"mla_attend",
                 {{"query", T::Tensor},
                  {"latents", T::State},
                  {"projection", T::Weight},
                  {"sequences", T::Seq},
                  {"entries", T::Tensor, true}},
                 {{"heads", T::Int},
                  {"nope", T::Int},
                  {"value", T::Int},
                  {"scale", T::Float}},
                 checkMlaAttend,
                 buildMlaAttend});
  ops.push_back({"mla_entry_share",
                 {{"query", T::Tensor},
                  {"latents", T::State},
                  {"projection", T::Weight},
                  {"sequences", T::Seq},
                  {"entries", T::Tensor}},
                 {{"heads", T::Int},
                  {"nope", T::Int},
                  {"value", T::Int},
                  {"scale", T::Float}},
                 checkMlaEntryShare,
                 buildMlaEntryShare});
  ops.push_back({"columns",
                 {{"input", T::Tensor}},
                 {{"first", T::Int}, {"count", T::Int}},
                 checkColumns,
                 buildColumns});
  ops.push_back({"concat",
                 {{"left", T::Tensor}, {"right", T::Tensor}},
                 {},
                 checkConcat,
                 buildConcat});
}
