//===- PublishedTokenizersTest.cpp - Ids of two published tokenizers ------===//
//
// Compares with ids and texts that the tokenizers library gave. The folder
// comes from tools/fetch-tokenizers.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/ChatTemplate.h"
#include "runtime/text/Tokenizer.h"
#include "test/unit/text/Lines.h"

#include <chrono>
#include <cstdlib>
#include <gtest/gtest.h>
#include <iostream>

using namespace ds::text;

class PublishedTokenizers : public testing::TestWithParam<const char *> {};

static Tokenizer loadTimed(const std::string &name) {
  const char *folder = std::getenv("DS_TOKENIZERS");
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin = Clock::now();
  Result<Tokenizer> tokenizer =
      Tokenizer::load(std::string(folder ? folder : ".") + "/" + name);
  std::chrono::duration<double, std::milli> time = Clock::now() - begin;
  if (!tokenizer) {
    std::cerr << tokenizer.error() << "\n";
    std::abort();
  }
  std::cout << name << ": loaded in " << time.count() << " ms\n";
  return *tokenizer;
}

static std::string stream(const Tokenizer &tokenizer,
                          const std::vector<int32_t> &ids) {
  StreamDecoder decoder(tokenizer, /*skipSpecial=*/false);
  std::string text;
  for (int32_t id : ids)
    text += decoder.push(id);
  return text + decoder.finish();
}

TEST_P(PublishedTokenizers, idsAndTextsAreExact) {
  Tokenizer tokenizer = loadTimed(GetParam());
  auto lines = readLines("tokenizer_cases.jsonl");
  ASSERT_EQ(lines.size(), 300u);
  for (const auto &line : lines) {
    const auto &want = line[GetParam()];
    std::string text = line["text"], decoded = want["decoded"];
    SCOPED_TRACE(line["text"].dump());
    Result<std::vector<int32_t>> ids = tokenizer.encode(text);
    ASSERT_TRUE(ids) << ids.error();
    EXPECT_EQ(*ids, want["ids"].get<std::vector<int32_t>>());
    EXPECT_EQ(tokenizer.decode(*ids), decoded);
    EXPECT_EQ(tokenizer.decode(*ids, /*skipSpecial=*/true),
              want.value("decoded_without_special", decoded));
    EXPECT_EQ(stream(tokenizer, *ids), decoded);
  }
}

// One long text goes through the cache of words and the heap of long words.
TEST_P(PublishedTokenizers, longTextEncodesLikeItsParts) {
  Tokenizer tokenizer = loadTimed(GetParam());
  std::string text;
  std::vector<int32_t> ids;
  for (const auto &line : readLines("tokenizer_cases.jsonl")) {
    // A special token between parts keeps them apart.
    std::string part =
        line["text"].get<std::string>() + std::string(tokenizer.bytes(0));
    Result<std::vector<int32_t>> partIds = tokenizer.encode(part);
    ASSERT_TRUE(partIds) << partIds.error();
    ids.insert(ids.end(), partIds->begin(), partIds->end());
    text += part;
  }
  Result<std::vector<int32_t>> all = tokenizer.encode(text);
  ASSERT_TRUE(all) << all.error();
  EXPECT_EQ(*all, ids);
}

INSTANTIATE_TEST_SUITE_P(All, PublishedTokenizers,
                         testing::Values("deepseek", "smollm2"),
                         [](const auto &info) { return info.param; });

TEST(PublishedTokenizers, rolesAndTemplate) {
  Tokenizer tokenizer = loadTimed("smollm2");
  EXPECT_EQ(tokenizer.size(), 49152);
  EXPECT_EQ(tokenizer.roles().bos.id, 1);
  EXPECT_EQ(tokenizer.roles().eos.content, "<|im_end|>");
  EXPECT_EQ(tokenizer.chatTemplate().rfind("{% for message in messages %}", 0),
            0u);
  Tokenizer deepseek = loadTimed("deepseek");
  EXPECT_EQ(deepseek.size(), 129280);
  EXPECT_EQ(deepseek.roles().bos.id, 0);
  EXPECT_EQ(deepseek.roles().unk.id, -1);
}

// The prompts of the recorded run of the model, one of them a conversation.
TEST(PublishedTokenizers, promptsOfTheRecordedModel) {
  Tokenizer tokenizer = loadTimed("smollm2");
  std::ifstream file(std::string(DS_GOLDEN) + "/smollm2.json");
  nlohmann::json record = nlohmann::json::parse(file);
  for (const auto &[name, prompt] : record["prompts"].items()) {
    Result<std::vector<int32_t>> ids =
        tokenizer.encode(prompt["text"].get<std::string>());
    ASSERT_TRUE(ids) << ids.error();
    EXPECT_EQ(*ids, prompt["ids"].get<std::vector<int32_t>>()) << name;
    EXPECT_EQ(tokenizer.decode(prompt["greedy"]), prompt["greedy_text"])
        << name;
  }
  Result<ChatTemplate> chat = ChatTemplate::parse(tokenizer.chatTemplate());
  ASSERT_TRUE(chat) << chat.error();
  std::vector<ChatMessage> messages;
  for (const auto &message : record["chat_messages"])
    messages.push_back({message["role"], message["content"]});
  Result<std::string> text = chat->render(messages, tokenizer);
  ASSERT_TRUE(text) << text.error();
  EXPECT_EQ(*text, record["prompts"]["chat"]["text"]);
}
