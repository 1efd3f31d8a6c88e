//===- ChatExample.h - A conversation as tokens with a loss mask ----------===//

#ifndef DS_RUNTIME_DATA_CHATEXAMPLE_H
#define DS_RUNTIME_DATA_CHATEXAMPLE_H

#include "runtime/data/Dataset.h"
#include "runtime/text/ChatTemplate.h"

namespace ds::data {

/// Renders a conversation with a chat template. Targets are the tokens that the
/// assistant says: of each of its turns what follows the generation prompt, up
/// to and with the first special token after the content, which ends the turn.
///
/// Where a turn's content lies in the whole text is found by rendering the
/// conversation again with a mark in its place; the generation prompt, by
/// rendering the messages before it. Where the template has none, or writes
/// another one before turns that are done, the turn begins with its content.
/// The text is tokenised in parts that begin where a turn begins, as
/// generation does: the prompt first, then what the model says.
class ChatEncoder {
public:
  /// Fails if the tokenizer's folder has no chat template.
  static Result<ChatEncoder> create(const text::Tokenizer &tokenizer);

  /// Encodes a conversation. Fails if no turn is the assistant's, if one of
  /// those is empty, or if the template refuses the conversation.
  Result<Example> encode(const std::vector<text::ChatMessage> &messages) const;

private:
  /// Where a turn begins in the rendered text, and where its content ends.
  struct Turn {
    size_t begin = 0, end = 0;
  };
  ChatEncoder(const text::Tokenizer &tokenizer, text::ChatTemplate chat)
      : tokenizer(tokenizer), chat(std::move(chat)) {}
  Result<Turn> findTurn(const std::string &text,
                        std::vector<text::ChatMessage> messages,
                        size_t index) const;
  size_t findPrompt(const std::string &text,
                    std::vector<text::ChatMessage> messages,
                    const Turn &turn) const;
  Status addTurn(const std::string &content, const std::string &tail,
                 Example &example) const;

  text::Tokenizer tokenizer;
  text::ChatTemplate chat;
};

} // namespace ds::data

#endif // DS_RUNTIME_DATA_CHATEXAMPLE_H
