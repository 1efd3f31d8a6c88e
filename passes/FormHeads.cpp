//===- FormHeads.cpp - Kernels that move heads ----------------------------===//
//
// Rope, append and slices of columns are segments of one kernel family. A
// slice that rope or append reads costs nothing: its offset goes into the
// segment.
//
//===----------------------------------------------------------------------===//
#include "passes/FormHeads.h"

using namespace ds;

//===----------------------------------------------------------------------===//
// Angles
//===----------------------------------------------------------------------===//

/// A rope for kernels that turn nothing in a function without ropes.
static RopeAttr getAnyRope(MLIRContext *context) {
  return RopeAttr::get(context, RopeLayout::HalfSplit, 2,
                       FloatAttr::get(Float64Type::get(context), 1.0e4), {});
}

static RankedTensorType getAnglesType(RopeAttr rope) {
  return RankedTensorType::get({ShapedType::kDynamic, rope.getDims()},
                               Float32Type::get(rope.getContext()));
}

static Value getSeqArgument(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (isa<SeqType>(argument.getType()))
      return argument;
  return {};
}

AnglesTable::AnglesTable(ModuleOp module) {
  llvm::MapVector<Operation *, SmallVector<RunOp>> runs;
  SymbolTable symbols(module);
  SmallVector<func::FuncOp> bodies, others;
  module.walk([&](RunOp run) {
    if (auto body = symbols.lookup<func::FuncOp>(run.getBody()))
      runs[body].push_back(run);
  });
  for (func::FuncOp function : module.getOps<func::FuncOp>()) {
    if (function.isExternal())
      continue;
    collect(function);
    (runs.count(function) ? bodies : others).push_back(function);
  }
  for (func::FuncOp body : bodies)
    for (RunOp run : runs[body])
      for (auto &[rope, angles] : functions[body])
        functions[run->getParentOfType<func::FuncOp>()].insert({rope, {}});
  for (func::FuncOp function : others)
    computeIn(function);
  for (func::FuncOp body : bodies)
    passTo(body, runs[body]);
}

void AnglesTable::collect(func::FuncOp function) {
  Ropes &ropes = functions[function];
  bool moves = false;
  function.walk([&](Operation *op) {
    if (auto rope = dyn_cast<RopeOp>(op))
      ropes.insert({rope.getRope(), {}});
    else if (auto rope = dyn_cast<RopeAppendOp>(op))
      ropes.insert({rope.getRope(), {}});
    moves |= isa<AppendOp, ExpandKeysOp, tensor::ExtractSliceOp>(op);
  });
  if (ropes.empty() && moves && getSeqArgument(function))
    ropes.insert({getAnyRope(function.getContext()), {}});
}

void AnglesTable::computeIn(func::FuncOp function) {
  OpBuilder builder = OpBuilder::atBlockBegin(&function.getBody().front());
  for (auto &[rope, angles] : functions[function])
    angles =
        KernelAnglesOp::create(builder, function.getLoc(), getAnglesType(rope),
                               "angles", getSeqArgument(function), rope);
}

void AnglesTable::passTo(func::FuncOp body, ArrayRef<RunOp> runs) {
  unsigned index = 2;
  for (auto &[rope, angles] : functions[body]) {
    (void)body.insertArgument(index, getAnglesType(rope), {}, body.getLoc());
    angles = body.getArgument(index);
    for (RunOp run : runs)
      run->insertOperands(index, find(run, rope).second);
    ++index;
  }
}

std::pair<RopeAttr, Value> AnglesTable::find(Operation *op, RopeAttr rope) {
  Ropes &ropes = functions[op->getParentOfType<func::FuncOp>()];
  return rope ? std::make_pair(rope, ropes.lookup(rope)) : ropes.front();
}

//===----------------------------------------------------------------------===//
// Segments
//===----------------------------------------------------------------------===//

namespace {
/// Columns of a wider row.
struct Columns {
  Value row;
  int64_t begin = 0;
};
} // namespace

/// Returns whether all rows are taken and the columns are known.
static bool isColumnSlice(tensor::ExtractSliceOp slice) {
  if (slice.getSourceType().getRank() != 2 || slice.getType().getRank() != 2)
    return false;
  auto rows = dyn_cast<Value>(slice.getMixedSizes()[0]);
  auto dim = rows ? rows.getDefiningOp<tensor::DimOp>() : tensor::DimOp();
  return slice.getStaticOffset(0) == 0 && slice.getStaticStride(0) == 1 &&
         slice.getStaticStride(1) == 1 && !slice.isDynamicOffset(1) &&
         !slice.getType().isDynamicDim(1) && dim &&
         dim.getSource() == slice.getSource();
}

/// Returns where the columns of `value` lie.
static Columns findColumns(Value value) {
  auto slice = value.getDefiningOp<tensor::ExtractSliceOp>();
  if (!slice || !isColumnSlice(slice))
    return {value, 0};
  return {slice.getSource(), slice.getStaticOffset(1)};
}

