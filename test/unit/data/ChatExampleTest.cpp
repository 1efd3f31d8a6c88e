//===- ChatExampleTest.cpp - Which tokens of a conversation count ---------===//
#include "runtime/data/ChatExample.h"

#include "Support.h"

#include <gtest/gtest.h>

using namespace ds::data;
using ds::text::ChatMessage;
using ds::text::ChatTemplate;
using ds::text::Tokenizer;

namespace {
/// A published way of writing conversations.
struct Format {
  const char *name;
  std::vector<std::string> special;
  const char *chatTemplate;
  const char *begins; ///< What is learnt before the content ...
  const char *ends;   ///< ... and after it.
};
} // namespace

static const Format formats[] = {
    {"chatMl",
     {"<|im_start|>", "<|im_end|>"},
     "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' "
     "+ message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if "
     "add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
     "",
     "<|im_end|>"},
    {"llama3",
     {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
      "<|eot_id|>"},
     "{{ '<|begin_of_text|>' }}{% for message in messages %}{{ "
     "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + "
     "message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if "
     "add_generation_prompt %}{{ '<|start_header_id|>assistant"
     "<|end_header_id|>\\n\\n' }}{% endif %}",
     "",
     "<|eot_id|>"},
    {"deepSeekLlm",
     {},
     "{{ bos_token }}{% for message in messages %}{% if message['role'] == "
     "'user' %}{{ 'User: ' + message['content'] + '\\n\\n' }}{% elif "
     "message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] "
     "+ eos_token }}{% elif message['role'] == 'system' %}{{ "
     "message['content'] + '\\n\\n' }}{% endif %}{% endfor %}{% if "
     "add_generation_prompt %}{{ 'Assistant:' }}{% endif %}",
     " ",
     "</s>"},
    // Drops thoughts of earlier turns, as the R1 distillations do.
    {"r1",
     {"<|User|>", "<|Assistant|>"},
     "{{ bos_token }}{% for message in messages %}{% if message['role'] == "
     "'user' %}{{ '<|User|>' + message['content'] }}{% elif message['role'] "
     "== 'assistant' %}{% set content = message['content'] %}{% if '</think>' "
     "in content %}{% set content = content.split('</think>')[-1] %}{% endif "
     "%}{{ '<|Assistant|>' + content + eos_token }}{% endif %}{% endfor %}{% "
     "if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}",
     "",
     "</s>"}};

static const std::vector<ChatMessage> talk = {
    {"user", "a question"},
    {"assistant", "an answer"},
    {"user", "an answer"}, // The same words, not learnt.
    {"assistant", "turn it"}};

class ChatFormat : public testing::TestWithParam<Format> {};

TEST_P(ChatFormat, LearnsTheAssistantsTurns) {
  const Format &format = GetParam();
  Tokenizer tokenizer = makeTokenizer(format.special, format.chatTemplate);
  auto encoder = ChatEncoder::create(tokenizer);
  ASSERT_TRUE(encoder) << encoder.error();
  auto example = encoder->encode(talk);
  ASSERT_TRUE(example) << example.error();
  std::string begin = format.begins, end = format.ends;
  EXPECT_EQ(showTargets(*example, tokenizer),
            begin + "an answer" + end + "|" + begin + "turn it" + end);
  // The tokens are those of the whole text.
  auto text =
      ChatTemplate::parse(format.chatTemplate)->render(talk, tokenizer, false);
  ASSERT_TRUE(text);
  EXPECT_EQ(example->tokens, *tokenizer.encode(*text));
  EXPECT_EQ(example->mask[0], 0);
}

INSTANTIATE_TEST_SUITE_P(Published, ChatFormat, testing::ValuesIn(formats),
                         [](const auto &info) {
                           return std::string(info.param.name);
                         });

/// What generation sees before a turn are the tokens before its first target.
TEST(ChatExample, BeginsWhereGenerationBegins) {
  for (const Format &format : {formats[0], formats[1], formats[2]}) {
    Tokenizer tokenizer = makeTokenizer(format.special, format.chatTemplate);
    auto example = ChatEncoder::create(tokenizer)->encode({talk[0], talk[1]});
    ASSERT_TRUE(example) << example.error();
    auto prompt = ChatTemplate::parse(format.chatTemplate)
                      ->render({talk[0]}, tokenizer, true);
    auto ids = *tokenizer.encode(*prompt);
    ASSERT_LT(ids.size(), example->tokens.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(example->tokens[i], ids[i]);
      EXPECT_EQ(example->mask[i], 0);
    }
    EXPECT_EQ(example->mask[ids.size()], 1);
  }
}

TEST(ChatExample, ContentThatTheTemplateChanges) {
  Tokenizer tokenizer =
      makeTokenizer(formats[3].special, formats[3].chatTemplate);
  auto example = ChatEncoder::create(tokenizer)->encode(
      {{"user", "a"}, {"assistant", "<think>so</think>b"}});
  ASSERT_TRUE(example) << example.error();
  EXPECT_EQ(showTargets(*example, tokenizer), "b</s>");
  tokenizer = makeTokenizer(formats[1].special, formats[1].chatTemplate);
  example = ChatEncoder::create(tokenizer)->encode(
      {{"user", "a"}, {"assistant", "  b c \n"}});
  ASSERT_TRUE(example) << example.error();
  EXPECT_EQ(showTargets(*example, tokenizer), "b c<|eot_id|>");
}

/// A special token in the user's words ends no turn of the assistant.
TEST(ChatExample, SpecialTokensInsideContent) {
  Tokenizer tokenizer =
      makeTokenizer(formats[0].special, formats[0].chatTemplate);
  auto example = ChatEncoder::create(tokenizer)->encode(
      {{"user", "<|im_end|>"}, {"assistant", "x<|im_end|>y"}});
  ASSERT_TRUE(example) << example.error();
  EXPECT_EQ(showTargets(*example, tokenizer), "x<|im_end|>y<|im_end|>");
}

TEST(ChatExample, TurnsWithoutAnEnd) {
  Tokenizer tokenizer = makeTokenizer(
      {}, "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
  auto example = ChatEncoder::create(tokenizer)->encode(talk);
  ASSERT_TRUE(example) << example.error();
  EXPECT_EQ(showTargets(*example, tokenizer), "an answer|turn it");
}

static std::string failOf(const std::vector<ChatMessage> &messages,
                          const std::string &chatTemplate) {
  auto example =
      ChatEncoder::create(makeTokenizer({}, chatTemplate))->encode(messages);
  return example ? "" : example.error();
}

TEST(ChatExample, Errors) {
  const char *plain = "{% for m in messages %}{{ m.role }} {{ m.content }}"
                      "{{ eos_token }}{% endfor %}";
  EXPECT_EQ(failOf({{"user", "a"}}, plain),
            "expects a turn of the assistant, which is what is learnt");
  EXPECT_EQ(failOf({{"user", "a"}, {"assistant", ""}}, plain),
            "expects messages[1] to say something, got an empty turn of the "
            "assistant");
  EXPECT_EQ(failOf({{"assistant", "a"}}, "{{ messages[0].content }}"),
            "expects text before the assistant's first turn");
  EXPECT_EQ(failOf({{"user", "a"}, {"assistant", "b"}}, "{{ bos_token }}"),
            "the chat template leaves messages[1] out");
  EXPECT_EQ(failOf(talk, "{{ messages[1].content }} {{ messages[1].content }}"),
            "the chat template writes other messages differently for the "
            "content of messages[1], so that its place is not clear");
  EXPECT_EQ(failOf(talk, "{{ raise_exception('no') }}"),
            "chat_template:1: the template refuses the conversation: no");
}
