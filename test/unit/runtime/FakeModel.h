//===- FakeModel.h - The tiny model of fake_model/, computed again --------===//
#ifndef DS_TEST_UNIT_RUNTIME_FAKEMODEL_H
#define DS_TEST_UNIT_RUNTIME_FAKEMODEL_H

#include "runtime/Engine.h"
#include "test/unit/runtime/Support.h"

#include <map>
#include <string>
#include <vector>

namespace ds::test {

/// Returns the path of the tiny model's artifact.
std::string fakeArtifact();

/// Returns the text of its manifest.
std::string fakeManifest();

/// What the model gives for the tokens of one sequence.
struct FakeResult {
  std::vector<std::vector<float>> logits; // [T][V]
  std::vector<std::vector<float>> hidden; // [place][T * D]
};

/// Weights of the tiny model, random and exact in F32, F16 and BF16.
class FakeModel {
public:
  static constexpr int vocabulary = 40, width = 12, layers = 2, pairs = 20;

  explicit FakeModel(uint64_t seed = 1);

  /// Returns the tensors of its checkpoint as `dtype`.
  std::vector<FileTensor> tensors(const std::string &dtype = "BF16") const;

  /// Writes model.safetensors to `folder`.
  void write(const TempFolder &folder, const std::string &dtype = "BF16") const;

  /// Computes the results of a whole sequence, in the order of the kernels, so
  /// that they agree to the bit.
  FakeResult run(const std::vector<int32_t> &ids) const;

private:
  const std::vector<float> &get(const std::string &name) const {
    return values.at(name);
  }
  void runLayer(int layer, std::vector<float> &x, size_t tokens) const;

  std::map<std::string, std::vector<float>> values;
  std::map<std::string, std::vector<int64_t>> shapes;
};

/// The tiny model, open, with weights, a pool, an engine and state.
struct FakeSession {
  explicit FakeSession(int threads = 1, int64_t pages = 64,
                       runtime::EngineOptions options = {},
                       bool adverse = false);

  /// Runs a step of one sequence; the logits of all its tokens are appended to
  /// `out`.
  void append(runtime::Sequence &sequence, const std::vector<int32_t> &ids,
              std::vector<std::vector<float>> &out);

  /// Appends the rows of logits of the last step, from `first` on.
  std::vector<float> row(int64_t index) const;

  TempFolder folder;
  FakeModel model;
  std::unique_ptr<runtime::Artifact> artifact;
  runtime::ThreadPool pool;
  runtime::Weights weights;
  std::unique_ptr<runtime::Engine> engine;
  std::unique_ptr<runtime::StatePool> state;
};

/// Returns `count` random ids of the vocabulary.
std::vector<int32_t> randomIds(size_t count, uint64_t seed);

} // namespace ds::test

#endif // DS_TEST_UNIT_RUNTIME_FAKEMODEL_H
