//===- TokenizeCommandTest.cpp - What dsrun tokenize prints ---------------===//

#include "runtime/text/TokenizeCommand.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

using namespace ds::text;

static const std::string folder = std::string(DS_GOLDEN) + "/tokenizer_small";

namespace {
struct Outcome {
  int code;
  std::string out, err;
};
} // namespace

static Outcome run(const std::vector<std::string> &words) {
  std::ostringstream out, err;
  int code = tokenizeMain(words, out, err);
  return {code, out.str(), err.str()};
}

TEST(TokenizeCommand, printsIdsWithPieces) {
  Outcome outcome = run({folder, "--text", "<s>\u00E9\n\""});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("       0  \"<s>\"\n"), std::string::npos);
  EXPECT_NE(outcome.out.find("  \"\\xc3\"\n"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("  \"\\n\"\n"), std::string::npos);
  EXPECT_NE(outcome.out.find("  \"\\\"\"\n"), std::string::npos);
}

TEST(TokenizeCommand, idsAndDecodingAreInverse) {
  Outcome ids = run({folder, "--text=the pieces 2048", "--ids", "--special"});
  EXPECT_EQ(ids.out.substr(0, 2), "0 ");
  EXPECT_EQ(run({folder, "--decode", ids.out}).out, "<s>the pieces 2048\n");
  EXPECT_EQ(run({"--skip-special", "--decode", ids.out, folder}).out,
            "the pieces 2048\n");
  EXPECT_EQ(run({folder, "--decode=[0, 1]"}).out, "<s></s>\n");
}

TEST(TokenizeCommand, readsFiles) {
  std::string path = testing::TempDir() + "tokenize-command.txt";
  std::ofstream(path) << "words";
  Outcome file = run({folder, "--ids", "--file", path});
  EXPECT_EQ(file.code, 0) << file.err;
  EXPECT_EQ(file.out, run({folder, "--ids", "--text", "words"}).out);
}

TEST(TokenizeCommand, errors) {
  auto errorOf = [](const std::vector<std::string> &words) {
    Outcome outcome = run(words);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.out, "");
    return outcome.err;
  };
  EXPECT_EQ(errorOf({}),
            "dsrun: error: expects a folder with a tokenizer.json\n");
  EXPECT_EQ(errorOf({folder}),
            "dsrun: error: expects one of --text, --file and --decode\n");
  EXPECT_EQ(errorOf({folder, "--text", "a", "--decode", "1"}),
            "dsrun: error: expects one of --text, --file and --decode\n");
  EXPECT_EQ(errorOf({folder, "--text"}),
            "dsrun: error: expects a value after --text\n");
  EXPECT_EQ(errorOf({folder, "--quick"}),
            "dsrun: error: unknown option --quick; see dsrun tokenize "
            "--help\n");
  EXPECT_EQ(errorOf({folder, "other", "--text=a"}),
            "dsrun: error: expects one folder, not also other\n");
  EXPECT_EQ(errorOf({folder, "--decode", "1 398"}),
            "dsrun: error: expects ids (398) between 0 and 397\n");
  EXPECT_EQ(errorOf({folder, "--decode", "-1"}),
            "dsrun: error: expects ids (-1) between 0 and 397\n");
  EXPECT_EQ(errorOf({folder, "--file", "no-such-file"}),
            "dsrun: error: cannot open no-such-file: No such file or "
            "directory\n");
  EXPECT_EQ(errorOf({folder, "--file", folder}),
            "dsrun: error: cannot read " + folder + ": Is a directory\n");
  EXPECT_EQ(errorOf({"no-such-folder", "--text=a"}),
            "dsrun: error: cannot open no-such-folder/tokenizer.json: No such "
            "file or directory\n");
}

TEST(TokenizeCommand, help) {
  Outcome outcome = run({"--help"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, tokenizeHelp());
}
