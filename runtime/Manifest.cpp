//===- Manifest.cpp - Reads the manifest ----------------------------------===//
#include "runtime/Manifest.h"
#include "runtime/ManifestParts.h"

#include <algorithm>
#include <cstring>

using namespace ds::runtime;
using Reader = ManifestReader;

static constexpr size_t headerBytes = 32;

const char *ds::runtime::elementName(Element element) {
  return element == Element::Bf16 ? "bf16" : "f32";
}

const char *ds::runtime::layoutName(Layout layout) {
  static const char *const names[] = {"raw", "vector_f32", "panel_bf16",
                                      "panel_f32", "panel_e4m3"};
  return names[static_cast<int>(layout)];
}

/// Puts `number` in the place of `mark`.
static std::string insertNumber(const std::string &label, const char *mark,
                                int64_t number) {
  size_t at = label.find(mark);
  if (at == std::string::npos)
    return label;
  return join(label.substr(0, at), number, label.substr(at + strlen(mark)));
}

std::string WeightPart::nameAt(int64_t layer, int64_t expert) const {
  return insertNumber(insertNumber(label, "{i}", layer), "{e}", expert);
}

int64_t StateSpec::pageBytes() const {
  return heads * (Manifest::pagePositions / stride) * roundUp(dims, 32) *
         elementBytes(element);
}

const Entry *Manifest::find(const std::string &name) const {
  auto found = entries.find(name);
  return found == entries.end() ? nullptr : &found->second;
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

Element ds::runtime::readElement(const Reader &reader) {
  return reader.choice<Element>(
      {{"bf16", Element::Bf16}, {"f32", Element::F32}});
}

Rows ds::runtime::readRows(const Reader &reader) {
  return reader.choice<Rows>(
      {{"T", Rows::Tokens},
       {"R", Rows::Outputs},
       {"P", Rows::Prompt},
       {"G", Rows::Generated},
       {"E", Rows::Expanded},
       {"C", Rows::Blocks},
       {"W", Rows::Window}});
}

LayerRange ds::runtime::readLayers(const Reader &reader) {
  std::vector<int64_t> range;
  reader.each([&](const Reader &item) { range.push_back(item.integer()); });
  if (range.size() != 2) {
    reader.expects("be [first, count]");
    return {};
  }
  return {range[0], range[1]};
}

void ds::runtime::checkId(const Reader &reader, size_t index) {
  Reader id = reader.at("id");
  if (id.integer() != static_cast<int64_t>(index))
    id.expects(join("be ", index, ", its place in the list"));
}

static Initializer readInitializer(const Reader &reader) {
  Initializer init;
  init.kind = reader.at("kind").choice<Initializer::Kind>(
      {{"normal", Initializer::Normal},
       {"ones", Initializer::Ones},
       {"zeros", Initializer::Zeros}});
  if (init.kind == Initializer::Normal)
    init.std = reader.at("std").number();
  return init;
}

/// Returns the rows of `weight` that its parts have together.
static int64_t countPartRows(const WeightSpec &weight) {
  int64_t rows = 0;
  for (const WeightPart &part : weight.parts)
    rows += part.rows;
  return rows;
}

/// Checks that groups of rows divide the rows of a weight's one part.
static void checkGroups(const Reader &reader, const WeightSpec &weight) {
  if (weight.rowGroups.empty())
    return;
  int64_t sum = 0;
  for (int64_t rows : weight.rowGroups)
    sum += rows;
  if (sum == 0 || weight.shape.size() != 2 || weight.parts.size() != 1 ||
      weight.shape[0] % sum != 0)
    reader.at("row_groups").expects("divide the rows of a weight of one part");
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
                                          {"panel_f32", Layout::PanelF32},
                                          {"panel_e4m3", Layout::PanelE4m3}});
  weight.element =
      reader.has("element") ? readElement(reader.at("element")) : compute;
  weight.paired = reader.has("paired") && reader.at("paired").boolean();
  if (reader.hasValue("layers"))
    weight.layers = readLayers(reader.at("layers"));
  if (reader.hasValue("stack"))
    weight.stack = reader.at("stack").integer(1, 1 << 20);
  if (reader.hasValue("row_groups"))
    reader.at("row_groups").each([&](const Reader &item) {
      weight.rowGroups.push_back(item.integer(1, 1 << 24));
    });
  if (reader.hasValue("init"))
    weight.init = readInitializer(reader.at("init"));
  weight.decay = !reader.has("decay") || reader.at("decay").boolean();
  weight.frozen = reader.has("frozen") && reader.at("frozen").boolean();
  if (reader.hasValue("balance_rate"))
    weight.balanceRate = reader.at("balance_rate").number();
  reader.at("parts").each([&](const Reader &part) {
    weight.parts.push_back(
        {part.at("label").string(), part.at("rows").integer(1)});
  });
  if (reader.hasValue("copies"))
    reader.at("copies").each(
        [&](const Reader &item) { weight.copies.push_back(item.string()); });
  if (!weight.copies.empty() &&
      (weight.parts.size() != 1 || weight.layers || weight.stack > 1))
    reader.at("copies").expects("be of a weight that is one tensor");
  bool vector = weight.layout == Layout::VectorF32;
  bool raw = weight.layout == Layout::Raw && weight.shape.size() == 1;
  size_t dims = reader.hasValue("stack") ? 3 : vector || raw ? 1 : 2;
  if (weight.shape.size() != dims ||
      (dims == 3 && weight.shape[0] != weight.stack))
    reader.at("shape").expects(dims == 3   ? "be matrices, as many as stack says"
                               : dims == 1 ? "have one dimension"
                                           : "have two dimensions");
  else if (countPartRows(weight) != weight.rows())
    reader.at("parts").expects(join("have ", weight.rows(), " rows in all"));
  checkGroups(reader, weight);
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
  if (reader.has("stride")) {
    state.stride = reader.at("stride").integer(1, Manifest::pagePositions / 2);
    if (Manifest::pagePositions / 2 % state.stride != 0)
      reader.at("stride").expects("divide 32");
  }
  state.element = readElement(reader.at("element"));
  state.view = reader.at("view").choice<View>(
      {{"key", View::Key}, {"value", View::Value}});
  return state;
}

