//===- Utf8Test.cpp - UTF-8 and the byte alphabet -------------------------===//

#include "runtime/text/Utf8.h"

#include <gtest/gtest.h>

using namespace ds::text;

TEST(Utf8, everyCodePointReadsBack) {
  for (uint32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000)
      continue;
    std::string text;
    appendCodePoint(text, code);
    CodePoint point = readCodePoint(text);
    ASSERT_EQ(point.kind, CodePoint::Valid) << code;
    ASSERT_EQ(point.value, code);
    ASSERT_EQ(point.length, text.size());
    ASSERT_EQ(lastCodePoint("a" + text), 1u);
  }
}

TEST(Utf8, invalidBytes) {
  EXPECT_EQ(findInvalidUtf8("a\u4E2D\U0001F600"), std::string::npos);
  EXPECT_EQ(findInvalidUtf8("a\x80"), 1u);
  EXPECT_EQ(findInvalidUtf8("\xC0\x80"), 0u);
  EXPECT_EQ(findInvalidUtf8("\xED\xA0\x80"), 0u);
  EXPECT_EQ(findInvalidUtf8("\xF4\x90\x80\x80"), 0u);
  EXPECT_EQ(findInvalidUtf8("ab\xE4\xB8"), 2u);
}

TEST(Utf8, longestWrongRunIsOneReplacement) {
  auto replace = [](std::string_view bytes, bool final) {
    std::string out;
    size_t taken = appendLossy(out, bytes, final);
    return out + "|" + std::to_string(taken);
  };
  EXPECT_EQ(replace("a\xE4\xB8z", true), "a\uFFFDz|4");
  EXPECT_EQ(replace("\xED\xA0\x80", true), "\uFFFD\uFFFD\uFFFD|3");
  EXPECT_EQ(replace("\xF0\x9F\x98\xF0\x9F", true), "\uFFFD\uFFFD|5");
  EXPECT_EQ(replace("ab\xF0\x9F\x98", false), "ab|2");
  EXPECT_EQ(replace("ab\xF0\x9F\x98", true), "ab\uFFFD|5");
  EXPECT_EQ(replace("\xFF\xE4", false), "\uFFFD|1");
}

TEST(Utf8, alphabetWritesEveryByteOnce) {
  std::string written;
  // 94 + 12 + 82 letters of their own, and 68 from U+0100 on.
  for (uint32_t code = 0x21; code < 0x144; ++code) {
    std::string letter, bytes;
    appendCodePoint(letter, code);
    if (appendAlphabetBytes(bytes, letter))
      written += bytes;
  }
  ASSERT_EQ(written.size(), 256u);
  bool seen[256] = {};
  for (char c : written)
    seen[static_cast<uint8_t>(c)] = true;
  for (bool byte : seen)
    EXPECT_TRUE(byte);
  std::string bytes;
  EXPECT_TRUE(appendAlphabetBytes(bytes, "\u0120a\u010A"));
  EXPECT_EQ(bytes, " a\n");
  EXPECT_FALSE(appendAlphabetBytes(bytes, "a b"));
  EXPECT_EQ(bytes, " a\n");
}
