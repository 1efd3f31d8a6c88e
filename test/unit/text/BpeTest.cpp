//===- BpeTest.cpp - Merging, short and long words ------------------------===//

#include "runtime/text/Bpe.h"

#include <gtest/gtest.h>
#include <map>
#include <random>

using namespace ds::text;

namespace {
/// A random encoder on the letters a to d, and the same merges as a plain map.
struct RandomBpe {
  explicit RandomBpe(uint32_t seed) : random(seed) {
    for (std::string letter : {"a", "b", "c", "d"})
      add(letter);
    for (int rank = 0; rank < 40; ++rank) {
      std::string left = words[random() % words.size()];
      std::string right = words[random() % words.size()];
      if (left.size() + right.size() > 12)
        continue;
      int32_t id = add(left + right);
      bpe.addMerge(ids[left], ids[right], id);
      merges.emplace(std::pair(ids[left], ids[right]), std::pair(rank, id));
    }
    bpe.finish(vocabulary, -1, false, false);
  }

  int32_t add(const std::string &word) {
    auto [at, isNew] = ids.emplace(word, static_cast<int32_t>(words.size()));
    if (isNew) {
      words.push_back(word);
      EXPECT_TRUE(vocabulary.add(word, at->second));
    }
    return at->second;
  }

  /// Joins the leftmost pair of the lowest rank until there is none.
  std::vector<int32_t> encodeSlowly(const std::string &text) {
    std::vector<int32_t> result;
    for (char c : text)
      result.push_back(ids[std::string(1, c)]);
    while (true) {
      int best = -1, bestRank = 1000, bestId = -1;
      for (size_t i = 0; i + 1 < result.size(); ++i) {
        auto found = merges.find({result[i], result[i + 1]});
        if (found == merges.end() || found->second.first >= bestRank)
          continue;
        best = static_cast<int>(i);
        std::tie(bestRank, bestId) = found->second;
      }
      if (best < 0)
        return result;
      result[best] = bestId;
      result.erase(result.begin() + best + 1);
    }
  }

  std::mt19937 random;
  Vocabulary vocabulary;
  Bpe bpe;
  std::vector<std::string> words;
  std::map<std::string, int32_t> ids;
  std::map<std::pair<int32_t, int32_t>, std::pair<int, int32_t>> merges;
};
} // namespace

TEST(Bpe, anyLengthMatchesThePlainDefinition) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    RandomBpe model(seed);
    for (size_t length = 0; length < 90; ++length) {
      std::string text;
      for (size_t i = 0; i < length; ++i)
        text += static_cast<char>('a' + model.random() % 4);
      std::vector<int32_t> ids;
      model.bpe.encode(model.vocabulary, text, ids);
      EXPECT_EQ(ids, model.encodeSlowly(text)) << seed << " " << text;
    }
  }
}

TEST(Bpe, veryLongWordTakesNoQuadraticTime) {
  RandomBpe model(1);
  std::vector<int32_t> ids;
  model.bpe.encode(model.vocabulary, std::string(2000000, 'a'), ids);
  EXPECT_GT(ids.size(), 0u);
}

TEST(Vocabulary, keepsAlphabetAndOtherTextsApart) {
  Vocabulary vocabulary;
  // U+00C3 U+00A9 writes the bytes of an e with an acute accent.
  EXPECT_TRUE(vocabulary.add("\u00C3\u00A9", 0));
  EXPECT_TRUE(vocabulary.add("\u4E2D", 1));
  // U+2581 is not in the alphabet: the token stands for its own text.
  EXPECT_TRUE(vocabulary.add("\u00E9\u2581", 2));
  EXPECT_EQ(vocabulary.bytes(0), "\u00E9");
  EXPECT_EQ(vocabulary.bytes(2), "\u00E9\u2581");
  EXPECT_EQ(vocabulary.findBytes("\u00E9"), 0);
  EXPECT_EQ(vocabulary.findBytes("\u4E2D"), -1);
  EXPECT_EQ(vocabulary.findText("\u4E2D"), 1);
  EXPECT_EQ(vocabulary.findWritten("\u00C3\u00A9"), 0);
  EXPECT_TRUE(vocabulary.add("\u4E2D", 1));
  EXPECT_FALSE(vocabulary.add("\u4E2D", 5));
  EXPECT_FALSE(vocabulary.add("other", 1));
  EXPECT_EQ(vocabulary.findWritten("other"), -1);
  EXPECT_TRUE(vocabulary.add("far", 1000));
  EXPECT_FALSE(vocabulary.has(999));
  EXPECT_EQ(vocabulary.size(), 1001);
}

TEST(Vocabulary, growsPastItsReserve) {
  Vocabulary vocabulary;
  for (int32_t id = 0; id < 5000; ++id)
    ASSERT_TRUE(vocabulary.add("t" + std::to_string(id), id));
  for (int32_t id = 0; id < 5000; ++id)
    ASSERT_EQ(vocabulary.findWritten("t" + std::to_string(id)), id);
}
