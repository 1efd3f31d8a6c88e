//===- TokenizerErrorsTest.cpp - Files that are not understood ------------===//

#include "runtime/text/Tokenizer.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

using namespace ds::text;

static const std::string model =
    R"("model": {"type": "BPE", "vocab": {"a": 0}, "merges": []})";
static const std::string level = R"("pre_tokenizer": {"type": "ByteLevel"})";
static const std::string decoder = R"("decoder": {"type": "ByteLevel"})";

static std::string join(const std::vector<std::string> &parts) {
  std::string out = "{";
  for (const std::string &part : parts)
    out += (out.size() > 1 ? ", " : "") + part;
  return out + "}";
}

static std::string errorOf(const std::string &json,
                           const std::string &config = {}) {
  Result<Tokenizer> tokenizer =
      Tokenizer::parse(json, "t.json", config, "c.json");
  return tokenizer ? "" : tokenizer.error();
}

TEST(TokenizerErrors, smallestFileIsRead) {
  EXPECT_EQ(errorOf(join({model, level, decoder})), "");
}

TEST(TokenizerErrors, syntaxHasLineAndColumn) {
  EXPECT_EQ(errorOf(""), "t.json:1:1: expects '{'");
  EXPECT_EQ(errorOf("{\n  \"a\" 1}"), "t.json:2:7: expects ':'");
  EXPECT_EQ(errorOf("{\"model\": {\"vocab\": {"),
            "t.json:1:21: expects the value to end");
  EXPECT_EQ(errorOf("{\"decoder\": [1 2]}"), "t.json:1:16: expects valid JSON");
  EXPECT_EQ(errorOf("{\"decoder\": }"), "t.json:1:13: expects a value");
  EXPECT_EQ(errorOf("{\"a"), "t.json:1:3: expects the string to end");
  EXPECT_EQ(errorOf(join({model, level, decoder}) + "x"),
            "t.json:1:134: expects the file to end");
}

TEST(TokenizerErrors, vocabulary) {
  auto with = [](const std::string &vocab, const std::string &merges) {
    return errorOf(join(
        {R"("model": {"vocab": )" + vocab + R"(, "merges": )" + merges + "}",
         level, decoder}));
  };
  EXPECT_EQ(with("{\"a\": 0, \"b\": 0}", "[]"),
            "t.json:1:30: expects each token and each id (0) once");
  EXPECT_EQ(with("{\"a\": 0, \"a\": 1}", "[]"),
            "t.json:1:30: expects each token and each id (1) once");
  EXPECT_EQ(with("{\"a\": -1}", "[]"),
            "t.json:1:22: expects the id (-1) to be between 0 and 16777215");
  EXPECT_EQ(with("{\"a\": 99999999}", "[]"),
            "t.json:1:22: expects the id (99999999) to be between 0 and "
            "16777215");
  EXPECT_EQ(with("{\"a\": 1.5}", "[]"),
            "t.json:1:27: expects a whole number of 32 bits");
  EXPECT_EQ(with("{\"a\": 9999999999999999999999}", "[]"),
            "t.json:1:27: expects a whole number of 32 bits");
  EXPECT_EQ(with("{\"\\q\": 1}", "[]"), "t.json:1:23: expects a JSON escape");
  EXPECT_EQ(with("{\"\\ud800\": 1}", "[]"),
            "t.json:1:23: expects a pair of surrogates");
  EXPECT_EQ(with("[]", "[]"), "t.json:1:21: expects '{'");
  EXPECT_EQ(with("{\"a\": 0}", "[\"a\"]"),
            "t.json:1:42: expects two tokens with a space between");
  EXPECT_EQ(with("{\"a\": 0}", "[\"a a a\"]"),
            "t.json:1:42: expects two tokens with a space between");
  EXPECT_EQ(with("{\"a\": 0}", "[[\"a\"]]"), "t.json:1:46: expects ','");
  EXPECT_EQ(with("{\"a\": 0}", "[\"a a\"]"),
            "t.json:1:42: expects the merge of \"a\" and \"a\" to have all "
            "three tokens in vocab");
  EXPECT_EQ(with("{\"a\": 0}", "[7]"), "t.json:1:42: expects '\"'");
}

