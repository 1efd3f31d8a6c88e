//===- PreTokenizer.h - The pre_tokenizer of tokenizer.json ---------------===//

#ifndef DS_RUNTIME_TEXT_PRETOKENIZER_H
#define DS_RUNTIME_TEXT_PRETOKENIZER_H

#include "runtime/text/JsonPart.h"
#include "runtime/text/Regex.h"

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ds::text {

/// The pieces of a text. Those that are not parts of it lie in `storage`.
struct Pieces {
  std::vector<std::string_view> list;
  std::deque<std::string> storage;
};

/// What becomes of the matches of a pattern when a text is split.
enum class SplitBehavior {
  Removed,
  Isolated,
  MergedWithPrevious,
  MergedWithNext,
  Contiguous,
};

/// Splits a text into words, within which tokens are formed.
class PreTokenizer {
public:
  /// Reads the part `pre_tokenizer`, which has to end in a ByteLevel.
  void read(const JsonPart &part);

  /// Splits each of `pieces` further.
  Status split(Pieces &pieces) const;

private:
  struct Step {
    /// Without a pattern, a space is put before the piece if it has none.
    std::optional<Regex> pattern;
    SplitBehavior behavior = SplitBehavior::Isolated;
    bool invert = false;
  };
  void readStep(const JsonPart &part);
  void readSplit(const JsonPart &part);
  void readByteLevel(const JsonPart &part);
  void addPattern(const char *pattern, SplitBehavior behavior,
                  bool invert = false);

  std::vector<Step> steps;
  bool ended = false;
};

/// Cuts `text` at `matches` and appends the parts that are not empty to `out`.
void splitAtMatches(std::string_view text, const std::vector<Span> &matches,
                    SplitBehavior behavior, bool invert,
                    std::vector<std::string_view> &out);

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_PRETOKENIZER_H
