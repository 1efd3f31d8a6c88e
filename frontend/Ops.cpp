//===- Ops.cpp - The operations that model texts call ---------------------===//
#include "frontend/Ops.h"
#include "dialect/Dialect.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using llvm::StringRef;
using llvm::Twine;
using mlir::RankedTensorType;

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

bool CheckCall::fail(size_t index, const Twine &expected) {
  diag.error(argLocs[index],
             op + " expects " + expected + ", got " + args[index].str());
  return false;
}

bool CheckCall::expectArg(size_t index, const DslType &expected) {
  return args[index] == expected || fail(index, expected.str());
}

mlir::Value BuildCall::fail(StringRef keyword, const Twine &message) {
  auto found = keywordLocs.find(keyword);
  diag.error(found == keywordLocs.end() ? smLoc : found->second, message);
  auto value = keywords.find(keyword);
  if (value != keywords.end() && value->second.origin.isValid())
    diag.note(value->second.origin, "it is set here");
  return {};
}

static int64_t getColumns(mlir::Value value) {
  return mlir::cast<RankedTensorType>(value.getType()).getDimSize(1);
}

static int64_t getRows(mlir::Value weight) {
  return mlir::cast<RankedTensorType>(weight.getType()).getDimSize(0);
}

static RankedTensorType getMatrix(int64_t columns, mlir::Type element) {
  return RankedTensorType::get({mlir::ShapedType::kDynamic, columns}, element);
}

/// Checks that argument `index` is a matrix.
static bool expectMatrix(CheckCall &call, size_t index) {
  return call.args[index].dims.size() == 2 ||
         call.fail(index, "a tensor of tokens by columns");
}

/// Checks that argument `index` is a matrix of the compute type, as products
/// take it.
static bool expectRounded(CheckCall &call, size_t index) {
  if (!expectMatrix(call, index))
    return false;
  return !call.args[index].isF32 ||
         call.fail(index, "a tensor of the compute type");
}

/// Checks that argument `index` has the rows that the sequences have.
static bool expectTokens(CheckCall &call, size_t index) {
  return call.args[index].dims[0] == Dim::name("T") ||
         call.fail(index, "a tensor of T rows");
}

static DslType getWeight(std::vector<Dim> dims) {
  DslType type(DslType::Weight);
  type.dims = std::move(dims);
  return type;
}

static Dim getWidth(const DslType &state) {
  Dim width = Dim::constant(1);
  for (const Dim &dim : state.dims)
    width = width * dim;
  return width;
}

//===----------------------------------------------------------------------===//
// embedding, linear, norms, swiglu, select_rows
//===----------------------------------------------------------------------===//

static DslType checkEmbedding(CheckCall &call) {
  if (call.args[0].dims.size() != 2) {
    call.fail(0, "a weight [vocabulary, columns]");
    return {};
  }
  return DslType::tensor({Dim::name("T"), call.args[0].dims[1]}, true);
}

static mlir::Value buildEmbedding(BuildCall &call) {
  mlir::Value table = call.args[0];
  auto type = getMatrix(getColumns(table), call.builder.getF32Type());
  return EmbeddingOp::create(call.builder, call.loc, type, table, call.args[1]);
}

static DslType checkLinear(CheckCall &call) {
  const DslType &weight = call.args[1];
  if (!expectRounded(call, 0))
    return {};
  Dim columns = call.args[0].dims[1];
  if (weight.dims.size() != 2 || weight.dims[1] != columns) {
    call.fail(1, "a weight [rows, " + columns.str() + "]");
    return {};
  }
  if (call.args.size() > 2 && !call.expectArg(2, getWeight({weight.dims[0]})))
    return {};
  return DslType::tensor({call.args[0].dims[0], weight.dims[0]},
                         call.has("to"));
}

static mlir::Value buildLinear(BuildCall &call) {
  mlir::Type element = call.compute;
  if (call.keywords.count("to"))
    element = call.builder.getF32Type();
  auto type = getMatrix(getRows(call.args[1]), element);
  mlir::Value bias = call.args.size() > 2 ? call.args[2] : mlir::Value();
  return LinearOp::create(call.builder, call.loc, type, call.args[0],
                          call.args[1], bias);
}

static DslType checkRmsNorm(CheckCall &call) {
  if (!expectMatrix(call, 0) ||
      !call.expectArg(1, getWeight({call.args[0].dims[1]})))
    return {};
  return DslType::tensor(call.args[0].dims);
}

static mlir::Value buildRmsNorm(BuildCall &call) {
  double eps = call.keywords["eps"].number;
  if (!(eps >= 0))
    return call.fail("eps", "expects eps not to be negative, got " +
                                call.keywords["eps"].str());
  auto type = getMatrix(getColumns(call.args[0]), call.compute);
  return RmsNormOp::create(call.builder, call.loc, type, call.args[0],
                           call.args[1], call.builder.getF64FloatAttr(eps));
}

static DslType checkSwiglu(CheckCall &call) {
  if (!expectRounded(call, 0) || !call.expectArg(1, call.args[0]))
    return {};
  return call.args[0];
}

