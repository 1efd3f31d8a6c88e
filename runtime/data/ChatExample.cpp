//===- ChatExample.cpp - A conversation as tokens with a loss mask --------===//

#include "runtime/data/ChatExample.h"

#include <algorithm>

namespace ds::data {

Result<ChatEncoder> ChatEncoder::create(const text::Tokenizer &tokenizer) {
  if (tokenizer.chatTemplate().empty())
    return Error{"messages need a chat template, which the tokenizer's folder "
                 "does not have"};
  Result<text::ChatTemplate> chat =
      text::ChatTemplate::parse(tokenizer.chatTemplate());
  if (!chat)
    return chat.takeError();
  return ChatEncoder(tokenizer, *chat);
}

/// Returns a word that `text` does not contain.
static std::string makeMark(const std::string &text) {
  std::string mark = "turn";
  for (int number = 0; text.find(mark) != text.npos; ++number)
    mark = "turn" + std::to_string(number) + "x";
  return mark;
}

Result<ChatEncoder::Turn>
ChatEncoder::findTurn(const std::string &text,
                      std::vector<text::ChatMessage> messages,
                      size_t index) const {
  std::string mark = makeMark(text);
  messages[index].content = mark;
  Result<std::string> marked = chat.render(messages, tokenizer, false);
  if (!marked)
    return marked.takeError();
  size_t begin = marked->find(mark);
  if (begin == marked->npos)
    return Error{"the chat template leaves messages[" + std::to_string(index) +
                 "] out"};
  size_t tail = marked->size() - begin - mark.size();
  bool fits = marked->rfind(mark) == begin && begin + tail <= text.size() &&
              text.compare(0, begin, *marked, 0, begin) == 0 &&
              text.compare(text.size() - tail, tail, *marked,
                           marked->size() - tail, tail) == 0;
  if (!fits)
    return Error{"the chat template writes other messages differently for the "
                 "content of messages[" +
                 std::to_string(index) + "], so that its place is not clear"};
  return Turn{begin, text.size() - tail};
}

/// Returns where the text after the generation prompt of the turn begins, of
/// which `messages` are all before.
size_t ChatEncoder::findPrompt(const std::string &text,
                               std::vector<text::ChatMessage> messages,
                               const Turn &turn) const {
  Result<std::string> without = chat.render(messages, tokenizer, false);
  Result<std::string> prompt = chat.render(messages, tokenizer, true);
  bool holds = without && prompt && *without != *prompt &&
               prompt->size() < turn.end &&
               text.compare(0, prompt->size(), *prompt) == 0;
  return holds ? prompt->size() : turn.begin;
}

static void append(const std::vector<int32_t> &tokens, size_t targets,
                   Example &example) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    example.tokens.push_back(tokens[i]);
    example.mask.push_back(i < targets);
  }
}

/// Adds the content of an assistant's turn and the text after it.
Status ChatEncoder::addTurn(const std::string &content, const std::string &tail,
                            Example &example) const {
  Result<std::vector<int32_t>> after = tokenizer.encode(tail);
  if (!after)
    return after.takeError();
  auto end = std::find_if(after->begin(), after->end(), [&](int32_t token) {
    return tokenizer.isSpecial(token);
  });
  bool isEnded = end != after->end();
  Result<std::vector<int32_t>> tokens =
      tokenizer.encode(isEnded ? content + tail : content);
  if (!tokens)
    return tokens.takeError();
  if (!isEnded) {
    append(*tokens, tokens->size(), example);
    append(*after, 0, example);
    return {};
  }
  // From the special token on, both have the same tokens.
  size_t rest = static_cast<size_t>(after->end() - end) - 1;
  append(*tokens, tokens->size() - rest, example);
  return {};
}

Result<Example>
ChatEncoder::encode(const std::vector<text::ChatMessage> &messages) const {
  Result<std::string> text = chat.render(messages, tokenizer, false);
  if (!text)
    return text.takeError();
  std::vector<Turn> turns;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant")
      continue;
    Result<Turn> turn = findTurn(*text, messages, i);
    if (!turn)
      return turn.takeError();
    if (turn->begin == turn->end)
      return Error{"expects messages[" + std::to_string(i) +
                   "] to say something, got an empty turn of the assistant"};
    turn->begin = findPrompt(
        *text, {messages.begin(), messages.begin() + static_cast<long>(i)},
        *turn);
    turns.push_back(*turn);
  }
  if (turns.empty())
    return Error{"expects a turn of the assistant, which is what is learnt"};
  Example example;
  Result<std::vector<int32_t>> prompt =
      tokenizer.encode(text->substr(0, turns[0].begin));
  if (!prompt)
    return prompt.takeError();
  append(*prompt, 0, example);
  for (size_t i = 0; i < turns.size(); ++i) {
    size_t next = i + 1 < turns.size() ? turns[i + 1].begin : text->size();
    Status problem =
        addTurn(text->substr(turns[i].begin, turns[i].end - turns[i].begin),
                text->substr(turns[i].end, next - turns[i].end), example);
    if (problem)
      return *problem;
  }
  if (example.mask[0])
    return Error{"expects text before the assistant's first turn"};
  return example;
}

} // namespace ds::data
