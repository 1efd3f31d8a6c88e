//===- Interpreter.cpp - Runs the program of an entry ---------------------===//
#include "runtime/Interpreter.h"

#include <algorithm>
#include <chrono>

using namespace ds::runtime;

// Numbers of rows in the arena's formula are multiples of this.
static constexpr int64_t rowUnit = 16;

static RowCounts roundRows(RowCounts rows) {
  for (int64_t &count : rows)
    count = roundUp(count, rowUnit);
  return rows;
}

static int64_t nanosecondsNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Result<Scratch> Scratch::allocate(const Manifest &manifest, int threads) {
  Scratch scratch;
  scratch.stride = roundUp(manifest.scratchBytes, 4096);
  Result<Mapping> memory = Mapping::allocate(scratch.stride * threads);
  if (!memory)
    return memory.takeError();
  scratch.memory = std::move(*memory);
  return scratch;
}

Interpreter::Interpreter(const Artifact &artifact, const Entry &entry,
                         const Weights &weights, ThreadPool &pool,
                         const Scratch &scratch, const TrainingMemory *training)
    : artifact(artifact), manifest(artifact.manifest()), entry(entry),
      weights(weights), pool(pool), scratch(scratch), training(training),
      choices(manifest.kernels.size()) {
  for (const Statement &statement : entry.program) {
    if (statement.kind == Statement::Layers)
      unrollLayers(statement);
    else if (statement.kind == Statement::Windows)
      unrollWindows(statement);
    else
      addLaunch(statement, -1, 0);
  }
  if (entry.finalHidden)
    addPlace(*entry.finalHidden);
  std::sort(kernels.begin(), kernels.end());
  kernels.erase(std::unique(kernels.begin(), kernels.end()), kernels.end());
}

Status Interpreter::allocate(int64_t tokens, int64_t outputs) {
  // All of the tokens may belong to prompts, or all be generated; memory that
  // a step does not touch is none.
  return allocate(
      {tokens, outputs, tokens, tokens,
       roundUp(tokens, Manifest::pagePositions), tokens});
}

Status Interpreter::allocate(const RowCounts &rows) {
  Result<Mapping> memory = Mapping::allocate(entry.arena.at(roundRows(rows)));
  if (!memory)
    return Error{memory.error()};
  arena = std::move(*memory);
  return std::nullopt;
}

void Interpreter::unrollLayers(const Statement &loop) {
  if (loop.carry >= 0 && loop.layers.first == 0)
    addPlace(loop.carry);
  for (int64_t i = 0; i < loop.layers.count; ++i) {
    int64_t inLoop = loop.reverse ? loop.layers.count - 1 - i : i;
    for (const Statement &launch : loop.body)
      addLaunch(launch, loop.layers.first + inLoop, inLoop);
    if (loop.carry >= 0)
      addPlace(loop.carry);
  }
}

void Interpreter::unrollWindows(const Statement &loop) {
  size_t index = steps.size();
  Step step;
  step.statement = &loop;
  steps.push_back(step);
  for (const Statement &launch : loop.body)
    addLaunch(launch, -1, 0);
  steps[index].end = steps.size();
}

void Interpreter::addLaunch(const Statement &statement, int64_t layer,
                            int64_t inLoop) {
  Step step;
  step.statement = &statement;
  step.layer = layer;
  step.inLoop = inLoop;
  step.firstAddress = addresses.size();
  addresses.resize(addresses.size() + statement.arguments.size());
  for (const Argument &argument : statement.arguments) {
    if (argument.kind != Argument::Partials)
      continue;
    int64_t dims[8] = {statement.rows};
    step.partials = static_cast<int64_t>(partials.size());
    step.partialCount = choose(statement.kernel, dims).tiles;
    partials.resize(partials.size() + roundUp(step.partialCount, rowUnit));
  }
  steps.push_back(step);
  kernels.push_back(statement.kernel);
  if (statement.router)
    addRouter(step);
}

