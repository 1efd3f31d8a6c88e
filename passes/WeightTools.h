//===- WeightTools.h - Reading and combining weights ------------*- C++ -*-===//
#ifndef DS_PASSES_WEIGHTTOOLS_H
#define DS_PASSES_WEIGHTTOOLS_H
#include "dialect/Dialect.h"

namespace ds {

/// The weights of a module and who reads them.
class WeightTable {
public:
  explicit WeightTable(ModuleOp module);

  /// Returns the declaration that `value` reads, or null.
  WeightOp find(Value value);

  /// Returns the declaration that `value` reads if a fusion may take it over:
  /// one `ds.get_weight` with one use reads it, and it is not packed yet.
  WeightOp findSole(Value value);

  /// Declares the concatenation of `parts` along rows, after the last of them.
  WeightOp concatenate(ArrayRef<WeightOp> parts, bool paired);

  /// Declares the concatenation of what `values` read and reads it.
  Value readConcatenated(OpBuilder &builder, Location loc,
                         ArrayRef<Value> values, bool paired = false);

  /// Returns the readers of `weight`.
  ArrayRef<GetWeightOp> getReaders(WeightOp weight);

private:
  SymbolTable symbols;
  llvm::StringMap<SmallVector<GetWeightOp>> readers;
};

/// Whether two weights are trained alike, as the parts of one have to be.
bool areTrainedAlike(WeightOp a, WeightOp b);

/// Erases reads of weights without uses, then weights that nothing reads.
/// Returns the number of weights that went.
unsigned removeDeadWeights(ModuleOp module);

/// Returns the last component of a weight's name: "q" of "layer.attention.q".
StringRef getWeightStem(StringRef name);

/// Returns a stem for the name of a kernel that reads `weight`: that of the
/// weight's name, or `family`.
StringRef getKernelStem(Value weight, StringRef family);

} // namespace ds
#endif
