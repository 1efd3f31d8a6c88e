//===- Engine.h - Runs steps ----------------------------------------------===//
//
// A step takes tokens of any number of sequences, in any mix of prefill and
// decode, and gives the logits of the rows that are asked for. The engine
// interprets the program of the manifest.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_ENGINE_H
#define DS_RUNTIME_ENGINE_H

#include "runtime/Artifact.h"
#include "runtime/State.h"
#include "runtime/StepInput.h"
#include "runtime/ThreadPool.h"
#include "runtime/Weights.h"

#include <memory>
#include <vector>

namespace ds::runtime {

/// How large steps may be. Larger ones are run in pieces.
struct EngineOptions {
  int64_t maxTokens = 512;
  int64_t maxOutputs = 64;
};

/// The activations of a place of the model, f32, row by row.
struct HiddenRows {
  int64_t columns = 0;
  std::vector<float> values;
};

/// The time of one launch.
struct LaunchTime {
  int64_t kernel = 0, layer = -1; // -1 outside of layers.
  int64_t rows = 0, tiles = 0, nanoseconds = 0;
  size_t bucket = 0;
};

/// Runs steps of one artifact with one set of weights. Artifact, weights and
/// pool have to outlive it; one thread at a time may call it.
class Engine {
public:
  static Result<std::unique_ptr<Engine>> create(const Artifact &artifact,
                                                const Weights &weights,
                                                ThreadPool &pool,
                                                const EngineOptions &options);

  /// Runs a step. Sequences that are named twice, tokens outside of the
  /// vocabulary, positions past the model's limit and a lack of free pages are
  /// errors that leave everything as it was.
  Status step(const std::vector<StepItem> &items);

  /// Returns how many rows of logits the last step gave, item by item.
  int64_t outputs() const { return static_cast<int64_t>(outputRows.size()); }

  /// Returns a row of logits, one for each token of the vocabulary, valid until
  /// the next step.
  const float *logits(int64_t row) const { return outputRows[row]; }

  /// Turns the recording of hidden states on or off.
  void recordHidden(bool on) { recording = on; }

  /// Returns what the last step recorded, in rows of its tokens: the embedding,
  /// the activation after each layer and, last, that after the last norm.
  const std::vector<HiddenRows> &hidden() const { return hiddenRows; }

  /// Turns the measuring of launches on or off and forgets what was measured.
  void profile(bool on) {
    profiling = on;
    times.clear();
  }
  const std::vector<LaunchTime> &launchTimes() const { return times; }

  const EngineOptions &options() const { return limits; }
  /// Returns the bytes of the arena and of the threads' scratch memory.
  int64_t memoryBytes() const;

private:
  /// A launch of the program with its loops unrolled, or, without a statement,
  /// a place where the hidden state in `buffer` is recorded.
  struct Launch {
    const Statement *statement = nullptr;
    int64_t layer = -1;     // Of the model; -1 outside of layers.
    int64_t stateLayer = 0; // Of the loop's states.
    size_t firstAddress = 0;
    int64_t buffer = -1;
  };
  /// The version of a kernel for the step at hand.
  struct Choice {
    const KernelCode *code;
    size_t bucket;
    int64_t rows, tiles;
  };

  Engine(const Artifact &artifact, const Weights &weights, ThreadPool &pool,
         const EngineOptions &options);

  Status checkStep(const std::vector<StepItem> &items) const;
  void unrollLoop(const Statement &loop);
  void addLaunch(const Statement &launch, int64_t layer, int64_t stateLayer);
  void addRecord(int64_t buffer);
  void runPiece(const std::vector<StepItem> &items);
  void bindAddresses(const StatePool &state);
  void *address(const Argument &argument, const Launch &launch);
  void chooseKernels();
  void runLaunch(const Launch &launch);
  void record(int64_t buffer, HiddenRows &rows);
  void keepLogits(bool copy);
  char *bufferAddress(int64_t buffer) const;

  const Artifact &artifact;
  const Manifest &manifest;
  const Weights &weights;
  ThreadPool &pool;
  EngineOptions limits;
  Mapping arena, scratch;
  int64_t scratchStride = 0;

  std::vector<Launch> launches;
  std::vector<void *> addresses;
  std::vector<Choice> choices; // By kernel.
  StepInput input;
  int64_t boundTokens = -1, boundOutputs = -1;
  const StatePool *boundState = nullptr;

  bool recording = false, profiling = false;
  std::vector<HiddenRows> hiddenRows;
  std::vector<LaunchTime> times;
  std::vector<const float *> outputRows;
  std::vector<std::unique_ptr<float[]>> keptLogits; // Of a step in pieces.
};

} // namespace ds::runtime

#endif // DS_RUNTIME_ENGINE_H
