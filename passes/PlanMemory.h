//===- PlanMemory.h - Where the tensors of a step live ----------*- C++ -*-===//
//
// The program of a step, flattened: launches and runs of layers, with a buffer
// for every tensor. Offsets are linear in T and R (docs/artifact.md), so the
// peak of any step is a formula.
//
//===----------------------------------------------------------------------===//
#ifndef DS_PASSES_PLANMEMORY_H
#define DS_PASSES_PLANMEMORY_H
#include "dialect/Dialect.h"
#include <memory>

namespace ds {

/// Bytes at the end of the arena that no buffer has.
constexpr int64_t kArenaPadding = 64;

/// Rows of a window: steps that need many rows of something wide, such as
/// logits in training, run it for this many rows at a time.
constexpr int64_t kWindowRows = 256;

/// How many rows a buffer has.
enum class BufferRows {
  Tokens,    ///< T, tokens of the step.
  Outputs,   ///< R, rows whose logits are asked for.
  Prompt,    ///< P, tokens of the step that belong to prompts.
  Generated, ///< G, tokens of the step that were generated.
  Expanded,  ///< E, positions of sequences with prompt tokens in the step.
  Blocks,    ///< C, tokens of the step that are the last of a stride.
  Window,    ///< kWindowRows, the rows of a window.
};

/// The kinds of rows whose number a step decides.
constexpr size_t kStepRows = 6;

/// Bytes for each row of every kind that a step decides, and a constant.
struct LinearBytes {
  std::array<int64_t, kStepRows> per = {};
  int64_t constant = 0;

  /// Bytes of a step; rows are rounded up to multiples of 16.
  int64_t at(const std::array<int64_t, kStepRows> &rows) const;
};

/// Returns "T", "R", "P", "G", "E", "C" or "W".
StringRef stringifyRows(BufferRows rows);

/// The rows that a symbol stands for, "T*6" being 6 rows for each token.
struct RowCount {
  BufferRows rows = BufferRows::Tokens;
  int64_t times = 1;
};
RowCount parseRows(StringRef symbol);

/// A tensor's memory.
struct PlannedBuffer {
  std::string name;
  BufferRows rows = BufferRows::Tokens;
  Type element;                ///< bf16, f32 or i32.
  int64_t rowBytes = 0;        ///< Bytes of one row, exact.
  int64_t layers = 1;          ///< Tensors one after the other: a stack.
  int64_t first = 0, last = 0; ///< Steps of the program that need it.
  LinearBytes offset;          ///< Where it begins.

  /// Bytes from a row to the next: with T and R multiples of 16, buffers begin
  /// at multiples of 64.
  int64_t getStride() const { return (rowBytes + 3) / 4 * 4; }
};

/// An argument of a launch.
struct PlannedArg {
  enum Kind {
    Buffer,
    Weight,
    State,
    Seq,      ///< The sequences: `id` is a SeqRows + 1, or 0 for the step.
    Input,    ///< A row input of the step.
    Gradient, ///< Gradient, f32 master copy and moments of a weight.
    Master,
    Moment1,
    Moment2,
    Hyper,   ///< The optimiser's hyper-parameters.
    Partials ///< Sums of the launch's tiles.
  } kind;
  int64_t id = 0;
};

/// A launch, a run of layers or a loop over windows of rows around launches.
struct PlannedStep {
  Operation *kernel = nullptr; ///< A kernel, or null for what is around some.
  SmallVector<PlannedArg> args;
  int64_t rows = 0; ///< Of the launch, if they are fixed.
  int64_t firstLayer = 0, layerCount = 0;
  bool reverse = false;          ///< From the last layer to the first.
  int64_t carry = -1;            ///< Buffer carried from layer to layer.
  int64_t window = 0;            ///< Rows of a window, or 0: layers.
  std::vector<PlannedStep> body; ///< Launches of one layer or window.
};

struct PlannedState {
  std::string name;
  StateType type;
  std::optional<bool> key; ///< Laid out as keys, else as values.
  bool drafts = false;     ///< The draft head's alone.
};

/// A tensor of R rows, of T rows for a draft, that the runtime gives for a
/// step.
struct PlannedInput {
  std::string name;
  Type element;
};

/// The program of an entry and its memory.
struct EntryPlan {
  std::string name; ///< "infer", "draft", "log_prob", "train" or "update".
  std::vector<PlannedBuffer> buffers;
  std::vector<PlannedInput> inputs;
  std::vector<PlannedStep> program;
  LinearBytes arena; ///< Its size but for kArenaPadding.
  int64_t logits = -1, finalHidden = -1; ///< Of "infer" and "draft".
  int64_t loss = -1, logProb = -1; ///< Of "train"; of "log_prob" the second.
  /// Of "train": names and buffers of further terms of the loss.
  std::vector<std::pair<std::string, int64_t>> auxiliary;

  /// Gives every buffer its offset, and the arena its size.
  void place();

  /// Tokens for each entry of states that keep entries.
  int64_t stride = 1;

  /// Bytes of the arena for a step of `tokens` prompt tokens, all of their
  /// sequences' positions, and `rows`.
  int64_t arenaBytes(int64_t tokens, int64_t rows) const;
};

struct MemoryPlan {
  SmallVector<WeightOp> weights;
  std::vector<PlannedState> states;
  std::vector<EntryPlan> entries;

  /// Returns the entry of the name, or null.
  const EntryPlan *find(StringRef name) const;
  /// Bytes of all weights as they lie in memory once packed.
  int64_t weightBytes() const;
  /// Bytes of the gradients, f32 copies and two moments of all weights that
  /// are trained; 0 without an entry "train".
  int64_t trainingBytes() const;
  /// Bytes of state for one token, all layers, padding included: of the model,
  /// or what its draft head keeps beside.
  int64_t stateBytesPerToken(bool drafts = false) const;
};

/// Bytes of `weight` once packed, all layers.
int64_t getPackedBytes(WeightOp weight);

/// Rows of `weight`, of one matrix of a stack, or elements of a vector, with the
/// padding of its f32 copies: multiples of 32, of a vector of 16.
int64_t getTrainedRows(WeightOp weight);

/// Bytes of one f32 copy of `weight`, all layers: [N32][K32], rows in the order
/// of the packed weight.
int64_t getTrainedBytes(WeightOp weight);

/// Plans the module's entries, in which what a body returns can take the place
/// of its activation (pass `ds-plan-memory` sees to it). A failure was reported
/// at its operation.
FailureOr<MemoryPlan> planMemory(ModuleOp module);

} // namespace ds
#endif
