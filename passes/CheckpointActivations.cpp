//===- CheckpointActivations.cpp - What is kept, what is recomputed -------===//
//
// A backward body begins as a recomputation of its forward from the layer's
// input. Results of products and of attention are kept instead, those first
// that save most work for their bytes, as long as the budget lasts; what they
// were computed from goes, unless something else needs it.
//
//===----------------------------------------------------------------------===//
#include "passes/Differentiate.h"
#include "passes/Passes.h"
#include "passes/WeightTools.h"

namespace ds {
#define GEN_PASS_DEF_CHECKPOINTACTIVATIONS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

namespace {
/// The forward and the backward runs of a layer body.
struct RunPairs {
  func::FuncOp forward, backward;
  SmallVector<std::pair<RunOp, RunOp>> runs;
};

/// A recomputed operation whose results could be kept.
struct Candidate {
  RunPairs *pair = nullptr;
  Operation *op = nullptr; ///< In the backward.
  double bytes = 0;        ///< Per token, all layers.
  double flops = 0;        ///< Saved per token.
};

struct CheckpointActivations
    : ds::impl::CheckpointActivationsBase<CheckpointActivations> {
  using CheckpointActivationsBase::CheckpointActivationsBase;

  void runOnOperation() override {
    func::FuncOp entry = findEntry(getOperation(), kTrainEntry);
    if (!entry)
      return;
    std::vector<RunPairs> pairs = collect(entry);
    double used = 0;
    for (RunPairs &pair : pairs) {
      eraseDead(pair.backward);
      used += countStacks(pair);
    }
    if (budget >= 0 && used > static_cast<double>(budget)) {
      entry.emitError() << "expects a budget of at least "
                        << static_cast<int64_t>(used)
                        << " bytes per token for the inputs of layers and "
                        << "what they append, got "
                        << static_cast<int64_t>(budget);
      return signalPassFailure();
    }
    DenseSet<Operation *> tooBig;
    while (std::optional<Candidate> best = findBest(pairs, tooBig)) {
      if (budget >= 0 && used + best->bytes > static_cast<double>(budget)) {
        tooBig.insert(best->op);
      } else {
        used += best->bytes;
        kept += keep(*best);
        eraseDead(best->pair->backward);
      }
    }
    for (RunPairs &pair : pairs) {
      report(pair);
      dropUnkept(pair.forward);
    }
    getOperation().walk([](Operation *op) { op->removeAttr(kForwardAttr); });
  }

  std::vector<RunPairs> collect(func::FuncOp entry);
  static double countStacks(RunPairs &pair);
  static void eraseDead(func::FuncOp function);
  static std::optional<Candidate> findBest(std::vector<RunPairs> &pairs,
                                           DenseSet<Operation *> &tooBig);
  static unsigned keep(Candidate &candidate);
  static void report(RunPairs &pair);
  static void dropUnkept(func::FuncOp forward);
};
} // namespace

/// Bytes of a token's row of `type`.
static double rowBytes(RankedTensorType type) {
  return static_cast<double>(type.getDimSize(1) *
                             getElementBytes(type.getElementType()));
}

std::vector<RunPairs> CheckpointActivations::collect(func::FuncOp entry) {
  std::vector<RunPairs> pairs;
  SymbolTable symbols(getOperation());
  SmallVector<RunOp> forwards, backwards;
  for (RunOp run : entry.getOps<RunOp>())
    (run.getReverse() ? backwards : forwards).push_back(run);
  for (RunOp back : backwards) {
    // The forward run made the stack that the backward reads.
    RunOp forward;
    for (Value operand : back.getOperands())
      if (isa<StackType>(operand.getType()))
        forward = operand.getDefiningOp<RunOp>();
    if (!forward)
      continue;
    auto body = symbols.lookup<func::FuncOp>(back.getBody());
    auto it = llvm::find_if(
        pairs, [&](const RunPairs &pair) { return pair.backward == body; });
    if (it == pairs.end())
      it = pairs.insert(
          it, {symbols.lookup<func::FuncOp>(forward.getBody()), body, {}});
    it->runs.push_back({forward, back});
  }
  return pairs;
}

double CheckpointActivations::countStacks(RunPairs &pair) {
  double bytes = 0;
  for (auto &[forward, back] : pair.runs)
    for (Type type : forward.getResultTypes())
      if (auto stack = dyn_cast<StackType>(type))
        bytes += rowBytes(stack.getTensor()) *
                 static_cast<double>(stack.getLayers());
  return bytes;
}

void CheckpointActivations::eraseDead(func::FuncOp function) {
  for (Operation &op :
       llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}

/// Returns what saves most FLOPs for its bytes and is not `tooBig`.
std::optional<Candidate>
CheckpointActivations::findBest(std::vector<RunPairs> &pairs,
                                DenseSet<Operation *> &tooBig) {
  constexpr int64_t kTokens = 1024;
  std::optional<Candidate> best;
  for (RunPairs &pair : pairs) {
    double layers = 0;
    for (auto &[forward, back] : pair.runs)
      layers += static_cast<double>(forward.getCount());
    for (Operation &op : pair.backward.getBody().front()) {
      if (!op.hasAttr(kForwardAttr) || !isa<LinearOp, AttendOp>(op) ||
          tooBig.contains(&op))
        continue;
      Candidate candidate{&pair, &op};
      for (Value result : op.getResults())
        if (!result.use_empty())
          candidate.bytes +=
              layers * rowBytes(cast<RankedTensorType>(result.getType()));
      Cost cost = cast<CostInterface>(op).getCost({kTokens, 1, 1, kTokens});
      candidate.flops = layers * cost.flops / kTokens;
      if (!best ||
          candidate.flops * best->bytes > best->flops * candidate.bytes)
        best = candidate;
    }
  }
  return best;
}

/// Keeps the results that are used; returns how many.
unsigned CheckpointActivations::keep(Candidate &candidate) {
  RunPairs &pair = *candidate.pair;
  Attribute id = candidate.op->getAttr(kForwardAttr);
  Operation *forward = nullptr;
  for (Operation &op : pair.forward.getBody().front())
    if (op.getAttr(kForwardAttr) == id)
      forward = &op;
  unsigned count = 0;
  for (auto [there, here] :
       llvm::zip(forward->getResults(), candidate.op->getResults())) {
    if (here.use_empty())
      continue;
    keepActivation(pair.runs, there, here);
    ++count;
  }
  return count;
}

/// What a user knows a value by: the weight of a product, or the operation.
static std::string describe(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return "input";
  if (auto linear = dyn_cast<LinearOp>(op))
    if (auto read = linear.getWeight().getDefiningOp<GetWeightOp>())
      return getWeightStem(read.getWeight()).str();
  if (isa<RopeAppendOp>(op))
    return "query";
  if (auto attend = dyn_cast<AttendOp>(op); attend && value == attend.getLse())
    return "lse";
  return op->getName().stripDialect().str();
}

/// Notes what is kept and what is recomputed in the backward's attributes.
void CheckpointActivations::report(RunPairs &pair) {
  Builder builder(pair.backward.getContext());
  SmallVector<Attribute> keeps, recomputes;
  Operation *returned = pair.forward.getBody().front().getTerminator();
  for (Value value : returned->getOperands().drop_front())
    if (auto type = dyn_cast<RankedTensorType>(value.getType())) {
      auto bytes = static_cast<int64_t>(rowBytes(type));
      keeps.push_back(
          builder.getStringAttr(describe(value) + ": " + Twine(bytes)));
    }
  for (Operation &op : pair.backward.getBody().front())
    if (op.hasAttr(kForwardAttr) && !isa<GetWeightOp, tensor::DimOp>(op))
      recomputes.push_back(builder.getStringAttr(describe(op.getResult(0))));
  pair.backward->setAttr(kKeptAttr, builder.getArrayAttr(keeps));
  pair.backward->setAttr(kRecomputedAttr, builder.getArrayAttr(recomputes));
}

/// Makes the forward what it was where nothing of a split operation is kept.
void CheckpointActivations::dropUnkept(func::FuncOp forward) {
  SmallVector<Operation *> ops;
  for (Operation &op : forward.getBody().front())
    ops.push_back(&op);
  for (Operation *op : ops) {
    OpBuilder builder(op);
    if (auto pairs = dyn_cast<SwigluPairsOp>(op)) {
      auto product = pairs.getInput().getDefiningOp<LinearOp>();
      if (!product || product.getBias() || !product->hasOneUse())
        continue;
      Value gated =
          GatedLinearOp::create(builder, op->getLoc(), pairs.getType(),
                                product.getInput(), product.getWeight(),
                                product.getRouting(), product.getGathered());
      op->replaceAllUsesWith(ValueRange(gated));
      op->erase();
      product->erase();
    } else if (auto attend = dyn_cast<AttendOp>(op);
               attend && attend.getLse() && attend.getLse().use_empty()) {
      auto plain = AttendOp::create(
          builder, op->getLoc(), attend.getResult().getType(), Type(),
          attend.getQuery(), attend.getKeys(), attend.getValues(),
          attend.getSeq(), attend.getEntries(), attend.getHeadsAttr(),
          attend.getScaleAttr(), attend.getPrefixAttr());
      attend.getResult().replaceAllUsesWith(plain.getResult());
      op->erase();
    }
  }
}
