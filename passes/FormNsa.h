//===- FormNsa.h - Kernels of native sparse attention -----------*- C++ -*-===//
#ifndef DS_PASSES_FORMNSA_H
#define DS_PASSES_FORMNSA_H
#include "dialect/Dialect.h"

namespace ds {

/// Adds the patterns that make kernels of sparse attention's operations.
void addNsaPatterns(RewritePatternSet &patterns);

} // namespace ds
#endif
