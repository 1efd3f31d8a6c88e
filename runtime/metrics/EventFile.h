//===- EventFile.h - Scalars in TensorBoard's format ----------------------===//
//
// A file of TFRecords: length (u64), its masked CRC-32C, data, its masked
// CRC-32C, little endian. Each record is a protocol buffer `tensorflow.Event`
// (wall_time = 1, step = 2, file_version = 3, summary = 5) whose summary has
// one value for each scalar (tag = 1, simple_value = 2).
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_METRICS_EVENTFILE_H
#define DS_RUNTIME_METRICS_EVENTFILE_H

#include "runtime/text/Result.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ds::metrics {

using text::Error;
using text::Result;
using text::Status;

/// CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected) of `bytes`.
uint32_t crc32c(std::string_view bytes);

/// The CRC as TFRecords store it: rotated right by 15 bits, plus a constant.
uint32_t maskedCrc32c(std::string_view bytes);

/// Writes an event file.
class EventFile {
public:
  /// Creates `folder/events.out.tfevents.TIME.dscc`, where `time` is seconds
  /// since 1970.
  static Result<EventFile> create(const std::string &folder, double time);

  /// Appends an event with these scalars and flushes it.
  Status write(double time, int64_t step,
               const std::vector<std::pair<std::string, double>> &scalars);

private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  Status writeRecord(const std::string &record);

  std::string path;
  std::unique_ptr<std::FILE, Close> file;
};

} // namespace ds::metrics

#endif // DS_RUNTIME_METRICS_EVENTFILE_H
