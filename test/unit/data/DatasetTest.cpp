//===- DatasetTest.cpp - Files of examples and what is wrong with them ----===//
#include "Support.h"

#include <gtest/gtest.h>
#include <random>

using namespace ds::data;
using ds::text::Tokenizer;

/// The text of all tokens of an example.
static std::string show(const Example &example) {
  std::string text;
  for (int32_t token : example.tokens)
    text += makeTokenizer().bytes(token);
  return text;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

TEST(Dataset, DocumentsOfAText) {
  Loaded loaded("a.txt", "first\nline</s>\n\nsecond</s>\n</s>third\n");
  ASSERT_EQ(loaded.error, "");
  ASSERT_EQ(loaded.data.size(), 3);
  const char *texts[] = {"<s>first\nline</s>", "<s>second</s>",
                         "<s>third\n</s>"};
  int64_t lines[] = {1, 4, 5}, rows = 0;
  for (int i = 0; i < 3; ++i) {
    const Example &example = loaded.data[i];
    EXPECT_EQ(show(example), texts[i]);
    EXPECT_EQ(example.line, lines[i]);
    EXPECT_EQ(example.targets(), example.rows());
    EXPECT_EQ(example.mask[0], 0);
    rows += example.rows();
  }
  EXPECT_EQ(loaded.data.rows(), rows);
  EXPECT_EQ(loaded.data.targets(), rows);
}

/// Every token but the first is a target once, and no part is too long.
TEST(Dataset, LongDocumentsAreCut) {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "some words " + std::to_string(i) + " ";
  Tokenizer tokenizer = makeTokenizer();
  std::vector<int32_t> whole = *tokenizer.encode("<s>" + text + "</s>");
  for (int64_t length : {1, 7, 8, 1000}) {
    Loaded loaded("a.txt", text, {length, 0, false, false});
    ASSERT_EQ(loaded.error, "");
    std::vector<int32_t> targets = {whole[0]};
    for (int64_t i = 0; i < loaded.data.size(); ++i) {
      const Example &part = loaded.data[i];
      EXPECT_LE(part.rows(), length);
      EXPECT_EQ(part.tokens[0], targets.back());
      targets.insert(targets.end(), part.tokens.begin() + 1, part.tokens.end());
    }
    EXPECT_EQ(targets, whole);
    EXPECT_EQ(loaded.data.rows(), static_cast<int64_t>(whole.size()) - 1);
  }
  Loaded cut("a.txt", text, {1000, 5, false, false});
  EXPECT_EQ(cut.data.longest(), 5);
}

TEST(Dataset, TextErrors) {
  EXPECT_EQ(Loaded("a.txt", "").error,
            "a.txt:1: expects text of at least one token");
  EXPECT_EQ(Loaded("a.txt", "</s>\n\n").error,
            "a.txt:1: expects text of at least one token");
  EXPECT_EQ(Loaded("a.txt", "a\nb\xff").error,
            "a.txt:2: expects the text to be UTF-8");
  auto missing =
      Dataset::load({"/nowhere/a.txt"}, makeTokenizer(), {10, 0, false, false});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().find("/nowhere/a.txt"), std::string::npos);
}

//===----------------------------------------------------------------------===//
// JSON Lines
//===----------------------------------------------------------------------===//

TEST(Dataset, PromptAndCompletion) {
  Loaded loaded("a.jsonl", "{\"prompt\": \"ask \", \"completion\": \"say\"}\n"
                           "\n"
                           "{\"id\": 3, \"prompt\": \"\", "
                           "\"completion\": \"b\"}");
  ASSERT_EQ(loaded.error, "");
  ASSERT_EQ(loaded.data.size(), 2);
  EXPECT_EQ(show(loaded.data[0]), "<s>ask say</s>");
  EXPECT_EQ(showTargets(loaded.data[0], makeTokenizer()), "say</s>");
  EXPECT_EQ(showTargets(loaded.data[1], makeTokenizer()), "b</s>");
  EXPECT_EQ(loaded.data[1].line, 3);
  EXPECT_EQ(loaded.data.place(loaded.data[1]), loaded.data.files()[0] + ":3");
}

TEST(Dataset, MessagesAndTexts) {
  Tokenizer tokenizer = makeTokenizer();
  Loaded loaded("a.jsonl",
                "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, "
                "{\"role\": \"assistant\", \"content\": \"b\"}]}\n"
                "{\"text\": \"c d\"}\n");
  ASSERT_EQ(loaded.error, "");
  EXPECT_EQ(showTargets(loaded.data[0], tokenizer), "b</s>");
  EXPECT_EQ(show(loaded.data[1]), "<s>c d</s>");
  EXPECT_EQ(loaded.data[1].targets(), loaded.data[1].rows());
}

TEST(Dataset, AllTargets) {
  Loaded loaded("a.jsonl", "{\"prompt\": \"ask \", \"completion\": \"say\"}",
                {1000, 0, false, true});
  ASSERT_EQ(loaded.error, "");
  EXPECT_EQ(loaded.data[0].targets(), loaded.data[0].rows());
}

