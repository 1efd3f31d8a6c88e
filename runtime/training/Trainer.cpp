//===- Trainer.cpp - Steps of training ------------------------------------===//
#include "runtime/training/Trainer.h"
#include "runtime/Pack.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <numeric>

using namespace ds::runtime;

// A kernel reads a vector past the end of a row input.
static constexpr size_t inputSlack = 32;

double AuxiliaryTerm::sum() const {
  return std::accumulate(layers.begin(), layers.end(), 0.0);
}

int64_t TrainSequence::targets() const {
  return std::count_if(mask + 1, mask + rows + 1,
                       [](uint8_t wanted) { return wanted != 0; });
}

void BatchSize::add(const TrainSequence &sequence) {
  targets += sequence.targets();
  sequences += 1;
  rows += sequence.rows;
  for (int64_t row = 0; row < sequence.rows; ++row)
    draftTargets += sequence.hasDraftTarget(row);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Columns of a copy of `weight`, padding included.
static int64_t copyColumns(const WeightSpec &weight) {
  return weight.shape.size() == 1 ? 1 : roundUp(weight.columns(), 32);
}

/// Rows of a copy of `weight`, padding included.
static int64_t copyRows(const WeightSpec &weight) {
  return weight.shape.size() == 1 ? roundUp(weight.shape[0], 16)
                                  : roundUp(packedRows(weight), 32);
}

int64_t Trainer::copyFloats(int64_t weight) const {
  const WeightSpec &spec = manifest.weights[weight];
  return copyRows(spec) * copyColumns(spec);
}

float *Trainer::copyOf(TrainedCopy copy, int64_t weight,
                       int64_t matrix) const {
  char *base = copies[static_cast<size_t>(copy)].data();
  return reinterpret_cast<float *>(base) + offsets[weight] +
         matrix * copyFloats(weight);
}

int64_t Trainer::firstMatrix(int64_t weight, int64_t layer) const {
  return layer * manifest.weights[weight].stack;
}

void *Trainer::gradient(int64_t weight, int64_t layer) const {
  return copyOf(TrainedCopy::Gradient, weight, firstMatrix(weight, layer));
}

void *Trainer::master(int64_t weight, int64_t layer) const {
  return copyOf(TrainedCopy::Master, weight, firstMatrix(weight, layer));
}

void *Trainer::moment(int64_t weight, int64_t layer, int64_t order) const {
  return copyOf(order == 1 ? TrainedCopy::Moment1 : TrainedCopy::Moment2,
                weight, firstMatrix(weight, layer));
}

void *Trainer::hyper(int64_t weight) const {
  return manifest.weights[weight].decay ? hypers.data()
                                        : hypersWithoutDecay.data();
}

Trainer::Trainer(const Artifact &artifact, ThreadPool &pool, int64_t tokens)
    : artifact(artifact), manifest(artifact.manifest()),
      train(*manifest.find("train")), optimiser(*manifest.find("update")),
      pool(pool), mostTokens(tokens) {
  for (size_t i = 0; i < manifest.weights.size(); ++i) {
    const WeightSpec &weight = manifest.weights[i];
    for (int64_t matrix = 0; matrix < weight.matrixCount(); ++matrix)
      for (size_t part = 0; part < weight.parts.size(); ++part) {
        TrainedTensor tensor;
        tensor.name = weight.nameOf(part, matrix);
        tensor.shape = {weight.parts[part].rows};
        if (weight.shape.size() > 1)
          tensor.shape.push_back(weight.columns());
        tensor.weight = static_cast<int64_t>(i);
        tensor.matrix = matrix;
        tensor.part = static_cast<int64_t>(part);
        tensor.frozen = weight.frozen;
        list.push_back(tensor);
      }
  }
}

Result<std::unique_ptr<Trainer>>
Trainer::create(const Artifact &artifact, ThreadPool &pool, int64_t tokens) {
  const Manifest &manifest = artifact.manifest();
  if (!manifest.find("train") || !manifest.find("update"))
    return failure("'", artifact.path(), "' does not train: compile it with "
                   "dscc --entry=infer,train");
  if (tokens < 1)
    return failure("expects steps of at least one token");
  std::unique_ptr<Trainer> trainer(new Trainer(artifact, pool, tokens));
  if (Status error = trainer->allocate())
    return *error;
  return trainer;
}

Status Trainer::allocate() {
  Result<Weights> packed = Weights::allocate(manifest);
  if (!packed)
    return packed.takeError();
  weights = std::move(*packed);
  Result<Scratch> memory = Scratch::allocate(manifest, pool.threads());
  if (!memory)
    return memory.takeError();
  scratch = std::move(*memory);
  int64_t floats = 0;
  for (size_t i = 0; i < manifest.weights.size(); ++i) {
    offsets.push_back(floats);
    floats += manifest.weights[i].matrixCount() * copyFloats(i);
  }
  for (Mapping &copy : copies) {
    Result<Mapping> mapping = Mapping::allocate(floats * sizeof(float));
    if (!mapping)
      return mapping.takeError();
    copy = std::move(*mapping);
  }
  trainProgram = std::make_unique<Interpreter>(artifact, train, weights, pool,
                                               scratch, this);
  updateProgram = std::make_unique<Interpreter>(artifact, optimiser, weights,
                                                pool, scratch, this);
  if (Status error = trainProgram->allocate(mostTokens, mostTokens))
    return error;
  return updateProgram->allocate(0, 0);
}

int64_t Trainer::memoryBytes() const {
  int64_t bytes = weights.packedBytes() + scratch.bytes() +
                  trainProgram->arenaBytes() + (state ? state->bytes() : 0);
  for (const Mapping &copy : copies)
    bytes += static_cast<int64_t>(copy.size());
  return bytes;
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

/// Calls `visit` with the first element of each row of `tensor` within a copy
/// and the row's number in the checkpoint.
template <typename Visit>
static void forRows(const WeightSpec &weight, int64_t part, Visit visit) {
  if (weight.shape.size() == 1) {
    int64_t at = 0;
    for (int64_t i = 0; i < part; ++i)
      at += weight.parts[i].rows;
    for (int64_t row = 0; row < weight.parts[part].rows; ++row)
      visit(at + row, row);
    return;
  }
  int64_t rows = packedRows(weight), columns = copyColumns(weight);
  for (int64_t packed = 0; packed < rows; ++packed) {
    PackedRow source = findSourceRow(weight, packed);
    if (source.part == part)
      visit(packed * columns, source.row);
  }
}

void Trainer::read(TrainedCopy copy, const TrainedTensor &tensor,
                   float *to) const {
  const float *from = copyOf(copy, tensor.weight, tensor.matrix);
  int64_t columns = tensor.columns();
  forRows(manifest.weights[tensor.weight], tensor.part,
          [&](int64_t place, int64_t row) {
            std::copy_n(from + place, columns, to + row * columns);
          });
}

/// Packs a weight from its master, as its layout says.
void Trainer::pack(int64_t index, int64_t matrix) {
  const WeightSpec &weight = manifest.weights[index];
  const float *from = copyOf(TrainedCopy::Master, index, matrix);
  char *to = static_cast<char *>(weights.matrix(index, matrix));
  int64_t columns = weight.columns(), stride = copyColumns(weight);
  int64_t rows = copyRows(weight);
  std::vector<uint16_t> narrow(32 * stride);
  switch (weight.layout) {
  case Layout::VectorF32:
    std::copy_n(from, rows, reinterpret_cast<float *>(to));
    return;
  case Layout::Raw:
    for (int64_t row = 0; row < weight.rows(); ++row) {
      const float *line = from + row * stride;
      if (weight.element == Element::Bf16)
        convertToBf16(Source::F32, line, columns,
                      reinterpret_cast<uint16_t *>(to) + row * columns);
      else
        std::copy_n(line, columns, reinterpret_cast<float *>(to) +
                                       row * columns);
    }
    return;
  case Layout::PanelBf16:
    for (int64_t row = 0; row < rows; row += 32) {
      convertToBf16(Source::F32, from + row * stride, 32 * stride,
                    narrow.data());
      packPanelBf16(narrow.data(), stride, stride,
                    reinterpret_cast<uint16_t *>(to) + row * stride);
    }
    return;
  case Layout::PanelF32:
    for (int64_t row = 0; row < rows; row += 32)
      packPanelF32(from + row * stride, stride, stride,
                   reinterpret_cast<float *>(to) + row * stride);
    return;
  case Layout::PanelE4m3:
    break; // A manifest that trains has none.
  }
}

Status Trainer::fill(TrainedCopy copy, const TensorSource &source) {
  std::mutex mutex;
  Status error;
  std::atomic<bool> failed{false};
  bool isMaster = copy == TrainedCopy::Master;
  pool.forEach(static_cast<int64_t>(list.size()), [&](int64_t i, int) {
    const TrainedTensor &tensor = list[i];
    if (failed || (tensor.frozen && !isMaster))
      return;
    int64_t columns = tensor.columns();
    std::vector<float> rows(tensor.rows() * columns);
    if (Status status = source(tensor, rows.data())) {
      std::lock_guard<std::mutex> lock(mutex);
      if (!error)
        error = status;
      failed = true;
      return;
    }
    float *to = copyOf(copy, tensor.weight, tensor.matrix);
    forRows(manifest.weights[tensor.weight], tensor.part,
            [&](int64_t place, int64_t row) {
              std::copy_n(rows.data() + row * columns, columns, to + place);
            });
  });
  if (error || !isMaster)
    return error;
  for (size_t i = 0; i < manifest.weights.size(); ++i)
    pool.forEach(manifest.weights[i].matrixCount(), [&](int64_t matrix, int) {
      pack(static_cast<int64_t>(i), matrix);
    });
  return std::nullopt;
}

void Trainer::zeroGradients() {
  const Mapping &gradients = copies[static_cast<size_t>(TrainedCopy::Gradient)];
  constexpr int64_t piece = 1 << 20;
  auto bytes = static_cast<int64_t>(gradients.size());
  pool.forEach((bytes + piece - 1) / piece, [&](int64_t i, int) {
    memset(gradients.data() + i * piece, 0,
           std::min(piece, bytes - i * piece));
  });
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

Status Trainer::prepareState(const std::vector<TrainSequence> &sequences) {
  int64_t pages = 0;
  for (const TrainSequence &sequence : sequences)
    pages += (sequence.rows + Manifest::pagePositions - 1) /
             Manifest::pagePositions;
  if (state && state->pages() >= pages)
    return std::nullopt;
  StateOptions options;
  options.pages = pages;
  state.reset();
  auto made = StatePool::create(manifest, options);
  if (!made)
    return made.takeError();
  state = std::move(*made);
  return std::nullopt;
}

Status Trainer::prepareInputs(const std::vector<TrainSequence> &sequences,
                              const BatchSize &batch) {
  rowInputs.clear();
  for (const RowInputSpec &spec : train.inputs) {
    std::vector<float> values;
    for (const TrainSequence &sequence : sequences) {
      double share = 0;
      // Shares of means over all tokens have a value for every row.
      bool ofRows = true;
      if (spec.name == "batch_share")
        share = 1.0 / static_cast<double>(batch.rows);
      else if (spec.name == "sequence_share")
        share = 1.0 / static_cast<double>(batch.sequences) /
                static_cast<double>(sequence.rows);
      else
        ofRows = false;
      if (ofRows) {
        values.insert(values.end(), sequence.rows, static_cast<float>(share));
        continue;
      }
      if (spec.name == "token_weight")
        share = 1.0 / static_cast<double>(batch.targets);
      else if (spec.name == "sequence_weight")
        share = 1.0 / static_cast<double>(batch.sequences) /
                static_cast<double>(std::max<int64_t>(1, sequence.targets()));
      else if (spec.name == "inverse_temperature")
        share = 1;
      else if (spec.name == "draft_token_weight")
        share =
            1.0 / static_cast<double>(std::max<int64_t>(1, batch.draftTargets));
      else if (spec.name != "targets" && spec.name != "draft_targets")
        return failure("the objective asks for the row input '", spec.name,
                       "', which this data does not have");
      for (int64_t row = 0; row < sequence.rows; ++row) {
        if (!sequence.mask[row + 1])
          continue;
        float word = static_cast<float>(share);
        // The last rows have nothing for a draft head to guess: their share is
        // zero, and any token will do.
        bool drafts = spec.name.compare(0, 6, "draft_") == 0;
        bool lacks = drafts && !sequence.hasDraftTarget(row);
        if (spec.isInteger)
          memcpy(&word, &sequence.tokens[row + 1 + (drafts && !lacks)],
                 sizeof(word));
        else if (lacks)
          word = 0;
        values.push_back(word);
      }
    }
    values.resize(values.size() + inputSlack);
    rowInputs.push_back(std::move(values));
  }
  return std::nullopt;
}

void Trainer::readTerms(int64_t rows) {
  lastTerms.clear();
  for (const AuxiliarySpec &spec : train.auxiliary) {
    auto term = std::find_if(
        lastTerms.begin(), lastTerms.end(),
        [&](const AuxiliaryTerm &each) { return each.name == spec.name; });
    if (term == lastTerms.end())
      term = lastTerms.insert(term, {spec.name, {}});
    for (int64_t i = 0; i < train.buffers[spec.buffer].layers; ++i) {
      auto values = reinterpret_cast<const float *>(
          trainProgram->bufferAddress(spec.buffer, i));
      term->layers.push_back(std::accumulate(values, values + rows, 0.0));
    }
  }
}

Result<double>
Trainer::accumulate(const std::vector<TrainSequence> &sequences,
                    const BatchSize &batch) {
  int64_t rows = 0, targets = 0;
  for (const TrainSequence &sequence : sequences) {
    rows += sequence.rows;
    targets += sequence.targets();
    if (sequence.rows > manifest.config.positions)
      return failure("a sequence of ", sequence.rows + 1,
                     " tokens is longer than the model's limit of ",
                     manifest.config.positions, " positions");
    for (int64_t i = 0; i <= sequence.rows; ++i)
      if (sequence.tokens[i] < 0 ||
          sequence.tokens[i] >= manifest.config.vocabulary)
        return failure("token ", sequence.tokens[i],
                       " is outside of the vocabulary of ",
                       manifest.config.vocabulary);
  }
  if (rows > mostTokens)
    return failure("a step of ", rows, " rows is more than the ", mostTokens,
                   " that were asked for");
  if (targets == 0)
    return failure("expects a step with a target");
  if (Status error = prepareState(sequences))
    return *error;
  if (Status error = prepareInputs(sequences, batch))
    return *error;
  std::vector<Sequence> kept;
  std::vector<StepItem> items;
  kept.reserve(sequences.size());
  for (const TrainSequence &sequence : sequences) {
    kept.emplace_back(*state);
    kept.back().reserve(sequence.rows);
    StepItem item{&kept.back(), sequence.tokens, sequence.rows, sequence.rows,
                  sequence.mask + 1};
    item.roles = sequence.generated;
    item.hasFollowing = true;
    items.push_back(item);
  }
  input.build(items, manifest.step);
  std::vector<const void *> inputs;
  for (const std::vector<float> &values : rowInputs)
    inputs.push_back(values.data());
  if (Status error = trainProgram->run(input, state.get(), inputs))
    return *error;
  auto output = [&](int64_t buffer) {
    return reinterpret_cast<const float *>(trainProgram->bufferAddress(buffer));
  };
  double loss = 0;
  for (int64_t row = 0; row < targets; ++row)
    loss += output(*train.loss)[row];
  readTerms(rows);
  for (const AuxiliaryTerm &term : lastTerms)
    loss += term.sum();
  lastLogProbs.assign(output(*train.logProb), output(*train.logProb) + targets);
  if (!std::isfinite(loss))
    return failure("the loss of step ", updates + 1, " is not finite");
  return loss;
}

Result<double> Trainer::update(const UpdateOptions &options) {
  noInput.build({}, manifest.step);
  if (Status error = updateProgram->run(noInput, nullptr, {},
                                        Interpreter::Part::Partials))
    return *error;
  double norm = std::sqrt(updateProgram->sumPartials());
  if (!std::isfinite(norm))
    return failure("the gradient of step ", updates + 1, " is not finite");
  ++updates;
  double scale = options.clip > 0 && norm > options.clip
                     ? options.clip / (norm + 1e-6)
                     : 1.0;
  auto correction = [&](float beta) {
    return static_cast<float>(
        1.0 / (1.0 - std::pow(double(beta), double(updates))));
  };
  hypers = {options.learningRate,
            options.beta1,
            options.beta2,
            options.epsilon,
            options.weightDecay,
            correction(options.beta1),
            correction(options.beta2),
            static_cast<float>(scale)};
  hypersWithoutDecay = hypers;
  if (!options.decayAll)
    hypersWithoutDecay[4] = 0;
  if (Status error = updateProgram->run(noInput, nullptr, {},
                                        Interpreter::Part::Others))
    return *error;
  zeroGradients();
  return norm;
}