static mlir::Value buildSwiglu(BuildCall &call) {
  return SwigluOp::create(call.builder, call.loc, call.args[0].getType(),
                          call.args[0], call.args[1]);
}

static DslType checkSelectRows(CheckCall &call) {
  if (!expectMatrix(call, 0) || !expectTokens(call, 0))
    return {};
  DslType type = call.args[0];
  type.dims[0] = Dim::name("Tout");
  return type;
}

static mlir::Value buildSelectRows(BuildCall &call) {
  return SelectRowsOp::create(call.builder, call.loc, call.args[0].getType(),
                              call.args[0], call.args[1]);
}

//===----------------------------------------------------------------------===//
// rope, append, attend
//===----------------------------------------------------------------------===//

static DslType checkRope(CheckCall &call) {
  if (!expectRounded(call, 0) || !expectTokens(call, 0))
    return {};
  return call.args[0];
}

/// Turns a bound `rope_scaling` into the dictionary of #ds.rope, which calls
/// the kind "type". The kind "default" is no scaling.
static mlir::DictionaryAttr getScaling(mlir::Builder &builder,
                                       const ConstValue &value) {
  if (value.kind != ConstValue::Object)
    return {};
  mlir::NamedAttrList attrs;
  for (const Record::Entry &entry : value.record->entries) {
    const ConstValue &field = entry.value;
    if (field.kind == ConstValue::String)
      attrs.set(entry.key == "rope_type" ? "type" : entry.key,
                builder.getStringAttr(field.string));
    else if (field.kind == ConstValue::Int)
      attrs.set(entry.key, builder.getI64IntegerAttr(field.integer));
    else if (field.kind == ConstValue::Float)
      attrs.set(entry.key, builder.getF64FloatAttr(field.number));
  }
  auto type = mlir::dyn_cast_or_null<mlir::StringAttr>(attrs.get("type"));
  if (type && type.getValue() == "default")
    return {};
  return attrs.getDictionary(builder.getContext());
}

static RopeAttr getRope(BuildCall &call, int64_t dims) {
  RopeLayout layout = RopeLayout::HalfSplit;
  auto found = call.keywords.find("layout");
  if (found != call.keywords.end()) {
    std::optional<RopeLayout> named = symbolizeRopeLayout(found->second.string);
    if (!named) {
      call.fail("layout", "expects layout to be \"half_split\" or "
                          "\"interleaved\", got " +
                              found->second.str());
      return {};
    }
    layout = *named;
  }
  mlir::DictionaryAttr scaling;
  if (call.keywords.count("scaling"))
    scaling = getScaling(call.builder, call.keywords["scaling"]);
  auto theta = call.builder.getF64FloatAttr(call.keywords["theta"].number);
  if (!(theta.getValueAsDouble() > 0)) {
    call.fail("theta", "expects theta to be positive, got " +
                           call.keywords["theta"].str());
    return {};
  }
  std::string message;
  auto emitError = [&]() -> mlir::InFlightDiagnostic {
    return mlir::emitError(call.loc);
  };
  mlir::ScopedDiagnosticHandler handler(call.builder.getContext(),
                                        [&](mlir::Diagnostic &diagnostic) {
                                          message = diagnostic.str();
                                          return mlir::success();
                                        });
  int64_t first =
      call.keywords.count("first") ? call.keywords["first"].integer : 0;
  auto rope = RopeAttr::getChecked(emitError, call.builder.getContext(), layout,
                                   dims, theta, scaling, first);
  if (!rope)
    call.fail("scaling", message);
  return rope;
}

static mlir::Value buildRope(BuildCall &call) {
  int64_t heads = call.keywords["heads"].integer;
  int64_t columns = getColumns(call.args[0]);
  if (heads <= 0 || columns % heads)
    return call.fail("heads", "expects columns (" + Twine(columns) +
                                  ") to be a multiple of heads (" +
                                  Twine(heads) + ")");
  int64_t dims = columns / heads;
  if (call.keywords.count("dims"))
    dims = call.keywords["dims"].integer;
  if (call.keywords.count("first") &&
      call.keywords["first"].integer + dims > columns / heads)
    return call.fail("first", "expects the rotated columns of a head, " +
                                  Twine(dims) + " from " +
                                  call.keywords["first"].str() +
                                  " on, to be among its " +
                                  Twine(columns / heads));
  if (dims <= 0 || dims % 2 || dims > columns / heads)
    return call.fail("dims", "expects the rotated columns of a head (" +
                                 Twine(dims) + ") to be even and at most " +
                                 Twine(columns / heads));
  RopeAttr rope = getRope(call, dims);
  if (!rope)
    return {};
  return RopeOp::create(call.builder, call.loc, call.args[0].getType(),
                        call.args[0], call.args[1],
                        call.builder.getI64IntegerAttr(heads), rope);
}

static DslType checkAppend(CheckCall &call) {
  DslType rows = DslType::tensor({Dim::name("T"), getWidth(call.args[0])});
  return call.expectArg(1, rows) ? call.args[0] : DslType();
}

