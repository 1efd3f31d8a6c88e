//===- ManifestEntry.cpp - Reads the entries of the manifest --------------===//
#include "runtime/ManifestParts.h"

using namespace ds::runtime;
using Reader = ManifestReader;

static LinearBytes readBytes(const Reader &reader) {
  LinearBytes bytes;
  bytes.per[0] = reader.at("T").integer();
  bytes.per[1] = reader.at("R").integer();
  for (auto [name, kind] : {std::pair("P", Rows::Prompt),
                            std::pair("G", Rows::Generated),
                            std::pair("E", Rows::Expanded),
                            std::pair("C", Rows::Blocks)})
    if (reader.has(name))
      bytes.per[static_cast<size_t>(kind)] = reader.at(name).integer();
  bytes.constant = reader.at("const").integer();
  return bytes;
}

static BufferSpec readBuffer(const Reader &reader, size_t index) {
  BufferSpec buffer;
  checkId(reader, index);
  buffer.name = reader.at("name").string();
  buffer.rows = readRows(reader.at("rows"));
  buffer.rowBytes = reader.at("row_bytes").integer(1);
  if (reader.has("element") && reader.at("element").value() != "i32")
    buffer.element = readElement(reader.at("element"));
  buffer.offset = readBytes(reader.at("offset"));
  if (reader.has("layers")) {
    buffer.layers = reader.at("layers").integer(1, 1 << 20);
    buffer.stride =
        reader.at("stride").at(reader.at("rows").string().c_str()).integer();
  }
  return buffer;
}

