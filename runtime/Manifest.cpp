//===- Manifest.cpp - Reads the manifest ----------------------------------===//
#include "runtime/Manifest.h"
#include "runtime/ManifestReader.h"

#include <cstring>

using namespace ds::runtime;
using Reader = ManifestReader;

static constexpr size_t headerBytes = 32;

const char *ds::runtime::elementName(Element element) {
  return element == Element::Bf16 ? "bf16" : "f32";
}

const char *ds::runtime::layoutName(Layout layout) {
  static const char *const names[] = {"raw", "vector_f32", "panel_bf16",
                                      "panel_f32"};
  return names[static_cast<int>(layout)];
}

std::string WeightPart::nameAt(int64_t layer) const {
  size_t at = label.find("{i}");
  if (at == std::string::npos)
    return label;
  return join(label.substr(0, at), layer, label.substr(at + 3));
}

int64_t StateSpec::pageBytes() const {
  return heads * Manifest::pagePositions * roundUp(dims, 32) *
         elementBytes(element);
}

int64_t Manifest::statePageBytes() const {
  int64_t bytes = 0;
  for (const StateSpec &state : states)
    bytes += state.layers * state.pageBytes();
  return bytes;
}

/// FNV-1a of 64 bits.
static uint64_t hashBytes(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char byte : bytes)
    hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

static uint64_t readWord(std::string_view bytes, size_t offset) {
  uint64_t word;
  memcpy(&word, bytes.data() + offset, sizeof(word));
  return word;
}

Result<std::string_view>
ds::runtime::checkManifestSection(std::string_view section, uint64_t fileBytes,
                                  const std::string &path) {
  if (section.size() < headerBytes || section.substr(0, 8) != "DSMANIF1")
    return failure("expects the manifest of '", path,
                   "' to begin with DSMANIF1");
  uint64_t length = readWord(section, 8), size = readWord(section, 24);
  if (size != 0 && size != fileBytes)
    return failure("expects '", path, "' to have ", size, " bytes, found ",
                   fileBytes, fileBytes < size ? ": it is truncated" : "");
  if (length > section.size() - headerBytes)
    return failure("expects the manifest of '", path, "' to have ", length,
                   " bytes, found ", section.size() - headerBytes);
  std::string_view text = section.substr(headerBytes, length);
  if (hashBytes(text) != readWord(section, 16))
    return failure("the manifest of '", path,
                   "' is damaged: its hash does not fit its text");
  return text;
}

/// Tells whether there is a member `key` that is not null.
static bool hasValue(const Reader &reader, const char *key) {
  return reader.has(key) && !reader.at(key).value().is_null();
}

static Element readElement(const Reader &reader) {
  return reader.choice<Element>(
      {{"bf16", Element::Bf16}, {"f32", Element::F32}});
}

static Rows readRows(const Reader &reader) {
  return reader.choice<Rows>({{"T", Rows::Tokens}, {"R", Rows::Outputs}});
}

static LinearBytes readBytes(const Reader &reader) {
  return {reader.at("T").integer(), reader.at("R").integer(),
          reader.at("const").integer()};
}

static LayerRange readLayers(const Reader &reader) {
  std::vector<int64_t> range;
  reader.each([&](const Reader &item) { range.push_back(item.integer()); });
  if (range.size() != 2) {
    reader.expects("be [first, count]");
    return {};
  }
  return {range[0], range[1]};
}

/// Checks that an entry's "id" is its index.
static void checkId(const Reader &reader, size_t index) {
  Reader id = reader.at("id");
  if (id.integer() != static_cast<int64_t>(index))
    id.expects(join("be ", index, ", its place in the list"));
}

/// Returns the rows of `weight` that its parts have together.
static int64_t countPartRows(const WeightSpec &weight) {
  int64_t rows = 0;
  for (const WeightPart &part : weight.parts)
    rows += part.rows;
  return rows;
}

