//===- Ids.h - Token ids from files and words -----------------------------===//
#ifndef DS_TOOLS_DSRUN_IDS_H
#define DS_TOOLS_DSRUN_IDS_H

#include "tools/dsrun/CommandLine.h"

#include <string>
#include <vector>

namespace ds::tool {

/// A prompt with its name.
struct Prompt {
  std::string name;
  std::vector<int32_t> ids;
  std::vector<uint8_t> mask; ///< Of tokens that are targets; empty: of all.
  std::vector<uint8_t> generated; ///< Of tokens that were; empty: of none.
};

/// Reads a JSON object {"name": [token ids]}.
Result<std::vector<Prompt>> readPrompts(const std::string &path);

/// Reads the sequences of a training step, where instead of the ids an object
/// {"ids": [..], "mask": [..], "generated": [..]} may stand: a token whose mask is
/// 0 is no target, one whose flag of "generated" is 1 was generated.
Result<std::vector<Prompt>> readSequences(const std::string &path);

/// Parses ids with commas or spaces between them, such as "1, 2 3".
Result<std::vector<int32_t>> parseIds(const std::string &text);

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_IDS_H
