//===- TokenizerTest.cpp - A small tokenizer from end to end --------------===//

#include "runtime/text/Tokenizer.h"
#include "test/unit/text/Lines.h"

#include <gtest/gtest.h>

using namespace ds::text;
using Ids = std::vector<int32_t>;

static Tokenizer loadSmall() {
  Result<Tokenizer> tokenizer =
      Tokenizer::load(std::string(DS_GOLDEN) + "/tokenizer_small");
  EXPECT_TRUE(tokenizer) << tokenizer.error();
  return *tokenizer;
}

/// A tokenizer of all bytes (byte b has the id b + 1) and some merges; `parts`
/// replaces members of its JSON.
static std::string makeJson(const nlohmann::json &parts) {
  nlohmann::json vocab = nlohmann::json::object();
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    bool own = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    int letter = own ? byte : next++;
    std::string text;
    if (letter < 0x80)
      text = {static_cast<char>(letter)};
    else
      text = {static_cast<char>(0xC0 | letter >> 6),
              static_cast<char>(0x80 | (letter & 0x3F))};
    vocab[text] = byte + 1;
  }
  vocab["<unk>"] = 0;
  vocab["ab"] = 257;
  vocab["abc"] = 258;
  nlohmann::json json = {{"model",
                          {{"type", "BPE"},
                           {"vocab", vocab},
                           {"merges", nlohmann::json::array({"a b", "ab c"})}}},
                         {"pre_tokenizer",
                          {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"use_regex", false}}},
                         {"decoder", {{"type", "ByteLevel"}}}};
  if (parts.is_object())
    json.merge_patch(parts);
  return json.dump();
}

static Ids encodeWith(const nlohmann::json &parts, const std::string &text,
                      const std::string &config = {}, bool special = false) {
  Result<Tokenizer> tokenizer =
      Tokenizer::parse(makeJson(parts), "t.json", config, "c.json");
  EXPECT_TRUE(tokenizer) << tokenizer.error();
  if (!tokenizer)
    return {};
  Result<Ids> ids = tokenizer->encode(text, special);
  EXPECT_TRUE(ids) << ids.error();
  return *ids;
}

TEST(Tokenizer, smallOneGivesRecordedIds) {
  Tokenizer tokenizer = loadSmall();
  auto lines = readLines("tokenizer_small_cases.jsonl");
  ASSERT_GT(lines.size(), 100u);
  for (const auto &line : lines) {
    SCOPED_TRACE(line["text"].dump());
    std::string text = line["text"];
    Result<Ids> ids = tokenizer.encode(text);
    ASSERT_TRUE(ids) << ids.error();
    EXPECT_EQ(*ids, line["ids"].get<Ids>());
    EXPECT_EQ(*tokenizer.encode(text, true), line["with_special"].get<Ids>());
    EXPECT_EQ(tokenizer.decode(*ids), line["decoded"].get<std::string>());
    EXPECT_EQ(tokenizer.decode(*ids, true),
              line["without_special"].get<std::string>());
  }
}

TEST(Tokenizer, rolesPiecesAndTemplate) {
  Tokenizer tokenizer = loadSmall();
  EXPECT_EQ(tokenizer.size(), 398);
  EXPECT_EQ(tokenizer.roles().bos.id, 0);
  EXPECT_EQ(tokenizer.roles().eos.id, 1);
  EXPECT_EQ(tokenizer.roles().pad.id, -1);
  EXPECT_EQ(tokenizer.find("</s>"), 1);
  EXPECT_EQ(tokenizer.find("no such token"), -1);
  EXPECT_EQ(tokenizer.bytes(0), "<s>");
  EXPECT_EQ(tokenizer.bytes(tokenizer.find(" ")), " ");
  EXPECT_EQ(tokenizer.bytes(398), "");
  EXPECT_EQ(tokenizer.bytes(-1), "");
  EXPECT_TRUE(tokenizer.isSpecial(394));
  EXPECT_FALSE(tokenizer.isSpecial(395));
  EXPECT_FALSE(tokenizer.isSpecial(-5));
  EXPECT_EQ(tokenizer.chatTemplate().substr(0, 6), "{% for");
}

TEST(Tokenizer, invalidTextIsRefusedWithItsPlace) {
  Result<Ids> ids = loadSmall().encode("ab\xC3(");
  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error(), "expects the text to be UTF-8, but byte 2 is not");
}

TEST(Tokenizer, mergesMayBePairsOrTexts) {
  EXPECT_EQ(encodeWith({}, "abcab"), (Ids{258, 257}));
  nlohmann::json pairs = nlohmann::json::parse(
      R"({"model": {"merges": [["a", "b"], ["ab", "c"]]}})");
  EXPECT_EQ(encodeWith(pairs, "abcab"), (Ids{258, 257}));
}

TEST(Tokenizer, wholeWordsComeBeforeMerges) {
  // The merges cannot make "abc": only the whole word is found.
  nlohmann::json model = {
      {"model",
       {{"merges", nlohmann::json::array({"b c"})}, {"vocab", {{"bc", 259}}}}}};
  EXPECT_EQ(encodeWith(model, "abc"), (Ids{98, 259}));
  model["model"]["ignore_merges"] = true;
  EXPECT_EQ(encodeWith(model, "abc"), (Ids{258}));
  EXPECT_EQ(encodeWith(model, "abca"), (Ids{98, 259, 98}));
}

