//===- KernelSupport.h - What verifiers and costs of kernels share -*- C++ -*-===//
#ifndef DS_DIALECT_KERNELSUPPORT_H
#define DS_DIALECT_KERNELSUPPORT_H
#include "dialect/Dialect.h"

namespace ds {
namespace kernel {

inline RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Bytes of a tensor that has `rows` rows if its type does not say.
double valueBytes(Value value, int64_t rows);

/// Bytes of the tensors among `values`.
double valueBytes(ValueRange values, int64_t rows);

/// `perElement` FLOPs for each element of `rows` rows of `value`, and all
/// matrices of `op` moved once.
Cost rowsCost(Operation *op, Value value, double perElement, int64_t rows);

/// Checks that a kernel's region takes `arguments`, is straight-line scalar
/// code (`reduces` allows ds.row_reduce) and yields values of `yields`.
LogicalResult verifyRegion(Operation *op, Region &region,
                           ArrayRef<Type> arguments, ArrayRef<Type> yields,
                           bool reduces);

/// Returns the symbol of the rows of the first matrix among `inputs`.
StringRef getInputRows(ValueRange inputs);

/// Checks that all matrices among `inputs` have rows by `symbol`. Nothing is
/// known of a function's arguments.
LogicalResult verifyRows(Operation *op, ValueRange inputs, StringRef symbol);

/// Rows of one launch.
int64_t countRows(KernelInterface op, StepShape step);

/// Rows that `symbol` stands for in a step whose tokens all have the same role.
int64_t countRows(StringRef symbol, StepShape step);

/// Positions that a token of the step sees on average, at most `limit` each:
/// the tokens are the last of their sequences.
double countSeen(StepShape step, int64_t limit);

/// Checks that `value` has `columns` columns; `name` is what a message calls
/// it.
LogicalResult verifyColumns(Operation *op, StringRef name, Value value,
                            int64_t columns);

/// Checks that `value` is [rows, columns], or [experts, rows, columns] with a
/// routing; `name` is what a message calls it.
LogicalResult verifyMatrices(Operation *op, StringRef name, Value value,
                             int64_t rows, int64_t columns, Value routing);

/// Checks that the products of all heads lie within `input` and `weight` and
/// fill `result`.
LogicalResult verifyHeads(Operation *op, HeadsAttr heads, Value input,
                          Value weight, Value result, bool transposed);

/// What a choice of experts is made from.
struct TopKShape {
  int64_t experts, k, groups, kept;
};
LogicalResult verifyTopK(Operation *op, TopKShape shape, Value bias,
                         Value result);

/// Checks the rows of experts that are combined, their weights (or null) and
/// what a token gets.
LogicalResult verifyCombine(Operation *op, Value input, Value routing,
                            Value weights, Value result);

} // namespace kernel
} // namespace ds
#endif
