//===- Support.h - Files and errors for tests of the runtime --------------===//
#ifndef DS_TEST_UNIT_RUNTIME_SUPPORT_H
#define DS_TEST_UNIT_RUNTIME_SUPPORT_H

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ds::test {

/// A folder that is removed with all its files at the end.
class TempFolder {
public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder &) = delete;
  TempFolder &operator=(const TempFolder &) = delete;

  const std::string &path() const { return folder; }

  /// Writes a file and returns its path.
  std::string write(const std::string &name, const std::string &bytes) const;

private:
  std::string folder;
};

/// Returns the bytes of the file at `path`.
std::string readFile(const std::string &path);

/// Replaces every `from` in `text` by `to`.
std::string replaceAll(std::string text, const std::string &from,
                       const std::string &to);

/// A tensor of a safetensors file.
struct FileTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

/// Returns a safetensors file with this JSON header and data.
std::string rawSafetensors(const std::string &header, const std::string &data);

/// Returns a safetensors file of `tensors`.
std::string safetensors(const std::vector<FileTensor> &tensors);

/// Returns `values` as elements of `dtype`: F32, F16 or BF16. They have to be
/// exact in it.
std::string encode(const std::vector<float> &values, const std::string &dtype);

/// Returns an ELF file whose only content is the section `.ds.manifest`.
std::string elfWithSection(const std::string &section,
                           const std::string &name = ".ds.manifest");

/// Returns the message of a failed `Result`, with `folder` as "DIR".
template <typename T>
std::string errorOf(const T &result, const std::string &folder = "") {
  if (result)
    return "no error";
  return folder.empty() ? result.error()
                        : replaceAll(result.error(), folder, "DIR");
}

} // namespace ds::test

#endif // DS_TEST_UNIT_RUNTIME_SUPPORT_H
