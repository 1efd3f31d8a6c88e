//===- RegexTest.cpp - Patterns rewritten for PCRE2 -----------------------===//

#include "runtime/text/Regex.h"

#include <gtest/gtest.h>

using namespace ds::text;

/// Returns the matches of `pattern` in `text`.
static std::vector<std::string> match(const std::string &pattern,
                                      const std::string &text) {
  Result<Regex> regex = Regex::compile(pattern);
  EXPECT_TRUE(regex) << regex.error();
  std::vector<Span> spans;
  Status failure = regex->findAll(text, spans);
  EXPECT_FALSE(failure) << failure->message;
  std::vector<std::string> result;
  for (Span span : spans)
    result.push_back(text.substr(span.begin, span.end - span.begin));
  return result;
}

using Texts = std::vector<std::string>;

TEST(Regex, spaceIsWhiteSpaceAlone) {
  // PCRE2 alone would count the Mongolian vowel separator in.
  EXPECT_EQ(match("\\s", "\u180E\u3000\u0085a"), (Texts{"\u3000", "\u0085"}));
  EXPECT_EQ(match("[\\s]", "\u180E \u200B"), (Texts{" "}));
  EXPECT_EQ(match("\\S", "\u180E "), (Texts{"\u180E"}));
  EXPECT_EQ(match("[^\\S]", "\u180E "), (Texts{" "}));
  EXPECT_EQ(match("[\\Sx]", "\u180E "), (Texts{"\u180E"}));
}

TEST(Regex, categoriesKnowNewCharacters) {
  // U+1FA77 is of Unicode 15, U+105C0 and U+1C89 of Unicode 16.
  EXPECT_EQ(match("\\p{S}", "\U0001FA77"), (Texts{"\U0001FA77"}));
  EXPECT_EQ(match("[\\p{L}]+", "a\U000105C0\u1C89"),
            (Texts{"a\U000105C0\u1C89"}));
  EXPECT_EQ(match("\\pL", "\U000105C0"), (Texts{"\U000105C0"}));
  EXPECT_EQ(match("\\p{Lu}", "\u1C89"), (Texts{"\u1C89"}));
  EXPECT_EQ(match("\\p{Ll}", "\u1C89"), Texts{});
  EXPECT_EQ(match("\\P{L}|[^\\p{L}]", "\U000105C0-"), (Texts{"-"}));
  EXPECT_EQ(match("\\p{^L}", "\U000105C0-"), (Texts{"-"}));
  EXPECT_EQ(match("\\p{Han}", "\U00031350a"), (Texts{"\U00031350"}));
}

TEST(Regex, otherEscapesOfOniguruma) {
  EXPECT_EQ(match("\\h+", "xc0FFee g"), (Texts{"c0FFee"}));
  EXPECT_EQ(match("\\H", "c g"), (Texts{" ", "g"}));
  EXPECT_EQ(match("[\\H]", "c g"), (Texts{" ", "g"}));
  EXPECT_EQ(match("\\u4e2d", "\u4E2D\u6587"), (Texts{"\u4E2D"}));
  EXPECT_EQ(match("\\w+", "a\u0301_1\u00BD\u200D-"),
            (Texts{"a\u0301_1\u00BD"}));
  EXPECT_EQ(match("\\W", "a-"), (Texts{"-"}));
  EXPECT_EQ(match("[[:digit:]x]+", "x12]"), (Texts{"x12"}));
  EXPECT_EQ(match("[]a]+", "]a["), (Texts{"]a"}));
  EXPECT_EQ(match("[^]a]", "]ab"), (Texts{"b"}));
}

TEST(Regex, anchorsAreOfLines) {
  EXPECT_EQ(match("^.", "ab\ncd"), (Texts{"a", "c"}));
  EXPECT_EQ(match(".$", "ab\ncd"), (Texts{"b", "d"}));
  EXPECT_EQ(match("a.", "a\ra\n"), (Texts{"a\r"}));
}

TEST(Regex, emptyMatchesMoveOn) {
  EXPECT_EQ(match("x*", "\u4E2Dx"), (Texts{"", "x", ""}));
}

TEST(Regex, literalsAreNoPatterns) {
  Result<Regex> regex = Regex::literal("a.[");
  ASSERT_TRUE(regex) << regex.error();
  std::vector<Span> spans;
  EXPECT_FALSE(regex->findAll("axa.[", spans));
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].begin, 2u);
}

TEST(Regex, longTextsMatch) {
  std::string spaces(500000, ' ');
  EXPECT_EQ(match("\\s+(?!\\S)|\\s+", spaces + "a"),
            (Texts{spaces.substr(1), " "}));
  // A repeated group keeps a frame for each turn.
  EXPECT_EQ(match("(?:a|b)+c", std::string(300000, 'a') + "c").size(), 1u);
}

TEST(Regex, whatCannotBeRewrittenIsAnError) {
  auto errorOf = [](const char *pattern) {
    Result<Regex> regex = Regex::compile(pattern);
    return regex ? "" : regex.error();
  };
  EXPECT_EQ(errorOf("[a[b]]"),
            "expects brackets without inner brackets (at byte 3)");
  EXPECT_EQ(errorOf("[a&&b]"),
            "expects brackets without an intersection (&&) (at byte 3)");
  EXPECT_EQ(errorOf("[\\W]"), "expects no \\W inside brackets (at byte 1)");
  EXPECT_NE(errorOf("(a"), "");
  EXPECT_NE(errorOf("a\\"), "");
  EXPECT_NE(errorOf("\\p{"), "");
  EXPECT_NE(errorOf("\\u12"), "");
}
