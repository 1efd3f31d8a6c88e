//===- WeightGroups.h - Weights made of others ------------------*- C++ -*-===//
#ifndef DS_PASSES_WEIGHTGROUPS_H
#define DS_PASSES_WEIGHTGROUPS_H
#include "dialect/Dialect.h"

namespace ds {

/// Whether the weights behind `values` can be concatenated along dimension 0:
/// all are `ds.get_weight` with equal layers and equal trailing dimensions.
bool canConcatenate(ValueRange values, SymbolTable &symbols);

/// Declares the concatenation of the weights behind `values` under a fresh
/// symbol near `stem` and returns its `ds.get_weight`, built at `builder`.
Value concatenate(OpBuilder &builder, Location loc, ValueRange values,
                  StringRef stem, bool paired, SymbolTable &symbols);

} // namespace ds
#endif
