//===- FormKernels.cpp - From ds operations to kernels --------------------===//
//
// Every ds operation becomes one member of a kernel family. What an operation
// computes element by element is a region of scalar arith and math, in which
// truncf and extf are the rounding points.
//
//===----------------------------------------------------------------------===//
#include "passes/Regions.h"
#include "passes/Passes.h"
#include "llvm/ADT/MapVector.h"

namespace ds {
#define GEN_PASS_DEF_FORMKERNELS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static Type elementOf(Value value) { return typeOf(value).getElementType(); }

namespace {
/// Forms the kernels of one module.
class KernelFormer {
public:
  explicit KernelFormer(ModuleOp module)
      : module(module), symbols(module), builder(module.getContext()) {}
  LogicalResult run();

private:
  ModuleOp module;
  SymbolTable symbols;
  OpBuilder builder;
  llvm::StringMap<int> names;
  /// Angles of the function being rewritten, by rope.
  llvm::MapVector<RopeAttr, Value> angles;
  /// Operations that a product's epilogue took over.
  llvm::SmallPtrSet<Operation *, 8> absorbed;

  StringAttr makeName(StringRef family, StringRef stem);
  StringRef stemOf(Value weight);
  void setWeightLayouts();
  void setLayout(WeightOp weight, WeightLayout layout, Type element);
  void addAngles(func::FuncOp body);
  void addEntryAngles(func::FuncOp entry);