TEST(Dataset, ErrorsNameTheLine) {
  std::string good = "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
  auto message = [&](const std::string &line) {
    return Loaded("a.jsonl", good + line + "\n" + good).error;
  };
  EXPECT_EQ(message("{\"prompt\": \"a\", "),
            "a.jsonl:2: expects a JSON object; column 17: syntax error while "
            "parsing object key - unexpected end of input; expected string "
            "literal");
  EXPECT_EQ(message("[1]"), "a.jsonl:2: expects a JSON object");
  EXPECT_EQ(message("{\"prompt\": \"a\"}"),
            "a.jsonl:2: expects an object with 'messages', with 'prompt' and "
            "'completion', or with 'text'");
  EXPECT_EQ(message("{\"prompt\": 1, \"completion\": \"b\"}"),
            "a.jsonl:2: expects 'prompt' to be a string");
  EXPECT_EQ(message("{\"prompt\": \"a\", \"completion\": \"\"}"),
            "a.jsonl:2: expects a completion, got an empty text");
  EXPECT_EQ(message("{\"text\": \"\"}"),
            "a.jsonl:2: expects a text, got an empty one");
  EXPECT_EQ(message("{\"messages\": []}"),
            "a.jsonl:2: expects 'messages' to be a list of at least one "
            "message");
  EXPECT_EQ(message("{\"messages\": [{\"role\": \"user\"}]}"),
            "a.jsonl:2: expects messages[0].content to be a string");
  EXPECT_EQ(message("{\"messages\": [7]}"),
            "a.jsonl:2: expects messages[0] to be an object");
  EXPECT_EQ(
      message("{\"messages\": [{\"role\": \"bot\", \"content\": \"a\"}]}"),
      "a.jsonl:2: unknown role 'bot' of messages[0]; expects system, user, "
      "assistant or tool");
  EXPECT_EQ(
      message("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}"),
      "a.jsonl:2: expects a turn of the assistant, which is what is learnt");
  EXPECT_NE(message("{\"text\": \"\xff\"}").find("a.jsonl:2: expects a JSON"),
            std::string::npos);
  EXPECT_EQ(Loaded("a.jsonl", "\n")
                .error.find("a.jsonl: expects at least one "
                            "example"),
            0u);
}

TEST(Dataset, LongExamples) {
  std::string lines = "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
                      "{\"prompt\": \"a\", \"completion\": "
                      "\"b 1 c 2 d 3 e 4 f\"}\n";
  std::string error = Loaded("a.jsonl", lines, {5, 0, false, false}).error;
  EXPECT_EQ(error.find("a.jsonl:2: the example has "), 0u) << error;
  EXPECT_NE(error.find("longer than the context of 5"), std::string::npos);
  Loaded loaded("a.jsonl", lines, {5, 0, true, false});
  ASSERT_EQ(loaded.error, "");
  EXPECT_EQ(loaded.data.size(), 1);
  EXPECT_EQ(loaded.data.skipped(), 1);
  EXPECT_NE(Loaded("a.jsonl", lines, {1, 0, true, false})
                .error.find("that fits the context of 1 tokens"),
            std::string::npos);
}

TEST(Dataset, FingerprintTellsDataApart) {
  auto hash = [](const std::string &text, bool all = false) {
    return Loaded("a.jsonl", text, {100, 0, false, all}).data.fingerprint();
  };
  std::string one = "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
  std::string two = "{\"prompt\": \"a\", \"completion\": \"c\"}\n";
  EXPECT_EQ(hash(one), hash(one));
  EXPECT_NE(hash(one), hash(two));
  EXPECT_NE(hash(one), hash(one, true));
  EXPECT_NE(hash(one + two), hash(two + one));
}

/// Damaged files give an error with a place, or examples that hold what
/// Example promises.
TEST(Dataset, DamagedFiles) {
  std::mt19937 random(1);
  std::string text =
      "{\"messages\": [{\"role\": \"user\", \"content\": \"a b\"}, "
      "{\"role\": \"assistant\", \"content\": \"c\\n\\u00e9 d\"}]}\n"
      "{\"prompt\": \"ask\", \"completion\": \"say\"}\n"
      "{\"text\": \"some </s> words\"}\n";
  Tokenizer tokenizer = makeTokenizer();
  int accepted = 0, refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string damaged = text;
    size_t at = random() % text.size(), length = 1 + random() % 3;
    if (random() % 2)
      damaged.erase(at, length);
    else
      damaged.replace(at, length,
                      std::string(1, "\"{}[],:x\\\n\xff"[random() % 11]));
    bool isText = random() % 4 == 0;
    std::string name = isText ? "a.txt" : "a.jsonl";
    Loaded loaded(name, damaged, {6, 0, random() % 2 == 0, false}, tokenizer);
    if (!loaded.error.empty()) {
      EXPECT_EQ(loaded.error.find(name + ":"), 0u) << loaded.error;
      ++refused;
      continue;
    }
    ++accepted;
    for (int64_t j = 0; j < loaded.data.size(); ++j) {
      const Example &example = loaded.data[j];
      EXPECT_EQ(example.tokens.size(), example.mask.size());
      EXPECT_GE(example.rows(), 1);
      EXPECT_LE(example.rows(), 6);
      EXPECT_GE(example.targets(), 1);
      EXPECT_EQ(example.mask[0], 0);
    }
  }
  EXPECT_GT(accepted, 20);
  EXPECT_GT(refused, 100);
}