static WeightSpec readWeight(const Reader &reader, size_t index,
                             Element compute) {
  WeightSpec weight;
  checkId(reader, index);
  weight.name = reader.at("name").string();
  reader.at("shape").each(
      [&](const Reader &item) { weight.shape.push_back(item.integer(1)); });
  weight.layout =
      reader.at("layout").choice<Layout>({{"raw", Layout::Raw},
                                          {"vector_f32", Layout::VectorF32},
                                          {"panel_bf16", Layout::PanelBf16},
                                          {"panel_f32", Layout::PanelF32}});
  weight.element =
      reader.has("element") ? readElement(reader.at("element")) : compute;
  weight.paired = reader.has("paired") && reader.at("paired").boolean();
  if (hasValue(reader, "layers"))
    weight.layers = readLayers(reader.at("layers"));
  reader.at("parts").each([&](const Reader &part) {
    weight.parts.push_back(
        {part.at("label").string(), part.at("rows").integer(1)});
  });
  bool vector = weight.layout == Layout::VectorF32;
  bool raw = weight.layout == Layout::Raw && weight.shape.size() == 1;
  if (weight.shape.size() != (vector || raw ? 1 : 2))
    reader.at("shape").expects(vector ? "have one dimension"
                                      : "have two dimensions");
  else if (countPartRows(weight) != weight.shape[0])
    reader.at("parts").expects(join("have ", weight.shape[0], " rows in all"));
  if (weight.paired && (weight.parts.size() != 2 ||
                        weight.parts[0].rows != weight.parts[1].rows))
    reader.at("parts").expects("be two parts of equal rows to be paired");
  return weight;
}

static StateSpec readState(const Reader &reader, size_t index) {
  StateSpec state;
  checkId(reader, index);
  state.name = reader.at("name").string();
  state.heads = reader.at("heads").integer(1, 1 << 20);
  state.dims = reader.at("dims").integer(1, 1 << 20);
  state.layers = reader.at("layers").integer(1, 1 << 20);
  state.element = readElement(reader.at("element"));
  state.view = reader.at("view").choice<View>(
      {{"key", View::Key}, {"value", View::Value}});
  return state;
}

static BufferSpec readBuffer(const Reader &reader, size_t index) {
  BufferSpec buffer;
  checkId(reader, index);
  buffer.name = reader.at("name").string();
  buffer.rows = readRows(reader.at("rows"));
  buffer.rowBytes = reader.at("row_bytes").integer(1);
  if (reader.has("element"))
    buffer.element = readElement(reader.at("element"));
  buffer.offset = readBytes(reader.at("offset"));
  return buffer;
}

static KernelSpec readKernel(const Reader &reader) {
  KernelSpec kernel;
  kernel.name = reader.at("name").string();
  kernel.family = reader.at("family").string();
  kernel.rows = readRows(reader.at("rows"));
  reader.at("buckets").each([&](const Reader &item) {
    KernelBucket bucket;
    if (hasValue(item, "max_rows"))
      bucket.maxRows = item.at("max_rows").integer(1);
    bucket.symbol = item.at("symbol").string();
    kernel.buckets.push_back(std::move(bucket));
  });
  if (kernel.buckets.empty() || kernel.buckets.back().maxRows)
    reader.at("buckets").expects("end in one without max_rows");
  if (reader.has("cost"))
    kernel.cost = reader.at("cost").value();
  return kernel;
}

static ModelConfig readConfig(const Reader &reader) {
  ModelConfig config;
  config.all = reader.value();
  config.vocabulary = reader.at("vocab_size").integer(1, INT32_MAX);
  config.positions = reader.at("max_position_embeddings").integer(1, INT32_MAX);
  config.hidden = reader.at("hidden_size").integer(1);
  config.layers = reader.at("num_hidden_layers").integer(0);
  if (hasValue(reader, "eos_token_id"))
    reader.at("eos_token_id").each([&](const Reader &item) {
      config.endTokens.push_back(item.integer());
    });
  if (hasValue(reader, "bos_token_id"))
    config.beginToken = reader.at("bos_token_id").integer();
  return config;
}

/// Reads an index that has to be below `count`.
static int64_t readIndex(const Reader &reader, size_t count) {
  if (count == 0) {
    reader.expects("refer to something that exists");
    return 0;
  }
  return reader.integer(0, static_cast<int64_t>(count) - 1);
}

namespace {
/// Reads the program; `layers` is set within a loop.
class ProgramReader {
public:
  explicit ProgramReader(const Manifest &manifest) : manifest(manifest) {}

  std::vector<Statement> read(const Reader &reader, const LayerRange *layers) {
    std::vector<Statement> program;
    reader.each([&](const Reader &item) {
      program.push_back(item.has("kernel") ? readLaunch(item, layers)
                                           : readLoop(item, layers));
    });
    return program;
  }

private:
  Statement readLaunch(const Reader &reader, const LayerRange *layers) {
    Statement launch;
    launch.kernel = readIndex(reader.at("kernel"), manifest.kernels.size());
    reader.at("args").each([&](const Reader &item) {
      launch.arguments.push_back(readArgument(item, layers));
    });
    return launch;
  }

