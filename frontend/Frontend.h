//===- Frontend.h - From a model text to the ds dialect ---------*- C++ -*-===//
//
// The model language: docs/dsl.md. Errors are printed with file, line and
// column, several in one run.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_FRONTEND_H
#define DS_FRONTEND_FRONTEND_H
#include "dialect/LLVM.h"
#include "llvm/Support/raw_ostream.h"
#include <optional>
#include <string>

namespace ds {

struct FrontendOptions {
  std::string specPath;      ///< The .ds file.
  std::string configPath;    ///< Its config.json.
  std::string objectivePath; ///< The objective's .ds file; empty for none.
  bool computeF32 = false;   ///< f32 instead of bf16.
};

/// A text and the name that errors give it.
struct SourceText {
  std::string name;
  std::string text;
};

/// Compiles a model text for a configuration to verified ds IR, with a training
/// entry where an objective is given. Loads the dialects it needs. Returns null
/// after errors, which are printed to `os`.
OwningOpRef<ModuleOp> compileModel(MLIRContext &context,
                                   const FrontendOptions &options,
                                   llvm::raw_ostream &os);

/// The same for texts in memory.
OwningOpRef<ModuleOp> compileModel(MLIRContext &context, const SourceText &spec,
                                   const SourceText &config, bool computeF32,
                                   llvm::raw_ostream &os,
                                   const SourceText *objective = nullptr);

/// Prints the syntax tree of a text, indented. False after errors.
bool dumpAst(const SourceText &spec, llvm::raw_ostream &out,
             llvm::raw_ostream &errors);

/// Checks a text without a configuration. False after errors.
bool checkSource(const SourceText &spec, llvm::raw_ostream &errors);

/// Returns the text in canonical form, which is a fixed point, with its
/// comments; nothing after errors.
std::optional<std::string> formatSource(const SourceText &spec,
                                        llvm::raw_ostream &errors);

/// Returns the path of the .ds file in `modelsFolder` that serves
/// `modelType`; nothing, with an error that lists what is served, if none
/// does.
std::optional<std::string> findSpec(llvm::StringRef modelsFolder,
                                    llvm::StringRef modelType,
                                    llvm::raw_ostream &errors);

/// Returns the path of the objective called `name`: `name` itself if it ends in
/// .ds, or objectives/name.ds in `modelsFolder`; nothing, with an error that
/// lists the objectives there, if there is no such file.
std::optional<std::string> findObjective(llvm::StringRef modelsFolder,
                                         llvm::StringRef name,
                                         llvm::raw_ostream &errors);

/// Reads `model_type` of a config.json; nothing after errors.
std::optional<std::string> readModelType(llvm::StringRef configPath,
                                         llvm::raw_ostream &errors);

/// Reads a whole file; nothing, with an error, if it can't be read.
std::optional<std::string> readFile(llvm::StringRef path,
                                    llvm::raw_ostream &errors);

} // namespace ds
#endif
