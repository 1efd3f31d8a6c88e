//===- Interpreter.h - Runs the program of an entry -----------------------===//
//
// Unrolls the loops over layers of a program, works out the addresses of
// arguments and runs launches tile by tile on the threads of a pool.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_INTERPRETER_H
#define DS_RUNTIME_INTERPRETER_H

#include "runtime/Artifact.h"
#include "runtime/State.h"
#include "runtime/StepInput.h"
#include "runtime/ThreadPool.h"
#include "runtime/Weights.h"

#include <functional>
#include <vector>

namespace ds::runtime {

/// The time of one launch.
struct LaunchTime {
  int64_t kernel = 0, layer = -1; // -1 outside of layers.
  int64_t rows = 0, tiles = 0, nanoseconds = 0;
  size_t bucket = 0;
};

/// A place of the program where the choice of a router can be read.
struct RouterPlace {
  size_t index = 0;           ///< Counts them.
  int64_t layer = -1;         ///< Of the model; -1 outside of layers.
  int64_t weight = 0;         ///< Of the router, at `matrix`.
  int64_t matrix = 0;
  int64_t scores = 0, picks = 0, weights = 0; ///< Buffers.
};

/// A value of the model's graph, at the place where a launch has made it.
struct ValuePlace {
  const ValueSpec *spec = nullptr;
  Argument argument;      ///< The buffer or state that holds it.
  int64_t layer = -1;     ///< Of the model; -1 outside of layers.
  int64_t inLoop = 0;     ///< Of the states and stacks of the loop.
};

/// Scratch memory of the threads of a pool; programs that do not run at the
/// same time share it.
class Scratch {
public:
  static Result<Scratch> allocate(const Manifest &manifest, int threads);
  char *of(int thread) const { return memory.data() + thread * stride; }
  int64_t bytes() const { return static_cast<int64_t>(memory.size()); }

private:
  Mapping memory;
  int64_t stride = 0;
};

/// Gives the addresses of what only training has: gradients, masters, moments
/// and hyperparameters. `layer` counts from the first of the weight.
class TrainingMemory {
public:
  virtual ~TrainingMemory() = default;
  virtual void *gradient(int64_t weight, int64_t layer) const = 0;
  virtual void *master(int64_t weight, int64_t layer) const = 0;
  virtual void *moment(int64_t weight, int64_t layer, int64_t order) const = 0;
  /// The hyperparameters of the update of `weight`.
  virtual void *hyper(int64_t weight) const = 0;
};

/// Interprets one entry of an artifact. What it is made from has to outlive
/// it; one thread at a time may call it.
class Interpreter {
public:
  Interpreter(const Artifact &artifact, const Entry &entry,
              const Weights &weights, ThreadPool &pool, const Scratch &scratch,
              const TrainingMemory *training = nullptr);

  /// Allocates the arena for steps of up to `tokens` and `outputs` rows.
  Status allocate(int64_t tokens, int64_t outputs);
  /// The same for steps of up to these rows of each kind.
  Status allocate(const RowCounts &rows);

  /// Which launches to run: all; those that write partial sums; the others.
  enum class Part { All, Partials, Others };
  /// Called between launches where a buffer holds the activation after a layer
  /// (`place` counts these).
  using Recorder = std::function<void(size_t place, int64_t buffer)>;
  /// Called after launches that weigh a router's choice.
  using RouterRecorder = std::function<void(const RouterPlace &)>;
  /// Called after launches that make values with a name.
  using ValueWatcher = std::function<void(const ValuePlace &)>;

  /// Runs the program for the rows of `input`. `state` may be null where no
  /// argument is one; `inputs` has an array of R values for each row input.
  /// Fails where sequences are so long that there is no memory for the arena.
  Status run(StepInput &input, const StatePool *state,
             const std::vector<const void *> &inputs = {},
             Part part = Part::All, const Recorder &recorder = {},
             const RouterRecorder &routerRecorder = {});

  /// Sets what is called for values, nothing if it is empty.
  void watchValues(ValueWatcher called) { watcher = std::move(called); }

  /// Places where the activation can be recorded.
  size_t places() const { return placeCount; }
  const std::vector<RouterPlace> &routers() const { return routerPlaces; }

  /// Returns where a buffer lies in a step like the last one.
  char *bufferAddress(int64_t buffer, int64_t layer = 0) const;

  /// Adds up the partial sums that the last run wrote, in order.
  double sumPartials() const;

  /// Turns the measuring of launches on or off and forgets what was measured.
  void profile(bool on) {
    profiling = on;
    times.clear();
  }
  const std::vector<LaunchTime> &launchTimes() const { return times; }

  int64_t arenaBytes() const { return static_cast<int64_t>(arena.size()); }

private:
  /// A launch with loops over layers unrolled, a loop over windows of the
  /// launches up to `end`, or a place where `buffer`, or a router, may be
  /// recorded.
  struct Step {
    const Statement *statement = nullptr;
    int64_t layer = -1;  // Of the model; -1 outside of layers.
    int64_t inLoop = 0;  // Of the loop's states and stacks.
    size_t firstAddress = 0, end = 0;
    int64_t partials = 0; // Where its partial sums begin.
    int64_t partialCount = 0;
    int64_t buffer = -1, router = -1;
  };
  /// The version of a kernel for a launch.
  struct Choice {
    const KernelCode *code = nullptr;
    size_t bucket = 0;
    int64_t rows = 0, tiles = 0;
    int64_t dims[8] = {}; ///< Of the launch.
  };
  /// What addresses depend on.
  struct Binding {
    RowCounts rows = {-1};
    const StatePool *state = nullptr;
    bool operator==(const Binding &other) const {
      return rows == other.rows && state == other.state;
    }
  };

  void unrollLayers(const Statement &loop);
  void unrollWindows(const Statement &loop);
  void addLaunch(const Statement &launch, int64_t layer, int64_t inLoop);
  void addPlace(int64_t buffer);
  void addRouter(const Step &step);
  void bind(size_t begin, size_t end);
  void *address(const Argument &argument, const Step &step) const;
  int64_t weightLayer(int64_t weight, const Step &step) const;
  Choice choose(int64_t kernel, const int64_t *dims) const;
  void runWindows(const Step &step, size_t index);
  void runLaunch(const Step &step, const int64_t *dims);
  bool isIn(const Step &step, Part part) const;
  void showValues(const Step &step) const;

  const Artifact &artifact;
  const Manifest &manifest;
  const Entry &entry;
  const Weights &weights;
  ThreadPool &pool;
  const Scratch &scratch;
  const TrainingMemory *training;
  Mapping arena;

  std::vector<Step> steps;
  std::vector<void *> addresses;
  std::vector<Choice> choices;  // By kernel, for launches of all rows.
  std::vector<int64_t> kernels; // That have such launches.
  std::vector<float> partials;
  size_t placeCount = 0;
  std::vector<RouterPlace> routerPlaces;

  // Of the run at hand.
  StepInput *input = nullptr;
  const std::vector<const void *> *inputs = nullptr;
  Binding bound;
  bool inWindow = false;
  int64_t windowRow = 0; // The first row of R of the window.
  ds_seq windowView = {};

  ValueWatcher watcher;
  bool profiling = false;
  std::vector<LaunchTime> times;
};

} // namespace ds::runtime

#endif // DS_RUNTIME_INTERPRETER_H
