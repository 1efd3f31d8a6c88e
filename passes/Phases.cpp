//===- Phases.cpp - The phases of a compilation ---------------------------===//
#include "passes/Phases.h"
#include "passes/Passes.h"
#include "llvm/Support/Path.h"

using namespace ds;

static const PhaseInfo kPhases[] = {
    {Phase::Simplify, "simplify",
     "canonicalise, remove what is equal or unused"},
    {Phase::Numerics, "numerics",
     "choose forms whose arithmetic differs: the last that may change bits"},
    {Phase::Optimise, "optimise",
     "fuse projections, SwiGLU, rope and appends; bit-preserving"},
    {Phase::Differentiate, "differentiate",
     "add the backward and the optimiser's step, if there is an entry to train"},
    {Phase::Schedule, "schedule",
     "choose layouts of weights, form kernels, place every tensor"},
};

ArrayRef<PhaseInfo> ds::getPhases() { return kPhases; }

std::optional<Phase> ds::findPhase(StringRef name) {
  for (const PhaseInfo &info : kPhases)
    if (info.name == name)
      return info.phase;
  return std::nullopt;
}

/// Removes what is equal or unused.
static void addCleanup(OpPassManager &manager) {
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createRemoveDeadWeights());
}

/// The phases of a reference artifact, some of which have nothing to do.
static void addReferencePhase(OpPassManager &manager, Phase phase) {
  if (phase == Phase::Simplify) {
    manager.addPass(createNameValues());
    manager.addPass(createDecomposeOps());
    addCleanup(manager);
  }
  if (phase == Phase::Schedule) {
    manager.addPass(createFormReference());
    manager.addPass(createNameKernels());
    manager.addPass(createPlanMemory());
  }
}

void ds::addPhase(OpPassManager &manager, Phase phase,
                  const PhaseOptions &options) {
  if (options.reference)
    return addReferencePhase(manager, phase);
  switch (phase) {
  case Phase::Simplify:
    manager.addPass(createNameValues());
    addCleanup(manager);
    return;
  case Phase::Numerics:
    manager.addPass(createAbsorbMla());
    return;
  case Phase::Optimise:
    manager.addPass(createFuseSwiglu());
    manager.addPass(createFuseProjections());
    manager.addPass(createFuseRopeAppend());
    addCleanup(manager);
    return;
  case Phase::Differentiate:
    manager.addPass(createFuseLoss());
    manager.addPass(createDifferentiate());
    manager.addPass(createCheckpointActivations(
        CheckpointActivationsOptions{options.keptBytes}));
    addCleanup(manager);
    manager.addPass(createSymbolDCEPass());
    return;
  case Phase::Schedule:
    manager.addPass(createAssignLayouts());
    manager.addPass(createFormKernels());
    manager.addPass(createFuseEpilogues());
    addCleanup(manager);
    manager.addPass(createNameKernels());
    manager.addPass(createPlanMemory());
    return;
  }
}

void ds::buildPipeline(OpPassManager &manager, Phase upTo,
                       StringRef dumpFolder, const PhaseOptions &options) {
  for (auto [index, info] : llvm::enumerate(kPhases)) {
    addPhase(manager, info.phase, options);
    if (!dumpFolder.empty()) {
      SmallString<128> path(dumpFolder);
      llvm::sys::path::append(path, llvm::Twine(index + 1) + "-" + info.name +
                                        ".mlir");
      manager.addPass(createWriteIr(WriteIrOptions{std::string(path)}));
    }
    if (info.phase == upTo)
      return;
  }
}

namespace {
struct PhasesOptions : PassPipelineOptions<PhasesOptions> {
  Option<std::string> to{*this, "to",
                         llvm::cl::desc("Last phase to run; all if empty"),
                         llvm::cl::init("")};
  Option<std::string> dump{*this, "dump",
                           llvm::cl::desc("Folder for the IR of each phase"),
                           llvm::cl::init("")};
  Option<int64_t> keep{*this, "keep",
                       llvm::cl::desc("Bytes per token kept for a backward"),
                       llvm::cl::init(-1)};
  Option<bool> reference{
      *this, "reference",
      llvm::cl::desc("Make kernels of what operations mean"),
      llvm::cl::init(false)};
};
} // namespace

void ds::registerAllDsPasses() {
  registerDsPasses();
  PassPipelineRegistration<PhasesOptions>(
      "ds-phases", "Run the phases of dscc",
      [](OpPassManager &manager, const PhasesOptions &options) {
        std::optional<Phase> phase = Phase::Schedule;
        if (!options.to.empty())
          phase = findPhase(options.to);
        if (!phase)
          llvm::report_fatal_error("no phase '" + Twine(options.to) + "'",
                                   /*gen_crash_diag=*/false);
        buildPipeline(manager, *phase, options.dump,
                      {options.keep, options.reference});
      });
}
