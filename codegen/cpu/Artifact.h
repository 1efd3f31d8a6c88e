//===- Artifact.h - Writes model.so -----------------------------*- C++ -*-===//
#ifndef DS_CODEGEN_CPU_ARTIFACT_H
#define DS_CODEGEN_CPU_ARTIFACT_H
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace ds {
namespace cpu {

/// Returns the bytes of the section `.ds.manifest` for `json`
/// (docs/artifact.md), the file's size still 0.
llvm::SmallVector<char, 0> makeManifestSection(llvm::StringRef json);

/// Links `objects` and the manifest to one shared object at `path`. The file
/// is written under a temporary name and renamed, so that `path` is either
/// whole or as it was. The same input gives the same bytes.
llvm::Error writeArtifact(llvm::ArrayRef<llvm::SmallVector<char, 0>> objects,
                          llvm::StringRef manifest, llvm::StringRef path);

} // namespace cpu
} // namespace ds
#endif
