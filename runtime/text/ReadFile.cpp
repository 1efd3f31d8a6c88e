//===- ReadFile.cpp - A file as one text ----------------------------------===//

#include "runtime/text/ReadFile.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

namespace ds::text {

namespace {
struct CloseFile {
  void operator()(std::FILE *file) const { std::fclose(file); }
};
} // namespace

/// No file of a model folder that is text comes near this.
static constexpr uintmax_t maxSize = 1u << 30;

Result<std::string> readFile(const std::string &path, bool optional) {
  std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
  if (!file && optional && errno == ENOENT)
    return std::string();
  if (!file)
    return Error{"cannot open " + path + ": " + std::strerror(errno)};
  std::error_code ignored;
  uintmax_t known = std::filesystem::file_size(path, ignored);
  if (!ignored && known > maxSize)
    return Error{"expects " + path + " to be smaller than 1 GB"};
  std::string text;
  size_t size = 0, got;
  do {
    // One byte more than is known to be there shows the end at once.
    text.resize(ignored || size ? 2 * size + 4096 : known + 1);
    got = std::fread(text.data() + size, 1, text.size() - size, file.get());
    size += got;
  } while (size == text.size() && size <= maxSize);
  if (size > maxSize)
    return Error{"expects " + path + " to be smaller than 1 GB"};
  if (std::ferror(file.get()))
    return Error{"cannot read " + path + ": " + std::strerror(errno)};
  text.resize(size);
  return text;
}

} // namespace ds::text
