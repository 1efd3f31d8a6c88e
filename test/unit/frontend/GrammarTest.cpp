//===- GrammarTest.cpp - docs/dsl.md and the parser say the same ----------===//
#include "Grammar.h"
#include "Cases.h"
#include "frontend/Frontend.h"
#include "frontend/Parser.h"
#include "gtest/gtest.h"

/// Returns the blocks of docs/dsl.md that begin with ```LANGUAGE.
static std::vector<std::string> getBlocks(const std::string &language) {
  std::vector<std::string> blocks;
  std::string text = readText(DS_SOURCE_DIR "/docs/dsl.md");
  std::string open = "\n```" + language + "\n";
  for (size_t at = text.find(open); at != std::string::npos;
       at = text.find(open, at)) {
    at += open.size();
    size_t end = text.find("\n```", at);
    blocks.push_back(text.substr(at, end - at) + "\n");
    at = end;
  }
  return blocks;
}

static const Grammar &getGrammar() {
  static const Grammar grammar(getBlocks("ebnf").at(0));
  return grammar;
}

/// Whether the parser and the lexer take `text` without an error.
static bool parses(const std::string &text) {
  return ds::dumpAst({"text", text}, llvm::nulls(), llvm::nulls());
}

/// Whether the documented grammar takes `text`; false for lexical errors.
static bool belongs(const std::string &text) {
  llvm::SourceMgr sources;
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy(text, "text");
  llvm::StringRef copy = buffer->getBuffer();
  sources.AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  ds::Diagnostics diag(sources, llvm::nulls());
  ds::Lexer lexer(copy, diag);
  return !diag.hasErrors() && getGrammar().accepts(lexer.getTokens());
}

static std::vector<std::string> getTexts() {
  std::vector<std::string> texts = getBlocks("ds");
  for (const char *name : {"llama", "qwen2", "deepseek_v3", "objectives/lm",
                           "objectives/balance"})
    texts.push_back(
        readText(std::string(DS_SOURCE_DIR "/models/") + name + ".ds"));
  return texts;
}

TEST(Grammar, IsComplete) { EXPECT_EQ(getGrammar().check(), ""); }

TEST(Grammar, KnowsEveryKeyword) {
  for (llvm::StringRef keyword : ds::getKeywords())
    EXPECT_TRUE(getGrammar().getTerminals().count(keyword.str()))
        << keyword.str();
}

TEST(Grammar, ExamplesAreModels) {
  std::vector<std::string> examples = getBlocks("ds");
  EXPECT_GE(examples.size(), 2u);
  for (const std::string &text : examples) {
    std::string errors;
    llvm::raw_string_ostream os(errors);
    EXPECT_TRUE(ds::checkSource({"docs/dsl.md", text}, os)) << errors;
  }
}

TEST(Grammar, HoldsForModelsAndExamples) {
  for (const std::string &text : getTexts())
    EXPECT_TRUE(belongs(text)) << text;
}

TEST(Grammar, WhatItMakesParses) {
  std::mt19937 random(3);
  size_t longest = 0;
  for (unsigned i = 0; i < 2000; ++i) {
    std::string text = getGrammar().generate(random);
    longest = std::max(longest, text.size());
    ASSERT_TRUE(parses(text)) << text;
  }
  EXPECT_GT(longest, 500u);
}

/// Loses, doubles or exchanges a token of a text.
static std::string damage(const std::string &text, std::mt19937 &random) {
  static const std::string words[] = {"{",  "}",   "(",  ")",    "[", "]", ",",
                                      ":",  "=",   ";",  "?",    "|", ".", "x",
                                      "\n", "as",  "if", "else", "3", "^", "-",
                                      "??", "let", "fn", "null", "<", "+"};
  auto isBorder = [&](size_t at) {
    return !isalnum(text[at]) || !isalnum(text[at - 1]);
  };
  size_t begin = 1 + random() % (text.size() - 2);
  while (begin + 1 < text.size() && !isBorder(begin))
    ++begin;
  size_t end = begin + 1;
  while (end + 1 < text.size() && !isBorder(end))
    ++end;
  std::string piece = text.substr(begin, end - begin);
  std::string with = words[random() % std::size(words)];
  std::string middle = random() % 3 == 0   ? ""
                       : random() % 2 == 0 ? piece + " " + with + " "
                                           : " " + with + " ";
  return text.substr(0, begin) + middle + text.substr(end);
}

TEST(Grammar, AgreesWithTheParserOnDamagedTexts) {
  std::mt19937 random(4);
  unsigned accepted = 0, refused = 0;
  for (const std::string &text : getTexts())
    for (unsigned i = 0; i < 200; ++i) {
      std::string damaged = damage(text, random);
      bool expected = belongs(damaged);
      ASSERT_EQ(parses(damaged), expected) << damaged;
      ++(expected ? accepted : refused);
    }
  EXPECT_GT(accepted, 50u);
  EXPECT_GT(refused, 200u);
}
