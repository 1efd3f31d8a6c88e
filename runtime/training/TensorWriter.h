//===- TensorWriter.h - Writes a safetensors file in pieces ---------------===//
#ifndef DS_RUNTIME_TRAINING_TENSORWRITER_H
#define DS_RUNTIME_TRAINING_TENSORWRITER_H

#include "runtime/Result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ds::runtime {

/// A tensor of a file to be written, which is given in f32 or i32.
struct TensorPlan {
  std::string name;
  int64_t rows, columns;
  bool isVector = false; ///< Its shape is [rows]; columns is 1.
  bool isBf16 = false;   ///< Rounded to bf16.
  bool isInteger = false; ///< Of i32.
};

/// Writes tensors, row by row in any order, under a temporary name; the file
/// gets its own name when it is whole, and is removed otherwise.
class TensorWriter {
public:
  static Result<TensorWriter> create(const std::string &path,
                                     const std::vector<TensorPlan> &plans);
  TensorWriter(TensorWriter &&other) noexcept;
  TensorWriter &operator=(TensorWriter &&) = delete;
  ~TensorWriter();

  /// Writes `count` rows of tensor `index` (of the plans) from row `first` on.
  Status write(size_t index, int64_t first, int64_t count, const float *rows);
  Status write(size_t index, int64_t first, int64_t count, const int32_t *rows);

  /// Gives the file its name; with `sync`, once it is on the disk.
  Status finish(bool sync = false);

private:
  TensorWriter() = default;
  Status writeAt(uint64_t offset, const void *data, size_t bytes);

  std::string path, temporary;
  int descriptor = -1;
  std::vector<uint64_t> begins;
  std::vector<TensorPlan> plans;
};

} // namespace ds::runtime

#endif // DS_RUNTIME_TRAINING_TENSORWRITER_H
