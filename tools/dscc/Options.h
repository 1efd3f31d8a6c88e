//===- Options.h - The command line of dscc ---------------------*- C++ -*-===//
#ifndef DS_TOOLS_DSCC_OPTIONS_H
#define DS_TOOLS_DSCC_OPTIONS_H
#include "llvm/ADT/SmallVector.h"
#include <string>

namespace ds {

/// What `--emit` prints instead of writing an artifact.
enum class Emit { Artifact, Ast, Ds, Kernels, Llvm, Asm, Memory, Cost };

/// Element type of activations and of products' operands.
enum class Compute { Bf16, F32 };

struct Options {
  std::string model;        ///< .ds file, .mlir file, folder or config.json.
  std::string config;       ///< config.json, where `model` is a .ds file.
  std::string output;       ///< Empty or "-": standard output for text.
  std::string modelsFolder; ///< Where specs are looked up by model_type.
  std::string variants = "native";
  std::string compileTo;  ///< Name of a phase, or empty.
  std::string dumpFolder; ///< Folder for --dump-phases, or empty.
  llvm::SmallVector<std::string> plugins;
  std::string passPipeline;     ///< Runs after the phases that were asked for.
  bool trains = false;          ///< Whether there is a training entry.
  std::string objective = "lm"; ///< Its objective, by name or file.
  int64_t keptBytes = -1; ///< Kept for a backward, per token; -1: no limit.
  Compute compute = Compute::Bf16;
  bool reference = false; ///< Kernels are what operations mean.
  Emit emit = Emit::Artifact;
  bool format = false;  ///< Print the .ds file canonically.
  bool inPlace = false; ///< ... or rewrite it.
  bool timing = false;  ///< Print the time of every stage.
  bool mutate = false;  ///< Change a reduction's order, for tests of tests.
};

/// Parses the command line; on a mistake prints it and exits with 1.
Options parseOptions(int argc, char **argv);

} // namespace ds
#endif