/// Adds the place behind the launch `step`, where its operands are still there.
void Interpreter::addRouter(const Step &step) {
  const Statement &launch = *step.statement;
  Step place;
  place.router = static_cast<int64_t>(routerPlaces.size());
  routerPlaces.push_back(
      {routerPlaces.size(), step.layer, *launch.router,
       weightLayer(*launch.router, step), launch.arguments[0].index,
       launch.arguments[1].index, launch.arguments[2].index});
  steps.push_back(place);
}

void Interpreter::addPlace(int64_t buffer) {
  Step place;
  place.buffer = buffer;
  steps.push_back(place);
  ++placeCount;
}

char *Interpreter::bufferAddress(int64_t buffer, int64_t layer) const {
  const BufferSpec &spec = entry.buffers[buffer];
  int64_t rows =
      spec.rows == Rows::Window ? 0 : bound.rows[static_cast<size_t>(spec.rows)];
  return arena.data() + spec.offset.at(bound.rows) + layer * spec.stride * rows;
}

int64_t Interpreter::weightLayer(int64_t weight, const Step &step) const {
  const WeightSpec &spec = manifest.weights[weight];
  return spec.layers ? step.layer - spec.layers->first : 0;
}

void *Interpreter::address(const Argument &argument, const Step &step) const {
  int64_t index = argument.index;
  switch (argument.kind) {
  case Argument::Buffer: {
    const BufferSpec &spec = entry.buffers[index];
    int64_t row = spec.rows == Rows::Outputs ? windowRow : 0;
    return bufferAddress(index, spec.layers > 1 ? step.inLoop : 0) +
           row * spec.rowBytes;
  }
  case Argument::Weight:
    return weights.data(index, weightLayer(index, step));
  case Argument::State:
    return bound.state->data(index, step.inLoop);
  case Argument::Sequences:
    return inWindow ? const_cast<ds_seq *>(&windowView)
                    : input->sequences(static_cast<SeqView>(index));
  case Argument::Input:
    // Integers and floats are words.
    return const_cast<char *>(static_cast<const char *>((*inputs)[index])) +
           windowRow * 4;
  case Argument::Gradient:
    return training->gradient(index, weightLayer(index, step));
  case Argument::Master:
    return training->master(index, weightLayer(index, step));
  case Argument::Moment:
    return training->moment(index, weightLayer(index, step), argument.order);
  case Argument::Hyper:
    for (const Argument &other : step.statement->arguments)
      if (other.kind == Argument::Master)
        return training->hyper(other.index);
    return nullptr;
  case Argument::Partials:
    return const_cast<float *>(partials.data()) + step.partials;
  }
  return nullptr;
}

/// Computes the arguments of steps [begin, end).
void Interpreter::bind(size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    const Step &step = steps[i];
    if (!step.statement || step.statement->kind != Statement::Launch)
      continue;
    void **to = addresses.data() + step.firstAddress;
    for (const Argument &argument : step.statement->arguments)
      *to++ = address(argument, step);
  }
}

/// Returns the view whose rows are `rows`.
static SeqView viewOf(Rows rows) {
  switch (rows) {
  case Rows::Prompt:
    return SeqView::Prompt;
  case Rows::Generated:
    return SeqView::Generated;
  case Rows::Expanded:
    return SeqView::Expanded;
  case Rows::Blocks:
    return SeqView::Blocks;
  default:
    return SeqView::Step;
  }
}

Interpreter::Choice Interpreter::choose(int64_t index,
                                        const int64_t *stepDims) const {
  const KernelSpec &kernel = manifest.kernels[index];
  Choice choice;
  SeqView view = viewOf(kernel.rows);
  if (view != SeqView::Step)
    stepDims = input->dims(view);
  int64_t *dims = choice.dims;
  std::copy(stepDims, stepDims + 8, dims);
  dims[0] *= kernel.times;
  bool isOutput = kernel.rows == Rows::Outputs || kernel.rows == Rows::Window;
  choice.rows = isOutput ? dims[2] : dims[0];
  while (kernel.buckets[choice.bucket].maxRows &&
         *kernel.buckets[choice.bucket].maxRows < choice.rows)
    ++choice.bucket;
  choice.code = &artifact.code(index, choice.bucket);
  choice.tiles = choice.rows ? choice.code->tiles(dims) : 0;
  return choice;
}

