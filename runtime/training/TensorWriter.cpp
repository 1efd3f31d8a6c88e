//===- TensorWriter.cpp - Writes a safetensors file in pieces -------------===//
#include "runtime/training/TensorWriter.h"
#include "runtime/Pack.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>
#include <utility>

using namespace ds::runtime;

TensorWriter::TensorWriter(TensorWriter &&other) noexcept
    : path(std::move(other.path)), temporary(std::move(other.temporary)),
      descriptor(std::exchange(other.descriptor, -1)),
      begins(std::move(other.begins)), plans(std::move(other.plans)) {}

TensorWriter::~TensorWriter() {
  if (descriptor < 0)
    return;
  close(descriptor);
  unlink(temporary.c_str());
}

static uint64_t rowBytes(const TensorPlan &plan) {
  return uint64_t(plan.columns) * (plan.isBf16 ? 2 : 4);
}

Result<TensorWriter>
TensorWriter::create(const std::string &path,
                     const std::vector<TensorPlan> &plans) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  TensorWriter writer;
  uint64_t bytes = 0;
  for (const TensorPlan &plan : plans) {
    uint64_t end = bytes + plan.rows * rowBytes(plan);
    std::vector<int64_t> shape = {plan.rows};
    if (!plan.isVector)
      shape.push_back(plan.columns);
    const char *type = plan.isBf16 ? "BF16" : plan.isInteger ? "I32" : "F32";
    header[plan.name] = {{"dtype", type},
                         {"shape", shape},
                         {"data_offsets", {bytes, end}}};
    writer.begins.push_back(bytes);
    bytes = end;
  }
  writer.plans = plans;
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  for (uint64_t &begin : writer.begins)
    begin += sizeof(length) + length;
  writer.path = path;
  writer.temporary = path + ".tmp." + std::to_string(getpid());
  writer.descriptor = open(writer.temporary.c_str(),
                           O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (writer.descriptor < 0)
    return failure("cannot write '", path, "': ", strerror(errno));
  Status error = writer.writeAt(0, &length, sizeof(length));
  if (!error)
    error = writer.writeAt(sizeof(length), text.data(), length);
  if (error)
    return *error;
  return writer;
}

Status TensorWriter::writeAt(uint64_t offset, const void *data, size_t bytes) {
  const char *from = static_cast<const char *>(data);
  while (bytes > 0) {
    ssize_t put = pwrite(descriptor, from, bytes, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return failure("cannot write '", path, "': ", strerror(errno));
    from += put;
    offset += static_cast<uint64_t>(put);
    bytes -= static_cast<size_t>(put);
  }
  return std::nullopt;
}

Status TensorWriter::write(size_t index, int64_t first, int64_t count,
                           const float *rows) {
  const TensorPlan &plan = plans[index];
  uint64_t at = begins[index] + first * rowBytes(plan);
  if (!plan.isBf16)
    return writeAt(at, rows, count * rowBytes(plan));
  std::vector<uint16_t> narrow(count * plan.columns);
  convertToBf16(Source::F32, rows, narrow.size(),
                         narrow.data());
  return writeAt(at, narrow.data(), count * rowBytes(plan));
}

Status TensorWriter::write(size_t index, int64_t first, int64_t count,
                           const int32_t *rows) {
  uint64_t bytes = rowBytes(plans[index]);
  return writeAt(begins[index] + first * bytes, rows, count * bytes);
}

Status TensorWriter::finish(bool sync) {
  int synced = sync ? fsync(descriptor) : 0;
  int closed = close(std::exchange(descriptor, -1));
  if (synced == 0 && closed == 0 && rename(temporary.c_str(), path.c_str()) == 0)
    return std::nullopt;
  Error error = failure("cannot write '", path, "': ", strerror(errno));
  unlink(temporary.c_str());
  return error;
}
