//===- Safetensors.h - Files of tensors -----------------------------------===//
//
// Reads the headers of safetensors files, checking all that a broken or hostile
// file can get wrong, and finds the tensors of a model folder, in one file or
// in shards with an index.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_SAFETENSORS_H
#define DS_RUNTIME_SAFETENSORS_H

#include "runtime/File.h"
#include "runtime/Result.h"

#include <map>
#include <string>
#include <vector>

namespace ds::runtime {

/// A tensor in a file: `begin` is the offset of its first byte in the file.
struct Tensor {
  std::string name;
  std::string dtype; // "BF16", "F16", "F32", ..
  std::vector<int64_t> shape;
  uint64_t begin = 0, bytes = 0;
  size_t file = 0; // Of the checkpoint.
};

/// Returns the tensors that the header of `file` describes, by offset.
Result<std::vector<Tensor>> readSafetensorsHeader(const File &file);

/// Returns `shape` as text, such as "[3, 4]".
std::string shapeText(const std::vector<int64_t> &shape);

/// The tensors of a model folder.
class Checkpoint {
public:
  /// Opens `path`: a folder with model.safetensors.index.json and its shards,
  /// or with model.safetensors, or a safetensors file.
  static Result<Checkpoint> open(const std::string &path);

  const std::string &path() const { return name; }
  const std::map<std::string, Tensor> &tensors() const { return byName; }
  const File &file(const Tensor &tensor) const { return files[tensor.file]; }
  const std::vector<File> &allFiles() const { return files; }

private:
  Status addFile(const std::string &path);
  Status addShards(const std::string &indexPath);

  std::string name;
  std::vector<File> files;
  std::map<std::string, Tensor> byName;
};

} // namespace ds::runtime

#endif // DS_RUNTIME_SAFETENSORS_H
