//===- File.h - Files, mappings and anonymous memory ----------------------===//
#ifndef DS_RUNTIME_FILE_H
#define DS_RUNTIME_FILE_H

#include "runtime/Result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace ds::runtime {

/// Memory from mmap, unmapped at the end. Empty by default.
class Mapping {
public:
  Mapping() = default;
  Mapping(Mapping &&other) noexcept;
  Mapping &operator=(Mapping &&other) noexcept;
  ~Mapping();

  /// Returns `bytes` of zeroed memory, none of it touched, that begins where a
  /// large page of 2 MB may.
  static Result<Mapping> allocate(size_t bytes);

  /// Asks for large pages, unless touching the first two shows that the machine
  /// is slow to give them. Returns whether they will be used.
  bool tryLargePages();

  /// Touches the pages of `bytes` bytes from `begin` on, which are about to be
  /// written.
  void touch(const char *begin, size_t bytes);

  /// Moves the content to large pages; false if a page could not be had.
  bool moveToLargePages();

  char *data() const { return address; }
  size_t size() const { return bytes; }
  std::string_view view() const { return {address, bytes}; }

private:
  friend class File;
  Mapping(void *base, size_t baseBytes, char *address, size_t bytes)
      : base(base), baseBytes(baseBytes), address(address), bytes(bytes) {}

  void *base = nullptr; // What munmap takes; `address` may lie within.
  size_t baseBytes = 0;
  char *address = nullptr;
  size_t bytes = 0;
};

/// A file that is open for reading.
class File {
public:
  File() = default;
  File(File &&other) noexcept;
  File &operator=(File &&other) noexcept;
  ~File();

  /// Opens `path`, which has to be a regular file.
  static Result<File> open(const std::string &path);

  const std::string &path() const { return name; }
  size_t size() const { return bytes; }

  /// Reads `size` bytes at `offset` to `out`. May be called by several threads.
  Status read(size_t offset, size_t size, void *out) const;

  /// Maps the whole file, read-only.
  Result<Mapping> map() const;

private:
  std::string name;
  int descriptor = -1;
  size_t bytes = 0;
};

/// Returns the whole content of `path`.
Result<std::string> readWholeFile(const std::string &path);

/// Tells whether something exists at `path`.
bool fileExists(const std::string &path);

} // namespace ds::runtime

#endif // DS_RUNTIME_FILE_H