TEST(Tokenizer, bytesWithoutTokens) {
  nlohmann::json model = {
      {"model", {{"vocab", {{"z", nullptr}, {"y", nullptr}}}}}};
  EXPECT_EQ(encodeWith(model, "azyb"), (Ids{257}));
  model["model"]["unk_token"] = "<unk>";
  EXPECT_EQ(encodeWith(model, "azyb"), (Ids{98, 0, 0, 99}));
  model["model"]["fuse_unk"] = true;
  EXPECT_EQ(encodeWith(model, "azyb"), (Ids{98, 0, 99}));
}

TEST(Tokenizer, normalizers) {
  auto with = [](nlohmann::json list) {
    return nlohmann::json{
        {"normalizer", {{"type", "Sequence"}, {"normalizers", list}}}};
  };
  EXPECT_EQ(encodeWith(with({{{"type", "NFC"}}}), "e\u0301"),
            (Ids{0xC3 + 1, 0xA9 + 1}));
  EXPECT_EQ(encodeWith(with({{{"type", "Prepend"}, {"prepend", "a"}}}), "b"),
            (Ids{257}));
  EXPECT_EQ(encodeWith(with({{{"type", "Prepend"}, {"prepend", "a"}}}), ""),
            Ids{});
  nlohmann::json replace = {
      {"type", "Replace"}, {"pattern", {{"Regex", "x+"}}}, {"content", "b"}};
  EXPECT_EQ(encodeWith(with({replace}), "axxxax"), (Ids{257, 257}));
  replace["pattern"] = {{"String", "x+"}};
  EXPECT_EQ(encodeWith(with({replace}), "ax+"), (Ids{257}));
}

TEST(Tokenizer, addedTokensOfNormalisedText) {
  nlohmann::json parts = {
      {"normalizer",
       {{"type", "Replace"},
        {"pattern", {{"String", "X"}}},
        {"content", "ab"}}},
      {"added_tokens",
       {{{"id", 300}, {"content", "<X>"}, {"normalized", true}},
        {{"id", 301}, {"content", "[X]"}, {"normalized", false}}}}};
  EXPECT_EQ(encodeWith(parts, "<ab>X[X]"), (Ids{300, 257, 301}));
  EXPECT_EQ(encodeWith(parts, "[ab]"), (Ids{'[' + 1, 257, ']' + 1}));
}

TEST(Tokenizer, configurationRulesTheEnds) {
  nlohmann::json post = {
      {"added_tokens", {{{"id", 300}, {"content", "<s>"}, {"special", true}}}},
      {"post_processor",
       {{"type", "Sequence"},
        {"processors",
         {{{"type", "ByteLevel"}},
          {{"type", "TemplateProcessing"},
           {"single",
            {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
             {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             {{"SpecialToken", {{"id", "end"}, {"type_id", 0}}}}}},
           {"special_tokens",
            {{"<s>", {{"id", "<s>"}, {"ids", {300}}}},
             {"end", {{"id", "end"}, {"ids", {7, 8}}}}}}}}}}}};
  EXPECT_EQ(encodeWith(post, "a"), (Ids{98}));
  EXPECT_EQ(encodeWith(post, "a", "", true), (Ids{300, 98, 7, 8}));
  EXPECT_EQ(encodeWith(post, "a", R"({"add_bos_token": false})", true),
            (Ids{98, 7, 8}));
  EXPECT_EQ(encodeWith(post, "a",
                       R"({"add_eos_token": true, "eos_token": "abc"})", true),
            (Ids{300, 98, 258}));
}

TEST(Tokenizer, configurationAddsTokens) {
  std::string config = R"({"added_tokens_decoder": {
      "257": {"content": "ab", "special": false},
      "310": {"content": "<new>", "special": true}}})";
  EXPECT_EQ(encodeWith({}, "a<new>b", config), (Ids{98, 310, 99}));
}

TEST(Tokenizer, templateMayBeAListOrAFile) {
  auto read = [](const std::string &config) {
    Result<Tokenizer> t = Tokenizer::parse(makeJson({}), "t.json", config);
    return t ? t->chatTemplate() : t.error();
  };
  EXPECT_EQ(read(R"({"chat_template": "x"})"), "x");
  EXPECT_EQ(read(R"({"chat_template": [{"name": "tool", "template": "t"},
                      {"name": "default", "template": "d"}]})"),
            "d");
  EXPECT_EQ(read("{}"), "");
}

TEST(StreamDecoder, givesOutWholeCodePoints) {
  Result<Tokenizer> tokenizer = Tokenizer::parse(makeJson({}), "t.json");
  ASSERT_TRUE(tokenizer) << tokenizer.error();
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.push('a' + 1), "a");
  EXPECT_EQ(decoder.push(0xF0 + 1), "");
  EXPECT_EQ(decoder.push(0x9F + 1), "");
  EXPECT_EQ(decoder.push(0x98 + 1), "");
  EXPECT_EQ(decoder.push(0x80 + 1), "\U0001F600");
  EXPECT_EQ(decoder.push(0xC3 + 1), "");
  EXPECT_EQ(decoder.push('b' + 1), "\uFFFDb");
  EXPECT_EQ(decoder.push(0xFF + 1), "\uFFFD");
  EXPECT_EQ(decoder.finish(), "");
  EXPECT_EQ(decoder.push(0xE4 + 1), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, leavesSpecialTokensOut) {
  Tokenizer tokenizer = loadSmall();
  StreamDecoder quiet(tokenizer), loud(tokenizer, false);
  EXPECT_EQ(quiet.push(394), "");
  EXPECT_EQ(loud.push(394), "<|user|>");
  EXPECT_EQ(quiet.push(99999), "");
}
