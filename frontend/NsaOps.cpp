//===- NsaOps.cpp - Operations of native sparse attention -----------------===//
#include "dialect/Dialect.h"
#include "frontend/Ops.h"

using namespace ds;
using llvm::Twine;
using mlir::RankedTensorType;

static RankedTensorType getMatrix(int64_t columns, mlir::Type element) {
  return RankedTensorType::get({mlir::ShapedType::kDynamic, columns}, element);
}

static int64_t getColumns(mlir::Value value) {
  return mlir::cast<RankedTensorType>(value.getType()).getDimSize(1);
}

static StateType getState(mlir::Value value) {
  return mlir::cast<StateType>(value.getType());
}

static int64_t getNumber(BuildCall &call, llvm::StringRef keyword) {
  return call.keywords[keyword].integer;
}

/// Rows for every completed entry and head of a state.
static Dim getEntryRows(const DslType &state) {
  return Dim::name("entries") * state.dims[0];
}

/// Checks that argument `index` is a state [heads, columns].
static bool expectHeads(CheckCall &call, size_t index) {
  return call.args[index].dims.size() == 2 ||
         call.fail(index, "a state [heads, columns]");
}

//===----------------------------------------------------------------------===//
// silu, gather_blocks, append_blocks
//===----------------------------------------------------------------------===//

static DslType checkSilu(CheckCall &call) {
  const DslType &input = call.args[0];
  if (input.dims.size() != 2 || input.isF32 || input.isI32) {
    call.fail(0, "a matrix of the compute type");
    return {};
  }
  return input;
}

static mlir::Value buildSilu(BuildCall &call) {
  return SiluOp::create(call.builder, call.loc, call.args[0].getType(),
                        call.args[0]);
}

static DslType checkGather(CheckCall &call) {
  const DslType &state = call.args[0];
  if (!expectHeads(call, 0))
    return {};
  DslType positions(DslType::Weight);
  positions.dims = {call.keywords["length"].dim, state.dims[1]};
  if (!call.expectArg(1, positions))
    return {};
  return DslType::tensor(
      {getEntryRows(state), call.keywords["length"].dim * state.dims[1]});
}

static mlir::Value getBlocks(BuildCall &call, mlir::Value seq) {
  return ViewSeqOp::create(call.builder, call.loc, seq, SeqRows::Blocks);
}

static mlir::Value buildGather(BuildCall &call) {
  int64_t length = getNumber(call, "length"), stride = getNumber(call, "stride");
  if (stride < 1 || length < stride || length % stride)
    return call.fail("stride", "expects length (" + Twine(length) +
                                   ") to be a multiple of stride (" +
                                   Twine(stride) + ")");
  StateType state = getState(call.args[0]);
  if (state.getStride() != 1)
    return call.fail("stride", "expects a state of every token");
  return GatherBlocksOp::create(
      call.builder, call.loc,
      getMatrix(length * state.getShape()[1], call.compute), call.args[0],
      call.args[1], getBlocks(call, call.args[2]),
      call.builder.getI64IntegerAttr(length),
      call.builder.getI64IntegerAttr(stride));
}

static DslType checkAppendBlocks(CheckCall &call) {
  if (!expectHeads(call, 0) ||
      !call.expectArg(1, DslType::tensor({getEntryRows(call.args[0]),
                                          call.args[0].dims[1]})))
    return {};
  return call.args[0];
}