static RowInputSpec readInput(const Reader &reader) {
  RowInputSpec input;
  input.name = reader.at("name").string();
  input.isInteger = reader.at("element").value() == "i32";
  if (!input.isInteger)
    input.element =
        reader.at("element").choice<Element>({{"i32", Element::F32},
                                              {"f32", Element::F32},
                                              {"bf16", Element::Bf16}});
  return input;
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
/// Reads the program of an entry.
class ProgramReader {
public:
  ProgramReader(const Manifest &manifest, const Entry &entry)
      : manifest(manifest), entry(entry) {}

  std::vector<Statement> read(const Reader &reader) {
    std::vector<Statement> program;
    reader.each([&](const Reader &item) {
      if (item.has("kernel"))
        program.push_back(readLaunch(item));
      else if (layers || inWindow)
        item.expects("be a launch: loops do not nest");
      else if (item.has("window"))
        program.push_back(readWindows(item));
      else
        program.push_back(readLoop(item));
    });
    return program;
  }

private:
  Statement readLaunch(const Reader &reader) {
    Statement launch;
    launch.kernel = readIndex(reader.at("kernel"), manifest.kernels.size());
    if (reader.has("rows"))
      launch.rows = reader.at("rows").integer(1);
    reader.at("args").each([&](const Reader &item) {
      launch.arguments.push_back(readArgument(item));
    });
    if (reader.has("router"))
      launch.router = readRouter(reader.at("router"), launch);
    if (reader.has("values"))
      reader.at("values").each([&](const Reader &item) {
        launch.values.push_back(readValue(item, launch));
      });
    return launch;
  }

  ValueSpec readValue(const Reader &reader, const Statement &launch) {
    ValueSpec value;
    value.argument = readIndex(reader.at("arg"), launch.arguments.size());
    value.name = reader.at("name").string();
    value.place = reader.at("at").string();
    std::vector<int64_t> sizes;
    if (reader.has("routing"))
      reader.at("routing").each([&](const Reader &item) {
        sizes.push_back(item.integer(1, 1 << 20));
      });
    if (sizes.size() == 2)
      value.experts = sizes[0], value.picks = sizes[1];
    if (reader.failed())
      return value;
    const Argument &argument = launch.arguments[value.argument];
    bool isState = argument.kind == Argument::State;
    if (inWindow || (argument.kind != Argument::Buffer && !isState))
      reader.expects("be an argument in a buffer or state, outside of windows");
    return value;
  }

  int64_t readRouter(const Reader &reader, const Statement &launch) {
    int64_t weight = readWeightIndex(reader);
    if (reader.failed())
      return weight;
    const std::vector<Argument> &arguments = launch.arguments;
    bool isRouter = arguments.size() == 3 && !inWindow &&
                    manifest.weights[weight].parts.size() == 1;
    for (const Argument &argument : arguments)
      isRouter = isRouter && argument.kind == Argument::Buffer &&
                 entry.buffers[argument.index].rows == Rows::Tokens;
    if (!isRouter)
      reader.expects("be a weight of one part, of a launch whose arguments are "
                     "scores, picks and weights in buffers of T rows");
    return weight;
  }

  Statement readLoop(const Reader &reader) {
    Statement loop;
    loop.kind = Statement::Layers;
    loop.layers = readLayers(reader.at("layers"));
    if (reader.has("carry"))
      loop.carry = readIndex(reader.at("carry"), entry.buffers.size());
    loop.reverse = reader.has("reverse") && reader.at("reverse").boolean();
    layers = &loop.layers;
    if (!reader.failed())
      loop.body = read(reader.at("program"));
    layers = nullptr;
    return loop;
  }

  Statement readWindows(const Reader &reader) {
    Statement loop;
    loop.kind = Statement::Windows;
    // Arrays of R rows stay aligned where a window begins.
    loop.window = reader.at("window").integer(16, 1 << 20);
    if (loop.window % 16 != 0)
      reader.at("window").expects("be a multiple of 16");
    inWindow = true;
    if (!reader.failed())
      loop.body = read(reader.at("program"));
    inWindow = false;
    return loop;
  }

  Argument readArgument(const Reader &reader) {
    if (reader.has("buffer"))
      return {Argument::Buffer, readBufferIndex(reader.at("buffer"))};
    if (reader.has("weight"))
      return {Argument::Weight, readWeightIndex(reader.at("weight"))};
    if (reader.has("state"))
      return {Argument::State, readStateIndex(reader.at("state"))};
    if (reader.has("input"))
      return {Argument::Input,
              readIndex(reader.at("input"), entry.inputs.size())};
    if (reader.has("gradient"))
      return {Argument::Gradient, readTrainedIndex(reader.at("gradient"))};
    if (reader.has("master"))
      return {Argument::Master, readTrainedIndex(reader.at("master"))};
    if (reader.has("moment"))
      return {Argument::Moment, readTrainedIndex(reader.at("moment")),
              reader.at("order").integer(1, 2)};
    if (reader.has("hyper"))
      return {Argument::Hyper};
    if (reader.has("partials"))
      return {Argument::Partials};
    if (!reader.has("seq"))
      reader.expects("have a key buffer, weight, state, seq, input, gradient, "
                     "master, moment, hyper or partials");
    return {Argument::Sequences, readView(reader)};
  }

  static int64_t readView(const Reader &reader) {
    if (!reader.has("seq") || reader.at("seq").value().is_boolean())
      return 0;
    return static_cast<int64_t>(
        reader.at("seq").choice<SeqView>({{"prompt", SeqView::Prompt},
                                          {"generated", SeqView::Generated},
                                          {"expanded", SeqView::Expanded},
                                          {"blocks", SeqView::Blocks},
                                          {"following", SeqView::Following}}));
  }

  int64_t readBufferIndex(const Reader &reader) {
    int64_t index = readIndex(reader, entry.buffers.size());
    if (reader.failed())
      return index;
    const BufferSpec &buffer = entry.buffers[index];
    if (buffer.layers > 1 && (!layers || layers->count > buffer.layers))
      reader.expects("have the layers that the program runs");
    if (buffer.rows == Rows::Window && !inWindow)
      reader.expects("be used in windows only");
    return index;
  }

  int64_t readWeightIndex(const Reader &reader) {
    int64_t index = readIndex(reader, manifest.weights.size());
    if (reader.failed() || !manifest.weights[index].layers)
      return index;
    const LayerRange &range = *manifest.weights[index].layers;
    if (!layers || layers->first < range.first ||
        layers->first + layers->count > range.first + range.count)
      reader.expects("have the layers that the program runs");
    return index;
  }

  int64_t readTrainedIndex(const Reader &reader) {
    int64_t index = readWeightIndex(reader);
    if (!reader.failed() && manifest.weights[index].frozen &&
        !manifest.weights[index].balanceRate)
      reader.expects("be a weight that is not frozen");
    return index;
  }

  int64_t readStateIndex(const Reader &reader) {
    int64_t index = readIndex(reader, manifest.states.size());
    if (!reader.failed() &&
        manifest.states[index].layers < (layers ? layers->count : 1))
      reader.expects("have the layers that the program runs");
    return index;
  }

  const Manifest &manifest;
  const Entry &entry;
  const LayerRange *layers = nullptr; // Of the loop at hand.
  bool inWindow = false;
};
} // namespace

