//===- TrainedTensors.cpp - Tensors of a trainer in files -----------------===//
#include "runtime/training/TrainedTensors.h"
#include "runtime/BlockScales.h"
#include "runtime/Pack.h"

using namespace ds::runtime;

Status ds::runtime::loadTensors(Trainer &trainer, TrainedCopy copy,
                                const std::string &path,
                                const std::string &prefix) {
  Result<Checkpoint> checkpoint = Checkpoint::open(path);
  if (!checkpoint)
    return Error{checkpoint.error()};
  if (prefix.empty())
    if (Status error = checkWeights(trainer.model(), *checkpoint))
      return error;
  if (prefix.empty())
    if (Status error = checkCopies(trainer.model(), *checkpoint))
      return error;
  return trainer.fill(copy, [&](const TrainedTensor &tensor,
                               float *to) -> Status {
    auto it = checkpoint->tensors().find(prefix + tensor.name);
    if (it == checkpoint->tensors().end())
      return failure("'", path, "' has no tensor '", prefix + tensor.name, "'");
    const Tensor &from = it->second;
    std::optional<Source> type = parseSource(from.dtype);
    if (!type || from.shape != tensor.shape)
      return failure("expects tensor '", from.name, "' of '", path,
                     "' to be floats of shape ", shapeText(tensor.shape));
    std::vector<char> bytes(from.bytes);
    if (Status error =
            checkpoint->file(from).read(from.begin, from.bytes, bytes.data()))
      return error;
    if (*type != Source::E4m3) {
      convertToF32(*type, bytes.data(), tensor.rows() * tensor.columns(), to);
      return std::nullopt;
    }
    std::vector<float> scales;
    if (Status error = readScales(*checkpoint, from, 0, tensor.rows(), scales))
      return error;
    decodeE4m3(reinterpret_cast<const uint8_t *>(bytes.data()), scales.data(),
               tensor.rows(), tensor.columns(), to);
    return std::nullopt;
  });
}

std::vector<TensorPlan> ds::runtime::planTensors(const Trainer &trainer,
                                              const std::string &prefix,
                                              bool bf16, bool frozen) {
  std::vector<TensorPlan> plans;
  for (const TrainedTensor &tensor : trainer.tensors())
    if (frozen || !tensor.frozen)
      plans.push_back({prefix + tensor.name, tensor.rows(), tensor.columns(),
                       tensor.shape.size() == 1, bf16});
  return plans;
}

Status ds::runtime::writeTensors(const Trainer &trainer, TrainedCopy copy,
                              bool frozen, size_t first, TensorWriter &writer) {
  std::vector<float> rows;
  for (const TrainedTensor &tensor : trainer.tensors()) {
    if (tensor.frozen && !frozen)
      continue;
    rows.resize(tensor.rows() * tensor.columns());
    trainer.read(copy, tensor, rows.data());
    if (Status error = writer.write(first++, 0, tensor.rows(), rows.data()))
      return error;
  }
  return std::nullopt;
}

/// Calls `visit` with every tensor that has copies and the name of each.
template <typename Visit>
static Status forCopies(const Trainer &trainer, Visit visit) {
  for (const TrainedTensor &tensor : trainer.tensors())
    for (const std::string &name :
         trainer.model().weights[tensor.weight].copies)
      if (Status error = visit(tensor, name))
        return error;
  return std::nullopt;
}

std::vector<TensorPlan> ds::runtime::planCopies(const Trainer &trainer,
                                                bool bf16) {
  std::vector<TensorPlan> plans;
  (void)forCopies(
      trainer,
      [&](const TrainedTensor &tensor, const std::string &name) -> Status {
        plans.push_back({name, tensor.rows(), tensor.columns(),
                         tensor.shape.size() == 1, bf16});
        return std::nullopt;
      });
  return plans;
}

Status ds::runtime::writeCopies(const Trainer &trainer, size_t first,
                                TensorWriter &writer) {
  std::vector<float> rows;
  return forCopies(
      trainer, [&](const TrainedTensor &tensor, const std::string &) {
        rows.resize(tensor.rows() * tensor.columns());
        trainer.read(TrainedCopy::Master, tensor, rows.data());
        return writer.write(first++, 0, tensor.rows(), rows.data());
      });
}
