//===- Dataset.h - Examples that a model is trained on --------------------===//
//
// Reads text files and JSON Lines into token sequences with a loss mask
// (docs/training.md has the formats). The whole data set is tokenised when it
// is read and stays in memory.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_DATA_DATASET_H
#define DS_RUNTIME_DATA_DATASET_H

#include "runtime/text/Result.h"
#include "runtime/text/Tokenizer.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ds::data {

using text::Error;
using text::Result;
using text::Status;

/// A sequence of at least two tokens. Row i of a step, i < rows(), takes token
/// i and is asked for token i + 1; it has a target where `mask[i + 1]` is 1.
/// `mask[0]` is 0.
struct Example {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> mask;
  uint32_t file = 0; ///< Of Dataset::files().
  int64_t line = 0;  ///< From 1; of a text, the line its document begins at.

  /// Rows that the model sees: its last token is no input.
  int64_t rows() const { return static_cast<int64_t>(tokens.size()) - 1; }
  /// Rows with a target.
  int64_t targets() const;
};

struct DatasetOptions {
  /// Most rows of an example: positions 0 to contextLength - 1 are used. Longer
  /// documents of a text are cut; other examples are errors.
  int64_t contextLength = 0;
  /// Most rows of a part of a document, where a step takes fewer than the
  /// context; 0 for contextLength.
  int64_t cutLength = 0;
  /// Leaves out examples that are longer instead of failing.
  bool skipLong = false;
  /// Every token but the first is a target, whatever the format masks.
  bool allTargets = false;
};

/// A tokenised data set. Immutable.
class Dataset {
public:
  /// Reads `files`, in this order: `.jsonl` and `.json` as JSON Lines, others
  /// as text. An error names file and line.
  static Result<Dataset> load(const std::vector<std::string> &files,
                              const text::Tokenizer &tokenizer,
                              const DatasetOptions &options);

  /// Number of examples, at least 1.
  int64_t size() const { return static_cast<int64_t>(examples.size()); }
  const Example &operator[](int64_t i) const { return examples[i]; }
  const std::vector<std::string> &files() const { return names; }

  /// Rows and rows with a target of all examples together.
  int64_t rows() const { return allRows; }
  int64_t targets() const { return withTarget; }
  /// Rows of the longest example.
  int64_t longest() const { return mostRows; }
  /// Examples that were left out because they are too long.
  int64_t skipped() const { return leftOut; }

  /// Returns "file:line" of an example.
  std::string place(const Example &example) const;

  /// A hash of all tokens and masks in order: equal for equal data. A run is
  /// resumed only on the data that it began with.
  uint64_t fingerprint() const { return hash; }

private:
  void finish();

  std::vector<std::string> names;
  std::vector<Example> examples;
  int64_t allRows = 0, withTarget = 0, mostRows = 0, leftOut = 0;
  uint64_t hash = 0;
};

} // namespace ds::data

#endif // DS_RUNTIME_DATA_DATASET_H