/// Returns whether attention reads `state` as keys. A state that no attention
/// reads is kept as values, whose rows lie together; so is one of which a query
/// reads single rows.
static SegmentDest findView(Value state) {
  for (OpOperand &use : state.getUses()) {
    if (isa<ReadLatentsOp>(use.getOwner()))
      return SegmentDest::Key;
    if (auto attend = dyn_cast<AttendOp>(use.getOwner()))
      if (attend.getKeys() == state && !attend.getEntries())
        return SegmentDest::Key;
    if (isa<SelectTokensOp, IndexScoresOp, IndexScoresBackwardOp>(
            use.getOwner()))
      return SegmentDest::Key;
    if (auto sparse = dyn_cast<SparseAttendOp>(use.getOwner()))
      if (sparse.getKeys() == state)
        return SegmentDest::Key;
  }
  return SegmentDest::Value;
}

namespace {
/// Builds kernels of the family.
class HeadsFormer {
public:
  explicit HeadsFormer(ModuleOp module) : module(module), angles(module) {}

  void run() {
    forEach<RopeAppendOp>([&](RopeAppendOp op) { form(op); });
    forEach<ExpandKeysOp>([&](ExpandKeysOp op) { form(op); });
    forEach<ConcatColumnsOp>([&](ConcatColumnsOp op) { form(op); });
    forEach<AppendOp>([&](AppendOp op) { form(op); });
    forEach<RopeOp>([&](RopeOp op) { form(op); });
    forEach<tensor::ExtractSliceOp>(
        [&](tensor::ExtractSliceOp op) { form(op); });
  }

private:
  ModuleOp module;
  AnglesTable angles;

  template <typename Op> void forEach(function_ref<void(Op)> form) {
    SmallVector<Op> ops;
    module.walk([&](Op op) { ops.push_back(op); });
    for (Op op : ops)
      form(op);
  }

  SegmentAttr segment(int64_t begin, int64_t heads, int64_t dim, bool rotate,
                      SegmentDest dest) {
    return SegmentAttr::get(module.getContext(), begin, heads, dim, rotate,
                            dest);
  }

  KernelHeadsOp create(Operation *op, StringRef stem, Value row, Value seq,
                       RopeAttr rope, ArrayRef<Attribute> segments, Type result,
                       ValueRange states) {
    OpBuilder builder(op);
    auto [turn, table] = angles.find(op, rope);
    return KernelHeadsOp::create(builder, op->getLoc(), result,
                                 states.getTypes(), stem, row, table, seq,
                                 states, turn, builder.getArrayAttr(segments));
  }

  void form(RopeAppendOp op);
  void form(ExpandKeysOp op);
  void form(ConcatColumnsOp op);
  Value createConcat(Operation *op, ValueRange inputs, RopeAttr rope,
                     ArrayRef<Attribute> parts);
  void form(AppendOp op);
  void form(RopeOp op);
  void form(tensor::ExtractSliceOp op);
};
} // namespace

/// Erases slices and sizes of slices that nothing reads any more.
static void eraseIfDead(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !op->use_empty() ||
      !isa<RopeOp, tensor::ExtractSliceOp, tensor::DimOp>(op))
    return;
  SmallVector<Value> operands(op->getOperands());
  op->erase();
  for (Value operand : operands)
    eraseIfDead(operand);
}

static int64_t getHeads(StateType state) {
  return state.getShape().size() == 1 ? 1 : state.getShape()[0];
}

void HeadsFormer::form(RopeAppendOp op) {
  StateType keys = op.getKeys().getType(), values = op.getValues().getType();
  int64_t heads = op.getHeads(), dims = keys.getShape()[1];
  int64_t first = heads * dims, second = first + keys.getWidth();
  KernelHeadsOp kernel =
      create(op, "rope_append", op.getInput(), op.getSeq(), op.getRope(),
             {segment(0, heads, dims, true, SegmentDest::Result),
              segment(first, keys.getShape()[0], dims, true, SegmentDest::Key),
              segment(second, values.getShape()[0], values.getShape()[1], false,
                      SegmentDest::Value)},
             op.getQuery().getType(), {op.getKeys(), op.getValues()});
  op.getQuery().replaceAllUsesWith(kernel.getResult());
  op.getNewKeys().replaceAllUsesWith(kernel.getNewStates()[0]);
  op.getNewValues().replaceAllUsesWith(kernel.getNewStates()[1]);
  op.erase();
}

