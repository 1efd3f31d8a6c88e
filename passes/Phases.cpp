//===- Phases.cpp - The phases of a compilation ---------------------------===//
#include "passes/Phases.h"
#include "passes/Passes.h"

using namespace ds;

static const PhaseInfo kPhases[] = {
    {Phase::Simplify, "simplify",
     "canonicalise, remove what is equal or unused"},
    {Phase::Optimise, "optimise",
     "fuse projections, SwiGLU, rope and appends; bit-preserving"},
    {Phase::Schedule, "schedule", "form kernels of the kernel families"},
};

ArrayRef<PhaseInfo> ds::getPhases() { return kPhases; }

std::optional<Phase> ds::findPhase(StringRef name) {
  for (const PhaseInfo &info : kPhases)
    if (info.name == name)
      return info.phase;
  return std::nullopt;
}

void ds::addPhase(OpPassManager &manager, Phase phase) {
  switch (phase) {
  case Phase::Simplify:
    manager.addPass(createCanonicalizerPass());
    manager.addPass(createCSEPass());
    manager.addPass(createRemoveDeadWeights());
    return;
  case Phase::Optimise:
    manager.addPass(createFuseSwiglu());
    manager.addPass(createFuseProjections());
    manager.addPass(createFuseRopeAppend());
    manager.addPass(createRemoveDeadWeights());
    return;
  case Phase::Schedule:
    manager.addPass(createFormKernels());
    manager.addPass(createCanonicalizerPass());
    manager.addPass(createCSEPass());
    return;
  }
}
