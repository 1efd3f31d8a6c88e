//===- TokenizerImpl.h - The parts of a tokenizer -------------------------===//

#ifndef DS_RUNTIME_TEXT_TOKENIZERIMPL_H
#define DS_RUNTIME_TEXT_TOKENIZERIMPL_H

#include "runtime/text/AddedTokens.h"
#include "runtime/text/Bpe.h"
#include "runtime/text/Normalizer.h"
#include "runtime/text/PreTokenizer.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/Vocabulary.h"

namespace ds::text {

/// All that a tokenizer knows, in the order in which a text meets it.
struct Tokenizer::Impl {
  /// Added tokens that are looked for in the text as it is.
  AddedTokens rawTokens;
  Normalizer normalizer;
  /// Added tokens that are looked for in the normalised text.
  AddedTokens normalizedTokens;
  PreTokenizer preTokenizer;
  Bpe bpe;
  Vocabulary vocabulary;
  /// Ids put before and after a text on demand.
  std::vector<int32_t> prefix, suffix;

  std::vector<bool> special;
  RoleTokens roles;
  std::string chatTemplate;
};

/// Reads the text of a tokenizer.json, called `file` in errors, into `impl`.
Status readTokenizer(std::string_view json, const std::string &file,
                     Tokenizer::Impl &impl);

/// Reads the text of a tokenizer_config.json into `impl`, which holds the
/// tokenizer.json already.
Status readTokenizerConfig(std::string_view json, const std::string &file,
                           Tokenizer::Impl &impl);

/// Adds `token` to `impl`. Returns what is wrong with it, or nothing.
std::string addToken(const AddedToken &token, Tokenizer::Impl &impl);

/// Parses the part of `text` from `begin` to `end`. A syntax error is noted
/// with its line and column.
Json parseJson(std::string_view text, size_t begin, size_t end,
               FileProblem &problem);

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_TOKENIZERIMPL_H
