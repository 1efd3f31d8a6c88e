//===- Weights.cpp - Loads and packs weights ------------------------------===//
//
// A unit of work is a run of packed rows. Its source rows are read, not mapped,
// into a small buffer of the thread and packed from there: the source never
// adds to the memory of the process, and a file that shrinks meanwhile is an
// error, not a signal.
//
//===----------------------------------------------------------------------===//
#include "runtime/Weights.h"
#include "runtime/BlockScales.h"
#include "runtime/Pack.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

using namespace ds::runtime;

// Packed weights begin on a cache line; some kernels prefetch past the end.
static constexpr int64_t alignment = 64;
static constexpr int64_t unitBytes = 256 << 10;

namespace ds::runtime {
class WeightLoader {
public:
  WeightLoader(const Manifest &manifest, const Checkpoint &checkpoint,
               Weights &weights)
      : manifest(manifest), checkpoint(checkpoint), weights(weights) {}

  Status run(ThreadPool &pool, const LoadProgress &progress);

private:
  /// Packed rows [begin, end) of a matrix of a weight.
  struct Unit {
    int64_t weight, matrix, begin, end;
    uint64_t filePlace; // Orders units as their sources lie on disk.
  };
  /// Memory of one thread.
  struct Scratch {
    std::vector<char> source;
    std::vector<char> rows;
    std::vector<float> run;    // Scales of the source rows of a run,
    std::vector<float> scales; // and of `rows`, where these are codes.
  };

  const Tensor &tensor(const WeightSpec &weight, int64_t part,
                       int64_t matrix) const;
  bool canMap(const WeightSpec &weight) const;
  Status mapWeight(int64_t index);
  Status allocate();
  void addUnits(int64_t index);
  Status packUnit(const Unit &unit, Scratch &scratch);
  Status readRows(const Unit &unit, int64_t begin, int64_t end, Source type,
                  Scratch &scratch);
  Status readRun(const WeightSpec &weight, int64_t matrix, PackedRow source,
                 int64_t count, Source type, Scratch &scratch, char *to);
  void advance(int64_t bytes);

  const Manifest &manifest;
  const Checkpoint &checkpoint;
  Weights &weights;
  std::vector<Unit> units;
  int64_t total = 0;
  bool largePages = false;
  const LoadProgress *progress = nullptr;
  std::atomic<int64_t> done{0};
  std::atomic<bool> stopped{false};
  std::mutex mutex; // Guards `error` and calls of `progress`.
  Status error;
};
} // namespace ds::runtime

const Tensor &WeightLoader::tensor(const WeightSpec &weight, int64_t part,
                                   int64_t matrix) const {
  return checkpoint.tensors().at(weight.nameOf(part, matrix));
}

/// Tells whether `weight` can be used as it lies in the file.
bool WeightLoader::canMap(const WeightSpec &weight) const {
  if (weight.layout != Layout::Raw || weight.parts.size() != 1 ||
      weight.stack != 1)
    return false;
  const char *type = weight.element == Element::Bf16 ? "BF16" : "F32";
  for (int64_t matrix = 0; matrix < weight.matrixCount(); ++matrix) {
    const Tensor &source = tensor(weight, 0, matrix);
    if (source.dtype != type || source.begin % elementBytes(weight.element))
      return false;
  }
  return true;
}

Status WeightLoader::mapWeight(int64_t index) {
  const WeightSpec &weight = manifest.weights[index];
  for (int64_t matrix = 0; matrix < weight.matrixCount(); ++matrix) {
    const Tensor &source = tensor(weight, 0, matrix);
    Mapping &mapping = weights.files[source.file];
    if (!mapping.data()) {
      Result<Mapping> mapped = checkpoint.file(source).map();
      if (!mapped)
        return mapped.takeError();
      mapping = std::move(*mapped);
    }
    weights.addresses[index][matrix] = mapping.data() + source.begin;
    weights.mapped += static_cast<int64_t>(source.bytes);
  }
  return std::nullopt;
}

/// Lays out the packed weights, all of them in one piece of memory.
Status WeightLoader::allocate() {
  weights.files.resize(checkpoint.allFiles().size());
  std::vector<std::vector<int64_t>> offsets(manifest.weights.size());
  int64_t bytes = 0;
  for (size_t i = 0; i < manifest.weights.size(); ++i) {
    const WeightSpec &weight = manifest.weights[i];
    weights.addresses.emplace_back(weight.matrixCount());
    if (canMap(weight)) {
      if (Status failed = mapWeight(i))
        return failed;
      continue;
    }
    for (int64_t matrix = 0; matrix < weight.matrixCount(); ++matrix) {
      offsets[i].push_back(bytes);
      bytes += roundUp(packedBytes(weight), alignment);
    }
  }
  Result<Mapping> memory = Mapping::allocate(bytes);
  if (!memory)
    return memory.takeError();
  weights.memory = std::move(*memory);
  largePages = weights.memory.tryLargePages();
  for (size_t i = 0; i < offsets.size(); ++i) {
    for (size_t matrix = 0; matrix < offsets[i].size(); ++matrix)
      weights.addresses[i][matrix] =
          weights.memory.data() + offsets[i][matrix];
    if (!offsets[i].empty())
      addUnits(i);
  }
  return std::nullopt;
}

