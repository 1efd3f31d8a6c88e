//===- Result.h - A value or a message ------------------------------------===//
//
// The runtime's results are those of the text room, with a helper that builds
// messages. No exception leaves a function of the runtime.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_RESULT_H
#define DS_RUNTIME_RESULT_H

#include "runtime/text/Result.h"

#include <sstream>
#include <string>

namespace ds::runtime {

using text::Error;
using text::Result;
using text::Status;

/// Joins `parts` to one string.
template <typename... Ts> std::string join(const Ts &...parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return stream.str();
}

/// Returns an error whose message is `parts`, joined.
template <typename... Ts> Error failure(const Ts &...parts) {
  return Error{join(parts...)};
}

} // namespace ds::runtime

#endif // DS_RUNTIME_RESULT_H
