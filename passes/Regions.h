//===- Regions.h - Builds the scalar regions of kernels ---------*- C++ -*-===//
#ifndef DS_PASSES_REGIONS_H
#define DS_PASSES_REGIONS_H
#include "dialect/Dialect.h"

namespace ds {

/// Returns the element type of a tensor.
Type getElement(Value tensor);

/// Builds a region's one block. `arguments` are the types of its scalars.
class RegionBuilder {
public:
  RegionBuilder(Region &region, ArrayRef<Type> arguments, Location loc);

  Value argument(unsigned index) { return block->getArgument(index); }
  ValueRange arguments() { return block->getArguments(); }
  Value constant(double value);
  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value div(Value a, Value b);
  Value sqrt(Value value);
  Value exp(Value value);
  Value neg(Value value);
  /// Sum over the row (`ds.row_reduce`).
  Value reduce(Value value);
  /// Greatest of the row (`ds.row_max`).
  Value max(Value value);
  /// Does to `arguments` what `op` does to the elements of its operands.
  Value apply(Operation *op, ValueRange arguments, Type element);
  /// Clones the code of `other` and returns what it yields. `arguments` stand
  /// for its arguments.
  Value inlineRegion(Region &other, ValueRange arguments);
  /// To f32, exact.
  Value widen(Value value);
  /// Rounds an f32 to `element`.
  Value round(Value value, Type element);
  /// 1 / (1 + exp(-value)) in f32.
  Value sigmoid(Value value);
  /// silu(gate) * up in f32.
  Value swiglu(Value gate, Value up);
  void yield(ValueRange values);

  OpBuilder builder;
  Location loc;

private:
  Block *block;
};

} // namespace ds
#endif
