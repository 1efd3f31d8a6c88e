//===- Engine.cpp - Runs steps --------------------------------------------===//
#include "runtime/Engine.h"
#include "runtime/Cpu.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

using namespace ds::runtime;

// T and R of the arena's formula are multiples of this.
static constexpr int64_t rowUnit = 16;

static int64_t nanosecondsNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Engine::Engine(const Artifact &artifact, const Weights &weights,
               ThreadPool &pool, const EngineOptions &options)
    : artifact(artifact), manifest(artifact.manifest()), weights(weights),
      pool(pool), limits(options), choices(manifest.kernels.size()) {
  for (const Statement &statement : manifest.program)
    if (statement.isLoop())
      unrollLoop(statement);
    else
      addLaunch(statement, -1, 0);
  if (manifest.finalHidden)
    addRecord(*manifest.finalHidden);
}

Result<std::unique_ptr<Engine>> Engine::create(const Artifact &artifact,
                                               const Weights &weights,
                                               ThreadPool &pool,
                                               const EngineOptions &options) {
  if (options.maxTokens < 1 || options.maxOutputs < 1)
    return failure("expects steps of at least one token and one output");
  std::unique_ptr<Engine> engine(new Engine(artifact, weights, pool, options));
  const Manifest &manifest = artifact.manifest();
  int64_t bytes = manifest.arena.at(roundUp(options.maxTokens, rowUnit),
                                    roundUp(options.maxOutputs, rowUnit));
  Result<Mapping> arena = Mapping::allocate(bytes);
  if (!arena)
    return arena.takeError();
  engine->arena = std::move(*arena);
  engine->scratchStride = roundUp(manifest.scratchBytes, 4096);
  Result<Mapping> scratch =
      Mapping::allocate(engine->scratchStride * pool.threads());
  if (!scratch)
    return scratch.takeError();
  engine->scratch = std::move(*scratch);
  return engine;
}

int64_t Engine::memoryBytes() const {
  return static_cast<int64_t>(arena.size() + scratch.size());
}

void Engine::unrollLoop(const Statement &loop) {
  if (loop.carry >= 0 && loop.layers.first == 0)
    addRecord(loop.carry);
  for (int64_t i = 0; i < loop.layers.count; ++i) {
    for (const Statement &launch : loop.body)
      addLaunch(launch, loop.layers.first + i, i);
    if (loop.carry >= 0)
      addRecord(loop.carry);
  }
}

void Engine::addLaunch(const Statement &statement, int64_t layer,
                       int64_t stateLayer) {
  Launch launch;
  launch.statement = &statement;
  launch.layer = layer;
  launch.stateLayer = stateLayer;
  launch.firstAddress = addresses.size();
  addresses.resize(addresses.size() + statement.arguments.size());
  launches.push_back(launch);
}

void Engine::addRecord(int64_t buffer) {
  Launch place;
  place.buffer = buffer;
  launches.push_back(place);
  hiddenRows.emplace_back();
}

char *Engine::bufferAddress(int64_t buffer) const {
  return arena.data() +
         manifest.buffers[buffer].offset.at(roundUp(input.tokens(), rowUnit),
                                            roundUp(input.outputs(), rowUnit));
}

void *Engine::address(const Argument &argument, const Launch &launch) {
  switch (argument.kind) {
  case Argument::Buffer:
    return bufferAddress(argument.index);
  case Argument::State:
    return boundState->data(argument.index, launch.stateLayer);
  case Argument::Sequences:
    return input.sequences();
  case Argument::Weight:
    break;
  }
  const WeightSpec &weight = manifest.weights[argument.index];
  return weights.data(argument.index,
                      weight.layers ? launch.layer - weight.layers->first : 0);
}

/// Computes the arguments of all launches, unless they are as they were.
void Engine::bindAddresses(const StatePool &state) {
  int64_t tokens = roundUp(input.tokens(), rowUnit);
  int64_t outputs = roundUp(input.outputs(), rowUnit);
  if (tokens == boundTokens && outputs == boundOutputs && &state == boundState)
    return;
  boundTokens = tokens, boundOutputs = outputs, boundState = &state;
  for (const Launch &launch : launches) {
    if (!launch.statement)
      continue;
    void **to = addresses.data() + launch.firstAddress;
    for (const Argument &argument : launch.statement->arguments)
      *to++ = address(argument, launch);
  }
}

/// Picks a version of every kernel for the rows of the step.
void Engine::chooseKernels() {
  for (size_t i = 0; i < choices.size(); ++i) {
    const KernelSpec &kernel = manifest.kernels[i];
    Choice &choice = choices[i];
    choice.rows =
        kernel.rows == Rows::Tokens ? input.tokens() : input.outputs();
    choice.bucket = 0;
    while (kernel.buckets[choice.bucket].maxRows &&
           *kernel.buckets[choice.bucket].maxRows < choice.rows)
      ++choice.bucket;
    choice.code = &artifact.code(i, choice.bucket);
    choice.tiles = choice.rows ? choice.code->tiles(input.dims()) : 0;
  }
}

void Engine::runLaunch(const Launch &launch) {
  struct Context {
    KernelCode::Run run;
    void *const *args;
    const int64_t *dims;
    char *scratch;
    int64_t stride;
  };
  const Choice &choice = choices[launch.statement->kernel];
  Context context = {choice.code->run, addresses.data() + launch.firstAddress,
                     input.dims(), scratch.data(), scratchStride};
  pool.run(
      choice.tiles,
      [](void *opaque, int64_t tile, int thread) {
        const Context &call = *static_cast<const Context *>(opaque);
        call.run(call.args, call.dims, tile,
                 call.scratch + thread * call.stride);
      },
      &context);
}

