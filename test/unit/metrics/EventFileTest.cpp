//===- EventFileTest.cpp - Event files read back --------------------------===//
//
// The reader below is written from the format's description and shares nothing
// with the writer: it takes the CRC bit by bit, most significant coefficient
// first, and parses any protocol buffer into its fields.
//
//===----------------------------------------------------------------------===//
#include "runtime/metrics/EventFile.h"

#include "Folder.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <map>

using namespace ds::metrics;

namespace {
/// A field of a protocol buffer: a number or bytes.
struct Field {
  int number = 0;
  uint64_t value = 0;
  std::string bytes;
};
} // namespace

static uint32_t reverse(uint32_t value, int bits) {
  uint32_t result = 0;
  for (int bit = 0; bit < bits; ++bit)
    result |= (value >> bit & 1) << (bits - 1 - bit);
  return result;
}

/// Long division of the reflected message by 0x1EDC6F41.
static uint32_t divide(const std::string &message) {
  uint32_t rest = 0xFFFFFFFF;
  for (unsigned char byte : message) {
    rest ^= reverse(byte, 8) << 24;
    for (int bit = 0; bit < 8; ++bit)
      rest = rest & 0x80000000u ? rest << 1 ^ 0x1EDC6F41u : rest << 1;
  }
  return reverse(~rest, 32);
}

static uint64_t readFixed(const std::string &bytes, size_t &at, int size) {
  uint64_t value = 0;
  for (int i = 0; i < size; ++i)
    value += static_cast<uint64_t>(static_cast<unsigned char>(bytes.at(at++)))
             << 8 * i;
  return value;
}

/// Reads all records; their CRCs are checked.
static std::vector<std::string> readRecords(const std::string &file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    auto check = [&](const std::string &bytes) {
      uint32_t stored = static_cast<uint32_t>(readFixed(file, at, 4));
      uint32_t rotated = stored - 0xA282EAD8u;
      EXPECT_EQ(rotated << 15 | rotated >> 17, divide(bytes));
    };
    std::string length = file.substr(at, 8);
    uint64_t size = readFixed(file, at, 8);
    check(length);
    records.push_back(file.substr(at, size));
    at += size;
    check(records.back());
  }
  return records;
}

static std::vector<Field> parse(const std::string &bytes) {
  std::vector<Field> fields;
  for (size_t at = 0; at < bytes.size();) {
    auto readVarint = [&] {
      uint64_t value = 0;
      for (int shift = 0;; shift += 7) {
        unsigned char byte = static_cast<unsigned char>(bytes.at(at++));
        value |= static_cast<uint64_t>(byte & 0x7F) << shift;
        if (byte < 0x80)
          return value;
      }
    };
    uint64_t key = readVarint();
    Field field;
    field.number = static_cast<int>(key >> 3);
    switch (key & 7) {
    case 0:
      field.value = readVarint();
      break;
    case 1:
      field.value = readFixed(bytes, at, 8);
      break;
    case 2: {
      uint64_t size = readVarint();
      field.bytes = bytes.substr(at, size);
      at += size;
      break;
    }
    case 5:
      field.value = readFixed(bytes, at, 4);
      break;
    default:
      ADD_FAILURE() << "wire type " << (key & 7);
      return fields;
    }
    fields.push_back(field);
  }
  return fields;
}

TEST(EventFile, Crc) {
  // Check value of CRC-32C, and RFC 3720, B.4.
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(crc32c(""), 0u);
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    all += static_cast<char>(i * 37);
    ASSERT_EQ(crc32c(all), divide(all));
  }
}

TEST(EventFile, ReadsBack) {
  Folder folder;
  {
    auto file = EventFile::create(folder.path, 1700000000.25);
    ASSERT_TRUE(file) << file.error();
    ASSERT_FALSE(file->write(1700000001.5, 1, {{"loss", 2.5}}));
    ASSERT_FALSE(file->write(1700000002.5, 300000000000,
                             {{"loss", -0.125}, {std::string(200, 'n'), NAN}}));
  }
  auto names = folder.listEvents();
  ASSERT_EQ(names,
            (std::vector<std::string>{"events.out.tfevents.1700000000.dscc"}));
  auto records = readRecords(folder.read(names[0]));
  ASSERT_EQ(records.size(), 3u);
  auto event = parse(records[0]);
  ASSERT_EQ(event.size(), 2u);
  EXPECT_EQ(event[0].number, 1);
  double time;
  std::memcpy(&time, &event[0].value, 8);
  EXPECT_EQ(time, 1700000000.25);
  EXPECT_EQ(event[1].number, 3);
  EXPECT_EQ(event[1].bytes, "brain.Event:2");

  event = parse(records[2]);
  ASSERT_EQ(event.size(), 3u);
  EXPECT_EQ(event[1].number, 2);
  EXPECT_EQ(event[1].value, 300000000000u);
  EXPECT_EQ(event[2].number, 5);
  std::vector<std::pair<std::string, float>> scalars;
  for (const Field &value : parse(event[2].bytes)) {
    EXPECT_EQ(value.number, 1);
    auto scalar = parse(value.bytes);
    ASSERT_EQ(scalar.size(), 2u);
    EXPECT_EQ(scalar[0].number, 1);
    EXPECT_EQ(scalar[1].number, 2);
    uint32_t bits = static_cast<uint32_t>(scalar[1].value);
    float single;
    std::memcpy(&single, &bits, 4);
    scalars.emplace_back(scalar[0].bytes, single);
  }
  ASSERT_EQ(scalars.size(), 2u);
  EXPECT_EQ(scalars[0], (std::pair<std::string, float>{"loss", -0.125f}));
  EXPECT_EQ(scalars[1].first, std::string(200, 'n'));
  EXPECT_TRUE(std::isnan(scalars[1].second));
}

TEST(EventFile, TwoRunsInOneSecond) {
  Folder folder;
  auto first = EventFile::create(folder.path, 7);
  auto second = EventFile::create(folder.path, 7);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(folder.listEvents().size(), 2u);
}

TEST(EventFile, Errors) {
  auto file = EventFile::create("/nowhere", 7);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error(), "cannot write '/nowhere/events.out.tfevents.7.dscc': "
                          "No such file or directory");
}