void WeightLoader::addUnits(int64_t index) {
  const WeightSpec &weight = manifest.weights[index];
  int64_t rows = packedRows(weight), rowBytes = weight.columns() * 4;
  int64_t step = std::max<int64_t>(32, unitBytes / rowBytes / 32 * 32);
  for (int64_t matrix = 0; matrix < weight.matrixCount(); ++matrix)
    for (int64_t begin = 0; begin < rows; begin += step) {
      int64_t end = std::min(begin + step, rows);
      PackedRow first = findSourceRow(weight, begin);
      const Tensor &source = tensor(weight, first.part, matrix);
      uint64_t place = (uint64_t(source.file) << 48) + source.begin +
                       source.bytes / source.shape[0] * first.row;
      units.push_back({index, matrix, begin, end, place});
      total += (end - begin) * rowBytes;
    }
}

/// Returns the type of the rows that are packed.
static Source packedType(const WeightSpec &weight) {
  if (weight.layout == Layout::PanelE4m3)
    return Source::E4m3;
  bool toBf16 =
      weight.layout == Layout::PanelBf16 ||
      (weight.layout == Layout::Raw && weight.element == Element::Bf16);
  return toBf16 ? Source::Bf16 : Source::F32;
}

/// Converts `count` rows of `columns` elements; `scales` are those of rows of
/// codes.
static void convertRows(Source from, const char *rows,
                        const std::vector<float> &scales, int64_t count,
                        int64_t columns, Source to, char *out) {
  auto *bf16 = reinterpret_cast<uint16_t *>(out);
  auto *f32 = reinterpret_cast<float *>(out);
  auto *codes = reinterpret_cast<const uint8_t *>(rows);
  if (from == Source::E4m3 && to == Source::Bf16)
    decodeE4m3(codes, scales.data(), count, columns, bf16);
  else if (from == Source::E4m3)
    decodeE4m3(codes, scales.data(), count, columns, f32);
  else if (to == Source::Bf16)
    convertToBf16(from, rows, count * columns, bf16);
  else
    convertToF32(from, rows, count * columns, f32);
}

/// Reads `count` rows of a part from `source` on to `to`, converted to `type`;
/// of codes, the scales to `scratch.run`.
Status WeightLoader::readRun(const WeightSpec &weight, int64_t matrix,
                             PackedRow source, int64_t count, Source type,
                             Scratch &scratch, char *to) {
  const Tensor &from = tensor(weight, source.part, matrix);
  Source found = *parseSource(from.dtype);
  int64_t rowBytes = weight.columns() * sourceBytes(found);
  size_t bytes = count * rowBytes;
  const File &file = checkpoint.file(from);
  if (found == Source::E4m3)
    if (Status failed =
            readScales(checkpoint, from, source.row, count, scratch.run))
      return failed;
  if (found != type && scratch.source.size() < bytes)
    scratch.source.resize(bytes);
  char *buffer = found == type ? to : scratch.source.data();
  if (Status failed =
          file.read(from.begin + source.row * rowBytes, bytes, buffer))
    return failed;
  if (found != type)
    convertRows(found, buffer, scratch.run, count, weight.columns(), type, to);
  return std::nullopt;
}

/// Reads packed rows [begin, end) to `scratch.rows`, row-major, and their
/// scales to `scratch.scales`; rows that come from nowhere are zero.
Status WeightLoader::readRows(const Unit &unit, int64_t begin, int64_t end,
                              Source type, Scratch &scratch) {
  const WeightSpec &weight = manifest.weights[unit.weight];
  int64_t rowBytes = weight.columns() * sourceBytes(type);
  int64_t rowScales = type == Source::E4m3 ? countScales(weight.columns()) : 0;
  if (scratch.rows.size() < size_t((end - begin) * rowBytes))
    scratch.rows.resize((end - begin) * rowBytes);
  scratch.scales.assign((end - begin) * rowScales, 0);
  for (int64_t row = begin, next; row < end; row = next) {
    PackedRow source = findSourceRow(weight, row);
    char *to = scratch.rows.data() + (row - begin) * rowBytes;
    for (next = row + 1; next < end; ++next) {
      PackedRow other = findSourceRow(weight, next);
      bool follows = source.part < 0 ? other.part < 0
                                     : other.part == source.part &&
                                           other.row == source.row + next - row;
      if (!follows)
        break;
    }
    if (source.part < 0) {
      memset(to, 0, (next - row) * rowBytes);
      continue;
    }
    if (Status failed =
            readRun(weight, unit.matrix, source, next - row, type, scratch, to))
      return failed;
    std::copy_n(scratch.run.begin(), (next - row) * rowScales,
                scratch.scales.begin() + (row - begin) * rowScales);
  }
  return std::nullopt;
}

