//===- Loader.h - Batches of a data set in shuffled order -----------------===//

#ifndef DS_RUNTIME_DATA_LOADER_H
#define DS_RUNTIME_DATA_LOADER_H

#include "runtime/data/Dataset.h"

namespace ds::data {

/// Where a run stands in its data: `index` examples of epoch `epoch` are done.
/// With the seed it determines every batch to come.
struct Cursor {
  uint64_t epoch = 0;
  uint64_t index = 0;
  bool operator==(const Cursor &other) const {
    return epoch == other.epoch && index == other.index;
  }
};

/// The sequences of one step, packed: each has its own positions and sees no
/// other.
struct Batch {
  std::vector<const Example *> examples;
  int64_t rows = 0;    ///< Of all examples together.
  int64_t targets = 0; ///< Rows with a target, at least 1.
  Cursor begin, end;   ///< Where the batch begins and the next one does.
};

struct LoaderOptions {
  uint64_t seed = 0;
  /// Most rows of a batch.
  int64_t batchTokens = 4096;
  /// Orders the examples of each epoch anew.
  bool shuffle = true;
};

/// Takes examples in the order of an epoch until the next one does not fit. A
/// batch ends with its epoch, so that each example is seen once in each.
///
/// The order of an epoch is a permutation of Fisher and Yates whose draws are
/// Philox4x32-10 blocks, keyed by the seed and counted by epoch and place: it
/// depends on nothing that happened before.
class Loader {
public:
  /// Fails if an example has more rows than a batch, or if the cursor lies
  /// outside the data. `data` has to outlive the loader.
  static Result<Loader>
  create(const Dataset &data, const LoaderOptions &options, Cursor cursor = {});

  Batch next();

  /// Where the next batch begins; `index` is less than the number of examples.
  const Cursor &cursor() const { return at; }
  /// Epochs done, with the fraction of the one at hand.
  double epochs() const;

private:
  Loader(const Dataset &data, const LoaderOptions &options, Cursor at);
  void order();

  const Dataset *data;
  LoaderOptions options;
  Cursor at;
  std::vector<uint32_t> places; ///< Examples in the order of the epoch.
};

} // namespace ds::data

#endif // DS_RUNTIME_DATA_LOADER_H
