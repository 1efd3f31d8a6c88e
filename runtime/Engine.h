//===- Engine.h - Runs steps ----------------------------------------------===//
//
// A step takes tokens of any number of sequences, in any mix of prefill and
// decode, and gives the logits of the rows that are asked for. It is the entry
// "infer" of the artifact.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_ENGINE_H
#define DS_RUNTIME_ENGINE_H

#include "runtime/Interpreter.h"

#include <memory>
#include <string>
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

/// What a router chose, row by row.
struct RouterRows {
  std::string gate;  ///< Name of its tensor, without ".weight".
  int64_t layer = 0; ///< Of the model, or -1.
  int64_t experts = 0, perToken = 0;
  std::vector<float> scores;  ///< [T, experts], without a bias.
  std::vector<int32_t> picks; ///< [T, perToken], in the order of slots.
  std::vector<float> weights; ///< [T, perToken], normalised and scaled.
};

/// A value of the model's graph for the rows of a step: an activation, what a
/// state keeps of the step's tokens, or a routing, as one row.
struct StepValue {
  std::string name, place;  ///< Unique; "file.ds:12:3", or empty.
  int64_t layer = -1;       ///< Of the model; -1 outside of layers.
  int64_t rows = 0, columns = 0;
  bool isInteger = false;
  std::vector<float> values; ///< [rows, columns]; integers are exact.
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

  /// Returns the logarithm of the probability that the softmax of logits x
  /// `inverseTemperature` gives `token`: equal to the bit to what a training
  /// step works out. Fails if the artifact was not compiled to train.
  Result<float> logProb(int64_t row, int32_t token, float inverseTemperature);

  /// Turns the recording of hidden states on or off.
  void recordHidden(bool on) { recording = on; }

  /// Returns what the last step recorded, in rows of its tokens: the embedding,
  /// the activation after each layer and, last, that after the last norm.
  const std::vector<HiddenRows> &hidden() const { return hiddenRows; }

  /// Turns the recording of routers' choices on or off.
  void recordRouting(bool on) { recordingRouting = on; }

  /// Returns what the routers chose for the last step's tokens if that was
  /// recorded: one for each router of the model, in its order.
  const std::vector<RouterRows> &routing() const { return routerRows; }

  /// Sets what is called with every value of the graph as soon as it is made.
  /// If it returns true, `values` take the place of what was made.
  using ValueWatcher = std::function<bool(StepValue &)>;
  void watchValues(ValueWatcher called);

  /// Turns the measuring of launches on or off and forgets what was measured.
  void profile(bool on) { interpreter->profile(on); }
  const std::vector<LaunchTime> &launchTimes() const {
    return interpreter->launchTimes();
  }

  const EngineOptions &options() const { return limits; }
  /// Returns the bytes of the arena and of the threads' scratch memory.
  int64_t memoryBytes() const;

private:
  Engine(const Artifact &artifact, const Entry &entry,
         const EngineOptions &options)
      : manifest(artifact.manifest()), entry(entry), limits(options) {}

  Status checkStep(const std::vector<StepItem> &items) const;
  Status runPiece(const std::vector<StepItem> &items);
  void record(int64_t buffer, HiddenRows &rows);
  void describeRouters();
  void recordRouter(const RouterPlace &place);
  void keepLogits(bool copy);
  void showValue(const ValuePlace &place, const ValueWatcher &called);

  const Manifest &manifest;
  const Entry &entry;
  EngineOptions limits;
  Scratch scratch;
  std::unique_ptr<Interpreter> interpreter;
  std::unique_ptr<Interpreter> logProbs; // If the artifact has the entry.
  StepInput input, rowInput;
  const StatePool *stepState = nullptr; ///< Of the step at hand.

  bool recording = false, recordingRouting = false;
  std::vector<RouterRows> routerRows;
  std::vector<HiddenRows> hiddenRows;
  std::vector<const float *> outputRows;
  std::vector<std::unique_ptr<float[]>> keptLogits; // Of a step in pieces.
};

} // namespace ds::runtime

#endif // DS_RUNTIME_ENGINE_H
