//===- ErrorsTest.cpp - Exact diagnostics of broken texts -----------------===//
#include "Cases.h"
#include "gtest/gtest.h"

namespace {
class Errors : public testing::TestWithParam<const char *> {};
} // namespace

TEST_P(Errors, AreExact) {
  std::vector<Case> cases =
      readCases(std::string(DS_TEST_DIR "/errors/") + GetParam() + ".ds");
  for (const Case &test : cases) {
    std::string expected, actual;
    for (const std::string &line : test.expected)
      expected += "//! " + line + "\n";
    for (const std::string &line : runCase(test))
      actual += "//! " + line + "\n";
    EXPECT_EQ(actual, expected) << test.name;
    EXPECT_FALSE(test.expected.empty()) << test.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Errors,
                         testing::Values("lexer", "parser", "names", "types",
                                         "configuration", "config", "training",
                                         "sparse", "draft"),
                         [](const auto &info) {
                           return std::string(info.param);
                         });
