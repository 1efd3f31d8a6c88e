//===- FormMla.h - Kernels of latent attention ------------------*- C++ -*-===//
#ifndef DS_PASSES_FORMMLA_H
#define DS_PASSES_FORMMLA_H
#include "dialect/Dialect.h"

namespace ds {

/// Adds the patterns that make kernels of latent attention's forms.
void addMlaPatterns(RewritePatternSet &patterns);

} // namespace ds
#endif
