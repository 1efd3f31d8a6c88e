//===- Phases.h - The phases of a compilation -------------------*- C++ -*-===//
#ifndef DS_PASSES_PHASES_H
#define DS_PASSES_PHASES_H
#include "dialect/LLVM.h"
#include <optional>

namespace ds {

/// The phases, in order. `--compile-to` stops after one.
enum class Phase { Simplify, Numerics, Optimise, Differentiate, Schedule };

/// What the phases leave to the user.
struct PhaseOptions {
  /// Bytes per token that a training step may keep for its backward; -1 keeps
  /// all that saves a product or attention.
  int64_t keptBytes = -1;
  /// Make kernels of what operations mean, without fusion, in place of fast
  /// ones.
  bool reference = false;
};

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
void addPhase(OpPassManager &manager, Phase phase,
              const PhaseOptions &options = {});

/// Adds the phases up to and with `upTo`. With a `dumpFolder`, which has to
/// exist, the module is written to `<folder>/<number>-<phase>.mlir` after each.
void buildPipeline(OpPassManager &manager, Phase upTo,
                   StringRef dumpFolder = "", const PhaseOptions &options = {});

} // namespace ds
#endif
