//===- File.cpp - Files, mappings and anonymous memory --------------------===//
#include "runtime/File.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

using namespace ds::runtime;

static constexpr size_t hugePageBytes = size_t(2) << 20;

Mapping::Mapping(Mapping &&other) noexcept { *this = std::move(other); }

Mapping &Mapping::operator=(Mapping &&other) noexcept {
  std::swap(base, other.base);
  std::swap(baseBytes, other.baseBytes);
  std::swap(address, other.address);
  std::swap(bytes, other.bytes);
  return *this;
}

Mapping::~Mapping() {
  if (base)
    munmap(base, baseBytes);
}

Result<Mapping> Mapping::allocate(size_t bytes, bool hugePages) {
  if (bytes == 0)
    return Mapping();
  size_t total = hugePages ? bytes + hugePageBytes : bytes;
  void *base = mmap(nullptr, total, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    return failure("cannot allocate ", total, " bytes: ", strerror(errno));
  char *address = static_cast<char *>(base);
  if (hugePages) {
    address += -reinterpret_cast<uintptr_t>(address) % hugePageBytes;
    // Large pages only where they are whole: a ragged end stays small.
    if (size_t whole = bytes / hugePageBytes * hugePageBytes)
      madvise(address, whole, MADV_HUGEPAGE);
  }
  return Mapping(base, total, address, bytes);
}

File::File(File &&other) noexcept { *this = std::move(other); }

File &File::operator=(File &&other) noexcept {
  std::swap(name, other.name);
  std::swap(descriptor, other.descriptor);
  std::swap(bytes, other.bytes);
  return *this;
}

File::~File() {
  if (descriptor >= 0)
    close(descriptor);
}

Result<File> File::open(const std::string &path) {
  File file;
  file.name = path;
  file.descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file.descriptor < 0)
    return failure("cannot open '", path, "': ", strerror(errno));
  struct stat status;
  if (fstat(file.descriptor, &status) != 0)
    return failure("cannot read '", path, "': ", strerror(errno));
  if (!S_ISREG(status.st_mode))
    return failure("expects '", path, "' to be a file");
  file.bytes = static_cast<size_t>(status.st_size);
  return file;
}

Status File::read(size_t offset, size_t size, void *out) const {
  char *to = static_cast<char *>(out);
  while (size > 0) {
    ssize_t got = pread(descriptor, to, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return failure("cannot read '", name, "': ", strerror(errno));
    if (got == 0)
      return failure("'", name, "' ended at byte ", offset,
                     " while it was read");
    to += got;
    offset += static_cast<size_t>(got);
    size -= static_cast<size_t>(got);
  }
  return std::nullopt;
}

Result<Mapping> File::map() const {
  if (bytes == 0)
    return Mapping();
  void *base = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (base == MAP_FAILED)
    return failure("cannot map '", name, "': ", strerror(errno));
  return Mapping(base, bytes, static_cast<char *>(base), bytes);
}

Result<std::string> ds::runtime::readWholeFile(const std::string &path) {
  Result<File> file = File::open(path);
  if (!file)
    return file.takeError();
  std::string content(file->size(), '\0');
  if (Status error = file->read(0, content.size(), content.data()))
    return *error;
  return content;
}

bool ds::runtime::fileExists(const std::string &path) {
  return access(path.c_str(), F_OK) == 0;
}