/// Appends the rows of `buffer` to `rows`, as f32.
void Engine::record(int64_t buffer, HiddenRows &rows) {
  const BufferSpec &spec = manifest.buffers[buffer];
  rows.columns = manifest.config.hidden;
  Element element = spec.element.value_or(
      spec.rowBytes >= 4 * rows.columns ? Element::F32 : Element::Bf16);
  for (int64_t row = 0; row < input.tokens(); ++row) {
    const char *from = bufferAddress(buffer) + row * spec.rowBytes;
    for (int64_t i = 0; i < rows.columns; ++i) {
      uint32_t bits = 0;
      if (element == Element::F32)
        memcpy(&bits, from + 4 * i, 4);
      else // The high half of an f32.
        memcpy(reinterpret_cast<char *>(&bits) + 2, from + 2 * i, 2);
      float value;
      memcpy(&value, &bits, sizeof(value));
      rows.values.push_back(value);
    }
  }
}

/// Notes where the rows of logits lie; `copy` for a piece of a larger step.
void Engine::keepLogits(bool copy) {
  int64_t stride = manifest.buffers[manifest.logits].rowBytes;
  for (int64_t row = 0; row < input.outputs(); ++row) {
    const float *from = reinterpret_cast<const float *>(
        bufferAddress(manifest.logits) + row * stride);
    if (copy) {
      size_t count = manifest.config.vocabulary;
      keptLogits.emplace_back(new float[count]);
      std::copy(from, from + count, keptLogits.back().get());
      from = keptLogits.back().get();
    }
    outputRows.push_back(from);
  }
}

Status Engine::checkStep(const std::vector<StepItem> &items) const {
  if (items.empty())
    return failure("expects a step to have at least one sequence");
  std::set<const Sequence *> seen;
  StatePool *state = &items[0].sequence->statePool();
  int64_t pages = 0;
  for (const StepItem &item : items) {
    if (item.count < 1)
      return failure("expects every sequence of a step to have a token");
    if (item.firstOutput < 0 || item.firstOutput > item.count)
      return failure("expects the first output (", item.firstOutput,
                     ") to be between 0 and ", item.count);
    if (!seen.insert(item.sequence).second)
      return failure("a sequence is in the step twice");
    if (&item.sequence->statePool() != state)
      return failure("expects the sequences of a step to share one state");
    int64_t length = item.sequence->length() + item.count;
    if (length > manifest.config.positions)
      return failure("the sequence would have ", length,
                     " tokens, and the model's limit "
                     "(max_position_embeddings) is ",
                     manifest.config.positions);
    for (int64_t i = 0; i < item.count; ++i)
      if (item.tokens[i] < 0 || item.tokens[i] >= manifest.config.vocabulary)
        return failure("expects token ids from 0 to ",
                       manifest.config.vocabulary - 1, ", found ",
                       item.tokens[i]);
    pages += item.sequence->pagesToAppend(item.count);
  }
  if (pages > state->freePages())
    return failure("the step needs ", pages, " free pages of state, and ",
                   state->freePages(), " of ", state->pages(), " are free");
  return std::nullopt;
}

/// Cuts from `items`, from item `at` and its token `from` on, a step within the
/// limits; moves `at` and `from` on.
static std::vector<StepItem> cutPiece(const std::vector<StepItem> &items,
                                      const EngineOptions &limits, size_t &at,
                                      int64_t &from) {
  std::vector<StepItem> piece;
  int64_t tokens = limits.maxTokens, outputs = limits.maxOutputs;
  while (at < items.size() && tokens > 0) {
    const StepItem &item = items[at];
    int64_t end = std::min(item.count, from + tokens);
    end = std::min(end, std::max(from, item.firstOutput) + outputs);
    if (end == from)
      break;
    StepItem part = item;
    part.tokens += from;
    part.count = end - from;
    part.firstOutput =
        std::min(part.count, std::max<int64_t>(0, item.firstOutput - from));
    tokens -= part.count;
    outputs -= part.outputs();
    piece.push_back(part);
    from = end == item.count ? 0 : end;
    if (from != 0)
      break;
    ++at;
  }
  return piece;
}

void Engine::runPiece(const std::vector<StepItem> &items) {
  for (const StepItem &item : items)
    item.sequence->reserve(item.count);
  input.build(items, manifest.queryRows);
  bindAddresses(items[0].sequence->statePool());
  chooseKernels();
  size_t place = 0;
  for (const Launch &launch : launches) {
    if (!launch.statement) {
      if (recording)
        record(launch.buffer, hiddenRows[place]);
      ++place;
      continue;
    }
    int64_t begin = profiling ? nanosecondsNow() : 0;
    runLaunch(launch);
    if (!profiling)
      continue;
    const Choice &choice = choices[launch.statement->kernel];
    times.push_back({launch.statement->kernel, launch.layer, choice.rows,
                     choice.tiles, nanosecondsNow() - begin, choice.bucket});
  }
  for (const StepItem &item : items)
    item.sequence->advance(item.count);
}

Status Engine::step(const std::vector<StepItem> &items) {
  if (Status error = checkStep(items))
    return error;
  FloatState state;
  outputRows.clear();
  keptLogits.clear();
  for (HiddenRows &rows : hiddenRows)
    rows.values.clear();
  size_t at = 0;
  int64_t from = 0;
  bool inPieces = false;
  while (at < items.size()) {
    std::vector<StepItem> piece = cutPiece(items, limits, at, from);
    inPieces |= at < items.size();
    runPiece(piece);
    keepLogits(/*copy=*/inPieces);
  }
  return std::nullopt;
}
