//===- FormDsa.h - Kernels of an indexer ------------------------*- C++ -*-===//
#ifndef DS_PASSES_FORMDSA_H
#define DS_PASSES_FORMDSA_H
#include "dialect/Dialect.h"

namespace ds {

/// Adds the patterns that make kernels of an indexer's operations.
void addDsaPatterns(RewritePatternSet &patterns);

} // namespace ds
#endif
