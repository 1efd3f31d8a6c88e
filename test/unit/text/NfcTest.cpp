//===- NfcTest.cpp - Normalisation form C ---------------------------------===//

#include "runtime/text/Nfc.h"

#include <gtest/gtest.h>

using namespace ds::text;

static std::string nfc(std::string text) {
  composeNfc(text);
  return text;
}

TEST(Nfc, composes) {
  EXPECT_EQ(nfc(""), "");
  EXPECT_EQ(nfc("e\u0301"), "\u00E9");
  EXPECT_EQ(nfc("ae\u0301e"), "a\u00E9e");
  EXPECT_EQ(nfc("\u0061\u0302\u0301"), "\u1EA5");
  EXPECT_EQ(nfc("\u1100\u1161\u11A8"), "\uAC01");
  EXPECT_EQ(nfc("\uAC00\u11A8"), "\uAC01");
  // The trailing consonant range begins after U+11A7.
  EXPECT_EQ(nfc("\uAC00\u11A7"), "\uAC00\u11A7");
}

TEST(Nfc, ordersMarks) {
  // A dot below (220) comes before a dot above (230) and composes first.
  EXPECT_EQ(nfc("s\u0307\u0323"), "\u1E69");
  EXPECT_EQ(nfc("q\u0307\u0323"), "q\u0323\u0307");
  // Equal classes keep their order, and the first blocks the second.
  EXPECT_EQ(nfc("a\u0308\u0301"), "\u00E4\u0301");
  EXPECT_EQ(nfc("q\u0301\u0308"), "q\u0301\u0308");
}

TEST(Nfc, blockedAndExcluded) {
  // A starter between base and mark blocks.
  EXPECT_EQ(nfc("ab\u0301"), "ab\u0301");
  EXPECT_EQ(nfc("e\u1161\u0301"), "e\u1161\u0301");
  // Singletons and excluded compositions stay apart.
  EXPECT_EQ(nfc("\u212B"), "\u00C5");
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093C");
  EXPECT_EQ(nfc("\u0344"), "\u0308\u0301");
  EXPECT_EQ(nfc("\uF900"), "\u8C48");
  EXPECT_EQ(nfc("\u0301a"), "\u0301a");
}

TEST(Nfc, isIdempotentAndTakesLongRuns) {
  std::string run = "a";
  for (int i = 0; i < 100000; ++i)
    run += i % 2 ? "\u0301" : "\u0323";
  std::string once = nfc(run);
  EXPECT_EQ(nfc(once), once);
  EXPECT_EQ(once.substr(0, 3), "\u1EA1");
}

TEST(Nfc, tablesAreSorted) {
  for (size_t i = 1; i < composingPairsCount; ++i)
    EXPECT_LT(composingPairs[i - 1].code, composingPairs[i].code);
  for (size_t i = 1; i < otherDecompositionsCount; ++i)
    EXPECT_LT(otherDecompositions[i - 1].code, otherDecompositions[i].code);
  for (size_t i = 1; i < combiningRangesCount; ++i)
    EXPECT_LT(combiningRanges[i - 1].last, combiningRanges[i].first);
}
