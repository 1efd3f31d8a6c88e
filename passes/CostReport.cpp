//===- CostReport.cpp - FLOPs and bytes as text ---------------------------===//
//
// Two tables: what a token costs in FLOPs, by the families that the papers
// count apart, and what every kernel of a step costs.
//
//===----------------------------------------------------------------------===//
#include "passes/Manifest.h"
#include "llvm/Support/FormatVariadic.h"

using namespace ds;

namespace {
/// A step whose tokens all have one role, after which its sequence has
/// `shape.cached` positions.
struct CostStep {
  StepShape shape;
  bool generated = false;
  int64_t stride = 1; ///< Tokens for each entry of states that keep entries.
};

/// FLOPs by what does them.
struct FlopSums {
  double products = 0, attention = 0, others = 0;

  double total() const { return products + attention + others; }
};
} // namespace

static double mebibytes(double bytes) { return bytes / (1 << 20); }

static Cost scale(Cost cost, double by) {
  return {cost.flops * by, cost.weightBytes * by, cost.activationBytes * by,
          cost.stateBytes * by};
}

/// What `count` launches of a kernel cost in the step. Those for tokens of the
/// other role are not launched.
static Cost launchCost(Operation *kernel, int64_t count, CostStep step) {
  BufferRows rows =
      parseRows(cast<KernelInterface>(kernel).getRowSymbol()).rows;
  bool isPrompts = rows == BufferRows::Prompt || rows == BufferRows::Expanded;
  if (step.generated ? isPrompts : rows == BufferRows::Generated)
    return {};
  double share = rows == BufferRows::Blocks ? 1.0 / step.stride : 1.0;
  return scale(cast<CostInterface>(kernel).getCost(step.shape),
               share * static_cast<double>(count));
}

static void walkLaunches(ArrayRef<PlannedStep> program, int64_t count,
                         llvm::function_ref<void(Operation *, int64_t)> visit) {
  for (const PlannedStep &launch : program)
    if (launch.kernel)
      visit(launch.kernel, count);
    else // A window's rows are all rows, some at a time.
      walkLaunches(launch.body, launch.window > 0 ? count : launch.layerCount,
                   visit);
}

//===----------------------------------------------------------------------===//
// A token
//===----------------------------------------------------------------------===//

static FlopSums sumFlops(const EntryPlan &entry, CostStep step) {
  FlopSums sums;
  walkLaunches(entry.program, 1, [&](Operation *kernel, int64_t count) {
    double flops = launchCost(kernel, count, step).flops;
    if (isa<KernelMatmulOp>(kernel))
      sums.products += flops;
    else if (isa<KernelAttentionOp, KernelSparseAttentionOp,
                 KernelSelectTokensOp, KernelSelectBlocksOp>(kernel))
      sums.attention += flops;
    else
      sums.others += flops;
  });
  return sums;
}

static void printToken(const Twine &name, FlopSums sums, double times,
                       llvm::raw_ostream &os) {
  double by = times / 1e9;
  os << llvm::formatv("{0,-34} {1,10:F3} {2,10:F3} {3,10:F3} {4,10:F3}\n",
                      name.str(), sums.products * by, sums.attention * by,
                      sums.others * by, sums.total() * by);
}

/// What one token costs on average: generated after `positions` others, in a
/// prompt of so many tokens, and in training, which takes the forward's FLOPs
/// three times and asks for the logits of all tokens.
static void printTokens(const EntryPlan &entry, int64_t positions,
                        llvm::raw_ostream &os) {
  os << "GFLOP per token                      products  attention     others"
     << "      total\n";
  auto share = 1.0 / static_cast<double>(positions);
  CostStep first{{1, 1, 1, 1}, true, entry.stride};
  CostStep last{{1, 1, 1, positions}, true, entry.stride};
  CostStep prompt{{positions, 1, 1, positions}, false, entry.stride};
  CostStep train{{positions, 1, positions, positions}, false, entry.stride};
  printToken("generated, the first", sumFlops(entry, first), 1, os);
  printToken("generated, position " + Twine(positions), sumFlops(entry, last),
             1, os);
  printToken("prompt of " + Twine(positions) + " tokens",
             sumFlops(entry, prompt), share, os);
  printToken("training on " + Twine(positions) + " tokens",
             sumFlops(entry, train), 3 * share, os);
  os << "\n";
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static void printLine(StringRef name, int64_t count, Cost cost,
                      llvm::raw_ostream &os) {
  os << llvm::formatv(
      "{0,-24} {1,5} {2,10:F3} {3,12:F2} {4,12:F2} {5,10:F2}\n", name, count,
      cost.flops / 1e9, mebibytes(cost.weightBytes),
      mebibytes(cost.activationBytes), mebibytes(cost.stateBytes));
}

static void accumulate(Cost &total, Cost cost) {
  total.flops += cost.flops;
  total.weightBytes += cost.weightBytes;
  total.activationBytes += cost.activationBytes;
  total.stateBytes += cost.stateBytes;
}

static void printKernels(const EntryPlan &entry, const Twine &what,
                         CostStep step, llvm::raw_ostream &os) {
  step.stride = entry.stride;
  Cost total;
  os << what << step.shape.tokens
     << (step.shape.tokens == 1 ? " token\n" : " tokens\n");
  os << "kernel                   count     GFLOP  weights MiB  activ. MiB"
     << "  state MiB\n";
  walkLaunches(entry.program, 1, [&](Operation *kernel, int64_t count) {
    Cost cost = launchCost(kernel, count, step);
    accumulate(total, cost);
    printLine(cast<KernelInterface>(kernel).getKernelName(), count, cost, os);
  });
  printLine("total", 1, total, os);
  os << "\n";
}

void ds::printCost(ModuleOp module, const MemoryPlan &plan, int64_t tokens,
                   llvm::raw_ostream &os) {
  if (const EntryPlan *infer = plan.find(kInferEntry)) {
    auto config = module->getAttrOfType<DictionaryAttr>(kConfigAttr);
    auto limit = config ? config.getAs<IntegerAttr>("max_position_embeddings")
                        : IntegerAttr();
    int64_t positions = 4096;
    if (limit)
      positions = std::min(positions, limit.getInt());
    printTokens(*infer, positions, os);
    printKernels(*infer, "step of ", {{1, 1, 1, 1}, true}, os);
    printKernels(*infer, "step of ", {{tokens, 1, 1, tokens}, false}, os);
  }
  if (const EntryPlan *draft = plan.find(kDraftEntry))
    printKernels(*draft, "draft of ", {{1, 1, 1, 1}, true}, os);
  if (const EntryPlan *train = plan.find(kTrainEntry))
    printKernels(*train, "training step of ",
                 {{tokens, 1, tokens, tokens}, false}, os);
}