  Statement readLoop(const Reader &reader, const LayerRange *outer) {
    Statement loop;
    loop.layers = readLayers(reader.at("layers"));
    if (outer)
      reader.expects("be a launch: loops do not nest");
    if (reader.has("carry"))
      loop.carry = readIndex(reader.at("carry"), manifest.buffers.size());
    if (!reader.failed())
      loop.body = read(reader.at("program"), &loop.layers);
    return loop;
  }

  Argument readArgument(const Reader &reader, const LayerRange *layers) {
    if (reader.has("buffer"))
      return {Argument::Buffer,
              readIndex(reader.at("buffer"), manifest.buffers.size())};
    if (reader.has("weight"))
      return {Argument::Weight, readWeightIndex(reader.at("weight"), layers)};
    if (reader.has("state"))
      return {Argument::State, readStateIndex(reader.at("state"), layers)};
    if (!reader.has("seq"))
      reader.expects("have a key buffer, weight, state or seq");
    return {};
  }

  int64_t readWeightIndex(const Reader &reader, const LayerRange *layers) {
    int64_t index = readIndex(reader, manifest.weights.size());
    if (reader.failed() || !manifest.weights[index].layers)
      return index;
    const LayerRange &range = *manifest.weights[index].layers;
    if (!layers || layers->first < range.first ||
        layers->first + layers->count > range.first + range.count)
      reader.expects("have the layers that the program runs");
    return index;
  }

  int64_t readStateIndex(const Reader &reader, const LayerRange *layers) {
    int64_t index = readIndex(reader, manifest.states.size());
    if (!reader.failed() &&
        manifest.states[index].layers < (layers ? layers->count : 1))
      reader.expects("have the layers that the program runs");
    return index;
  }

  const Manifest &manifest;
};
} // namespace

static void readLists(const Reader &root, Manifest &manifest) {
  Element compute = readElement(root.at("compute"));
  root.at("variants").each([&](const Reader &item) {
    manifest.variants.push_back(item.string());
  });
  root.at("weights").each([&](const Reader &item) {
    manifest.weights.push_back(
        readWeight(item, manifest.weights.size(), compute));
  });
  root.at("states").each([&](const Reader &item) {
    manifest.states.push_back(readState(item, manifest.states.size()));
  });
  root.at("buffers").each([&](const Reader &item) {
    manifest.buffers.push_back(readBuffer(item, manifest.buffers.size()));
  });
  root.at("kernels").each([&](const Reader &item) {
    manifest.kernels.push_back(readKernel(item));
  });
}

static void readEntry(const Reader &entry, Manifest &manifest) {
  manifest.program = ProgramReader(manifest).read(entry.at("program"), nullptr);
  manifest.logits = readIndex(entry.at("logits"), manifest.buffers.size());
  if (hasValue(entry, "hidden_final"))
    manifest.finalHidden =
        readIndex(entry.at("hidden_final"), manifest.buffers.size());
  if (entry.failed())
    return;
  const BufferSpec &logits = manifest.buffers[manifest.logits];
  if (logits.rows != Rows::Outputs ||
      logits.rowBytes < manifest.config.vocabulary * 4)
    entry.at("logits").expects("be a buffer of R rows of f32 logits");
}

Result<Manifest> Manifest::parse(std::string_view text,
                                 const std::string &path) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object())
    return failure("the manifest of '", path, "' is not a JSON object");
  std::string problem;
  Reader root(json, problem);
  Manifest manifest;
  int64_t format = root.at("format").integer();
  if (problem.empty() && format != formatVersion)
    return failure("expects the manifest of '", path, "' to have format ",
                   formatVersion, ", found ", format,
                   ": compile the model again");
  manifest.producer = root.at("producer").string();
  manifest.model = root.at("model").string();
  manifest.compute = root.at("compute").string();
  manifest.config = readConfig(root.at("config"));
  manifest.scratchBytes = root.at("scratch_bytes").integer();
  manifest.queryRows = root.at("query_rows").integer(1);
  manifest.arena = readBytes(root.at("arena"));
  readLists(root, manifest);
  if (problem.empty())
    readEntry(root.at("entry"), manifest);
  if (!problem.empty())
    return failure("the manifest of '", path, "' is wrong: ", problem);
  return manifest;
}
