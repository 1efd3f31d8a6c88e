//===- Readers.h - Files of examples --------------------------------------===//

#ifndef DS_RUNTIME_DATA_READERS_H
#define DS_RUNTIME_DATA_READERS_H

#include "runtime/data/Dataset.h"

#include <string_view>

namespace ds::data {

/// Where a reader puts the examples of a file.
struct Sink {
  const DatasetOptions &options;
  const std::string &file;
  uint32_t index; ///< Of the file.
  std::vector<Example> &examples;
  int64_t &skipped;

  /// Returns an error at a line of the file.
  Error fail(int64_t line, const std::string &message) const;

  /// Adds a document, cut to the context. Parts overlap by one token, so that
  /// every token but the first is a target once.
  void addDocument(const std::vector<int32_t> &tokens, int64_t line);

  /// Adds an example, or leaves it out, or fails if it is too long.
  Status addExample(Example example);
};

/// Returns the tokens that `tokenizer` puts before a text.
Result<std::vector<int32_t>> getPrefix(const text::Tokenizer &tokenizer);

/// Reads a text: documents with the end-of-text token's content between them.
Status readText(const text::Tokenizer &tokenizer, Sink &sink);

/// Reads JSON Lines: {"messages"}, {"prompt", "completion"} or {"text"}.
Status readJsonLines(const text::Tokenizer &tokenizer, Sink &sink);

} // namespace ds::data

#endif // DS_RUNTIME_DATA_READERS_H
