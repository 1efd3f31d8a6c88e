//===- Manifest.h - What the artifact says about itself ---------*- C++ -*-===//
#ifndef DS_PASSES_MANIFEST_H
#define DS_PASSES_MANIFEST_H
#include "passes/PlanMemory.h"
#include "llvm/Support/JSON.h"

namespace ds {

/// What code generation adds to the manifest.
struct ManifestOptions {
  SmallVector<std::string> variants; ///< In order of preference.
  int64_t scratchBytes = 0;          ///< Of the kernel that needs most.
  int64_t queryRows = 1;             ///< Rows of a query tile,
  int64_t promptQueryRows = 1;       ///< of views of prompt tokens
  int64_t generatedQueryRows = 1;    ///< and of generated ones.
};

/// Returns the manifest of docs/artifact.md for a planned module.
llvm::json::Value buildManifest(ModuleOp module, const MemoryPlan &plan,
                                const ManifestOptions &options);

/// Prints parameters, those that a token uses, packed weights, state bytes per
/// token and the arena.
void printMemory(ModuleOp module, const MemoryPlan &plan,
                 llvm::raw_ostream &os);

/// Prints what a token costs in FLOPs, generated, in a prompt and in training,
/// and FLOPs and bytes of every kernel for one generated token and for a prompt
/// of `tokens`.
void printCost(ModuleOp module, const MemoryPlan &plan, int64_t tokens,
               llvm::raw_ostream &os);

} // namespace ds
#endif
