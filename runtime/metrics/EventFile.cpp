//===- EventFile.cpp - Scalars in TensorBoard's format --------------------===//

#include "runtime/metrics/EventFile.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace ds::metrics {

//===----------------------------------------------------------------------===//
// CRC-32C
//===----------------------------------------------------------------------===//

static std::array<uint32_t, 256> makeTable() {
  std::array<uint32_t, 256> table;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    table[byte] = crc;
  }
  return table;
}

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = makeTable();
  uint32_t crc = 0xFFFFFFFFu;
  for (char byte : bytes)
    crc = crc >> 8 ^ table[(crc ^ static_cast<uint8_t>(byte)) & 0xFF];
  return ~crc;
}

uint32_t maskedCrc32c(std::string_view bytes) {
  uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

//===----------------------------------------------------------------------===//
// Protocol buffers
//===----------------------------------------------------------------------===//

/// Appends the `size` low bytes of `value`, little endian.
static void appendFixed(std::string &out, uint64_t value, int size) {
  for (int byte = 0; byte < size; ++byte)
    out += static_cast<char>(value >> 8 * byte);
}

static void appendVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

enum WireType { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

static void appendKey(std::string &out, int field, WireType type) {
  appendVarint(out, static_cast<uint64_t>(field << 3 | type));
}

static void appendBytes(std::string &out, int field, std::string_view bytes) {
  appendKey(out, field, Bytes);
  appendVarint(out, bytes.size());
  out += bytes;
}

/// The beginning of an Event: wall_time.
static std::string beginEvent(double time) {
  std::string event;
  uint64_t bits;
  std::memcpy(&bits, &time, sizeof(bits));
  appendKey(event, 1, Fixed64);
  appendFixed(event, bits, 8);
  return event;
}

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

Result<EventFile> EventFile::create(const std::string &folder, double time) {
  EventFile result;
  std::string stem = folder + "/events.out.tfevents." +
                     std::to_string(static_cast<int64_t>(time));
  result.path = stem + ".dscc";
  // Two runs may begin in one second.
  for (int number = 1; !result.file; ++number) {
    result.file.reset(std::fopen(result.path.c_str(), "wxb"));
    if (result.file)
      break;
    if (errno != EEXIST)
      return Error{"cannot write '" + result.path +
                   "': " + std::strerror(errno)};
    result.path = stem + "." + std::to_string(number) + ".dscc";
  }
  std::string event = beginEvent(time);
  appendBytes(event, 3, "brain.Event:2");
  if (Status problem = result.writeRecord(event))
    return *problem;
  return result;
}

Status
EventFile::write(double time, int64_t step,
                 const std::vector<std::pair<std::string, double>> &scalars) {
  std::string event = beginEvent(time);
  appendKey(event, 2, Varint);
  appendVarint(event, static_cast<uint64_t>(step));
  std::string summary;
  for (const auto &[name, number] : scalars) {
    std::string value;
    appendBytes(value, 1, name);
    float single = static_cast<float>(number);
    uint32_t bits;
    std::memcpy(&bits, &single, sizeof(bits));
    appendKey(value, 2, Fixed32);
    appendFixed(value, bits, 4);
    appendBytes(summary, 1, value);
  }
  appendBytes(event, 5, summary);
  return writeRecord(event);
}

Status EventFile::writeRecord(const std::string &record) {
  std::string length, bytes;
  appendFixed(length, record.size(), 8);
  bytes = length;
  appendFixed(bytes, maskedCrc32c(length), 4);
  bytes += record;
  appendFixed(bytes, maskedCrc32c(record), 4);
  bool written =
      std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
  if (written && std::fflush(file.get()) == 0)
    return {};
  return Error{"cannot write '" + path + "': " + std::strerror(errno)};
}

} // namespace ds::metrics
