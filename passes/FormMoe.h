//===- FormMoe.h - Kernels of routers and experts ---------------*- C++ -*-===//
#ifndef DS_PASSES_FORMMOE_H
#define DS_PASSES_FORMMOE_H
#include "dialect/Dialect.h"

namespace ds {

/// Makes a product one of routed rows, if `routing` is not null.
void setRouting(KernelMatmulOp kernel, Value routing, bool gathered);

/// Adds the patterns that make kernels of what balances experts.
void addBalancePatterns(RewritePatternSet &patterns);

/// Adds the patterns that make kernels of routers and of what combines experts.
void addMoePatterns(RewritePatternSet &patterns);

} // namespace ds
#endif
