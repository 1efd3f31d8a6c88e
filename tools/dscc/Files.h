//===- Files.h - Text in and out of the compiler ----------------*- C++ -*-===//
#ifndef DS_TOOLS_DSCC_FILES_H
#define DS_TOOLS_DSCC_FILES_H
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"
#include <string>

namespace ds {

/// Lets `write` fill a stream that goes to `path`, or to standard output when
/// `path` is empty or "-". A file appears whole or not at all.
llvm::Error writeText(llvm::StringRef path,
                      llvm::function_ref<void(llvm::raw_ostream &)> write);

/// Folder of the model texts: `given` if it is not empty, else $DSCC_MODELS,
/// else the first of ../models, ../../models and ../share/dscc/models beside
/// the executable that exists.
llvm::Expected<std::string> findModelsFolder(llvm::StringRef given,
                                             llvm::StringRef executable);

} // namespace ds
#endif
