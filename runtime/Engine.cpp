//===- Engine.cpp - Runs steps --------------------------------------------===//
#include "runtime/Engine.h"
#include "runtime/Cpu.h"

#include <algorithm>
#include <cstring>
#include <set>

using namespace ds::runtime;

Result<std::unique_ptr<Engine>> Engine::create(const Artifact &artifact,
                                               const Weights &weights,
                                               ThreadPool &pool,
                                               const EngineOptions &options) {
  if (options.maxTokens < 1 || options.maxOutputs < 1)
    return failure("expects steps of at least one token and one output");
  if (!artifact.manifest().find("infer"))
    return failure("'", artifact.path(), "' has no entry infer: compile the "
                   "model with --entry=infer");
  std::unique_ptr<Engine> engine(new Engine(artifact, options));
  Result<Scratch> scratch =
      Scratch::allocate(artifact.manifest(), pool.threads());
  if (!scratch)
    return scratch.takeError();
  engine->scratch = std::move(*scratch);
  if (Status error =
          engine->open(engine->infer, artifact, "infer", weights, pool))
    return *error;
  if (artifact.manifest().find("draft"))
    if (Status error = engine->openDraft(artifact, weights, pool))
      return *error;
  if (const Entry *logProb = artifact.manifest().find("log_prob")) {
    engine->logProbs = std::make_unique<Interpreter>(
        artifact, *logProb, weights, pool, engine->scratch);
    if (Status error = engine->logProbs->allocate(0, 1))
      return *error;
  }
  engine->hiddenRows.resize(engine->infer.interpreter->places());
  return engine;
}

Status Engine::open(Program &program, const Artifact &artifact,
                    const char *name, const Weights &weights,
                    ThreadPool &pool) {
  program.entry = manifest.find(name);
  program.interpreter = std::make_unique<Interpreter>(artifact, *program.entry,
                                                      weights, pool, scratch);
  describeRouters(program);
  return program.interpreter->allocate(limits.maxTokens, limits.maxOutputs);
}

void Engine::describeRouters(Program &program) const {
  for (const RouterPlace &place : program.interpreter->routers()) {
    RouterRows rows;
    rows.gate = manifest.weights[place.weight].nameOf(0, place.matrix);
    const std::string suffix = ".weight";
    size_t length = rows.gate.size() - std::min(rows.gate.size(), suffix.size());
    if (rows.gate.substr(length) == suffix)
      rows.gate.resize(length);
    rows.layer = place.layer;
    rows.experts = program.entry->buffers[place.scores].rowBytes / 4;
    rows.perToken = program.entry->buffers[place.picks].rowBytes / 4;
    program.routing.push_back(std::move(rows));
  }
}

int64_t Engine::memoryBytes() const {
  return infer.interpreter->arenaBytes() + scratch.bytes() +
         (hasDraft() ? drafts.interpreter->arenaBytes() : 0);
}

Result<float> Engine::logProb(int64_t row, int32_t token,
                              float inverseTemperature) {
  if (!logProbs)
    return failure("the artifact has no entry log_prob: compile the model with "
                   "dscc --entry=infer,train");
  if (token < 0 || token >= manifest.config.vocabulary)
    return failure("token ", token, " is outside of the vocabulary of ",
                   manifest.config.vocabulary);
  // A vector is read of each.
  int32_t targets[16] = {token};
  float temperatures[16] = {inverseTemperature};
  const Entry &program = *manifest.find("log_prob");
  std::vector<const void *> inputs;
  for (const RowInputSpec &spec : program.inputs)
    inputs.push_back(spec.name == "logits"    ? infer.outputRows[row]
                     : spec.name == "targets" ? static_cast<void *>(targets)
                                              : temperatures);
  rowInput.buildRows(1);
  if (Status error = logProbs->run(rowInput, nullptr, inputs))
    return *error;
  float value;
  memcpy(&value, logProbs->bufferAddress(*program.logProb), sizeof(value));
  return value;
}

