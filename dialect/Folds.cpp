//===- Folds.cpp - Folds and canonicalisation of ds operations ------------===//
//
// Bit-preserving only. Folds stand apart from verifiers.
//
//===----------------------------------------------------------------------===//
#include "dialect/Dialect.h"

using namespace ds;