/// Reads the optional index of an entry's buffer.
static std::optional<int64_t> readResult(const Reader &reader, const char *key,
                                         const Entry &entry) {
  if (!reader.hasValue(key))
    return std::nullopt;
  return readIndex(reader.at(key), entry.buffers.size());
}

/// Reads a term of the loss, a buffer of T rows of f32.
static AuxiliarySpec readTerm(const Reader &reader, const Entry &entry) {
  AuxiliarySpec term;
  term.name = reader.at("name").string();
  term.buffer = readIndex(reader.at("buffer"), entry.buffers.size());
  if (reader.failed())
    return term;
  const BufferSpec &buffer = entry.buffers[term.buffer];
  if (buffer.rows != Rows::Tokens || buffer.rowBytes != 4 ||
      buffer.element != Element::F32)
    reader.at("buffer").expects("be a buffer of T rows of one f32");
  return term;
}

/// Checks that the result `key` is a buffer of R rows of at least `columns`
/// f32.
static void checkRows(const Reader &reader, const char *key, const Entry &entry,
                      std::optional<int64_t> result, int64_t columns,
                      const char *what) {
  if (reader.failed() || !result)
    return;
  const BufferSpec &buffer = entry.buffers[*result];
  if (buffer.rows != Rows::Outputs || buffer.rowBytes < columns * 4)
    reader.at(key).expects(join("be a buffer of R rows of f32", what));
}

/// Reads the program and results of an entry whose buffers are there.
static void readProgram(const Reader &reader, const Manifest &manifest,
                        Entry &entry) {
  entry.program = ProgramReader(manifest, entry).read(reader.at("program"));
  entry.logits = readResult(reader, "logits", entry);
  entry.finalHidden = readResult(reader, "hidden_final", entry);
  entry.loss = readResult(reader, "loss", entry);
  entry.logProb = readResult(reader, "log_prob", entry);
  if (reader.has("auxiliary"))
    reader.at("auxiliary").each([&](const Reader &item) {
      entry.auxiliary.push_back(readTerm(item, entry));
    });
  checkRows(reader, "logits", entry, entry.logits, manifest.config.vocabulary,
            " logits");
  checkRows(reader, "loss", entry, entry.loss, 1, "");
  checkRows(reader, "log_prob", entry, entry.logProb, 1, "");
}

static void readMemory(const Reader &reader, Entry &entry) {
  entry.arena = readBytes(reader.at("arena"));
  reader.at("buffers").each([&](const Reader &item) {
    entry.buffers.push_back(readBuffer(item, entry.buffers.size()));
  });
}

/// Checks that a draft takes hidden rows as `infer` and itself leave them.
static void readDraft(const Reader &reader, const Manifest &manifest,
                      const Entry &draft) {
  reader.at("logits");
  reader.at("hidden_final");
  const Entry *infer = manifest.find("infer");
  if (reader.failed())
    return;
  auto isHidden = [&](const Entry *entry) {
    if (!entry || !entry->finalHidden)
      return false;
    const BufferSpec &rows = entry->buffers[*entry->finalHidden];
    Element element = draft.inputs[0].element;
    return rows.rows == Rows::Tokens &&
           rows.rowBytes == manifest.config.hidden * elementBytes(element);
  };
  bool fits = draft.inputs.size() == 1 && draft.inputs[0].name == "hidden" &&
              !draft.inputs[0].isInteger && isHidden(&draft);
  if (!fits)
    reader.expects("take hidden rows and leave them in rows of T");
  else if (!isHidden(infer))
    reader.expects("take hidden rows as the entry infer leaves them");
}

void ds::runtime::readEntries(const Reader &reader, Manifest &manifest) {
  reader.members([&](const std::string &name, const Reader &item) {
    Entry &entry = manifest.entries[name];
    readMemory(item, entry);
    if (item.has("inputs"))
      item.at("inputs").each([&](const Reader &input) {
        entry.inputs.push_back(readInput(input));
      });
    readProgram(item, manifest, entry);
    entry.allTargets =
        item.has("all_targets") && item.at("all_targets").boolean();
    if (name == "infer")
      item.at("logits");
    if (name == "train") {
      item.at("loss");
      item.at("log_prob");
    }
  });
  auto draft = manifest.entries.find("draft");
  if (draft != manifest.entries.end())
    readDraft(reader.at("draft"), manifest, draft->second);
}

Entry ds::runtime::readOldEntry(const Reader &root, const Manifest &manifest) {
  Entry entry;
  readMemory(root, entry);
  Reader reader = root.at("entry");
  readProgram(reader, manifest, entry);
  reader.at("logits");
  return entry;
}