/// Appends the rows of `buffer` to `rows`, as f32.
void Engine::record(int64_t buffer, HiddenRows &rows) {
  const BufferSpec &spec = infer.entry->buffers[buffer];
  rows.columns = manifest.config.hidden;
  Element element = spec.element.value_or(
      spec.rowBytes >= 4 * rows.columns ? Element::F32 : Element::Bf16);
  for (int64_t row = 0; row < infer.input.tokens(); ++row) {
    const char *from =
        infer.interpreter->bufferAddress(buffer) + row * spec.rowBytes;
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

/// Appends the first T rows of `buffer`, whose elements are those of `rows`.
template <typename T>
static void appendRows(const Interpreter &interpreter, int64_t buffer,
                       int64_t count, std::vector<T> &rows) {
  const T *from = reinterpret_cast<const T *>(interpreter.bufferAddress(buffer));
  rows.insert(rows.end(), from, from + count);
}

void Engine::recordRouter(Program &program, const RouterPlace &place) const {
  RouterRows &rows = program.routing[place.index];
  const Interpreter &interpreter = *program.interpreter;
  int64_t tokens = program.input.tokens(), picks = tokens * rows.perToken;
  appendRows(interpreter, place.scores, tokens * rows.experts, rows.scores);
  appendRows(interpreter, place.picks, picks, rows.picks);
  appendRows(interpreter, place.weights, picks, rows.weights);
}

/// Notes where the rows of logits lie; `copy` for a piece of a larger step.
void Engine::keepLogits(Program &program, bool copy) {
  const Entry &entry = *program.entry;
  int64_t stride = entry.buffers[*entry.logits].rowBytes;
  for (int64_t row = 0; row < program.input.outputs(); ++row) {
    const float *from = reinterpret_cast<const float *>(
        program.interpreter->bufferAddress(*entry.logits) + row * stride);
    if (copy) {
      size_t count = manifest.config.vocabulary;
      program.keptLogits.emplace_back(new float[count]);
      std::copy(from, from + count, program.keptLogits.back().get());
      from = program.keptLogits.back().get();
    }
    program.outputRows.push_back(from);
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
    int64_t length = item.past() + item.count;
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
    pages += item.drafts ? item.sequence->pagesToDraft(item.count)
                         : item.sequence->pagesToAppend(item.count);
  }
  if (pages > state->freePages())
    return failure("the step needs ", pages, " free pages of state, and ",
                   state->freePages(), " of ", state->pages(), " are free");
  return std::nullopt;
}

/// Cuts from `items`, from item `at` and its token `from` on, a step within the
/// limits; moves `at` and `from` on.
static std::vector<StepItem> cutPiece(const std::vector<StepItem> &items,
                                      const EngineOptions &limits,
                                      int64_t hiddenRowBytes, size_t &at,
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
    if (part.hidden)
      part.hidden += from * hiddenRowBytes;
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

Status Engine::runPiece(Program &program, const std::vector<StepItem> &items) {
  bool isDraft = &program == &drafts;
  for (const StepItem &item : items) {
    if (isDraft)
      item.sequence->reserveDraft(item.count);
    else
      item.sequence->reserve(item.count);
  }
  program.input.build(items, manifest.step);
  stepState = &items[0].sequence->statePool();
  Interpreter::Recorder recorder;
  if (recording && !isDraft)
    recorder = [&](size_t place, int64_t buffer) {
      record(buffer, hiddenRows[place]);
    };
  Interpreter::RouterRecorder routerRecorder;
  if (recordingRouting)
    routerRecorder = [&](const RouterPlace &place) {
      recordRouter(program, place);
    };
  std::vector<const void *> inputs;
  if (isDraft) {
    gatherHidden(items, program.input.tokens());
    inputs.push_back(hiddenInputRows);
  }
  if (Status error = program.interpreter->run(
          program.input, &items[0].sequence->statePool(), inputs,
          Interpreter::Part::All, recorder, routerRecorder))
    return error;
  for (const StepItem &item : items) {
    if (isDraft)
      item.sequence->advanceDraft(item.count);
    else
      item.sequence->advance(item.count);
  }
  if (program.keepsHidden)
    keepHiddenRows(program);
  return std::nullopt;
}

Status Engine::runInPieces(Program &program,
                           const std::vector<StepItem> &items) {
  FloatState state;
  program.outputRows.clear();
  program.keptLogits.clear();
  program.hidden.clear();
  for (RouterRows &rows : program.routing) {
    rows.scores.clear();
    rows.picks.clear();
    rows.weights.clear();
  }
  size_t at = 0;
  int64_t from = 0;
  bool inPieces = false;
  while (at < items.size()) {
    std::vector<StepItem> piece =
        cutPiece(items, limits, hiddenRowBytes, at, from);
    inPieces |= at < items.size();
    if (Status error = runPiece(program, piece))
      return error;
    keepLogits(program, /*copy=*/inPieces);
  }
  return std::nullopt;
}

Status Engine::step(const std::vector<StepItem> &items) {
  if (Status error = checkStep(items))
    return error;
  for (HiddenRows &rows : hiddenRows)
    rows.values.clear();
  return runInPieces(infer, items);
}
