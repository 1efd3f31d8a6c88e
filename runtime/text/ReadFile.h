//===- ReadFile.h - A file as one text ------------------------------------===//

#ifndef DS_RUNTIME_TEXT_READFILE_H
#define DS_RUNTIME_TEXT_READFILE_H

#include "runtime/text/Result.h"

#include <string>

namespace ds::text {

/// Reads a file. A missing one is a failure unless `optional`, which makes it
/// an empty text.
Result<std::string> readFile(const std::string &path, bool optional);

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_READFILE_H
