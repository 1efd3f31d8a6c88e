//===- ChatTemplate.h - Published chat templates --------------------------===//
//
// Renders the `chat_template` strings of model folders: the subset of Jinja
// that they use, by a small interpreter. docs/text.md lists the subset.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_CHATTEMPLATE_H
#define DS_RUNTIME_TEXT_CHATTEMPLATE_H

#include "runtime/text/Result.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ds::text {

class Tokenizer;

/// One turn of a conversation.
struct ChatMessage {
  std::string role;
  std::string content;
};

/// A parsed chat template. It is immutable and cheap to copy.
class ChatTemplate {
public:
  using Json = nlohmann::ordered_json;

  /// Parses `source`, called `name` in errors.
  static Result<ChatTemplate> parse(const std::string &source,
                                    const std::string &name = "chat_template");

  /// Renders with `variables`, an object: `messages`, `tools`,
  /// `add_generation_prompt`, `bos_token`, `eos_token` and whatever else the
  /// template reads. A template's raise_exception() is a failure.
  Result<std::string> render(const Json &variables) const;

  /// Renders a conversation with the role tokens of `tokenizer`.
  Result<std::string> render(const std::vector<ChatMessage> &messages,
                             const Tokenizer &tokenizer,
                             bool addGenerationPrompt = true) const;

private:
  struct Impl;
  explicit ChatTemplate(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl;
};

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_CHATTEMPLATE_H
