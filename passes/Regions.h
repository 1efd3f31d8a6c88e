//===- Regions.h - Builds the scalar regions of kernels ---------*- C++ -*-===//
#ifndef DS_PASSES_REGIONS_H
#define DS_PASSES_REGIONS_H
#include "dialect/Dialect.h"

namespace ds {

/// Builds a region's one block. `arguments` are the types of its scalars.
class RegionBuilder {
public:
  RegionBuilder(Region &region, ArrayRef<Type> arguments, Location loc);

  Value argument(unsigned index) { return block->getArgument(index); }
  Value constant(double value);
  Value add(Value a, Value b);
  Value mul(Value a, Value b);
  Value div(Value a, Value b);
  /// To f32, exact.
  Value widen(Value value);
  /// Rounds an f32 to `element`.
  Value round(Value value, Type element);
  /// silu(gate) * up in f32.
  Value swiglu(Value gate, Value up);
  void yield(Value value);

  OpBuilder builder;
  Location loc;

private:
  Block *block;
};

} // namespace ds
#endif
