//===- Passes.h - Passes of the compiler ------------------------*- C++ -*-===//
#ifndef DS_PASSES_PASSES_H
#define DS_PASSES_PASSES_H
#include "dialect/Dialect.h"

namespace ds {
#define GEN_PASS_DECL
#include "passes/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"
} // namespace ds
#endif
