//===- Manifest.h - What an artifact says about itself --------------------===//
//
// The manifest of docs/artifact.md as data: weights, states, kernels, and the
// buffers and programs of entries. Reading checks that everything it refers to
// exists, so that what interprets programs need not.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_MANIFEST_H
#define DS_RUNTIME_MANIFEST_H

#include "runtime/Result.h"

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ds::runtime {

/// The type of an element in memory.
enum class Element { Bf16, F32 };

/// How a weight lies in memory.
enum class Layout { Raw, VectorF32, PanelBf16, PanelF32, PanelE4m3 };

/// How a state lies in memory.
enum class View { Key, Value };

/// What the rows of a buffer are: tokens, rows whose logits are wanted, tokens
/// of prompts, generated tokens, positions of sequences with prompt tokens,
/// tokens that are the last of a stride, or those of the window of wanted rows
/// that is at work.
enum class Rows { Tokens, Outputs, Prompt, Generated, Expanded, Blocks, Window };

/// How many rows of each kind a step has, but for windows.
using RowCounts = std::array<int64_t, 6>;

/// What a kernel sees of the sequences of a step: all, or a view.
enum class SeqView { Step, Prompt, Generated, Expanded, Blocks, Following };

/// Layers [first, first + count).
struct LayerRange {
  int64_t first = 0, count = 0;
};

/// A tensor of the checkpoint that makes up rows of a weight. `{i}` in the
/// label stands for the layer, `{e}` for the matrix of a stack.
struct WeightPart {
  std::string label;
  int64_t rows = 0;

  /// Returns the tensor's name for `layer` of the model and matrix `expert`.
  std::string nameAt(int64_t layer, int64_t expert = 0) const;
};

/// How a weight begins that is trained from scratch.
struct Initializer {
  enum Kind { Normal, Ones, Zeros } kind = Normal;
  double std = 0.02; // Of Normal, around 0.
};

/// A weight, one for the model or one for each layer of a range. A stack is
/// several matrices, which lie one after the other: `matrix` counts them through
/// all layers, from 0.
struct WeightSpec {
  std::string name;
  std::vector<int64_t> shape; // [N], [N, K] or [stack, N, K]
  Layout layout = Layout::Raw;
  Element element = Element::Bf16; // Of a raw weight.
  bool paired = false;
  int64_t stack = 1;
  std::vector<int64_t> rowGroups; // Runs of rows that are padded to 32 each.
  std::optional<LayerRange> layers;
  std::vector<WeightPart> parts;
  std::vector<std::string> copies; // Tensors that may hold it once more.
  std::optional<Initializer> init;
  bool decay = true;   // Weight decay applies to it.
  bool frozen = false; // It is not trained.
  // By which the loads of experts move it, a frozen vector.
  std::optional<double> balanceRate;

  int64_t layerCount() const { return layers ? layers->count : 1; }
  int64_t matrixCount() const { return layerCount() * stack; }
  int64_t rows() const { return shape[shape.size() == 3 ? 1 : 0]; }
  int64_t columns() const { return shape.size() > 1 ? shape.back() : 1; }
  /// Returns the name of `part`'s tensor of a matrix.
  std::string nameOf(size_t part, int64_t matrix) const {
    return parts[part].nameAt(matrix / stack + (layers ? layers->first : 0),
                              matrix % stack);
  }
};

/// What is kept for each token, or for the last of every `stride` tokens, in
/// pages of 64 positions.
struct StateSpec {
  std::string name;
  int64_t heads = 0, dims = 0, layers = 0, stride = 1;
  Element element = Element::Bf16;
  View view = View::Key;

  /// Returns the bytes of one page of one layer.
  int64_t pageBytes() const;
};

/// A number of bytes that is linear in the rows of a step, which are multiples
/// of 16.
struct LinearBytes {
  RowCounts per = {};
  int64_t constant = 0;
  int64_t at(const RowCounts &rows) const {
    int64_t bytes = constant;
    for (size_t i = 0; i < rows.size(); ++i)
      bytes += per[i] * rows[i];
    return bytes;
  }
};

/// A buffer of an entry's arena, or as many as `layers`, one after the other.
struct BufferSpec {
  std::string name;
  Rows rows = Rows::Tokens;
  int64_t rowBytes = 0;
  std::optional<Element> element; // None of integers.
  LinearBytes offset;
  int64_t layers = 1;
  int64_t stride = 0; // Bytes from layer to layer for each row of its kind.
};

/// Values that the caller of an entry gives for rows R, one for each row; or,
/// of the entry "draft", the hidden rows of the tokens.
struct RowInputSpec {
  std::string name;
  bool isInteger = false;         // i32,
  Element element = Element::F32; // or this.
};

/// A term of the loss: the sum over rows and layers of a buffer.
struct AuxiliarySpec {
  std::string name;
  int64_t buffer = 0;
};

/// A version of a kernel for launches of at most `maxRows` rows.
struct KernelBucket {
  std::optional<int64_t> maxRows;
  std::string symbol;
};

/// A kernel. `cost` is what the compiler's cost model says, or null.
struct KernelSpec {
  std::string name, family;
  Rows rows = Rows::Tokens;
  int64_t times = 1; // A launch has as many rows for each of `rows`.
  std::vector<KernelBucket> buckets;
  nlohmann::json cost;
};

/// An argument of a launch. Gradients, masters and moments are those of the
/// weight `index`; `order` is that of a moment, 1 or 2. Of sequences, `index`
/// is the SeqView.
struct Argument {
  enum Kind {
    Buffer,
    Weight,
    State,
    Sequences,
    Input,
    Gradient,
    Master,
    Moment,
    Hyper,
    Partials
  } kind = Sequences;
  int64_t index = 0;
  int64_t order = 0;
};

/// A value of the model's graph that a launch makes, in the buffer or state of
/// one of its arguments.
struct ValueSpec {
  int64_t argument = 0;
  std::string name, place;            // Place: "file.ds:12:3", or empty.
  int64_t experts = 0, picks = 0;     // Of a routing; else 0.
};

/// A launch; or a loop over layers, or over windows of rows R, around other
/// statements.
struct Statement {
  enum Kind { Launch, Layers, Windows } kind = Launch;
  // Of a launch.
  int64_t kernel = -1;
  std::vector<Argument> arguments;
  int64_t rows = 0; // dims[0] of the launch; 0: that of the step.
  // The weight of the router whose choice it weighs: its arguments are buffers
  // of scores, picks and weights.
  std::optional<int64_t> router;
  std::vector<ValueSpec> values; // What it makes, as far as that has a name.
  // Of a loop over layers.
  LayerRange layers;
  bool reverse = false;
  int64_t carry = -1;
  // Of a loop over windows: rows of one.
  int64_t window = 0;
  std::vector<Statement> body; // Of a loop.
};

/// A program with its memory.
struct Entry {
  LinearBytes arena;
  std::vector<BufferSpec> buffers;
  std::vector<RowInputSpec> inputs;
  std::vector<Statement> program;
  std::optional<int64_t> logits, finalHidden, loss, logProb; // Buffers.
  std::vector<AuxiliarySpec> auxiliary; // Terms of the loss of "train".
  bool allTargets = false; // Rows are all but the last of each sequence.
};

/// Facts about the model that the runtime needs; the rest of the manifest's
/// "config" is in `all`.
struct ModelConfig {
  int64_t vocabulary = 0, positions = 0, hidden = 0, layers = 0;
  std::vector<int64_t> endTokens;
  std::optional<int64_t> beginToken;
  nlohmann::json all;
};

/// How the sequences of a step are described to an artifact's kernels.
struct StepLayout {
  StepLayout(int64_t queryRows = 1, int64_t stride = 1)
      : queryRows(queryRows), stride(stride) {}

  int64_t queryRows; // Most rows of a query tile.
  int64_t promptQueryRows = 1, generatedQueryRows = 1; // In views of roles.
  int64_t stride;        // Tokens for each entry of states that keep entries.
  bool hasRoles = false; // The views of roles are needed.
};

/// The manifest of an artifact.
struct Manifest {
  static constexpr int64_t formatVersion = 2;
  static constexpr int64_t pagePositions = 64;

  std::string producer, model, compute;
  ModelConfig config;
  std::vector<std::string> variants;
  int64_t scratchBytes = 0;
  StepLayout step;
  std::vector<std::string> ignored; // How names of unread tensors begin.
  std::vector<WeightSpec> weights;
  std::vector<StateSpec> states;
  std::vector<KernelSpec> kernels;
  // "infer", "draft", "log_prob", "train", "update".
  std::map<std::string, Entry> entries;

  /// Reads the JSON text of a manifest. `path` is what errors call the file.
  static Result<Manifest> parse(std::string_view text, const std::string &path);

  /// Returns the entry `name`, or null.
  const Entry *find(const std::string &name) const;

  /// Returns the bytes that all states keep for a page, all layers together.
  int64_t statePageBytes() const;
};

/// Checks magic, length and hash of the section `.ds.manifest` and the size of
/// the file, `fileBytes`, and returns the JSON text.
Result<std::string_view> checkManifestSection(std::string_view section,
                                              uint64_t fileBytes,
                                              const std::string &path);

/// Returns the bytes of one element.
inline int64_t elementBytes(Element element) {
  return element == Element::Bf16 ? 2 : 4;
}

/// Returns "bf16" or "f32".
const char *elementName(Element element);

/// Returns the manifest's name of `layout`.
const char *layoutName(Layout layout);

/// Returns `value` rounded up to a multiple of `unit`.
inline int64_t roundUp(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

} // namespace ds::runtime

#endif // DS_RUNTIME_MANIFEST_H
