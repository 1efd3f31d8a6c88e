//===- TensorWriter.h - Writes a safetensors file in pieces ---------------===//
#ifndef DS_TOOLS_DSRUN_TENSORWRITER_H
#define DS_TOOLS_DSRUN_TENSORWRITER_H

#include "tools/dsrun/CommandLine.h"

#include <string>
#include <vector>

namespace ds::tool {

/// An f32 tensor of a file to be written.
struct TensorPlan {
  std::string name;
  int64_t rows, columns;
};

/// Writes f32 tensors, row by row in any order, under a temporary name; the
/// file gets its own name when it is whole, and is removed otherwise.
class TensorWriter {
public:
  static Result<TensorWriter> create(const std::string &path,
                                     const std::vector<TensorPlan> &plans);
  TensorWriter(TensorWriter &&other) noexcept;
  TensorWriter &operator=(TensorWriter &&) = delete;
  ~TensorWriter();

  /// Writes `count` rows of tensor `index` (of the plans) from row `first` on.
  Status write(size_t index, int64_t first, int64_t count, const float *rows);

  /// Gives the file its name.
  Status finish();

private:
  TensorWriter() = default;
  Status writeAt(uint64_t offset, const void *data, size_t bytes);

  std::string path, temporary;
  int descriptor = -1;
  std::vector<uint64_t> begins;
  std::vector<int64_t> columns;
};

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_TENSORWRITER_H
