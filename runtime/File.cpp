//===- File.cpp - Files, mappings and anonymous memory --------------------===//
#include "runtime/File.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

using namespace ds::runtime;

static constexpr size_t largePageBytes = size_t(2) << 20;

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

Result<Mapping> Mapping::allocate(size_t bytes) {
  if (bytes == 0)
    return Mapping();
  size_t total = bytes + largePageBytes;
  void *base = mmap(nullptr, total, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    return failure("cannot allocate ", total, " bytes: ", strerror(errno));
  char *address = static_cast<char *>(base);
  address += -reinterpret_cast<uintptr_t>(address) % largePageBytes;
  return Mapping(base, total, address, bytes);
}

bool Mapping::tryLargePages() {
  using Clock = std::chrono::steady_clock;
  // A page is cleared in a tenth of a millisecond. Where it takes much longer
  // the host of a virtual machine has to find memory for it first.
  constexpr auto limit = std::chrono::microseconds(500);
  size_t whole = bytes / largePageBytes * largePageBytes;
  if (whole < 8 * largePageBytes || madvise(address, whole, MADV_HUGEPAGE) != 0)
    return false;
  Clock::time_point begin = Clock::now();
  address[0] = 0;
  address[largePageBytes] = 0;
  if (Clock::now() - begin < 2 * limit)
    return true;
  madvise(address, whole, MADV_NOHUGEPAGE);
  return false;
}

void Mapping::touch(const char *begin, size_t count) {
#ifdef MADV_POPULATE_WRITE
  constexpr size_t page = 4096;
  size_t first = (begin - address) / page * page;
  size_t end = std::min(bytes, (begin - address) + count);
  madvise(address + first, end - first, MADV_POPULATE_WRITE);
#endif
}

bool Mapping::moveToLargePages() {
  constexpr int collapse = 25; // MADV_COLLAPSE of Linux 6.1
  bool all = true;
  for (size_t at = 0; at + largePageBytes <= bytes; at += largePageBytes)
    all &= madvise(address + at, largePageBytes, collapse) == 0;
  return all;
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
