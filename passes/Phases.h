//===- Phases.h - The phases of a compilation -------------------*- C++ -*-===//
#ifndef DS_PASSES_PHASES_H
#define DS_PASSES_PHASES_H
#include "dialect/LLVM.h"
#include <optional>

namespace ds {

/// The phases, in order. `--compile-to` stops after one.
enum class Phase { Simplify, Optimise, Schedule };

struct PhaseInfo {
  Phase phase;
  StringRef name;
  StringRef description;
};

/// All phases, in order.
ArrayRef<PhaseInfo> getPhases();

/// The phase called `name`, or none.
std::optional<Phase> findPhase(StringRef name);

/// Adds the passes of one phase.
void addPhase(OpPassManager &manager, Phase phase);

/// Adds the phases up to and with `upTo`. With a `dumpFolder`, which has to
/// exist, the module is written to `<folder>/<number>-<phase>.mlir` after each.
void buildPipeline(OpPassManager &manager, Phase upTo,
                   StringRef dumpFolder = "");

} // namespace ds
#endif
