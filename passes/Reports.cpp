//===- Reports.cpp - Parameters and memory as text ------------------------===//
#include "passes/Differentiate.h"
#include "passes/Manifest.h"
#include "passes/WeightTools.h"
#include "llvm/Support/FormatVariadic.h"

using namespace ds;

static int64_t configNumber(ModuleOp module, StringRef name, int64_t missing) {
  auto config = module->getAttrOfType<DictionaryAttr>(kConfigAttr);
  auto value = config ? config.getAs<IntegerAttr>(name) : IntegerAttr();
  return value ? value.getInt() : missing;
}

static double mebibytes(double bytes) { return bytes / (1 << 20); }

namespace {
/// Numbers of a model's parameters.
struct Parameters {
  int64_t all = 0;
  int64_t active = 0;   ///< All but the experts that a token does not pick.
  int64_t embedded = 0; ///< Those of `active` that only an embedding reads.
  int64_t drafts = 0;   ///< Those of a draft head alone, in none of the others.
};
} // namespace

/// Counts the matrices of `weight`, a stack, that one token picks.
static int64_t countPicked(WeightOp weight, ArrayRef<GetWeightOp> readers) {
  auto experts = static_cast<int64_t>(*weight.getStack());
  int64_t picked = 0;
  for (GetWeightOp reader : readers)
    for (Operation *user : reader->getUsers())
      for (Value operand : user->getOperands())
        if (auto routing = dyn_cast<RoutingType>(operand.getType()))
          picked = std::max(picked, routing.getPicks());
  return picked > 0 ? std::min(picked, experts) : experts;
}

static bool isEmbedding(ArrayRef<GetWeightOp> readers) {
  auto embeds = [](GetWeightOp reader) {
    return llvm::all_of(reader->getUsers(), llvm::IsaPred<KernelEmbedOp>);
  };
  return !readers.empty() && llvm::all_of(readers, embeds);
}

/// Counts the layers of `weight`, one if it has none, that only the draft head
/// reads.
static int64_t countDraftLayers(func::FuncOp draft, WeightOp weight,
                                ArrayRef<GetWeightOp> readers) {
  auto isIn = [&](func::FuncOp function) {
    return [function](GetWeightOp reader) {
      return reader->getParentOfType<func::FuncOp>() == function;
    };
  };
  if (!weight.getLayers())
    return !readers.empty() && llvm::all_of(readers, isIn(draft));
  int64_t layers = 0;
  for (RunOp run : draft.getOps<RunOp>()) {
    auto body = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
        run, run.getBodyAttr());
    if (llvm::any_of(readers, isIn(body)))
      layers += static_cast<int64_t>(run.getCount());
  }
  return layers;
}

static Parameters countParameters(ModuleOp module, const MemoryPlan &plan) {
  Parameters parameters;
  WeightTable table(module);
  func::FuncOp draft = findEntry(module, kDraftEntry);
  for (WeightOp weight : plan.weights) {
    int64_t layers = weight.getLayers() ? (*weight.getLayers())[1] : 1;
    int64_t each = cast<RankedTensorType>(weight.getType()).getNumElements();
    ArrayRef<GetWeightOp> readers = table.getReaders(weight);
    int64_t drafts = draft ? countDraftLayers(draft, weight, readers) : 0;
    int64_t elements = (layers - drafts) * each;
    parameters.all += elements;
    parameters.drafts += drafts * each;
    if (weight.getStack())
      elements = elements / static_cast<int64_t>(*weight.getStack()) *
                 countPicked(weight, readers);
    parameters.active += elements;
    if (isEmbedding(readers))
      parameters.embedded += elements;
  }
  return parameters;
}

static void printCount(llvm::raw_ostream &os, const Twine &name, int64_t count,
                       StringRef unit) {
  std::string line =
      llvm::formatv("{0,-24} {1,14} {2}", name.str(), count, unit);
  os << StringRef(line).rtrim() << "\n";
}

static void printBytes(llvm::raw_ostream &os, const Twine &name, double bytes) {
  os << llvm::formatv("{0,-24} {1,14:F1} MiB\n", name.str(), mebibytes(bytes));
}

