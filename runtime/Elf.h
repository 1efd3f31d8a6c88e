//===- Elf.h - Sections of an ELF file ------------------------------------===//
//
// Finds a section of a 64-bit ELF file that has not been opened as code, with
// every offset checked: the file may be truncated or not ELF at all.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_ELF_H
#define DS_RUNTIME_ELF_H

#include "runtime/Result.h"

#include <string_view>

namespace ds::runtime {

/// Returns the bytes of the section `name` of `file`, an x86-64 shared object.
/// `path` is what errors call the file.
Result<std::string_view> findElfSection(std::string_view file,
                                        std::string_view name,
                                        const std::string &path);

} // namespace ds::runtime

#endif // DS_RUNTIME_ELF_H
