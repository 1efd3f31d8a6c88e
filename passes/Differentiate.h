//===- Differentiate.h - Reverse mode over a block --------------*- C++ -*-===//
#ifndef DS_PASSES_DIFFERENTIATE_H
#define DS_PASSES_DIFFERENTIATE_H
#include "dialect/Dialect.h"
#include "llvm/ADT/MapVector.h"

namespace ds {

/// The attribute by which an operation of a forward body and the one that
/// recomputes it in the backward body are known as the same.
constexpr llvm::StringLiteral kForwardAttr = "ds.forward";

/// Attributes of a backward body, arrays of strings: what its runs keep, and
/// what it recomputes.
constexpr llvm::StringLiteral kKeptAttr = "ds.kept";
constexpr llvm::StringLiteral kRecomputedAttr = "ds.recomputed";

/// Builds the backward of the operations of a block at the block's end.
class BackwardBuilder {
public:
  explicit BackwardBuilder(OpBuilder builder) : builder(builder) {}

  /// Builds the backward of a run: the gradient of its activation, or null.
  using RunRule = llvm::function_ref<FailureOr<Value>(RunOp, Value)>;

  /// Says that a gradient of `value` is wanted.
  void want(Value value) { wanted.insert(value); }

  /// Adds to the gradient of `value`.
  void add(Value value, Value gradient);

  /// Returns the gradient of `value`, or null if nothing depends on it.
  FailureOr<Value> find(Value value);

  /// Differentiates `ops`, which are in order, from the last to the first.
  LogicalResult run(ArrayRef<Operation *> ops, RunRule runRule);

private:
  /// A gradient of columns of a value.
  struct Slice {
    int64_t begin;
    Value gradient;
  };

  OpBuilder builder;
  /// What a gradient of is wanted and leads to a weight.
  llvm::DenseSet<Value> wanted;
  llvm::DenseMap<Value, SmallVector<Value>> gradients;
  llvm::DenseMap<Value, SmallVector<Slice>> slices;

  void propagate(Operation *op);
  LogicalResult build(Operation *op, RunRule runRule);
  LogicalResult checkRun(RunOp run, ArrayRef<Value> results);
  LogicalResult buildArith(Operation *op, Value gradient);
  LogicalResult joinSlices(Value value);
  Value multiply(Location loc, Value a, Value b);
};

/// A term of the loss that a body or an entry computes, [T, 1].
struct AuxiliaryTerm {
  StringAttr name;
  Value rows;
};

/// Adds the gradient of a term of the loss, 1 for every row.
void seedTerm(BackwardBuilder &gradients, OpBuilder &builder,
              AuxiliaryOp term);

/// Takes the terms of the loss out of `function`.
SmallVector<AuxiliaryTerm> takeTerms(func::FuncOp function);

/// Has the entry return `value`, a term of the loss or a stack of such.
void returnTerm(func::FuncOp entry, StringAttr name, Value value);

/// Counts the picks of routers whose bias the loads move (`balance_rate`).
void countPicks(func::FuncOp forward);

/// Makes `forward`, a value of the forward body of `run`, known to the
/// backward: the body returns it, the run keeps it for every layer, and the
/// body of `backward` has it as an argument in the place of `recomputed`.
/// `runs` are all pairs of runs of the two bodies; they are replaced.
void keepActivation(MutableArrayRef<std::pair<RunOp, RunOp>> runs,
                    Value forward, Value recomputed);

} // namespace ds
#endif