/// Packs 32 rows of `type`, and scales of codes, to a row of blocks.
static void packPanel(Source type, const char *rows, const float *scales,
                      int64_t columns, char *to) {
  if (type == Source::E4m3)
    packPanelE4m3(reinterpret_cast<const uint8_t *>(rows), columns, scales,
                  columns, to);
  else if (type == Source::Bf16)
    packPanelBf16(reinterpret_cast<const uint16_t *>(rows), columns, columns,
                  reinterpret_cast<uint16_t *>(to));
  else
    packPanelF32(reinterpret_cast<const float *>(rows), columns, columns,
                 reinterpret_cast<float *>(to));
}

Status WeightLoader::packUnit(const Unit &unit, Scratch &scratch) {
  const WeightSpec &weight = manifest.weights[unit.weight];
  char *out = static_cast<char *>(weights.addresses[unit.weight][unit.matrix]);
  bool panel =
      weight.layout != Layout::Raw && weight.layout != Layout::VectorF32;
  Source type = packedType(weight);
  int64_t columns = weight.columns(), rowBytes = columns * sourceBytes(type);
  int64_t end = panel ? roundUp(unit.end, 32) : unit.end;
  if (Status failed = readRows(unit, unit.begin, end, type, scratch))
    return failed;
  const char *rows = scratch.rows.data();
  if (!panel) {
    memcpy(out + unit.begin * rowBytes, rows, (end - unit.begin) * rowBytes);
    return std::nullopt;
  }
  int64_t panels = roundUp(packedRows(weight), 32) / 32;
  int64_t panelBytes = packedBytes(weight) / panels;
  if (!largePages)
    weights.memory.touch(out + unit.begin / 32 * panelBytes,
                         (end - unit.begin) / 32 * panelBytes);
  int64_t rowScales = type == Source::E4m3 ? countScales(columns) : 0;
  for (int64_t row = unit.begin; row < end; row += 32) {
    int64_t at = row - unit.begin;
    packPanel(type, rows + at * rowBytes,
              scratch.scales.data() + at * rowScales, columns,
              out + row / 32 * panelBytes);
  }
  return std::nullopt;
}

void WeightLoader::advance(int64_t bytes) {
  int64_t now = done.fetch_add(bytes) + bytes;
  if (!*progress)
    return;
  std::lock_guard<std::mutex> lock(mutex);
  if (!(*progress)(now, total))
    stopped = true;
}

Status WeightLoader::run(ThreadPool &pool, const LoadProgress &report) {
  progress = &report;
  if (Status failed = allocate())
    return failed;
  std::sort(units.begin(), units.end(), [](const Unit &a, const Unit &b) {
    return a.filePlace < b.filePlace;
  });
  std::vector<Scratch> scratch(pool.threads());
  pool.forEach(units.size(), [&](int64_t index, int thread) {
    if (stopped)
      return;
    const Unit &unit = units[index];
    Status failed = packUnit(unit, scratch[thread]);
    if (!failed)
      return advance((unit.end - unit.begin) *
                     manifest.weights[unit.weight].columns() * 4);
    std::lock_guard<std::mutex> lock(mutex);
    error = failed;
    stopped = true;
  });
  if (!error && stopped)
    error = failure("loading was interrupted");
  return error;
}

Result<Weights> Weights::load(const Manifest &manifest, const std::string &path,
                              ThreadPool &pool, const LoadProgress &progress) {
  Result<Checkpoint> checkpoint = Checkpoint::open(path);
  if (!checkpoint)
    return checkpoint.takeError();
  if (Status error = checkWeights(manifest, *checkpoint))
    return *error;
  if (Status error = checkCopies(manifest, *checkpoint))
    return *error;
  Weights weights;
  WeightLoader loader(manifest, *checkpoint, weights);
  if (Status error = loader.run(pool, progress))
    return *error;
  weights.noteStacks(manifest);
  return weights;
}

void Weights::noteStacks(const Manifest &manifest) {
  for (const WeightSpec &weight : manifest.weights)
    stacks.push_back(weight.stack);
}

Result<Weights> Weights::allocate(const Manifest &manifest) {
  Weights weights;
  std::vector<std::vector<int64_t>> offsets(manifest.weights.size());
  int64_t bytes = 0;
  for (size_t i = 0; i < manifest.weights.size(); ++i)
    for (int64_t matrix = 0; matrix < manifest.weights[i].matrixCount(); ++matrix) {
      offsets[i].push_back(bytes);
      bytes += roundUp(runtime::packedBytes(manifest.weights[i]), alignment);
    }
  Result<Mapping> memory = Mapping::allocate(bytes);
  if (!memory)
    return memory.takeError();
  weights.memory = std::move(*memory);
  weights.noteStacks(manifest);
  for (const std::vector<int64_t> &layers : offsets) {
    weights.addresses.emplace_back();
    for (int64_t offset : layers)
      weights.addresses.back().push_back(weights.memory.data() + offset);
  }
  return weights;
}