/// Heads side by side, then put into pages of the step.
void HeadsFormer::form(ExpandKeysOp op) {
  OpBuilder builder(op);
  LatentHeadsAttr heads = op.getHeads();
  int64_t count = heads.getCount();
  int64_t rows = cast<RankedTensorType>(op.getExpanded().getType()).getDimSize(1);
  int64_t stride = heads.getHeadRows(rows), keyRows = heads.getKeyRows(rows);
  auto piece = [&](int64_t begin, int64_t step, int64_t columns) {
    return PieceAttr::get(op.getContext(), begin, step, columns);
  };
  auto keep = [&](ValueRange inputs, ArrayRef<Attribute> pieces, Value result,
                  StringRef stem, SegmentDest dest) {
    auto type = cast<StateType>(result.getType());
    int64_t columns = type.getShape()[1];
    auto element = cast<RankedTensorType>(inputs[0].getType()).getElementType();
    Value joined = KernelJoinHeadsOp::create(
        builder, op.getLoc(),
        RankedTensorType::get({ShapedType::kDynamic, count * columns}, element),
        "join_heads", inputs, count, builder.getArrayAttr(pieces));
    Value pages = NewStateOp::create(builder, op.getLoc(), type, op.getView());
    KernelHeadsOp kernel =
        create(op, stem, joined, op.getView(), {},
               segment(0, count, columns, false, dest), Type(), pages);
    result.replaceAllUsesWith(kernel.getNewStates()[0]);
  };
  keep({op.getExpanded(), op.getKey()},
       {piece(0, stride, heads.getNope()), piece(0, 0, heads.getRope())},
       op.getKeys(), "expand_keys", SegmentDest::Key);
  keep(op.getExpanded(), piece(keyRows, stride, heads.getValue()),
       op.getValues(), "expand_values", SegmentDest::Value);
  op.erase();
}

/// Also takes in the rope of the rows, if only the append reads it and the
/// heads are the state's.
void HeadsFormer::form(AppendOp op) {
  StateType state = op.getState().getType();
  int64_t heads = getHeads(state);
  Value input = op.getInput();
  auto rope = input.getDefiningOp<RopeOp>();
  if (rope && (!rope->hasOneUse() || rope.getInverse() || rope.getSeq() != op.getSeq() ||
               static_cast<int64_t>(rope.getHeads()) != heads))
    rope = {};
  Columns columns = findColumns(rope ? rope.getInput() : input);
  KernelHeadsOp kernel =
      create(op, "append", columns.row, op.getSeq(),
             rope ? rope.getRope() : RopeAttr(),
             segment(columns.begin, heads, state.getWidth() / heads, bool(rope),
                     findView(op.getResult())),
             Type(), op.getState());
  op.replaceAllUsesWith(kernel.getNewStates()[0]);
  op.erase();
  eraseIfDead(input);
}

Value HeadsFormer::createConcat(Operation *op, ValueRange inputs,
                                RopeAttr rope, ArrayRef<Attribute> parts) {
  OpBuilder builder(op);
  return KernelConcatHeadsOp::create(
      builder, op->getLoc(), op->getResult(0).getType(),
      rope ? "rope_backward" : "concat", inputs,
      rope ? angles.find(op, rope).second : Value(), rope,
      builder.getArrayAttr(parts));
}

/// Takes in the turning back of the inputs.
void HeadsFormer::form(ConcatColumnsOp op) {
  SmallVector<Value> inputs;
  SmallVector<Attribute> parts;
  RopeAttr rope;
  for (Value input : op.getInputs()) {
    auto turn = input.getDefiningOp<RopeOp>();
    bool takes = turn && turn.getInverse() && turn->hasOneUse() &&
                 (!rope || rope == turn.getRope());
    int64_t heads = takes ? static_cast<int64_t>(turn.getHeads()) : 1;
    int64_t columns = cast<RankedTensorType>(input.getType()).getDimSize(1);
    if (takes)
      rope = turn.getRope();
    inputs.push_back(takes ? turn.getInput() : input);
    parts.push_back(
        HeadsPartAttr::get(op.getContext(), heads, columns / heads, takes));
  }
  SmallVector<Value> old(op.getInputs());
  op.replaceAllUsesWith(createConcat(op, inputs, rope, parts));
  op.erase();
  for (Value input : old)
    eraseIfDead(input);
}

void HeadsFormer::form(RopeOp op) {
  Value input = op.getInput();
  int64_t heads = op.getHeads();
  if (op.getInverse()) {
    int64_t dim = op.getType().getDimSize(1) / heads;
    Value turned = createConcat(
        op, input, op.getRope(),
        HeadsPartAttr::get(op.getContext(), heads, dim, /*rotate=*/true));
    op.replaceAllUsesWith(turned);
    return op.erase();
  }
  Columns columns = findColumns(input);
  KernelHeadsOp kernel =
      create(op, "rope", columns.row, op.getSeq(), op.getRope(),
             segment(columns.begin, heads, op.getType().getDimSize(1) / heads,
                     true, SegmentDest::Result),
             op.getType(), {});
  op.replaceAllUsesWith(kernel.getResult());
  op.erase();
  eraseIfDead(input);
}

void HeadsFormer::form(tensor::ExtractSliceOp op) {
  if (op->use_empty())
    return eraseIfDead(op);
  Value seq = getSeqArgument(op->getParentOfType<func::FuncOp>());
  if (!isColumnSlice(op) || !seq)
    return;
  KernelHeadsOp kernel =
      create(op, "slice", op.getSource(), seq, {},
             segment(op.getStaticOffset(1), 1, op.getType().getDimSize(1),
                     false, SegmentDest::Result),
             op.getType(), {});
  op.replaceAllUsesWith(kernel.getResult());
  eraseIfDead(op.getResult());
}

void ds::formHeads(ModuleOp module) { HeadsFormer(module).run(); }