TEST(TokenizerErrors, unknownPartsAreNamed) {
  EXPECT_EQ(errorOf(join({model, level, decoder, R"("extra": 1)"})),
            "t.json: expects no key extra (known are version, truncation, "
            "padding, added_tokens, normalizer, pre_tokenizer, "
            "post_processor, decoder, model)");
  EXPECT_EQ(errorOf(join({R"("model": {"type": "Unigram", "vocab": []})", level,
                          decoder})),
            "t.json: expects model.type (\"Unigram\") to be BPE");
  EXPECT_EQ(errorOf(join({R"("model": {"type": "BPE", "vocab": {}, )"
                          R"("merges": [], "byte_fallback": true})",
                          level, decoder})),
            "t.json: expects model.byte_fallback (true) to be false: the "
            "tokenizer is not byte-level");
  EXPECT_EQ(errorOf(join({R"("model": {"vocab": {}, "merges": [], )"
                          R"("end_of_word_suffix": "</w>"})",
                          level, decoder})),
            "t.json: expects model.end_of_word_suffix (\"</w>\") to be null");
  EXPECT_EQ(errorOf(join({R"("model": {"vocab": {}, "merges": [], "x": 1})",
                          level, decoder})),
            "t.json: expects no key model.x (known are type, dropout, "
            "unk_token, continuing_subword_prefix, end_of_word_suffix, "
            "fuse_unk, byte_fallback, ignore_merges)");
  EXPECT_EQ(errorOf(join({R"("model": {"type": "BPE"})", level, decoder})),
            "t.json: expects model.vocab and model.merges");
  EXPECT_EQ(errorOf(join({level, decoder})),
            "t.json: expects model (null) to be an object");
  EXPECT_EQ(errorOf(join(
                {R"("normalizer": {"type": "NFKC"})", model, level, decoder})),
            "t.json: expects normalizer.type (\"NFKC\") to be NFC, Prepend, "
            "Replace or Sequence");
  EXPECT_EQ(
      errorOf(join({model, level, R"("decoder": {"type": "Metaspace"})"})),
      "t.json: expects decoder.type (\"Metaspace\") to be ByteLevel, "
      "Fuse or Sequence");
  EXPECT_EQ(errorOf(join({model, level})),
            "t.json: expects decoder (null) to be ByteLevel, Fuse or Sequence");
  EXPECT_EQ(errorOf(join({model, level, decoder,
                          R"("post_processor": {"type": "Bert"})"})),
            "t.json: expects post_processor.type (\"Bert\") to be ByteLevel, "
            "Sequence or TemplateProcessing");
}