static void printBuffers(const EntryPlan &plan, llvm::raw_ostream &os) {
  os << "\nbuffers of " << plan.name
     << "\nbuffer                   rows  bytes of a row layers      offset   "
        "live\n";
  for (const PlannedBuffer &buffer : plan.buffers) {
    int64_t offset = buffer.rows == BufferRows::Window
                         ? buffer.offset.constant
                         : buffer.offset.per[static_cast<size_t>(buffer.rows)];
    os << llvm::formatv("{0,-24} {1,4} {2,15} {3,6} {4,11}   {5}..{6}\n",
                        buffer.name, stringifyRows(buffer.rows),
                        buffer.rowBytes, buffer.layers, offset, buffer.first,
                        buffer.last);
  }
}

static void printArena(const EntryPlan &entry, llvm::raw_ostream &os) {
  const LinearBytes &arena = entry.arena;
  os << llvm::formatv("{0,-24} {1} T + {2} R + ", "arena of " + entry.name,
                      arena.per[0], arena.per[1]);
  for (BufferRows rows : {BufferRows::Prompt, BufferRows::Generated,
                          BufferRows::Expanded, BufferRows::Blocks})
    if (int64_t bytes = arena.per[static_cast<size_t>(rows)])
      os << bytes << " " << stringifyRows(rows) << " + ";
  os << arena.constant + kArenaPadding << " bytes\n";
}

/// What the backward of each layer body keeps and what it computes again.
static void printKept(ModuleOp module, llvm::raw_ostream &os) {
  for (auto body : module.getOps<func::FuncOp>()) {
    auto kept = body->getAttrOfType<ArrayAttr>(kKeptAttr);
    auto recomputed = body->getAttrOfType<ArrayAttr>(kRecomputedAttr);
    if (!kept || !recomputed)
      continue;
    os << "\n" << body.getName() << " keeps, in bytes per token and layer\n";
    for (auto each : kept.getAsRange<StringAttr>()) {
      auto [name, bytes] = each.getValue().split(": ");
      os << llvm::formatv("  {0,-22} {1,14}\n", name, bytes);
    }
    os << "and computes again\n ";
    for (auto each : recomputed.getAsRange<StringAttr>())
      os << " " << each.getValue();
    os << "\n";
  }
}

void ds::printMemory(ModuleOp module, const MemoryPlan &plan,
                     llvm::raw_ostream &os) {
  int64_t context = configNumber(module, "max_position_embeddings", 4096);
  int64_t tokens = std::min<int64_t>(context, 512), batch = 4096;
  auto weights = static_cast<double>(plan.weightBytes());
  auto perToken = static_cast<double>(plan.stateBytesPerToken());
  Parameters parameters = countParameters(module, plan);
  printCount(os, "parameters", parameters.all, "");
  printCount(os, "parameters, active", parameters.active, "");
  printCount(os, "... without embedding",
             parameters.active - parameters.embedded, "");
  if (parameters.drafts > 0)
    printCount(os, "... of the draft head", parameters.drafts, "");
  printBytes(os, "weights, packed", weights);
  printCount(os, "state", plan.stateBytesPerToken(), "bytes per token");
  if (int64_t drafts = plan.stateBytesPerToken(/*drafts=*/true)) {
    printCount(os, "state of the draft head", drafts, "bytes per token");
    perToken += static_cast<double>(drafts);
  }
  if (const EntryPlan *infer = plan.find(kInferEntry)) {
    double state = perToken * static_cast<double>(context);
    auto arena = static_cast<double>(infer->arenaBytes(tokens, 1));
    printBytes(os, "state of " + Twine(context) + " tokens", state);
    printArena(*infer, os);
    printBytes(os, "arena of T=" + Twine(tokens) + " R=1", arena);
    printBytes(os, "total", weights + state + arena);
  }
  if (const EntryPlan *train = plan.find(kTrainEntry)) {
    double state = perToken * static_cast<double>(batch);
    auto arena = static_cast<double>(train->arenaBytes(batch, batch));
    auto copies = static_cast<double>(plan.trainingBytes());
    os << "\ntraining\n";
    printBytes(os, "masters, moments, grads", copies);
    printBytes(os, "state of " + Twine(batch) + " tokens", state);
    printArena(*train, os);
    printBytes(os, "arena of T=R=" + Twine(batch), arena);
    printBytes(os, "total", weights + copies + state + arena);
    printKept(module, os);
  }
  for (const EntryPlan &entry : plan.entries)
    if (!entry.buffers.empty())
      printBuffers(entry, os);
}
