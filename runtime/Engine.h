//===- Engine.h - Runs steps ----------------------------------------------===//
//
// A step takes tokens of any number of sequences, in any mix of prefill and
// decode, and gives the logits of the rows that are asked for. It is the entry
// "infer" of the artifact. A draft step does the same with the model's draft
// head, the entry "draft", which goes on from the hidden rows of a step.
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

  /// Runs a step of the draft head: its items have `drafts` and `hidden`. Fails
  /// as step() does, or if the artifact has no draft head.
  Status draft(const std::vector<StepItem> &items);

  /// Returns how many rows of logits the last step gave, item by item.
  int64_t outputs() const { return infer.outputs(); }
  int64_t draftOutputs() const { return drafts.outputs(); }

  /// Returns a row of logits, one for each token of the vocabulary, valid until
  /// the next step.
  const float *logits(int64_t row) const { return infer.outputRows[row]; }
  const float *draftLogits(int64_t row) const { return drafts.outputRows[row]; }

  /// Whether the artifact has a draft head.
  bool hasDraft() const { return drafts.interpreter != nullptr; }

  /// Returns the bytes of a hidden row; 0 without a draft head.
  int64_t hiddenBytes() const { return hiddenRowBytes; }

  /// Turns the keeping of hidden rows, which the draft head takes, on or off.
  void keepHidden(bool on) { infer.keepsHidden = on; }

  /// Returns how many hidden rows the last step left.
  int64_t hiddenCount() const {
    auto bytes = static_cast<int64_t>(infer.hidden.size());
    return hiddenRowBytes ? bytes / hiddenRowBytes : 0;
  }

  /// Returns the hidden row of a token of the last step, valid until the next
  /// one: [columns] in the compute type. Rows lie one after the other.
  const char *hiddenRow(int64_t row) const {
    return infer.hidden.data() + row * hiddenRowBytes;
  }
  const char *draftHiddenRow(int64_t row) const {
    return drafts.hidden.data() + row * hiddenRowBytes;
  }

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
  const std::vector<RouterRows> &routing() const { return infer.routing; }
  /// The same of the draft head's layers and the last draft.
  const std::vector<RouterRows> &draftRouting() const { return drafts.routing; }

  /// Sets what is called with every value of the graph as soon as it is made.
  /// If it returns true, `values` take the place of what was made.
  using ValueWatcher = std::function<bool(StepValue &)>;
  void watchValues(ValueWatcher called);

  /// Turns the measuring of launches on or off and forgets what was measured.
  void profile(bool on) { infer.interpreter->profile(on); }
  const std::vector<LaunchTime> &launchTimes() const {
    return infer.interpreter->launchTimes();
  }

  const EngineOptions &options() const { return limits; }
  /// Returns the bytes of the arena and of the threads' scratch memory.
  int64_t memoryBytes() const;

private:
  Engine(const Artifact &artifact, const EngineOptions &options)
      : manifest(artifact.manifest()), limits(options) {}

  /// An entry that serves and what its last step gave.
  struct Program {
    const Entry *entry = nullptr;
    std::unique_ptr<Interpreter> interpreter; ///< Null without the entry.
    StepInput input;
    std::vector<const float *> outputRows;
    std::vector<std::unique_ptr<float[]>> keptLogits; // Of a step in pieces.
    bool keepsHidden = false;
    std::vector<char> hidden; // [T, columns], if they are kept.
    std::vector<RouterRows> routing;

    int64_t outputs() const { return static_cast<int64_t>(outputRows.size()); }
  };

  Status openDraft(const Artifact &artifact, const Weights &weights,
                   ThreadPool &pool);
  Status open(Program &program, const Artifact &artifact, const char *name,
              const Weights &weights, ThreadPool &pool);
  Status checkStep(const std::vector<StepItem> &items) const;
  Status checkDraft(const std::vector<StepItem> &items) const;
  Status runInPieces(Program &program, const std::vector<StepItem> &items);
  Status runPiece(Program &program, const std::vector<StepItem> &items);
  void gatherHidden(const std::vector<StepItem> &items, int64_t tokens);
  void record(int64_t buffer, HiddenRows &rows);
  void describeRouters(Program &program) const;
  void recordRouter(Program &program, const RouterPlace &place) const;
  void keepLogits(Program &program, bool copy);
  void keepHiddenRows(Program &program);
  void showValue(const ValuePlace &place, const ValueWatcher &called);

  const Manifest &manifest;
  EngineOptions limits;
  Scratch scratch;
  Program infer, drafts;
  std::unique_ptr<Interpreter> logProbs; // If the artifact has the entry.
  StepInput rowInput;
  const StatePool *stepState = nullptr; ///< Of the step at hand.
  int64_t hiddenRowBytes = 0;
  std::vector<char> hiddenInput; // Rows of a draft step.
  const void *hiddenInputRows = nullptr;

  bool recording = false, recordingRouting = false;
  std::vector<HiddenRows> hiddenRows;
};

} // namespace ds::runtime

#endif // DS_RUNTIME_ENGINE_H
