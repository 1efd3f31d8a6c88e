//===- Normalizer.h - The normalizer of tokenizer.json --------------------===//

#ifndef DS_RUNTIME_TEXT_NORMALIZER_H
#define DS_RUNTIME_TEXT_NORMALIZER_H

#include "runtime/text/JsonPart.h"
#include "runtime/text/Regex.h"

#include <optional>
#include <string>
#include <vector>

namespace ds::text {

/// Reads the `pattern` of a part: {"String": ..} or {"Regex": ..}.
std::optional<Regex> readPattern(const JsonPart &part);

/// Rewrites text before it is split: NFC, Prepend and Replace, in sequence.
class Normalizer {
public:
  /// Reads the part `normalizer`; null changes nothing.
  void read(const JsonPart &part);

  /// Tells whether text stays as it is.
  bool isIdentity() const { return steps.empty(); }

  /// Rewrites `text`.
  Status apply(std::string &text) const;

private:
  struct Step {
    enum Kind { Compose, Prepend, Replace } kind;
    std::string content;
    std::optional<Regex> pattern;
  };
  std::vector<Step> steps;
};

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_NORMALIZER_H
