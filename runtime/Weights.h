//===- Weights.h - The weights of a model, packed -------------------------===//
#ifndef DS_RUNTIME_WEIGHTS_H
#define DS_RUNTIME_WEIGHTS_H

#include "runtime/File.h"
#include "runtime/Manifest.h"
#include "runtime/Safetensors.h"
#include "runtime/ThreadPool.h"

#include <functional>
#include <memory>
#include <vector>

namespace ds::runtime {

/// Compares the tensors of `checkpoint` with what `manifest` asks for. The
/// error lists every tensor that is missing, misshapen, of a type that cannot
/// be read, or that the model does not use.
Status checkWeights(const Manifest &manifest, const Checkpoint &checkpoint);

/// Compares some rows of tensors that the model takes for copies of others, as
/// far as `checkpoint`, which fits, has them.
Status checkCopies(const Manifest &manifest, const Checkpoint &checkpoint);

/// Tells how far loading is; returns false to stop it.
using LoadProgress = std::function<bool(int64_t bytes, int64_t total)>;

/// The weights of a model in the layouts of its kernels.
class Weights {
public:
  /// Reads the model folder `path` for `manifest`: all names, shapes and types
  /// are checked before anything is read. Packs on the threads of `pool`.
  static Result<Weights> load(const Manifest &manifest, const std::string &path,
                              ThreadPool &pool,
                              const LoadProgress &progress = {});

  /// Makes room for the packed weights, all of it zero and writable.
  static Result<Weights> allocate(const Manifest &manifest);

  /// Returns the packed weight, the first matrix of a stack; `layer` counts from
  /// the first that it has.
  void *data(int64_t weight, int64_t layer) const {
    return addresses[weight][layer * stacks[weight]];
  }
  /// Returns a packed matrix of a weight, counted through all layers.
  void *matrix(int64_t weight, int64_t number) const {
    return addresses[weight][number];
  }

  /// Returns the bytes in memory of this process, and those used from the
  /// mapping of a file.
  int64_t packedBytes() const { return static_cast<int64_t>(memory.size()); }
  const char *packedMemory() const { return memory.data(); }
  int64_t mappedBytes() const { return mapped; }

  /// Moves the packed weights to large pages, where loading did not: some
  /// seconds that make them faster to read.
  bool moveToLargePages() { return memory.moveToLargePages(); }

private:
  friend class WeightLoader;

  Mapping memory;
  std::vector<Mapping> files; // By file of the checkpoint; most are empty.
  int64_t mapped = 0;
  std::vector<std::vector<void *>> addresses; // [weight][matrix]
  std::vector<int64_t> stacks; // Matrices of a layer of each weight.

  void noteStacks(const Manifest &manifest);
};

} // namespace ds::runtime

#endif // DS_RUNTIME_WEIGHTS_H
