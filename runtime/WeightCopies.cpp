//===- WeightCopies.cpp - Tensors that a checkpoint holds twice -----------===//
//
// Multi-token prediction layers of published checkpoints repeat the embedding
// and the head. A model reads them once; that they are copies is checked on
// some rows, since reading them whole would cost as much as loading a layer.
//
//===----------------------------------------------------------------------===//
#include "runtime/Pack.h"
#include "runtime/Weights.h"

#include <algorithm>

using namespace ds::runtime;

static constexpr int64_t comparedRows = 64;

/// Reads a row of `tensor`, as f32.
static Status readRow(const Checkpoint &checkpoint, const Tensor &tensor,
                      int64_t row, std::vector<float> &to) {
  Source type = *parseSource(tensor.dtype);
  size_t columns = tensor.shape.size() > 1 ? tensor.shape[1] : 1;
  size_t bytes = columns * sourceBytes(type);
  std::vector<char> buffer(bytes);
  if (Status error = checkpoint.file(tensor).read(tensor.begin + row * bytes,
                                                  bytes, buffer.data()))
    return error;
  to.resize(columns);
  convertToF32(type, buffer.data(), columns, to.data());
  return std::nullopt;
}

static Status compareRows(const Checkpoint &checkpoint, const Tensor &first,
                          const Tensor &second) {
  int64_t rows = first.shape[0], count = std::min(rows, comparedRows);
  std::vector<float> a, b;
  for (int64_t i = 0; i < count; ++i) {
    int64_t row = count > 1 ? i * (rows - 1) / (count - 1) : 0;
    if (Status error = readRow(checkpoint, first, row, a))
      return error;
    if (Status error = readRow(checkpoint, second, row, b))
      return error;
    if (a != b)
      return failure("expects tensor '", second.name, "' in '",
                     checkpoint.path(), "' to be a copy of '", first.name,
                     "', found another row ", row,
                     ": the model's text says that the two are one weight");
  }
  return std::nullopt;
}

Status ds::runtime::checkCopies(const Manifest &manifest,
                                const Checkpoint &checkpoint) {
  for (const WeightSpec &weight : manifest.weights)
    for (const std::string &name : weight.copies) {
      auto copy = checkpoint.tensors().find(name);
      if (copy == checkpoint.tensors().end())
        continue;
      const Tensor &own = checkpoint.tensors().at(weight.nameOf(0, 0));
      if (Status error = compareRows(checkpoint, own, copy->second))
        return error;
    }
  return std::nullopt;
}