static mlir::Value buildAppend(BuildCall &call) {
  return AppendOp::create(call.builder, call.loc, call.args[0].getType(),
                          call.args[0], call.args[1], call.args[2]);
}

static DslType checkAttend(CheckCall &call) {
  const DslType &keys = call.args[1], &values = call.args[2];
  if (keys.dims.size() != 2) {
    call.fail(1, "a state [key heads, columns]");
    return {};
  }
  if (values.dims.size() != 2 || values.dims[0] != keys.dims[0]) {
    call.fail(2, "a state [" + keys.dims[0].str() + ", columns]");
    return {};
  }
  Dim heads = call.keywords["heads"].dim;
  DslType query = DslType::tensor({Dim::name("T"), heads * keys.dims[1]});
  if (!call.expectArg(0, query))
    return {};
  return DslType::tensor({Dim::name("T"), heads * values.dims[1]});
}

static mlir::Value buildAttend(BuildCall &call) {
  int64_t heads = call.keywords["heads"].integer;
  auto keys = mlir::cast<StateType>(call.args[1].getType());
  auto values = mlir::cast<StateType>(call.args[2].getType());
  if (heads <= 0 || heads % keys.getShape()[0])
    return call.fail("heads", "expects heads (" + Twine(heads) +
                                  ") to be a multiple of key heads (" +
                                  Twine(keys.getShape()[0]) + ")");
  auto type = getMatrix(heads * values.getShape()[1], call.compute);
  auto attend = AttendOp::create(
      call.builder, call.loc, type, /*lse=*/mlir::Type(), call.args[0],
      call.args[1], call.args[2], call.args[3], /*entries=*/mlir::Value(),
      call.builder.getI64IntegerAttr(heads),
      call.builder.getF64FloatAttr(call.keywords["scale"].number),
      mlir::IntegerAttr());
  return attend.getResult();
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

static const std::vector<OpInfo> &getModuleOps() {
  using T = DslType;
  static const std::vector<OpInfo> ops = [] {
    std::vector<OpInfo> all = {
      {"embedding",
       {{"table", T::Weight}, {"sequences", T::Seq}},
       {},
       checkEmbedding,
       buildEmbedding},
      {"linear",
       {{"input", T::Tensor}, {"weight", T::Weight}, {"bias", T::Weight, true}},
       {{"to", T::Invalid, true}},
       checkLinear,
       buildLinear},
      {"rms_norm",
       {{"input", T::Tensor}, {"weight", T::Weight}},
       {{"eps", T::Float}},
       checkRmsNorm,
       buildRmsNorm},
      {"swiglu",
       {{"gate", T::Tensor}, {"up", T::Tensor}},
       {},
       checkSwiglu,
       buildSwiglu},
      {"select_rows",
       {{"input", T::Tensor}, {"sequences", T::Seq}},
       {},
       checkSelectRows,
       buildSelectRows},
      {"rope",
       {{"input", T::Tensor}, {"sequences", T::Seq}},
       {{"heads", T::Int},
        {"dims", T::Int, true},
        {"first", T::Int, true},
        {"theta", T::Float},
        {"scaling", T::Record, true},
        {"layout", T::String, true}},
       checkRope,
       buildRope},
      {"append",
       {{"state", T::State}, {"input", T::Tensor}, {"sequences", T::Seq}},
       {},
       checkAppend,
       buildAppend,
       true},
      {"attend",
       {{"query", T::Tensor},
        {"keys", T::State},
        {"values", T::State},
        {"sequences", T::Seq}},
       {{"heads", T::Int}, {"scale", T::Float}},
       checkAttend,
       buildAttend},
    };
    addMoeOps(all);
    addBalanceOps(all);
    addNsaOps(all);
    addDsaOps(all);
    return all;
  }();
  return ops;
}

const OpInfo::Keyword *OpInfo::findKeyword(StringRef keyword) const {
  for (const Keyword &each : keywords)
    if (keyword == each.name)
      return &each;
  return nullptr;
}

const std::vector<OpInfo> &ds::getOps(OpSet set) {
  return set == OpSet::Module ? getModuleOps() : getObjectiveOps();
}

const OpInfo *ds::findOp(StringRef name, OpSet set) {
  for (const OpInfo &op : getOps(set))
    if (name == op.name)
      return &op;
  return nullptr;
}

std::vector<StringRef> ds::getOpNames(OpSet set) {
  std::vector<StringRef> names;
  for (const OpInfo &op : getOps(set))
    names.push_back(op.name);
  return names;
}

mlir::Value ds::buildAdd(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::Value left, mlir::Value right) {
  auto widen = [&](mlir::Value value) -> mlir::Value {
    auto type = mlir::cast<RankedTensorType>(value.getType());
    if (type.getElementType().isF32())
      return value;
    return arith::ExtFOp::create(builder, loc, type.clone(builder.getF32Type()),
                                 value);
  };
  left = widen(left);
  right = widen(right);
  return arith::AddFOp::create(builder, loc, left, right);
}
