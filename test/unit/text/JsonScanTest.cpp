//===- JsonScanTest.cpp - Scanning JSON -----------------------------------===//

#include "runtime/text/JsonScan.h"

#include <gtest/gtest.h>

using namespace ds::text;

static std::string readString(const std::string &json) {
  JsonScan scan(json);
  std::string_view text;
  if (scan.readString(text))
    return std::string(text);
  return scan.place() + " " + scan.problem();
}

TEST(JsonScan, strings) {
  EXPECT_EQ(readString(" \"plain\""), "plain");
  EXPECT_EQ(readString(R"("\"\\\/\b\f\n\r\t")"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(readString(R"("\u0041\u00e9\u4E2D\uD83D\ude00")"),
            "A\u00E9\u4E2D\U0001F600");
  EXPECT_EQ(readString(R"("\ude00")"), "1:2 expects a pair of surrogates");
  EXPECT_EQ(readString(R"("\ud83dx")"), "1:2 expects a pair of surrogates");
  EXPECT_EQ(readString(R"("\u12g4")"), "1:2 expects a JSON escape");
  EXPECT_EQ(readString("\"a\nb\""),
            "1:3 expects control characters to be escaped");
  EXPECT_EQ(readString("\"a\\"), "1:2 expects the string to end");
}

static std::string skip(const std::string &json) {
  JsonScan scan(json);
  size_t begin, end;
  if (scan.skipValue(begin, end))
    return json.substr(begin, end - begin);
  return scan.place() + " " + scan.problem();
}

TEST(JsonScan, skipsValuesOfAnyKind) {
  EXPECT_EQ(skip(" 12.5e3 ,"), "12.5e3");
  EXPECT_EQ(skip("null}"), "null");
  EXPECT_EQ(skip("\"a,}\\\"]\" ,"), "\"a,}\\\"]\"");
  EXPECT_EQ(skip("{\"a\": [1, {}], \"}\": 2}, 3"),
            "{\"a\": [1, {}], \"}\": 2}");
  EXPECT_EQ(skip("[]]"), "[]");
  EXPECT_EQ(skip("]"), "1:1 expects a value");
  EXPECT_EQ(skip("[1"), "1:1 expects the value to end");
}

TEST(JsonScan, placesCountLines) {
  JsonScan scan("{\n \"a\"\n  7");
  std::string_view key;
  EXPECT_TRUE(scan.expect('{'));
  EXPECT_TRUE(scan.readString(key));
  EXPECT_FALSE(scan.expect(':'));
  EXPECT_EQ(scan.place(), "3:3");
}
