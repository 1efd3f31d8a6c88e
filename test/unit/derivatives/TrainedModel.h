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

class TrainedModel {
public:
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

private:
  class Gradients;

  TempFolder folder;
  std::unique_ptr<runtime::Artifact> artifact;
  runtime::ThreadPool pool{1};
};

} // namespace ds::test
#endif