void Interpreter::runLaunch(const Step &step, const int64_t *dims) {
  const Statement &launch = *step.statement;
  int64_t own[8];
  Choice choice;
  if (launch.rows || inWindow) {
    std::copy(dims, dims + 8, own);
    if (launch.rows)
      own[0] = launch.rows;
    choice = choose(launch.kernel, own);
  } else {
    choice = choices[launch.kernel];
  }
  struct Context {
    KernelCode::Run run;
    void *const *args;
    const int64_t *dims;
    const Scratch *scratch;
  };
  Context context = {choice.code->run, addresses.data() + step.firstAddress,
                     choice.dims, &scratch};
  int64_t begin = profiling ? nanosecondsNow() : 0;
  pool.run(
      choice.tiles,
      [](void *opaque, int64_t tile, int thread) {
        const Context &call = *static_cast<const Context *>(opaque);
        call.run(call.args, call.dims, tile, call.scratch->of(thread));
      },
      &context);
  if (profiling)
    times.push_back({launch.kernel, step.layer, choice.rows, choice.tiles,
                     nanosecondsNow() - begin, choice.bucket});
}

/// Runs the launches of the loop at `index` for one window after another.
void Interpreter::runWindows(const Step &step, size_t index) {
  int64_t dims[8];
  std::copy(input->dims(), input->dims() + 8, dims);
  inWindow = true;
  int64_t rows = input->outputs();
  for (windowRow = 0; windowRow < rows; windowRow += step.statement->window) {
    dims[2] = std::min(step.statement->window, rows - windowRow);
    windowView = *input->sequences();
    windowView.out_rows += windowRow;
    bind(index + 1, step.end);
    for (size_t i = index + 1; i < step.end; ++i)
      runLaunch(steps[i], dims);
  }
  inWindow = false;
  windowRow = 0;
}

bool Interpreter::isIn(const Step &step, Part part) const {
  return part == Part::All ||
         (part == Part::Partials) == (step.partialCount > 0);
}

Status Interpreter::run(StepInput &stepInput, const StatePool *state,
                        const std::vector<const void *> &rowInputs, Part part,
                        const Recorder &recorder,
                        const RouterRecorder &routerRecorder) {
  Binding now{roundRows(stepInput.rows()), state};
  int64_t needed = entry.arena.at(now.rows);
  if (needed > arenaBytes()) {
    // Long sequences have more positions than a step has tokens.
    Result<Mapping> memory = Mapping::allocate(needed);
    if (!memory)
      return Error{memory.error()};
    arena = std::move(*memory);
    bound = {};
  }
  // Row inputs lie somewhere else each time.
  bool stale = !(now == bound) || !rowInputs.empty() || input != &stepInput;
  input = &stepInput, inputs = &rowInputs, bound = now;
  if (stale)
    bind(0, steps.size());
  for (int64_t kernel : kernels)
    choices[kernel] = choose(kernel, input->dims());
  size_t place = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step &step = steps[i];
    if (step.router >= 0) {
      if (routerRecorder)
        routerRecorder(routerPlaces[step.router]);
    } else if (!step.statement) {
      if (recorder)
        recorder(place, step.buffer);
      ++place;
    } else if (step.statement->kind == Statement::Windows) {
      runWindows(step, i);
      i = step.end - 1;
    } else if (isIn(step, part)) {
      runLaunch(step, input->dims());
      if (watcher)
        showValues(step);
    }
  }
  return std::nullopt;
}

/// Calls the watcher for each value that a launch has made.
void Interpreter::showValues(const Step &step) const {
  for (const ValueSpec &spec : step.statement->values)
    watcher({&spec, step.statement->arguments[spec.argument], step.layer,
             step.inLoop});
}

double Interpreter::sumPartials() const {
  double sum = 0;
  for (const Step &step : steps)
    for (int64_t i = 0; i < step.partialCount; ++i)
      sum += partials[step.partials + i];
  return sum;
}
