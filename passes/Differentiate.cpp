//===- Differentiate.cpp - Reverse mode over the training entry -----------===//
//
// The entry's operations are differentiated in place. A layer body becomes two:
// `.forward`, which is the body and keeps what the other needs, and
// `.backward`, which recomputes the forward from the layer's input and goes
// back. What is kept instead of recomputed is another pass's choice, but for
// what an operation that writes state gives: it does not run again, and the
// backward finds the state as the forward left it.
//
//===----------------------------------------------------------------------===//
#include "passes/Differentiate.h"
#include "passes/Passes.h"

namespace ds {
#define GEN_PASS_DEF_DIFFERENTIATE
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

//===----------------------------------------------------------------------===//
// Forms that can be differentiated
//===----------------------------------------------------------------------===//

/// Splits a gated product, whose gate and up the backward needs.
static void splitGated(GatedLinearOp op) {
  OpBuilder builder(op);
  RankedTensorType type = op.getType();
  auto both = RankedTensorType::get(
      {ShapedType::kDynamic, 2 * type.getDimSize(1)}, type.getElementType());
  Value product =
      LinearOp::create(builder, op.getLoc(), both, op.getInput(),
                       op.getWeight(), Value(), op.getRouting(),
                       op.getGathered());
  Value result = SwigluPairsOp::create(builder, op.getLoc(), type, product);
  op.replaceAllUsesWith(result);
  op.erase();
}

/// Asks for the logarithm of the sum that the backward needs.
static void keepLse(AttendOp op) {
  OpBuilder builder(op);
  auto heads = static_cast<int64_t>(op.getHeads());
  auto lse = RankedTensorType::get({ShapedType::kDynamic, heads},
                                   builder.getF32Type());
  auto kept = AttendOp::create(builder, op.getLoc(), op.getResult().getType(),
                               lse, op.getQuery(), op.getKeys(), op.getValues(),
                               op.getSeq(), op.getEntries(), op.getHeadsAttr(),
                               op.getScaleAttr(), op.getPrefixAttr());
  op.getResult().replaceAllUsesWith(kept.getResult());
  op.erase();
}

static void prepare(func::FuncOp function) {
  SmallVector<Operation *> ops;
  function.walk([&](Operation *op) { ops.push_back(op); });
  for (Operation *op : ops) {
    if (auto gated = dyn_cast<GatedLinearOp>(op))
      splitGated(gated);
    else if (auto attend = dyn_cast<AttendOp>(op); attend && !attend.getLse())
      keepLse(attend);
  }
}

//===----------------------------------------------------------------------===//
// Kept activations
//===----------------------------------------------------------------------===//

/// Has the forward body return `value` last.
static void returnLast(func::FuncOp body, Value value) {
  Operation *terminator = body.getBody().front().getTerminator();
  terminator->insertOperands(terminator->getNumOperands(), value);
  body.setType(FunctionType::get(body.getContext(), body.getArgumentTypes(),
                                 terminator->getOperandTypes()));
}

/// Replaces `run` by one that has a stack of `tensor` as its last result.
static RunOp addStack(RunOp run, RankedTensorType tensor) {
  OpBuilder builder(run);
  SmallVector<Type> types(run.getResultTypes());
  types.push_back(
      StackType::get(builder.getContext(), tensor, run.getCount()));
  auto kept = RunOp::create(builder, run.getLoc(), types, run.getBody(),
                            run.getOperands(), run.getFirst(), run.getCount(),
                            run.getReverse());
  run->replaceAllUsesWith(kept->getResults().drop_back());
  run.erase();
  return kept;
}

void ds::keepActivation(MutableArrayRef<std::pair<RunOp, RunOp>> runs,
                        Value forward, Value recomputed) {
  SymbolTableCollection symbols;
  auto body = [&](RunOp run) {
    return symbols.lookupNearestSymbolFrom<func::FuncOp>(run,
                                                         run.getBodyAttr());
  };
  auto tensor = cast<RankedTensorType>(forward.getType());
  func::FuncOp first = body(runs.front().first),
               second = body(runs.front().second);
  returnLast(first, forward);
  // The backward body takes it before its states.
  unsigned index = 0;
  while (index < second.getNumArguments() &&
         !isa<StateType>(second.getArgument(index).getType()))
    ++index;
  NamedAttrList attributes;
  if (StringRef rows = getRowSymbolOf(forward); rows != "T")
    attributes.set(kRowsAttr, StringAttr::get(first.getContext(), rows));
  (void)second.insertArgument(index, tensor,
                              attributes.getDictionary(first.getContext()),
                              forward.getLoc());
  recomputed.replaceAllUsesWith(second.getArgument(index));
  for (auto &[forwardRun, backwardRun] : runs) {
    forwardRun = addStack(forwardRun, tensor);
    backwardRun->insertOperands(index, forwardRun->getResults().back());
  }
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

namespace {
/// A layer body, forward and backward.
struct BodyPair {
  func::FuncOp forward, backward;
  /// Values that the backward takes as its forward has them.
  SmallVector<std::pair<Value, Value>> kept;
  /// Terms of the loss, in the forward.
  SmallVector<AuxiliaryTerm> terms;
};

class BodyDifferentiator {
public:
  explicit BodyDifferentiator(ModuleOp module)
      : module(module), symbols(module) {}

  /// Returns the pair made of `body`, or null after an error.
  BodyPair *find(func::FuncOp body) {
    std::unique_ptr<BodyPair> &pair = pairs[body];
    if (pair)
      return pair.get();
    pair = std::make_unique<BodyPair>();
    return succeeded(build(body, *pair)) ? pair.get() : nullptr;
  }

private:
  ModuleOp module;
  SymbolTable symbols;
  DenseMap<Operation *, std::unique_ptr<BodyPair>> pairs;

  /// Declares `body`'s name with `suffix` after `place`.
  func::FuncOp create(func::FuncOp body, StringRef suffix, FunctionType type,
                      func::FuncOp place) {
    auto function = func::FuncOp::create(
        body.getLoc(), (body.getName() + suffix).str(), type);
    function.setPrivate();
    symbols.insert(function, std::next(place->getIterator()));
    function.addEntryBlock();
    return function;
  }

  LogicalResult build(func::FuncOp body, BodyPair &pair);
  void cloneForward(func::FuncOp body, BodyPair &pair, Value input);
};
} // namespace

/// Clones the body into the backward, with `input` as the layer's input and
/// without what writes state. Marks what is the same.
void BodyDifferentiator::cloneForward(func::FuncOp body, BodyPair &pair,
                                      Value input) {
  OpBuilder builder = OpBuilder::atBlockEnd(&pair.backward.getBody().front());
  IRMapping map;
  map.map(pair.forward.getArgument(0), input);
  for (unsigned i = 1; i < pair.forward.getNumArguments(); ++i)
    map.map(pair.forward.getArgument(i), pair.backward.getArgument(i));
  int64_t index = 0;
  for (Operation &op : pair.forward.getBody().front().without_terminator()) {
    Operation *clone = builder.clone(op, map);
    op.setAttr(kForwardAttr, builder.getI64IntegerAttr(index));
    clone->setAttr(kForwardAttr, builder.getI64IntegerAttr(index));
    ++index;
  }
}

LogicalResult BodyDifferentiator::build(func::FuncOp body, BodyPair &pair) {
  pair.forward = create(body, ".forward", body.getFunctionType(), body);
  IRMapping map;
  map.map(body.getArguments(), pair.forward.getArguments());
  OpBuilder builder = OpBuilder::atBlockEnd(&pair.forward.getBody().front());
  for (Operation &op : body.getBody().front())
    builder.clone(op, map);
  prepare(pair.forward);

  Type activation = body.getArgument(0).getType();
  pair.backward =
      create(body, ".backward",
             FunctionType::get(body.getContext(), body.getArgumentTypes(),
                               activation),
             pair.forward);
  // The layer's input is kept; it stands here until the runs are known.
  func::FuncOp backward = pair.backward;
  builder.setInsertionPointToStart(&backward.getBody().front());
  Value input = UnrealizedConversionCastOp::create(
                    builder, body.getLoc(), activation, backward.getArgument(0))
                    .getResult(0);
  pair.kept.push_back({pair.forward.getArgument(0), input});
  cloneForward(body, pair, input);

  // What writes state does not run again.
  DenseMap<int64_t, Operation *> originals;
  for (Operation &op : pair.forward.getBody().front())
    if (auto id = op.getAttrOfType<IntegerAttr>(kForwardAttr))
      originals[id.getInt()] = &op;
  SmallVector<Operation *> ops;
  for (Operation &op : backward.getBody().front())
    if (op.hasAttr(kForwardAttr))
      ops.push_back(&op);
  builder.setInsertionPointToEnd(&backward.getBody().front());
  BackwardBuilder gradients(builder);
  gradients.want(input);
  Operation *returned = pair.forward.getBody().front().getTerminator();
  Value result = returned->getOperand(0);
  Value recomputed = input;
  if (Operation *op = result.getDefiningOp()) {
    auto id = op->getAttrOfType<IntegerAttr>(kForwardAttr).getInt();
    unsigned number = cast<OpResult>(result).getResultNumber();
    for (Operation *each : ops)
      if (each->getAttrOfType<IntegerAttr>(kForwardAttr).getInt() == id)
        recomputed = each->getResult(number);
  }
  gradients.want(recomputed);
  gradients.add(recomputed, backward.getArgument(0));
  for (Operation *op : ops)
    if (auto term = dyn_cast<AuxiliaryOp>(op))
      seedTerm(gradients, builder, term);
  auto noRuns = [](RunOp run, Value) -> FailureOr<Value> {
    return run.emitOpError() << "expects a body that runs no other";
  };
  if (failed(gradients.run(ops, noRuns)))
    return failure();
  FailureOr<Value> dx = gradients.find(input);
  if (failed(dx))
    return failure();
  if (!*dx)
    return body.emitOpError() << "expects a body whose result depends on its "
                              << "activation";
  func::ReturnOp::create(builder, body.getLoc(), *dx);
  for (Operation *op : ops) {
    SmallVector<Value> states;
    for (Value operand : op->getOperands())
      if (isa<StateType>(operand.getType()))
        states.push_back(operand);
    if (isMemoryEffectFree(op) || states.empty())
      continue;
    Operation *original =
        originals[op->getAttrOfType<IntegerAttr>(kForwardAttr).getInt()];
    size_t next = 0;
    for (auto [result, there] :
         llvm::zip(op->getResults(), original->getResults())) {
      if (isa<StateType>(result.getType()))
        result.replaceAllUsesWith(states[next++]);
      else if (!result.use_empty())
        pair.kept.push_back({there, result});
    }
  }
  takeTerms(backward);
  pair.terms = takeTerms(pair.forward);
  countPicks(pair.forward);
  return success();
}

//===----------------------------------------------------------------------===//
// The entry
//===----------------------------------------------------------------------===//

namespace {
struct Differentiate : ds::impl::DifferentiateBase<Differentiate> {
  void runOnOperation() override {
    func::FuncOp entry = findEntry(getOperation(), kTrainEntry);
    if (!entry)
      return;
    if (failed(differentiate(entry)))
      return signalPassFailure();
    // What serves has no terms of the loss; their operands are dead code.
    for (auto function : getOperation().getOps<func::FuncOp>())
      takeTerms(function);
    addUpdate(entry);
    if (func::FuncOp infer = findEntry(getOperation(), kInferEntry))
      addLogProb(infer);
  }

  LogicalResult differentiate(func::FuncOp entry);
  void keep(BodyPair &pair, MutableArrayRef<std::pair<RunOp, RunOp>> runs);
  void keepTerms(func::FuncOp entry, BodyPair &pair,
                 MutableArrayRef<std::pair<RunOp, RunOp>> runs);
  void addUpdate(func::FuncOp entry);
  void addLogProb(func::FuncOp infer);
};
} // namespace

LogicalResult Differentiate::differentiate(func::FuncOp entry) {
  prepare(entry);
  Operation *terminator = entry.getBody().front().getTerminator();
  if (terminator->getNumOperands() < 2)
    return entry.emitOpError() << "expects to return losses and "
                               << "log-probabilities";
  SmallVector<Operation *> ops;
  for (Operation &op : entry.getBody().front().without_terminator())
    ops.push_back(&op);
  OpBuilder builder(terminator);
  BackwardBuilder gradients(builder);
  Value loss = terminator->getOperand(0), seq;
  for (BlockArgument argument : entry.getArguments())
    if (isa<SeqType>(argument.getType()))
      seq = argument;
  gradients.want(loss);
  gradients.add(loss, FillOp::create(builder, loss.getLoc(), loss.getType(),
                                     builder.getF64FloatAttr(1.0), seq));
  for (AuxiliaryOp term : entry.getOps<AuxiliaryOp>())
    seedTerm(gradients, builder, term);
  BodyDifferentiator bodies(getOperation());
  llvm::MapVector<BodyPair *, SmallVector<std::pair<RunOp, RunOp>>> runs;
  SymbolTableCollection symbols;
  auto runRule = [&](RunOp run, Value gradient) -> FailureOr<Value> {
    auto body = symbols.lookupNearestSymbolFrom<func::FuncOp>(
        run, run.getBodyAttr());
    BodyPair *pair = bodies.find(body);
    if (!pair)
      return failure();
    run.setBody(pair->forward.getName());
    // The states are those that the forward has left.
    SmallVector<Value> operands(run.getOperands());
    operands[0] = gradient;
    unsigned state = 1;
    for (Value &operand : operands)
      if (isa<StateType>(operand.getType()))
        operand = run.getResult(state++);
    auto back = RunOp::create(builder, run.getLoc(), gradient.getType(),
                              pair->backward.getName(), operands,
                              run.getFirst(), run.getCount(), /*reverse=*/true);
    runs[pair].push_back({run, back});
    return back.getResult(0);
  };
  if (failed(gradients.run(ops, runRule)))
    return failure();
  countPicks(entry);
  for (AuxiliaryTerm term : takeTerms(entry))
    returnTerm(entry, term.name, term.rows);
  for (auto &[pair, each] : llvm::reverse(runs)) {
    keep(*pair, each);
    keepTerms(entry, *pair, each);
  }
  bool trains = getOperation()
                    .walk([&](GetGradientOp op) {
                      auto weight = symbols.lookupNearestSymbolFrom<WeightOp>(
                          op, op.getWeightAttr());
                      return weight.getFrozen() ? WalkResult::advance()
                                                : WalkResult::interrupt();
                    })
                    .wasInterrupted();
  if (!trains)
    return mlir::emitError(loss.getLoc())
           << "expects a loss that depends on a weight that is trained";
  return success();
}

void Differentiate::keep(BodyPair &pair,
                         MutableArrayRef<std::pair<RunOp, RunOp>> runs) {
  for (auto [forward, recomputed] : pair.kept) {
    Operation *op = recomputed.getDefiningOp();
    keepActivation(runs, forward, recomputed);
    if (op && op->use_empty())
      op->erase();
  }
  // Nothing reads the results of what writes state any more.
  SmallVector<Operation *> dead;
  pair.backward.walk([&](Operation *op) {
    if (op->hasAttr(kForwardAttr) && op->use_empty())
      dead.push_back(op);
  });
  for (Operation *op : llvm::reverse(dead))
    if (op->use_empty())
      op->erase();
}

/// Has the entry return the terms of the loss of every layer.
void Differentiate::keepTerms(func::FuncOp entry, BodyPair &pair,
                              MutableArrayRef<std::pair<RunOp, RunOp>> runs) {
  for (AuxiliaryTerm term : pair.terms) {
    returnLast(pair.forward, term.rows);
    for (auto &[forward, backward] : llvm::reverse(runs)) {
      forward =
          addStack(forward, cast<RankedTensorType>(term.rows.getType()));
      returnTerm(entry, term.name, forward->getResults().back());
    }
  }
}

/// The optimiser's step for every weight that gradients are gathered for; a
/// bias that the loads of experts move has a step of its own.
void Differentiate::addUpdate(func::FuncOp entry) {
  llvm::SetVector<StringRef> trained;
  getOperation().walk(
      [&](GetGradientOp op) { trained.insert(op.getWeight()); });
  OpBuilder builder(getOperation().getContext());
  builder.setInsertionPointAfter(entry);
  auto update = func::FuncOp::create(builder, entry.getLoc(), "update",
                                     builder.getFunctionType({}, {}));
  update->setAttr(kEntryAttr, builder.getStringAttr(kUpdateEntry));
  builder.setInsertionPointToStart(update.addEntryBlock());
  SmallVector<WeightOp> weights;
  for (WeightOp weight : getOperation().getOps<WeightOp>())
    if (trained.contains(weight.getSymName()))
      weights.push_back(weight);
  auto isBalanced = [](WeightOp weight) {
    return weight.getBalanceRate().has_value();
  };
  for (WeightOp weight : weights)
    if (!isBalanced(weight))
      SquareSumOp::create(builder, weight.getLoc(), weight.getSymName());
  for (WeightOp weight : weights)
    if (!isBalanced(weight))
      AdamwOp::create(builder, weight.getLoc(), weight.getSymName(),
                      weight.getDecay());
  for (WeightOp weight : weights)
    if (isBalanced(weight))
      BalanceStepOp::create(builder, weight.getLoc(), weight.getSymName(),
                            *weight.getBalanceRate());
  func::ReturnOp::create(builder, entry.getLoc());
}

/// The log-probabilities of tokens that were drawn from the logits of `infer`:
/// the operation that training has, so that both agree to the bit.
void Differentiate::addLogProb(func::FuncOp infer) {
  Operation *terminator = infer.getBody().front().getTerminator();
  if (terminator->getNumOperands() == 0)
    return;
  Type logits = terminator->getOperand(0).getType();
  OpBuilder builder(getOperation().getContext());
  builder.setInsertionPointAfter(infer);
  auto rows = [&](Type element) {
    return RankedTensorType::get({ShapedType::kDynamic, 1}, element);
  };
  Type f32 = rows(builder.getF32Type()), seq = SeqType::get(&getContext());
  auto entry =
      func::FuncOp::create(builder, infer.getLoc(), "log_prob",
                           builder.getFunctionType({seq, logits}, {f32, f32}));
  entry->setAttr(kEntryAttr, builder.getStringAttr(kLogProbEntry));
  entry.setArgAttr(1, kNameAttr, builder.getStringAttr("logits"));
  entry.setArgAttr(1, kRowsAttr, builder.getStringAttr("R"));
  builder.setInsertionPointToStart(entry.addEntryBlock());
  Location loc = infer.getLoc();
  Value step = entry.getArgument(0);
  Value targets = RowInputOp::create(builder, loc, rows(builder.getI32Type()),
                                     "targets", step);
  Value temperature =
      RowInputOp::create(builder, loc, f32, "inverse_temperature", step);
  auto logProb = LogProbOp::create(builder, loc, f32, f32,
                                   entry.getArgument(1), targets, temperature);
  func::ReturnOp::create(builder, loc, logProb->getResults());
}
