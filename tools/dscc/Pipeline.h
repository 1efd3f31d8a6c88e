//===- Pipeline.h - The stages of a compilation -----------------*- C++ -*-===//
#ifndef DS_TOOLS_DSCC_PIPELINE_H
#define DS_TOOLS_DSCC_PIPELINE_H
#include "dialect/Dialect.h"
#include "tools/dscc/Options.h"

namespace ds {

/// Runs what `options` ask for. Returns the exit code; every mistake of the
/// user was printed with its place.
int runCompiler(const Options &options, llvm::StringRef executable);

} // namespace ds
#endif