  LogicalResult formFunction(func::FuncOp function);
  LogicalResult form(Operation *op);
  void formEmbedding(EmbeddingOp op);
  void formLinear(LinearOp op);
  void formGated(GatedLinearOp op);
  void formNorm(RmsNormOp op);
  void formAttend(AttendOp op);
  void formRope(RopeOp op);
  void formAppend(AppendOp op);
  void formRopeAppend(RopeAppendOp op);
  void formElementwise(Operation *op);
  KernelHeadsOp makeHeads(Operation *op, Value input, Value seq,
                          ValueRange states, RopeAttr rope,
                          ArrayRef<Attribute> segments, Type result,
                          StringRef stem);
};
} // namespace

StringAttr KernelFormer::makeName(StringRef family, StringRef stem) {
  std::string name = stem.empty() ? family.str() : (family + "_" + stem).str();
  int count = names[name]++;
  if (count)
    name += "_" + std::to_string(count);
  return builder.getStringAttr(name);
}

/// The last component of the weight's symbol.
StringRef KernelFormer::stemOf(Value weight) {
  auto get = weight.getDefiningOp<GetWeightOp>();
  return get ? get.getWeight().rsplit('.').second.empty()
                   ? get.getWeight()
                   : get.getWeight().rsplit('.').second
             : StringRef();
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

void KernelFormer::setLayout(WeightOp weight, WeightLayout layout,
                             Type element) {
  auto type = cast<RankedTensorType>(weight.getType()).clone(element);
  weight.setLayout(layout);
  weight.setType(type);
}

/// Chooses each weight's layout from its uses and retypes the uses.
void KernelFormer::setWeightLayouts() {
  llvm::StringMap<bool> multiplied;
  module.walk([&](GetWeightOp get) {
    for (OpOperand &use : get->getUses())
      if (isa<LinearOp, GatedLinearOp>(use.getOwner()))
        multiplied[get.getWeight()] = true;
  });
  module.walk([&](WeightOp weight) {
    auto type = cast<RankedTensorType>(weight.getType());
    Type f32 = builder.getF32Type();
    if (type.getRank() == 1)
      return setLayout(weight, WeightLayout::VectorF32, f32);
    Type element = type.getElementType();
    WeightLayout panel = element.isF32() ? WeightLayout::PanelF32
                                         : WeightLayout::PanelBf16;
    bool product = multiplied.lookup(weight.getSymName());
    setLayout(weight, product ? panel : WeightLayout::Raw, element);
  });
  module.walk([&](GetWeightOp get) {
    auto weight = symbols.lookup<WeightOp>(get.getWeight());
    get.getResult().setType(cast<RankedTensorType>(weight.getType()));
  });
}

//===----------------------------------------------------------------------===//
// Rope angles
//===----------------------------------------------------------------------===//

/// The distinct ropes of a function, in order of appearance.
static SmallVector<RopeAttr> ropesOf(func::FuncOp function) {
  llvm::SetVector<RopeAttr> ropes;
  function.walk([&](Operation *op) {
    if (auto rope = dyn_cast<RopeOp>(op))
      ropes.insert(rope.getRope());
    if (auto rope = dyn_cast<RopeAppendOp>(op))
      ropes.insert(rope.getRope());
  });
  return ropes.takeVector();
}

static Type anglesType(RopeAttr rope) {
  return RankedTensorType::get({ShapedType::kDynamic, rope.getDims()},
                               Float32Type::get(rope.getContext()));
}

/// Index of the `!ds.seq` argument.
static unsigned seqIndex(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (isa<SeqType>(argument.getType()))
      return argument.getArgNumber();
  return 0;
}

void KernelFormer::addAngles(func::FuncOp body) {
  unsigned at = seqIndex(body) + 1;
  for (RopeAttr rope : ropesOf(body))
    (void)body.insertArgument(at++, anglesType(rope), {}, body.getLoc());
}

void KernelFormer::addEntryAngles(func::FuncOp entry) {
  angles.clear();
  Value seq = entry.getArgument(seqIndex(entry));
  builder.setInsertionPointToStart(&entry.getBody().front());
  auto angleOf = [&](RopeAttr rope) {
    Value &value = angles[rope];
    if (!value)
      value = KernelAnglesOp::create(builder, entry.getLoc(),
                                     anglesType(rope),
                                     makeName("angles", ""), seq, rope);
    return value;
  };
  for (RopeAttr rope : ropesOf(entry))
    angleOf(rope);
  SmallVector<RunOp> runs(entry.getBody().getOps<RunOp>());
  for (RunOp run : runs) {
    auto body = symbols.lookup<func::FuncOp>(run.getBody());
    unsigned at = seqIndex(body) + 1;
    for (RopeAttr rope : ropesOf(body))
      run->insertOperands(at++, angleOf(rope));
  }
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

namespace {
/// The addition of a residual that a product's epilogue can take over.
struct Residual {
  arith::AddFOp add;
  Value other;
};
} // namespace

/// Finds `extf(result) + other` or `result + other`, where it is the only use.
static std::optional<Residual> findResidual(Value result) {
  if (!result.hasOneUse())
    return std::nullopt;
  Value value = result;
  Operation *user = *value.getUsers().begin();
  if (auto widen = dyn_cast<arith::ExtFOp>(user)) {
    if (!widen->hasOneUse())
      return std::nullopt;
    value = widen.getResult();
    user = *value.getUsers().begin();
  }
  auto add = dyn_cast<arith::AddFOp>(user);
  if (!add || add.getLhs() == add.getRhs() ||
      user->getBlock() != result.getParentBlock())
    return std::nullopt;
  Value other = add.getLhs() == value ? add.getRhs() : add.getLhs();
  return Residual{add, other};
}

/// The rows of a product: its operand and, where rows are selected, the seq.
static std::pair<Value, Value> rowsOf(Value input) {
  if (auto select = input.getDefiningOp<SelectRowsOp>())
    return {select.getInput(), select.getSeq()};
  return {input, Value()};
}

void KernelFormer::formLinear(LinearOp op) {
  std::optional<Residual> residual = findResidual(op.getResult());
  builder.setInsertionPoint(residual ? residual->add.getOperation()
                                     : op.getOperation());
  auto [input, rows] = rowsOf(op.getInput());
  SmallVector<Value> extras;
  if (Value bias = op.getBias())
    extras.push_back(bias);
  if (residual)
    extras.push_back(residual->other);
  if (residual)
    for (Operation *taken :
         {residual->add.getOperation(), *op.getResult().getUsers().begin()})
      absorbed.insert(taken);
  Value replaced = residual ? residual->add.getResult() : op.getResult();
  auto kernel = KernelMatmulOp::create(
      builder, op.getLoc(), replaced.getType(),
      makeName("matmul", stemOf(op.getWeight())), input, op.getWeight(),
      extras, rows, /*pair=*/nullptr);
  SmallVector<Type> types = {builder.getF32Type()};
  for (Value extra : extras)
    types.push_back(elementOf(extra));
  RegionBuilder region(kernel.getEpilogue(), types, op.getLoc());
  Value value = region.argument(0);
  unsigned next = 1;
  if (op.getBias())
    value = region.add(value, region.widen(region.argument(next++)));
  value = region.round(value, elementOf(op.getResult()));
  if (residual)
    value = region.add(region.widen(value),
                       region.widen(region.argument(next)));
  region.yield(value);
  replaced.replaceAllUsesWith(kernel.getResult());
}

void KernelFormer::formGated(GatedLinearOp op) {
  builder.setInsertionPoint(op);
  Type f32 = builder.getF32Type(), element = elementOf(op.getResult());
  auto kernel = KernelMatmulOp::create(
      builder, op.getLoc(), op.getType(),
      makeName("matmul", stemOf(op.getWeight())), op.getInput(),
      op.getWeight(), ValueRange(), Value(), builder.getUnitAttr());
  RegionBuilder region(kernel.getEpilogue(), {f32, f32}, op.getLoc());
  Value gate = region.widen(region.round(region.argument(0), element));
  Value up = region.widen(region.round(region.argument(1), element));
  region.yield(region.round(region.swiglu(gate, up), element));
  op.getResult().replaceAllUsesWith(kernel.getResult());
}

//===----------------------------------------------------------------------===//
// Rows and elements
//===----------------------------------------------------------------------===//

void KernelFormer::formEmbedding(EmbeddingOp op) {
  builder.setInsertionPoint(op);
  auto get = op.getTable().getDefiningOp<GetWeightOp>();
  auto weight = symbols.lookup<WeightOp>(get.getWeight());
  auto kernel = KernelEmbedOp::create(
      builder, op.getLoc(), op.getType(), makeName("embed", ""), op.getTable(),
      op.getSeq(), *weight.getLayout());
  op.getResult().replaceAllUsesWith(kernel.getResult());
}

void KernelFormer::formNorm(RmsNormOp op) {
  builder.setInsertionPoint(op);
  auto kernel = KernelRowOp::create(
      builder, op.getLoc(), op.getType(),
      makeName("norm", stemOf(op.getWeight())),
      ValueRange{op.getInput(), op.getWeight()});
  RegionBuilder region(kernel.getBody(),
                       {elementOf(op.getInput()), elementOf(op.getWeight())},
                       op.getLoc());
  Value x = region.widen(region.argument(0));
  Value sum = RowReduceOp::create(region.builder, op.getLoc(),
                                  region.mul(x, x));
  double width = static_cast<double>(typeOf(op.getInput()).getDimSize(1));
  Value mean = region.mul(sum, region.constant(1.0 / width));
  Value root = math::SqrtOp::create(
      region.builder, op.getLoc(),
      region.add(mean, region.constant(op.getEps().convertToDouble())));
  Value scaled = region.mul(x, region.div(region.constant(1.0), root));
  Value y = region.mul(scaled, region.widen(region.argument(1)));
  region.yield(region.round(y, elementOf(op.getResult())));
  op.getResult().replaceAllUsesWith(kernel.getResult());
}

/// SwiGLU, additions and casts that no product took over.
void KernelFormer::formElementwise(Operation *op) {
  builder.setInsertionPoint(op);
  Value result = op->getResult(0);
  auto kernel = KernelElementwiseOp::create(
      builder, op->getLoc(), result.getType(), makeName("elementwise", ""),
      op->getOperands());
  SmallVector<Type> types;
  for (Value operand : op->getOperands())
    types.push_back(elementOf(operand));
  RegionBuilder region(kernel.getBody(), types, op->getLoc());
  Type element = elementOf(result);
  Value value;
  if (isa<SwigluOp>(op))
    value = region.swiglu(region.widen(region.argument(0)),
                          region.widen(region.argument(1)));
  else if (isa<arith::AddFOp>(op))
    value = region.add(region.widen(region.argument(0)),
                       region.widen(region.argument(1)));
  else
    value = region.widen(region.argument(0));
  region.yield(region.round(value, element));
  result.replaceAllUsesWith(kernel.getResult());
}

//===----------------------------------------------------------------------===//
// Heads and attention
//===----------------------------------------------------------------------===//

void KernelFormer::formAttend(AttendOp op) {
  builder.setInsertionPoint(op);
  auto kernel = KernelAttentionOp::create(
      builder, op.getLoc(), op.getType(), makeName("attention", ""),
      op.getQuery(), op.getKeys(), op.getValues(), op.getSeq(),
      op.getHeadsAttr(), op.getScaleAttr());
  op.getResult().replaceAllUsesWith(kernel.getResult());
}

KernelHeadsOp KernelFormer::makeHeads(Operation *op, Value input, Value seq,
                                      ValueRange states, RopeAttr rope,
                                      ArrayRef<Attribute> segments,
                                      Type result, StringRef stem) {
  builder.setInsertionPoint(op);
  SmallVector<Type> stateTypes(states.getTypes());
  return KernelHeadsOp::create(builder, op->getLoc(), result, stateTypes,
                               makeName("heads", stem), input,
                               angles.lookup(rope), seq, states, rope,
                               builder.getArrayAttr(segments));
}

void KernelFormer::formRope(RopeOp op) {
  int64_t heads = op.getHeads(), width = typeOf(op.getInput()).getDimSize(1);
  Attribute segment = SegmentAttr::get(op.getContext(), 0, heads,
                                       width / heads, true,
                                       SegmentDest::Result);
  KernelHeadsOp kernel = makeHeads(op, op.getInput(), op.getSeq(), {},
                                   op.getRope(), segment, op.getType(),
                                   "rope");
  op.getResult().replaceAllUsesWith(kernel.getResult());
}

/// Whether a state is read as keys or as values.
static SegmentDest viewOf(Value state) {
  for (OpOperand &use : state.getUses()) {
    if (auto attend = dyn_cast<AttendOp>(use.getOwner()))
      return attend.getKeys() == state ? SegmentDest::Key : SegmentDest::Value;
    if (auto attend = dyn_cast<KernelAttentionOp>(use.getOwner()))
      return attend.getKeys() == state ? SegmentDest::Key : SegmentDest::Value;
  }
  return SegmentDest::Value;
}

void KernelFormer::formAppend(AppendOp op) {
  StateType state = op.getState().getType();
  int64_t heads = state.getShape()[0];
  Attribute segment =
      SegmentAttr::get(op.getContext(), 0, heads, state.getWidth() / heads,
                       false, viewOf(op.getResult()));
  RopeAttr rope = angles.begin()->first;
  KernelHeadsOp kernel = makeHeads(op, op.getInput(), op.getSeq(),
                                   op.getState(), rope, segment, Type(),
                                   "append");
  op.getResult().replaceAllUsesWith(kernel.getNewStates()[0]);
}

void KernelFormer::formRopeAppend(RopeAppendOp op) {
  StateType keys = op.getKeys().getType(), values = op.getValues().getType();
  int64_t heads = op.getHeads(), dims = keys.getShape()[1];
  int64_t keyHeads = keys.getShape()[0];
  MLIRContext *context = op.getContext();
  int64_t keyBegin = heads * dims, valueBegin = keyBegin + keys.getWidth();
  SmallVector<Attribute> segments = {
      SegmentAttr::get(context, 0, heads, dims, true, SegmentDest::Result),
      SegmentAttr::get(context, keyBegin, keyHeads, dims, true,
                       SegmentDest::Key),
      SegmentAttr::get(context, valueBegin, keyHeads, values.getShape()[1],
                       false, SegmentDest::Value)};
  KernelHeadsOp kernel = makeHeads(
      op, op.getInput(), op.getSeq(), {op.getKeys(), op.getValues()},
      op.getRope(), segments, op.getQuery().getType(), "rope_append");
  op.getQuery().replaceAllUsesWith(kernel.getResult());
  op.getNewKeys().replaceAllUsesWith(kernel.getNewStates()[0]);
  op.getNewValues().replaceAllUsesWith(kernel.getNewStates()[1]);
}

//===----------------------------------------------------------------------===//
// Driver
//===----------------------------------------------------------------------===//

LogicalResult KernelFormer::form(Operation *op) {
  if (absorbed.contains(op))
    return success();
  if (auto cast = dyn_cast<AppendOp>(op); cast && angles.empty())
    return op->emitOpError() << "expects a function that rotates: state "
                             << "without positions has no kernel";
  TypeSwitch<Operation *>(op)
      .Case([&](EmbeddingOp op) { formEmbedding(op); })
      .Case([&](LinearOp op) { formLinear(op); })
      .Case([&](GatedLinearOp op) { formGated(op); })
      .Case([&](RmsNormOp op) { formNorm(op); })
      .Case([&](AttendOp op) { formAttend(op); })
      .Case([&](RopeOp op) { formRope(op); })
      .Case([&](AppendOp op) { formAppend(op); })
      .Case([&](RopeAppendOp op) { formRopeAppend(op); })
      .Case<SwigluOp, arith::AddFOp, arith::ExtFOp, arith::TruncFOp>(
          [&](Operation *op) { formElementwise(op); });
  return success();
}

LogicalResult KernelFormer::formFunction(func::FuncOp function) {
  if (function.isExternal())
    return success();
  SmallVector<Operation *> formed;
  for (Operation &op : function.getBody().front())
    if (!isa<GetWeightOp, RunOp, KernelInterface, func::ReturnOp>(op))
      formed.push_back(&op);
  for (Operation *op : formed)
    if (failed(form(op)))
      return failure();
  for (Operation *op : llvm::reverse(formed)) {
    if (!op->use_empty())
      return op->emitOpError() << "has no kernel";
    op->erase();
  }
  return success();
}

LogicalResult KernelFormer::run() {
  setWeightLayouts();
  SmallVector<func::FuncOp> bodies, entries;
  for (auto function : module.getOps<func::FuncOp>())
    (function->hasAttr(kEntryAttr) ? entries : bodies).push_back(function);
  for (func::FuncOp entry : entries)
    addEntryAngles(entry);
  for (func::FuncOp entry : entries)
    if (failed(formFunction(entry)))
      return failure();
  for (func::FuncOp body : bodies) {
    SmallVector<RopeAttr> ropes = ropesOf(body);
    addAngles(body);
    angles.clear();
    unsigned at = seqIndex(body) + 1;
    for (RopeAttr rope : ropes)
      angles[rope] = body.getArgument(at++);
    if (failed(formFunction(body)))
      return failure();
  }
  return success();
}

namespace {
struct FormKernels : ds::impl::FormKernelsBase<FormKernels> {
  void runOnOperation() override {
    if (failed(KernelFormer(getOperation()).run()))
      signalPassFailure();
  }
};
} // namespace
