//===- PlanMemory.h - Where the tensors of a step live ----------*- C++ -*-===//
//
// The program of a step, flattened: launches and runs of layers, with a buffer
// for every tensor. Offsets are linear in T and R (docs/artifact.md), so the
// peak of any step is a formula.
//
//===----------------------------------------------------------------------===//
#ifndef DS_PASSES_PLANMEMORY_H
#define DS_PASSES_PLANMEMORY_H
#include "dialect/Dialect.h"
#include <memory>

namespace ds {

/// Bytes at the end of the arena that no buffer has.
constexpr int64_t kArenaPadding = 64;

/// A tensor's memory.
struct PlannedBuffer {
  std::string name;
  bool perRow = false;         ///< Rows are R (wanted logits) instead of T.
  bool isF32 = false;          ///< Elements are f32 instead of bf16.
  int64_t rowBytes = 0;        ///< Bytes of one row, exact.
  int64_t first = 0, last = 0; ///< Steps of the program that need it.
  int64_t offsetT = 0, offsetR = 0; ///< Address = T offsetT + R offsetR.
};

/// An argument of a launch.
struct PlannedArg {
  enum Kind { Buffer, Weight, State, Seq } kind;
  int64_t id = 0;
};

/// A launch, or a run of layers around launches.
struct PlannedStep {
  Operation *kernel = nullptr; ///< A kernel, or null for a run.
  SmallVector<PlannedArg> args;
  int64_t firstLayer = 0, layerCount = 0;
  int64_t carry = -1;            ///< Buffer carried from layer to layer.
  std::vector<PlannedStep> body; ///< Launches of one layer.
};

struct PlannedState {
  std::string name;
  StateType type;
  std::optional<bool> key; ///< Laid out as keys, else as values.
};

struct MemoryPlan {
  std::vector<PlannedBuffer> buffers;
  std::vector<PlannedStep> program;
  SmallVector<WeightOp> weights;
  std::vector<PlannedState> states;
  int64_t arenaT = 0, arenaR = 0; ///< Arena bytes = T arenaT + R arenaR.
  int64_t logits = -1, finalHidden = -1;

  /// Gives every buffer its offset, and the arena its size.
  void place();

  /// Bytes of the arena for a step of `tokens` and `rows`.
  int64_t arenaBytes(int64_t tokens, int64_t rows) const;
  /// Bytes of all weights as they lie in memory once packed.
  int64_t weightBytes() const;
  /// Bytes of state for one token, all layers, padding included.
  int64_t stateBytesPerToken() const;
};

/// Bytes of `weight` once packed, all layers.
int64_t getPackedBytes(WeightOp weight);

/// Plans the module's entry, in which what a body returns can take the place
/// of its activation (pass `ds-plan-memory` sees to it). A failure was reported
/// at its operation.
FailureOr<MemoryPlan> planMemory(ModuleOp module);

} // namespace ds
#endif