TEST(TokenizerErrors, preTokenizers) {
  auto with = [](const std::string &part) {
    return errorOf(join({model, decoder, "\"pre_tokenizer\": " + part}));
  };
  EXPECT_EQ(with("null"),
            "t.json: expects pre_tokenizer (null) to be or to end in a "
            "ByteLevel pre-tokenizer: only byte-level tokenizers are "
            "understood");
  EXPECT_EQ(with(R"({"type": "Sequence", "pretokenizers": [)"
                 R"({"type": "ByteLevel"}, {"type": "Digits"}]})"),
            "t.json: expects pre_tokenizer.pretokenizers[1] (an object) to be "
            "before the ByteLevel pre-tokenizer");
  EXPECT_EQ(
      with(R"({"type": "Sequence", "pretokenizers": [{"type": "Bert"}]})"),
      "t.json: expects pre_tokenizer.pretokenizers[0].type (\"Bert\") to "
      "be ByteLevel, Digits, Punctuation, Sequence, Split, Whitespace or "
      "WhitespaceSplit");
  EXPECT_EQ(with("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a)\"},"
                 "\"behavior\": \"Isolated\"}"),
            "t.json: expects pre_tokenizer.pattern.Regex (\"a)\") to be a "
            "regular expression that is understood: expects a regular "
            "expression, but at byte 1: unmatched closing parenthesis");
  EXPECT_EQ(with(R"({"type": "Split", "pattern": {"Regex": "[a&&b]"},)"
                 R"("behavior": "Isolated"})"),
            "t.json: expects pre_tokenizer.pattern.Regex (\"[a&&b]\") to be a "
            "regular expression that is understood: expects brackets without "
            "an intersection (&&) (at byte 3)");
  EXPECT_EQ(with(R"({"type": "Split", "pattern": {}, "behavior": "Isolated"})"),
            "t.json: expects pre_tokenizer.pattern (an object) to be "
            "{\"String\": ..} or {\"Regex\": ..}");
  EXPECT_EQ(with(R"({"type": "Split", "pattern": {"String": "a"},)"
                 R"("behavior": "Gone"})"),
            "t.json: expects pre_tokenizer.behavior (\"Gone\") to be Removed, "
            "Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
  EXPECT_EQ(with(R"({"type": "ByteLevel", "add_prefix_space": 1})"),
            "t.json: expects pre_tokenizer.add_prefix_space (1) to be true or "
            "false");
}

TEST(TokenizerErrors, addedTokens) {
  auto with = [](const std::string &token) {
    return errorOf(
        join({model, level, decoder, "\"added_tokens\": [" + token + "]"}));
  };
  EXPECT_EQ(with(R"({"id": 0, "content": "b"})"),
            "t.json: expects added_tokens[0].content (\"b\") to be the only "
            "token with its text and its id");
  EXPECT_EQ(with(R"({"id": 1, "content": ""})"),
            "t.json: expects added_tokens[0].content (\"\") to be a token that "
            "is not empty");
  EXPECT_EQ(with(R"({"id": "1", "content": "b"})"),
            "t.json: expects added_tokens[0].id (\"1\") to be a whole number "
            "of 32 bits");
  EXPECT_EQ(with(R"({"id": 1, "content": "b", "special": "yes"})"),
            "t.json: expects added_tokens[0].special (\"yes\") to be true or "
            "false");
}

TEST(TokenizerErrors, configuration) {
  std::string json = join({model, level, decoder});
  EXPECT_EQ(errorOf(json, "{\n\"a\": x}"), "c.json:2:6: expects valid JSON");
  EXPECT_EQ(errorOf(json, "[]"), "c.json: expects an object");
  EXPECT_EQ(errorOf(json, R"({"bos_token": 3})"),
            "c.json: expects bos_token (3) to be a string");
  EXPECT_EQ(errorOf(json, R"({"add_bos_token": true})"),
            "c.json: expects add_bos_token (true) to be false where the token "
            "it adds is not in the vocabulary");
  EXPECT_EQ(errorOf(json, R"({"added_tokens_decoder": {"x": {}}})"),
            "c.json: expects added_tokens_decoder to have ids as keys, not x");
  EXPECT_EQ(errorOf(json, R"({"chat_template": [{"name": "a"}]})"),
            "c.json: expects chat_template (a list) to be a text or a list "
            "with one named \"default\"");
}

TEST(TokenizerErrors, missingFile) {
  Result<Tokenizer> tokenizer = Tokenizer::load("no/such/folder");
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error(), "cannot open no/such/folder/tokenizer.json: No "
                               "such file or directory");
}

// Every cut of a good file is an error, and none a crash.
TEST(TokenizerErrors, truncatedFiles) {
  std::ifstream file(std::string(DS_GOLDEN) +
                     "/tokenizer_small/tokenizer.json");
  std::string json(std::istreambuf_iterator<char>(file), {});
  ASSERT_GT(json.size(), 1000u);
  for (size_t size = 0; size + 2 < json.size(); size += 37) {
    std::string error = errorOf(json.substr(0, size));
    EXPECT_EQ(error.rfind("t.json", 0), 0u) << size << ": " << error;
  }
}

// So is a deep nest of brackets, wherever it stands.
TEST(TokenizerErrors, deepNesting) {
  std::string deep(200000, '[');
  std::string closed = deep + std::string(200000, ']');
  EXPECT_NE(errorOf("{\"decoder\": " + deep), "");
  EXPECT_NE(errorOf(join({model, level, "\"decoder\": " + closed})), "");
  EXPECT_NE(errorOf(join({model, level, "\"normalizer\": " + closed})), "");
}
