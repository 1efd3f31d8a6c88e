//===- FormTraining.h - Kernels of a training step --------------*- C++ -*-===//
#ifndef DS_PASSES_FORMTRAINING_H
#define DS_PASSES_FORMTRAINING_H
#include "dialect/Dialect.h"

namespace ds {

/// Turns the head's product with its log-probabilities, forward and backward,
/// into functions over windows of rows.
void formWindows(ModuleOp module);

/// Adds the patterns that make kernels of backward and optimiser operations.
void addTrainingPatterns(RewritePatternSet &patterns);

} // namespace ds
#endif
