//===- Dialect.h - The ds dialect -------------------------------*- C++ -*-===//
//
// Operations, types, attributes and interfaces of the ds dialect.
//
//===----------------------------------------------------------------------===//
#ifndef DS_DIALECT_DIALECT_H
#define DS_DIALECT_DIALECT_H
#include "dialect/LLVM.h"

namespace ds {
/// The size of a step: what costs depend on.
struct StepShape {
  int64_t tokens = 1;    ///< T, tokens of the step.
  int64_t sequences = 1; ///< B.
  int64_t rows = 1;      ///< R, rows whose logits are asked for.
  int64_t cached = 1;    ///< Positions that a sequence holds after the step.
};

/// What one execution of an operation costs.
struct Cost {
  double flops = 0;           ///< Multiplications and additions.
  double weightBytes = 0;     ///< Bytes of weights read.
  double activationBytes = 0; ///< Bytes of activations read and written.
  double stateBytes = 0;      ///< Bytes of state read and written.
};
class Meaning; // dialect/Meaning.h

/// Returns the symbol of the rows of `op`'s matrix results: those of its first
/// matrix operand, or those of its sequences where it has none.
llvm::StringRef findRowSymbol(Operation *op);
} // namespace ds

#include "dialect/DsDialect.h.inc"
#include "dialect/DsEnums.h.inc"
#include "dialect/DsInterfaces.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialect/DsAttributes.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialect/DsTypes.h.inc"
#define GET_OP_CLASSES
#include "dialect/DsOps.h.inc"

namespace ds {
/// Module attribute: the model's name, a string.
constexpr llvm::StringLiteral kModelAttr = "ds.model";
/// Module attribute: element type of products' operands, bf16 or f32.
constexpr llvm::StringLiteral kComputeAttr = "ds.compute";
/// Module attribute: a dictionary of what the runtime must know of the
/// configuration (vocab_size, max_position_embeddings, ...).
constexpr llvm::StringLiteral kConfigAttr = "ds.config";
/// Module attribute, an array of strings: beginnings of names of tensors of the
/// checkpoint that the model does not read.
constexpr llvm::StringLiteral kIgnoredAttr = "ds.ignored";
/// Function attribute, a string: the entry point of the artifact that the
/// function is. "infer" serves, "draft" guesses the token after the next from
/// what "infer" leaves, "log_prob" gives log-probabilities of tokens chosen
/// from its logits, "train" gives losses and adds to gradients, "update" is a
/// step of the optimiser.
constexpr llvm::StringLiteral kEntryAttr = "ds.entry";
constexpr llvm::StringLiteral kInferEntry = "infer", kDraftEntry = "draft",
                              kLogProbEntry = "log_prob", kTrainEntry = "train",
                              kUpdateEntry = "update";
/// Unit attribute of a "train" entry: every row but the last of each sequence
/// has a target, whatever the data's loss mask says.
constexpr llvm::StringLiteral kAllTargetsAttr = "ds.all_targets";
/// Attribute of a "train" entry, an array of names: the terms of the loss that
/// are the last results of the entry, f32 matrices [T, 1] or stacks of such.
constexpr llvm::StringLiteral kAuxiliaryAttr = "ds.auxiliary";

/// Argument attribute of an entry's state or input, a string: its name.
constexpr llvm::StringLiteral kNameAttr = "ds.name";
/// Argument attribute of a matrix, a string: the symbol of its rows (see
/// KernelInterface), "T" if there is none.
constexpr llvm::StringLiteral kRowsAttr = "ds.rows";
/// Operation attribute of a planned module: the buffers that hold the
/// operation's tensor results.
constexpr llvm::StringLiteral kBufferAttr = "ds.buffer";
/// Attributes of an entry of a planned module: an array of #ds.buffer, and the
/// #ds.bytes of the arena that holds them.
constexpr llvm::StringLiteral kBuffersAttr = "ds.buffers";
constexpr llvm::StringLiteral kArenaAttr = "ds.arena";

/// Positions in one page of state, and in one split of attention.
constexpr int64_t kPagePositions = 64;
constexpr int64_t kSplitPositions = 512;

/// Returns the dims / 2 frequencies of `rope` in radians per position, scaled
/// as `scaling` says. Su et al., arXiv 2104.09864; for "llama3" the formula of
/// the published checkpoints' rope_type.
llvm::SmallVector<double> getRopeFrequencies(RopeAttr rope);

/// Returns what cos and sin are multiplied by, 1 but for "yarn".
double getRopeGain(RopeAttr rope);

/// Registers ds and the dialects that its modules go through.
void registerToolDialects(DialectRegistry &registry);

/// Returns the type of what operations see of `weight`: as declared, but that
/// groups of rows are padded.
RankedTensorType getValueType(WeightOp weight);

/// Returns the type that a kernel sees of `weight`: with a layout, the
/// element type is the layout's.
RankedTensorType getPackedType(WeightOp weight);

/// Returns the module's entry of the name, or null.
func::FuncOp findEntry(ModuleOp module, llvm::StringRef name);

/// Checks that nothing reads the `states` that `op` turns into new versions
/// from then on: a state has one live version.
LogicalResult verifyLinear(Operation *op, ValueRange states);

/// Returns the memory that gathers the gradient of `weight`, or null if it is no
/// weight or a frozen one.
Value getGradientMemory(OpBuilder &builder, Value weight);

/// Returns the symbol of the rows of sequences, or of a view of them.
llvm::StringRef getSeqRows(Value seq);
/// The sequences that have the rows of the keys that queries of `seq` see: of a
/// view of a role another view, or the step; null where they are `seq`.
Value createKeyView(OpBuilder &builder, Location loc, Value seq);

/// Takes `count` columns of a matrix from `first` on.
Value sliceColumns(OpBuilder &builder, Location loc, Value matrix,
                   int64_t first, int64_t count);

/// Returns the symbol of the rows of a matrix, as KernelInterface does.
llvm::StringRef getRowSymbolOf(Value matrix);

/// Returns bytes of one element of `type`.
int64_t getElementBytes(Type type);

/// Columns of an FP8 weight, and rows of its tensors, that share a scale.
constexpr int64_t kScaleBlock = 128;

/// Returns bytes of a tensor of static shape; of FP8 with a scale of each row
/// for every kScaleBlock columns, as it is packed.
double getTensorBytes(Type type);
} // namespace ds
#endif
