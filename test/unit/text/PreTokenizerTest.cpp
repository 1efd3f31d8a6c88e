//===- PreTokenizerTest.cpp - Pieces as recorded --------------------------===//

#include "runtime/text/PreTokenizer.h"
#include "test/unit/text/Lines.h"

#include <gtest/gtest.h>

using namespace ds::text;

static std::vector<std::string> splitBy(const Json &part,
                                        const std::string &text) {
  FileProblem problem{"t.json", {}};
  Json whole = part;
  if (part["type"] != "ByteLevel")
    whole = {{"type", "Sequence"},
             {"pretokenizers",
              {part,
               {{"type", "ByteLevel"},
                {"add_prefix_space", false},
                {"use_regex", false}}}}};
  PreTokenizer preTokenizer;
  preTokenizer.read(JsonPart(whole, problem, "pre_tokenizer"));
  EXPECT_EQ(problem.message, "");
  Pieces pieces;
  if (!text.empty())
    pieces.list.push_back(text);
  Status failure = preTokenizer.split(pieces);
  EXPECT_FALSE(failure) << failure->message;
  return {pieces.list.begin(), pieces.list.end()};
}

TEST(PreTokenizer, piecesAreAsRecorded) {
  auto lines = readLines("tokenizer_parts.jsonl");
  ASSERT_GT(lines.size(), 700u);
  for (const auto &line : lines)
    EXPECT_EQ(splitBy(line["part"], line["text"]),
              line["pieces"].get<std::vector<std::string>>())
        << line.dump();
}

TEST(PreTokenizer, stepsFollowEachOther) {
  Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  Json words = {{"type", "Split"},
                {"pattern", {{"Regex", "[a-z]{2}"}}},
                {"behavior", "Isolated"}};
  Json both = {{"type", "Sequence"}, {"pretokenizers", {digits, words}}};
  EXPECT_EQ(splitBy(both, "abc12de"),
            (std::vector<std::string>{"ab", "c", "1", "2", "de"}));
}
