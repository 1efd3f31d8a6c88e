//===- Quantise.cpp - A model folder with FP8 weights ---------------------===//
#include "runtime/Quantise.h"
#include "runtime/BlockScales.h"
#include "runtime/Pack.h"
#include "runtime/training/RunFolder.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <unistd.h>

using namespace ds::runtime;
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

static constexpr float largestCode = 448;
static constexpr uint64_t copyBytes = 8 << 20;
static constexpr const char *configKey = "quantization_config";

bool ds::runtime::isQuantised(const Tensor &tensor) {
  auto ends = [&](const std::string &end) {
    const std::string &name = tensor.name;
    return name.size() >= end.size() &&
           name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  if (tensor.shape.size() != 2 || ends(".weights_proj.weight") ||
      ends(".eh_proj.weight"))
    return false;
  return ends("_proj.weight") || ends("_proj_with_mqa.weight") ||
         ends(".indexer.wq_b.weight") || ends(".indexer.wk.weight");
}

namespace {
/// A tensor of the new folder.
struct Planned {
  const Tensor *from;
  std::string name, dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, bytes = 0; ///< In the new file.
};

/// A new file, with what is written to it.
class Output {
public:
  Output() = default;
  Output(const Output &) = delete;
  ~Output() {
    if (descriptor >= 0)
      close(descriptor);
  }
  Status create(const std::string &path);
  Status write(uint64_t offset, const void *data, uint64_t bytes) const;
  Status finish();

private:
  std::string path;
  int descriptor = -1;
};

/// Sums over the rows of a strip.
struct Sums {
  double difference = 0, size = 0, largest = 0;
};

class FolderQuantiser {
public:
  FolderQuantiser(const Checkpoint &checkpoint, std::string to,
                  ThreadPool &pool, const QuantiseReport &report,
                  const LoadProgress &progress)
      : checkpoint(checkpoint), to(std::move(to)), pool(pool), report(report),
        progress(progress) {}

  Status run();

private:
  std::vector<Planned> plan(size_t file) const;
  Status writeFile(size_t file);
  Status copy(const Planned &planned, const Output &output);
  Status quantise(const Planned &codes, const Planned &scales,
                  const Output &output);
  Status quantiseStrip(const Tensor &tensor, int64_t strip,
                       std::vector<uint8_t> &codes, float *scales,
                       Sums &sums) const;
  Status advance(uint64_t bytes);
  Status writeIndex() const;

  const Checkpoint &checkpoint;
  std::string to;
  ThreadPool &pool;
  const QuantiseReport &report;
  const LoadProgress &progress;
  uint64_t done = 0, total = 0;
  std::map<std::string, std::string> files; ///< By tensor of the new folder.
  uint64_t written = 0;
};
} // namespace

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

static Error writeError(const std::string &path) {
  return failure("cannot write '", path, "': ", strerror(errno));
}

Status Output::create(const std::string &name) {
  path = name;
  descriptor =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return writeError(path);
  return std::nullopt;
}

Status Output::write(uint64_t offset, const void *data, uint64_t bytes) const {
  const char *from = static_cast<const char *>(data);
  while (bytes > 0) {
    ssize_t put = pwrite(descriptor, from, bytes, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return writeError(path);
    from += put, offset += put, bytes -= put;
  }
  return std::nullopt;
}

Status Output::finish() {
  int synced = fsync(descriptor), closed = close(descriptor);
  descriptor = -1;
  if (synced != 0 || closed != 0)
    return writeError(path);
  return std::nullopt;
}

static uint64_t countElements(const std::vector<int64_t> &shape) {
  uint64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

/// Tensors of a file of the new folder, wide elements first, so that all are
/// aligned.
std::vector<Planned> FolderQuantiser::plan(size_t file) const {
  std::vector<Planned> plans;
  for (const auto &[name, tensor] : checkpoint.tensors()) {
    if (tensor.file != file)
      continue;
    if (!isQuantised(tensor)) {
      plans.push_back(
          {&tensor, name, tensor.dtype, tensor.shape, 0, tensor.bytes});
      continue;
    }
    std::vector<int64_t> blocks = {countScales(tensor.shape[0]),
                                   countScales(tensor.shape[1])};
    plans.push_back({&tensor, name, e4m3Type, tensor.shape, 0,
                     countElements(tensor.shape)});
    plans.push_back({&tensor, scaleName(name), "F32", blocks, 0,
                     countElements(blocks) * sizeof(float)});
  }
  auto width = [](const Planned &planned) {
    uint64_t count = countElements(planned.shape);
    return count ? planned.bytes / count : 0;
  };
  std::sort(plans.begin(), plans.end(),
            [&](const Planned &a, const Planned &b) {
              return std::make_pair(width(b), a.name) <
                     std::make_pair(width(a), b.name);
            });
  return plans;
}

Status FolderQuantiser::writeFile(size_t file) {
  std::vector<Planned> plans = plan(file);
  Json header = Json::object();
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t bytes = 0;
  for (Planned &planned : plans) {
    header[planned.name] = {{"dtype", planned.dtype},
                            {"shape", planned.shape},
                            {"data_offsets", {bytes, bytes + planned.bytes}}};
    planned.begin = bytes;
    bytes += planned.bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  std::string name = fs::path(checkpoint.allFiles()[file].path()).filename();
  Output output;
  if (Status error = output.create(to + "/" + name))
    return error;
  if (Status error = output.write(0, &length, sizeof(length)))
    return error;
  if (Status error = output.write(sizeof(length), text.data(), length))
    return error;
  written += bytes;
  std::map<std::string, const Planned *> byName;
  for (Planned &planned : plans) {
    planned.begin += sizeof(length) + length;
    byName[planned.name] = &planned;
    files[planned.name] = name;
  }
  for (const Planned &planned : plans) {
    Status error;
    if (planned.name == planned.from->name && planned.dtype == e4m3Type)
      error = quantise(planned, *byName.at(scaleName(planned.name)), output);
    else if (planned.name == planned.from->name)
      error = copy(planned, output);
    if (error)
      return error;
  }
  return output.finish();
}

Status FolderQuantiser::copy(const Planned &planned, const Output &output) {
  const Tensor &from = *planned.from;
  std::vector<char> buffer(std::min(copyBytes, from.bytes));
  for (uint64_t at = 0; at < from.bytes; at += copyBytes) {
    uint64_t count = std::min(copyBytes, from.bytes - at);
    Status error =
        checkpoint.file(from).read(from.begin + at, count, buffer.data());
    if (!error)
      error = output.write(planned.begin + at, buffer.data(), count);
    if (!error)
      error = advance(count);
    if (error)
      return error;
  }
  return std::nullopt;
}

Status FolderQuantiser::advance(uint64_t bytes) {
  done += bytes;
  if (progress &&
      !progress(static_cast<int64_t>(done), static_cast<int64_t>(total)))
    return failure("quantising was interrupted");
  return std::nullopt;
}

Status FolderQuantiser::writeIndex() const {
  if (!fileExists(checkpoint.path() + "/model.safetensors.index.json"))
    return std::nullopt;
  Json index;
  index["metadata"] = {{"total_size", written}};
  index["weight_map"] = files;
  return writeDurably(to + "/model.safetensors.index.json",
                      index.dump(2) + "\n");
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

/// Quantises columns [begin, end) of `rows` rows of `stride` values by one
/// scale, which it returns.
static float quantiseBlock(const float *values, int64_t rows, int64_t stride,
                           int64_t begin, int64_t end, uint8_t *codes,
                           Sums &sums) {
  float most = 0;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = row * stride + begin; i < row * stride + end; ++i)
      most = std::max(most, std::fabs(values[i]));
  float scale = most / largestCode;
  if (scale < std::numeric_limits<float>::min())
    scale = 1; // Zeros, or what f32 can't scale.
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = row * stride + begin; i < row * stride + end; ++i) {
      codes[i] = roundToE4m3(values[i] / scale);
      double difference = double(values[i]) - e4m3Value(codes[i]) * scale;
      sums.difference += difference * difference;
      sums.size += double(values[i]) * values[i];
      sums.largest = std::max(sums.largest, std::fabs(difference));
    }
  return scale;
}

/// Quantises a row of blocks.
Status FolderQuantiser::quantiseStrip(const Tensor &tensor, int64_t strip,
                                      std::vector<uint8_t> &codes,
                                      float *scales, Sums &sums) const {
  int64_t columns = tensor.shape[1], first = strip * scaleBlock;
  int64_t rows = std::min(scaleBlock, tensor.shape[0] - first);
  Source type = *parseSource(tensor.dtype);
  int64_t rowBytes = columns * sourceBytes(type);
  std::vector<char> source(rows * rowBytes);
  if (Status error = checkpoint.file(tensor).read(
          tensor.begin + first * rowBytes, source.size(), source.data()))
    return error;
  std::vector<float> values(rows * columns);
  convertToF32(type, source.data(), values.size(), values.data());
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      return failure("expects tensor '", tensor.name, "' to be finite, found ",
                     values[i], " at row ", first + int64_t(i) / columns,
                     ", column ", int64_t(i) % columns);
  codes.resize(values.size());
  for (int64_t begin = 0; begin < columns; begin += scaleBlock)
    *scales++ = quantiseBlock(values.data(), rows, columns, begin,
                              std::min(begin + scaleBlock, columns),
                              codes.data(), sums);
  return std::nullopt;
}

Status FolderQuantiser::quantise(const Planned &codes, const Planned &scales,
                                 const Output &output) {
  const Tensor &tensor = *codes.from;
  int64_t strips = scales.shape[0], across = scales.shape[1];
  std::vector<float> allScales(strips * across);
  std::vector<Sums> sums(strips);
  std::mutex mutex;
  Status error;
  std::atomic<bool> failed{false};
  pool.forEach(strips, [&](int64_t strip, int) {
    if (failed)
      return;
    std::vector<uint8_t> strips;
    Status status = quantiseStrip(
        tensor, strip, strips, allScales.data() + strip * across, sums[strip]);
    uint64_t at = strip * scaleBlock * tensor.shape[1];
    if (!status)
      status = output.write(codes.begin + at, strips.data(), strips.size());
    if (!status)
      return;
    std::lock_guard<std::mutex> lock(mutex);
    error = status;
    failed = true;
  });
  if (!error)
    error = output.write(scales.begin, allScales.data(), scales.bytes);
  if (error)
    return error;
  Sums all;
  for (const Sums &each : sums) {
    all.difference += each.difference, all.size += each.size;
    all.largest = std::max(all.largest, each.largest);
  }
  double relative = all.size > 0 ? std::sqrt(all.difference / all.size) : 0;
  report(tensor, {relative, all.largest});
  return advance(tensor.bytes);
}

//===----------------------------------------------------------------------===//
// Folders
//===----------------------------------------------------------------------===//

Status FolderQuantiser::run() {
  for (const auto &[name, tensor] : checkpoint.tensors())
    total += tensor.bytes;
  for (size_t file = 0; file < checkpoint.allFiles().size(); ++file)
    if (Status error = writeFile(file))
      return error;
  return writeIndex();
}

/// Checks that there is something to quantise, and that it can be.
static Status checkTensors(const Checkpoint &checkpoint) {
  bool any = false;
  for (const auto &[name, tensor] : checkpoint.tensors()) {
    if (tensor.dtype == e4m3Type)
      return failure("'", checkpoint.path(),
                     "' has FP8 weights already: "
                     "tensor '",
                     name, "' is of type ", tensor.dtype);
    if (!isQuantised(tensor))
      continue;
    any = true;
    if (!parseSource(tensor.dtype))
      return failure("expects tensor '", name, "' of '", checkpoint.path(),
                     "' to be of type BF16, F16 or F32, found ", tensor.dtype);
  }
  if (!any)
    return failure("'", checkpoint.path(),
                   "' has no weights to quantise: no "
                   "matrix has a name that ends in _proj.weight");
  return std::nullopt;
}

/// Adds to config.json that weights are FP8.
static Result<std::string> addQuantisation(const std::string &text) {
  Json config = Json::parse(text, nullptr, false);
  if (!config.is_object())
    return failure("config.json is not a JSON object");
  if (config.contains(configKey) && !config[configKey].is_null())
    return failure("config.json has a ", configKey, " already");
  config[configKey] = {{"activation_scheme", "dynamic"},
                       {"fmt", "e4m3"},
                       {"quant_method", "fp8"},
                       {"weight_block_size", {scaleBlock, scaleBlock}}};
  return config.dump(2) + "\n";
}

static Status fillFolder(const Checkpoint &checkpoint, const std::string &to,
                         ThreadPool &pool, const QuantiseReport &report,
                         const LoadProgress &progress) {
  if (!fileExists(checkpoint.path() + "/config.json"))
    return failure("'", checkpoint.path(), "' has no config.json");
  if (Status error = copyCompanions({checkpoint.path()}, to, addQuantisation))
    return error;
  return FolderQuantiser(checkpoint, to, pool, report, progress).run();
}

Status ds::runtime::quantiseFolder(const std::string &from,
                                   const std::string &to, ThreadPool &pool,
                                   const QuantiseReport &report,
                                   const LoadProgress &progress) {
  Result<Checkpoint> checkpoint = Checkpoint::open(from);
  if (!checkpoint)
    return checkpoint.takeError();
  if (Status error = checkTensors(*checkpoint))
    return error;
  std::string name = fs::path(to + "/").parent_path();
  if (fileExists(name))
    return failure("'", name, "' is there already");
  std::string temporary = name + ".tmp." + std::to_string(getpid());
  std::error_code code;
  fs::create_directory(temporary, code);
  if (code)
    return failure("cannot create '", temporary, "': ", code.message());
  Status error = fillFolder(*checkpoint, temporary, pool, report, progress);
  if (!error) {
    fs::rename(temporary, name, code);
    if (code)
      error = failure("cannot rename '", temporary, "': ", code.message());
  }
  if (error)
    fs::remove_all(temporary, code);
  return error;
}
