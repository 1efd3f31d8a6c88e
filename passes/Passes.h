//===- Passes.h - Passes of the ds dialect ----------------------*- C++ -*-===//
#ifndef DS_PASSES_PASSES_H
#define DS_PASSES_PASSES_H
#include "dialect/Dialect.h"

namespace ds {
#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

/// Registers the passes, and the pipeline `ds-phases{to=PHASE}`.
void registerAllDsPasses();
} // namespace ds
#endif
