//===- Tokenizer.h - Byte-level BPE of tokenizer.json ---------------------===//
//
// Turns text into token ids and back, by the rules in a model folder's
// `tokenizer.json` and `tokenizer_config.json`. docs/text.md lists which parts
// of these files are understood; any other part is an error that names it.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_TOKENIZER_H
#define DS_RUNTIME_TEXT_TOKENIZER_H

#include "runtime/text/Result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ds::text {

/// A special token that `tokenizer_config.json` names for a role. `id` is -1
/// and `content` empty where the role is not taken.
struct RoleToken {
  std::string content;
  int32_t id = -1;
};

/// The roles of tokens, as `tokenizer_config.json` gives them.
struct RoleTokens {
  RoleToken bos, eos, pad, unk;
};

/// A byte-level BPE tokenizer. It is immutable, cheap to move, and one object
/// serves any number of threads.
class Tokenizer {
public:
  /// Reads `folder/tokenizer.json` and, where they exist,
  /// `folder/tokenizer_config.json` and `folder/chat_template.jinja`.
  static Result<Tokenizer> load(const std::string &folder);

  /// Reads the text of a tokenizer.json, called `name` in errors, and of a
  /// tokenizer_config.json (may be empty), called `configName`.
  static Result<Tokenizer>
  parse(std::string_view json, const std::string &name,
        std::string_view config = {},
        const std::string &configName = "tokenizer_config.json");

  /// Returns the ids of `text`. Special tokens inside the text are recognised;
  /// with `addSpecial` the tokens that the post-processor (or `add_bos_token`
  /// and `add_eos_token` of the configuration) asks for are put around it.
  Result<std::vector<int32_t>> encode(std::string_view text,
                                      bool addSpecial = false) const;

  /// Returns the text of `ids`; bytes that are not UTF-8 become U+FFFD.
  /// `skipSpecial` leaves special tokens out. An id out of range is skipped.
  std::string decode(const std::vector<int32_t> &ids,
                     bool skipSpecial = false) const;

  /// Returns the bytes that `id` stands for; empty for an unknown id.
  std::string_view bytes(int32_t id) const;

  /// Returns the id of the token whose bytes are `bytes`, special tokens
  /// included, or -1.
  int32_t find(std::string_view bytes) const;

  /// Tells whether `id` is a special token.
  bool isSpecial(int32_t id) const;

  /// Returns one more than the largest id.
  int32_t size() const;

  /// Returns the tokens of begin and end of text, padding and unknown.
  const RoleTokens &roles() const;

  /// Returns the chat template of the folder; empty where there is none.
  const std::string &chatTemplate() const;

  struct Impl;

private:
  explicit Tokenizer(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl;
};

/// Turns ids into text as they arrive: a piece is given out as soon as its
/// bytes are whole code points.
class StreamDecoder {
public:
  explicit StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial = true)
      : tokenizer(tokenizer), skipSpecial(skipSpecial) {}

  /// Returns the text that `id` completes; may be empty.
  std::string push(int32_t id);

  /// Returns what is left at the end, U+FFFD for an unfinished code point.
  std::string finish();

private:
  Tokenizer tokenizer;
  bool skipSpecial;
  std::string pending;
};

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_TOKENIZER_H