static mlir::Value buildAppendBlocks(BuildCall &call) {
  if (getState(call.args[0]).getStride() == 1)
    return call.fail("", "expects a state that keeps values every so many "
                         "tokens");
  return AppendBlocksOp::create(call.builder, call.loc, call.args[0].getType(),
                                call.args[0], call.args[1],
                                getBlocks(call, call.args[2]));
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// Checks query, keys and values, which come first.
static DslType checkSparse(CheckCall &call) {
  const DslType &keys = call.args[1], &values = call.args[2];
  if (!expectHeads(call, 1))
    return {};
  if (values.dims.size() != 2 || values.dims[0] != keys.dims[0]) {
    call.fail(2, "a state [" + keys.dims[0].str() + ", columns]");
    return {};
  }
  Dim heads = call.keywords["heads"].dim;
  if (!call.expectArg(0, DslType::tensor({Dim::name("T"),
                                          heads * keys.dims[1]})))
    return {};
  return DslType::tensor({Dim::name("T"), heads * values.dims[1]});
}

static DslType getList(const DslType &keys, const Dim &count) {
  DslType list = DslType::tensor({Dim::name("T"), keys.dims[0] * count});
  list.isI32 = true;
  return list;
}

static DslType checkAttendBlocks(CheckCall &call) {
  DslType result = checkSparse(call);
  if (!result.isInvalid() &&
      !call.expectArg(3, getList(call.args[1], call.keywords["count"].dim)))
    return {};
  return result;
}

static DslType checkSelect(CheckCall &call) {
  if (checkSparse(call).isInvalid())
    return {};
  return getList(call.args[1], call.keywords["count"].dim);
}

/// Builds attention to `source`, whose size `keyword` says.
static SparseAttendOp buildSparse(BuildCall &call, KeySource source,
                                  llvm::StringRef keyword, mlir::Value seq,
                                  mlir::Value list = {}) {
  int64_t heads = getNumber(call, "heads"), size = getNumber(call, keyword);
  StateType keys = getState(call.args[1]), values = getState(call.args[2]);
  if (heads <= 0 || heads % keys.getShape()[0]) {
    call.fail("heads", "expects heads (" + Twine(heads) +
                           ") to be a multiple of key heads (" +
                           Twine(keys.getShape()[0]) + ")");
    return {};
  }
  bool entries = source == KeySource::Entries;
  if (entries != (keys.getStride() > 1) ||
      keys.getStride() != values.getStride()) {
    call.fail("", entries ? "expects states that keep values every so many "
                            "tokens"
                          : "expects states of every token");
    return {};
  }
  bool fits = size > 0;
  if (entries)
    fits &= size % keys.getStride() == 0;
  if (source == KeySource::Blocks)
    fits &= size % 16 == 0 && 512 % size == 0;
  if (!fits) {
    call.fail(keyword, entries ? "expects a multiple of the states' " +
                                     Twine(keys.getStride()) + " tokens, got " +
                                     Twine(size)
                       : source == KeySource::Blocks
                           ? "expects blocks of 16, 32, 64, 128, 256 or 512 "
                             "tokens, got " +
                                 Twine(size)
                           : "expects a window of at least one token, got " +
                                 Twine(size));
    return {};
  }
  mlir::Builder &b = call.builder;
  return SparseAttendOp::create(
      call.builder, call.loc,
      getMatrix(heads * values.getShape()[1], call.compute),
      getMatrix(heads, b.getF32Type()), call.args[0], call.args[1],
      call.args[2], seq, list, b.getI64IntegerAttr(heads),
      b.getF64FloatAttr(call.keywords["scale"].number),
      KeySourceAttr::get(b.getContext(), source), b.getI64IntegerAttr(size));
}

static mlir::Value getResult(SparseAttendOp op) {
  return op ? op.getResult() : mlir::Value();
}

static mlir::Value buildAttendEntries(BuildCall &call) {
  return getResult(
      buildSparse(call, KeySource::Entries, "length", call.args[3]));
}

static mlir::Value buildAttendWindow(BuildCall &call) {
  return getResult(
      buildSparse(call, KeySource::Window, "window", call.args[3]));
}

static mlir::Value buildAttendBlocks(BuildCall &call) {
  return getResult(buildSparse(call, KeySource::Blocks, "block", call.args[4],
                               call.args[3]));
}

/// Probabilities need the lse of attention to the entries: the same operation
/// as that of `attend_entries`, with which it becomes one.
static mlir::Value buildSelect(BuildCall &call) {
  SparseAttendOp entries =
      buildSparse(call, KeySource::Entries, "length", call.args[3]);
  if (!entries)
    return {};
  StateType keys = getState(call.args[1]);
  int64_t length = getNumber(call, "length"), block = getNumber(call, "block");
  int64_t count = getNumber(call, "count");
  int64_t initial = getNumber(call, "initial"), local = getNumber(call, "local");
  if (block < length || block % length || 512 % block)
    return call.fail("block", "expects blocks of 16, 32, 64, 128, 256 or 512 "
                              "tokens, a multiple of length (" +
                                  Twine(length) + "), got " + Twine(block));
  if (initial < 0 || local < 1 || count < initial + local)
    return call.fail("count", "expects count (" + Twine(count) +
                                  ") to be at least initial (" +
                                  Twine(initial) + ") and local (" +
                                  Twine(local) + ") blocks, one of them local");
  mlir::Builder &b = call.builder;
  auto number = [&](int64_t value) { return b.getI64IntegerAttr(value); };
  return SelectBlocksOp::create(
      call.builder, call.loc,
      getMatrix(keys.getShape()[0] * count, b.getI32Type()), call.args[0],
      call.args[1], entries.getLse(), call.args[3], entries.getHeadsAttr(),
      entries.getScaleAttr(), number(length), number(block), number(count),
      number(initial), number(local));
}

static DslType checkMix(CheckCall &call) {
  const DslType &branch = call.args[1];
  if (branch.dims.size() != 2 || branch.isF32 || branch.isI32) {
    call.fail(1, "a matrix of the compute type");
    return {};
  }
  Dim gates = Dim::constant(3) * call.keywords["heads"].dim;
  if (!call.expectArg(0, DslType::tensor({branch.dims[0], gates})) ||
      !call.expectArg(2, branch) || !call.expectArg(3, branch))
    return {};
  return branch;
}

static mlir::Value buildMix(BuildCall &call) {
  int64_t heads = getNumber(call, "heads");
  if (heads <= 0 || getColumns(call.args[1]) % heads)
    return call.fail("heads", "expects columns (" +
                                  Twine(getColumns(call.args[1])) +
                                  ") to be a multiple of heads (" +
                                  Twine(heads) + ")");
  return MixBranchesOp::create(call.builder, call.loc, call.args[1].getType(),
                               call.args[0], call.args[1], call.args[2],
                               call.args[3],
                               call.builder.getI64IntegerAttr(heads));
}

void ds::addNsaOps(std::vector<OpInfo> &ops) {
  using T = DslType;
  std::vector<OpInfo::Operand> states = {{"query", T::Tensor},
                                         {"keys", T::State},
                                         {"values", T::State}};
  std::vector<OpInfo::Operand> attends = states, lists = states;
  attends.push_back({"sequences", T::Seq});
  lists.push_back({"blocks", T::Tensor});
  lists.push_back({"sequences", T::Seq});
  ops.push_back({"silu", {{"input", T::Tensor}}, {}, checkSilu, buildSilu});
  ops.push_back({"gather_blocks",
                 {{"state", T::State},
                  {"positions", T::Weight},
                  {"sequences", T::Seq}},
                 {{"length", T::Int}, {"stride", T::Int}},
                 checkGather,
                 buildGather});
  ops.push_back({"append_blocks",
                 {{"state", T::State},
                  {"input", T::Tensor},
                  {"sequences", T::Seq}},
                 {},
                 checkAppendBlocks,
                 buildAppendBlocks,
                 true});
  ops.push_back({"attend_entries",
                 attends,
                 {{"heads", T::Int}, {"scale", T::Float}, {"length", T::Int}},
                 checkSparse,
                 buildAttendEntries});
  ops.push_back({"attend_window",
                 attends,
                 {{"heads", T::Int}, {"scale", T::Float}, {"window", T::Int}},
                 checkSparse,
                 buildAttendWindow});
  ops.push_back({"attend_blocks",
                 lists,
                 {{"heads", T::Int},
                  {"scale", T::Float},
                  {"block", T::Int},
                  {"count", T::Int}},
                 checkAttendBlocks,
                 buildAttendBlocks});
  ops.push_back({"select_blocks",
                 attends,
                 {{"heads", T::Int},
                  {"scale", T::Float},
                  {"length", T::Int},
                  {"block", T::Int},
                  {"count", T::Int},
                  {"initial", T::Int},
                  {"local", T::Int}},
                 checkSelect,
                 buildSelect});
  ops.push_back({"mix_branches",
                 {{"gates", T::Tensor},
                  {"first", T::Tensor},
                  {"second", T::Tensor},
                  {"third", T::Tensor}},
                 {{"heads", T::Int}},
                 checkMix,
                 buildMix});
}
