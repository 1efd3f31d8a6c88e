//===- Trainer.h - Steps of training --------------------------------------===//
//
// Owns what training has beside the packed weights: f32 masters, gradients and
// two moments of every weight. A step accumulates the gradients of packed
// sequences; an update clips them and runs AdamW. Results do not depend on the
// number of threads.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_TRAINING_TRAINER_H
#define DS_RUNTIME_TRAINING_TRAINER_H

#include "runtime/Interpreter.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ds::runtime {

/// A sequence of a step: row i takes token i and is asked for token i + 1, if
/// mask[i + 1] is not zero. `tokens`, `mask` and `generated` have rows + 1
/// elements. Tokens whose flag of `generated` is not zero were generated: latent
/// attention computes them as serving did; null: none was.
struct TrainSequence {
  const int32_t *tokens = nullptr;
  const uint8_t *mask = nullptr;
  int64_t rows = 0;
  const uint8_t *generated = nullptr;

  int64_t targets() const;
  /// Whether row `row` has a target whose next token is one, too: what a draft
  /// head is asked for.
  bool hasDraftTarget(int64_t row) const {
    return row + 2 <= rows && mask[row + 1] && mask[row + 2];
  }
};

/// What the losses of a step are divided by: over all steps whose gradients are
/// gathered before an update.
struct BatchSize {
  int64_t targets = 0, sequences = 0;
  int64_t rows = 0; ///< Tokens of the sequences but the last of each.
  int64_t draftTargets = 0; ///< Of rows that have one.

  void add(const TrainSequence &sequence);
};

/// A term of the loss that the model's text declares.
struct AuxiliaryTerm {
  std::string name;
  std::vector<double> layers; ///< Of every layer that has it, in order.

  double sum() const;
};

/// AdamW: Loshchilov and Hutter, arXiv 1711.05101.
struct UpdateOptions {
  float learningRate = 1e-5f, beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f;
  float weightDecay = 0.1f;
  float clip = 1.0f;     ///< Greatest global norm of the gradient; 0: no limit.
  bool decayAll = false; ///< Also of weights that declare no decay.
};

/// A tensor of the checkpoint as training sees it.
struct TrainedTensor {
  std::string name;
  std::vector<int64_t> shape;
  int64_t weight = 0, matrix = 0, part = 0;
  bool frozen = false;

  int64_t rows() const { return shape[0]; }
  int64_t columns() const { return shape.size() > 1 ? shape[1] : 1; }
};

/// Copies of a weight in f32.
enum class TrainedCopy { Gradient, Master, Moment1, Moment2 };

/// Fills a tensor of `rows` x `columns` f32.
using TensorSource =
    std::function<Status(const TrainedTensor &tensor, float *to)>;

class Trainer final : public TrainingMemory {
public:
  /// `artifact` must have been compiled to train; steps have up to `tokens`
  /// rows. The weights are zero until fill().
  static Result<std::unique_ptr<Trainer>>
  create(const Artifact &artifact, ThreadPool &pool, int64_t tokens);

  const Manifest &model() const { return manifest; }

  /// Returns the tensors of the model in the order of the weights; a tied one
  /// is there once.
  const std::vector<TrainedTensor> &tensors() const { return list; }

  /// Fills a copy of all tensors (of those that are trained, but for masters),
  /// several at a time. Masters are also packed for the kernels.
  Status fill(TrainedCopy copy, const TensorSource &source);

  /// Copies a tensor, rows in the checkpoint's order, to `to`.
  void read(TrainedCopy copy, const TrainedTensor &tensor, float *to) const;

  /// Runs forward and backward. Adds to the gradients and returns the loss: the
  /// sum of the rows' and of further terms. A loss that is not finite is an
  /// error.
  Result<double> accumulate(const std::vector<TrainSequence> &sequences,
                            const BatchSize &batch);

  /// Further terms of the last step's loss.
  const std::vector<AuxiliaryTerm> &terms() const { return lastTerms; }

  /// Log-probabilities of the last step's targets, sequence by sequence.
  const std::vector<float> &logProbs() const { return lastLogProbs; }

  /// Updates the weights by the gradients, which it zeroes, and returns their
  /// norm before clipping. A norm that is not finite is an error that changes
  /// nothing.
  Result<double> update(const UpdateOptions &options);

  /// Updates done: t of AdamW's bias corrections.
  int64_t steps() const { return updates; }
  void setSteps(int64_t steps) { updates = steps; }

  void zeroGradients();

  // What programs ask for.
  void *gradient(int64_t weight, int64_t layer) const override;
  void *master(int64_t weight, int64_t layer) const override;
  void *moment(int64_t weight, int64_t layer, int64_t order) const override;
  void *hyper(int64_t weight) const override;

  /// Bytes of weights, copies, gradients, state and arena.
  int64_t memoryBytes() const;

private:
  Trainer(const Artifact &artifact, ThreadPool &pool, int64_t tokens);

  Status allocate();
  Status prepareState(const std::vector<TrainSequence> &sequences);
  Status prepareInputs(const std::vector<TrainSequence> &sequences,
                       const BatchSize &batch);
  void readTerms(int64_t rows);
  void pack(int64_t weight, int64_t matrix);
  float *copyOf(TrainedCopy copy, int64_t weight, int64_t matrix) const;
  int64_t firstMatrix(int64_t weight, int64_t layer) const;
  int64_t copyFloats(int64_t weight) const;

  const Artifact &artifact;
  const Manifest &manifest;
  const Entry &train, &optimiser;
  ThreadPool &pool;
  int64_t mostTokens;
  Weights weights;
  Scratch scratch;
  std::array<Mapping, 4> copies; // By TrainedCopy.
  std::vector<int64_t> offsets;  // Of a weight in a copy, in floats.
  std::vector<TrainedTensor> list;
  std::unique_ptr<Interpreter> trainProgram, updateProgram;
  std::unique_ptr<StatePool> state;
  StepInput input, noInput;
  std::vector<std::vector<float>> rowInputs; // Words; i32 or f32.
  std::vector<float> lastLogProbs;
  std::vector<AuxiliaryTerm> lastTerms;
  // Addresses in programs.
  alignas(64) mutable std::array<float, 16> hypers{}, hypersWithoutDecay{};
  int64_t updates = 0;
};

} // namespace ds::runtime

#endif // DS_RUNTIME_TRAINING_TRAINER_H