static KernelSpec readKernel(const Reader &reader) {
  KernelSpec kernel;
  kernel.name = reader.at("name").string();
  kernel.family = reader.at("family").string();
  kernel.rows = readRows(reader.at("rows"));
  if (reader.has("times"))
    kernel.times = reader.at("times").integer(1, 1 << 16);
  reader.at("buckets").each([&](const Reader &item) {
    KernelBucket bucket;
    if (item.hasValue("max_rows"))
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
  if (reader.hasValue("eos_token_id"))
    reader.at("eos_token_id").each([&](const Reader &item) {
      config.endTokens.push_back(item.integer());
    });
  if (reader.hasValue("bos_token_id"))
    config.beginToken = reader.at("bos_token_id").integer();
  return config;
}

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
    int64_t stride = manifest.states.back().stride;
    if (stride > 1 && manifest.step.stride > 1 && stride != manifest.step.stride)
      item.at("stride").expects("be the same for all states");
    manifest.step.stride = std::max(manifest.step.stride, stride);
  });
  root.at("kernels").each([&](const Reader &item) {
    manifest.kernels.push_back(readKernel(item));
  });
}

/// Whether kernels of `program` see tokens by role.
static bool seesRoles(const std::vector<Statement> &program) {
  auto isRole = [](const Argument &argument) {
    auto view = static_cast<SeqView>(argument.index);
    return argument.kind == Argument::Sequences &&
           (view == SeqView::Prompt || view == SeqView::Generated ||
            view == SeqView::Expanded);
  };
  return std::any_of(program.begin(), program.end(), [&](const auto &each) {
    return std::any_of(each.arguments.begin(), each.arguments.end(), isRole) ||
           seesRoles(each.body);
  });
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
  if (problem.empty() && (format < 1 || format > formatVersion))
    return failure("expects the manifest of '", path, "' to have format ",
                   formatVersion, ", found ", format,
                   ": compile the model again");
  manifest.producer = root.at("producer").string();
  manifest.model = root.at("model").string();
  manifest.compute = root.at("compute").string();
  manifest.config = readConfig(root.at("config"));
  manifest.scratchBytes = root.at("scratch_bytes").integer();
  manifest.step.queryRows = root.at("query_rows").integer(1);
  for (auto [key, rows] :
       {std::pair("prompt_query_rows", &manifest.step.promptQueryRows),
        std::pair("generated_query_rows", &manifest.step.generatedQueryRows)})
    if (root.has(key))
      *rows = root.at(key).integer(1);
  if (root.has("ignored"))
    root.at("ignored").each([&](const Reader &item) {
      manifest.ignored.push_back(item.string());
    });
  readLists(root, manifest);
  if (problem.empty() && format == 1)
    manifest.entries["infer"] = readOldEntry(root, manifest);
  else if (problem.empty())
    readEntries(root.at("entries"), manifest);
  if (!problem.empty())
    return failure("the manifest of '", path, "' is wrong: ", problem);
  for (const auto &[name, entry] : manifest.entries)
    manifest.step.hasRoles |= seesRoles(entry.program);
  return manifest;
}
