//===- GoldenGradients.cpp - Gradients against a reference ----------------===//
//
// GoldenGradients ARTIFACT CHECKPOINT TOLERANCE runs the packed training batch
// of a golden checkpoint and compares the loss and the gradient of every
// parameter, by the relative l2 norm of the difference.
//
//===----------------------------------------------------------------------===//
#include "TrainedModel.h"
#include "runtime/Safetensors.h"
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <fstream>

using namespace ds::test;
namespace rt = ds::runtime;

template <typename T>
static std::vector<T> readTensor(const rt::Checkpoint &file,
                                 const rt::Tensor &tensor) {
  std::vector<T> values(tensor.bytes / sizeof(T));
  if (file.file(tensor).read(tensor.begin, tensor.bytes, values.data()))
    values.clear();
  return values;
}

/// The batch whose loss is the mean over all tokens but the first of each
/// sequence. The last row of a sequence has no weight.
static Batch makeBatch(const rt::Checkpoint &golden) {
  Batch batch;
  batch.tokens = readTensor<int32_t>(golden, golden.tensors().at("train.ids"));
  auto lengths =
      readTensor<int32_t>(golden, golden.tensors().at("train.lengths"));
  size_t begin = 0;
  auto share = 1.0f / static_cast<float>(batch.tokens.size() - lengths.size());
  for (int32_t length : lengths) {
    batch.lengths.push_back(length);
    batch.firstOutputs.push_back(0);
    for (int32_t i = 0; i < length; ++i) {
      bool last = i + 1 == length;
      batch.integers["targets"].push_back(last ? 0
                                               : batch.tokens[begin + i + 1]);
      batch.floats["token_weight"].push_back(last ? 0 : share);
      batch.floats["inverse_temperature"].push_back(1);
    }
    begin += length;
  }
  return batch;
}

/// The relative l2 norm of the difference.
static double difference(const std::vector<float> &a,
                         const std::vector<float> &b) {
  double error = 0, total = 0;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    error += std::pow(static_cast<double>(a[i]) - b[i], 2);
    total += std::pow(static_cast<double>(b[i]), 2);
  }
  return a.size() == b.size() ? std::sqrt(error / total) : INFINITY;
}

static int fail(const std::string &message) {
  std::cerr << "GoldenGradients: " << message << "\n";
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 4)
    return fail("expects ARTIFACT CHECKPOINT TOLERANCE");
  std::string checkpoint = argv[2];
  double tolerance = std::stod(argv[3]);
  auto golden = rt::Checkpoint::open(checkpoint + "/golden.safetensors");
  if (!golden)
    return fail(golden.error());
  TrainedModel model(TrainedModel::File{argv[1]});
  if (!model.isBuilt())
    return fail("cannot open the artifact");
  Tensors gradients;
  double loss = model.runBatch(checkpoint, makeBatch(*golden), &gradients);
  nlohmann::json facts =
      nlohmann::json::parse(std::ifstream(checkpoint + "/golden.json"));
  double expected = facts["train"]["losses"]["cross_entropy"];
  if (!(std::abs(loss - expected) <= tolerance * expected))
    return fail("loss " + std::to_string(loss) + ", expected " +
                std::to_string(expected));
  double worst = 0;
  int count = 0;
  for (const auto &[name, tensor] : golden->tensors()) {
    if (name.rfind("grad.", 0) != 0)
      continue;
    ++count;
    double each = difference(gradients[name.substr(5)],
                             readTensor<float>(*golden, tensor));
    worst = std::max(worst, each);
    if (!(each <= tolerance))
      return fail(name + ": off by " + std::to_string(each));
  }
  std::cout << "loss " << loss << ", " << count
            << " gradients, the worst off by " << worst << "\n";
  return count > 0 ? 0 : fail("no gradients in " + checkpoint);
}
