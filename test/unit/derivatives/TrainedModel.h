//===- TrainedModel.h - Compiles and runs a training entry ------*- C++ -*-===//
//
// A module with an entry "train", compiled to an artifact and run by the
// runtime's interpreter on weights that a test may change: the loss of a step
// and the gradient of every weight, in the order of the module's tensors.
//
//===----------------------------------------------------------------------===//
#ifndef DS_TEST_UNIT_DERIVATIVES_TRAINEDMODEL_H
#define DS_TEST_UNIT_DERIVATIVES_TRAINEDMODEL_H
#include "../runtime/Support.h"
#include "runtime/Interpreter.h"
#include <map>

namespace ds::test {

/// Which passes run before kernels are formed.
struct Recipe {
  bool fuse = true; ///< The phase "optimise" and ds-fuse-loss.
  int64_t keptBytes = -1; ///< Budget of ds-checkpoint-activations.
};

/// Values of a tensor of the checkpoint, by its label.
using Tensors = std::map<std::string, std::vector<float>>;

/// The tokens of a packed step and what the data says of its rows.
struct Batch {
  std::vector<int32_t> tokens;
  std::vector<int64_t> lengths, firstOutputs; ///< By sequence.
  /// Row inputs by name; those not named get random values.
  std::map<std::string, std::vector<float>> floats;
  std::map<std::string, std::vector<int32_t>> integers;
};

class TrainedModel {
public:
  /// An artifact that is compiled already.
  struct File {
    std::string path;
  };
  explicit TrainedModel(const File &file) { open(file.path); }

  /// Compiles `text`, a module of ds operations in f32. Fails the test on
  /// errors.
  explicit TrainedModel(const std::string &text, const Recipe &recipe = {});
  ~TrainedModel();

  bool isBuilt() const { return artifact != nullptr; }

  /// Random values of every tensor.
  Tensors makeWeights(unsigned seed) const;

  /// Runs a step of two sequences on `weights` and returns the sum of the
  /// losses of its rows. `gradients`, if given, gets those of trained tensors.
  double run(const Tensors &weights, Tensors *gradients = nullptr);

  /// Runs a step of `batch` on the checkpoint in the folder `weights`.
  double runBatch(const std::string &weights, const Batch &batch,
                  Tensors *gradients = nullptr);

private:
  class Gradients;
  void open(const std::string &path);

  TempFolder folder;
  std::unique_ptr<runtime::Artifact> artifact;
  runtime::ThreadPool pool{1};
};

} // namespace ds::test
#endif
