//===- MutationTest.cpp - Damaged texts harm nobody -----------------------===//
//
// Texts and configurations with a few tokens lost, doubled or exchanged:
// every one is accepted or gets an error with a place, and what is accepted
// has a canonical form that is a fixed point.
//
//===----------------------------------------------------------------------===//
#include "Cases.h"
#include "frontend/Frontend.h"
#include "gtest/gtest.h"
#include <random>

static std::string mutate(const std::string &text, std::mt19937 &random) {
  static const char *const pieces[] = {"{", "}",  "(",  ")",   "[",    "]",
                                       ",", "\"", ":",  "=",   "..",   "-",
                                       "^", "if", "fn", "\n",  "null", "0",
                                       "T", "x",  "é",  "999", "use",  "//"};
  std::string result = text;
  for (unsigned count = 1 + random() % 3; count && !result.empty(); --count) {
    size_t at = random() % result.size();
    size_t length = std::min<size_t>(random() % 12, result.size() - at);
    switch (random() % 3) {
    case 0:
      result.erase(at, length);
      break;
    case 1:
      result.insert(at, result.substr(random() % result.size(), 1 + length));
      break;
    default:
      result.replace(at, random() % 2,
                     pieces[random() % (sizeof(pieces) / sizeof(*pieces))]);
    }
  }
  return result;
}

TEST(Mutation, TextsGetErrorsOrCompile) {
  std::mt19937 random(1);
  std::string config = readText(DS_SOURCE_DIR
                                "/test/golden/llama3-distill/config.json");
  std::string text = readText(DS_SOURCE_DIR "/models/llama.ds");
  unsigned accepted = 0;
  for (unsigned i = 0; i < 600; ++i) {
    std::string mutant = mutate(text, random), errors;
    llvm::raw_string_ostream os(errors);
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    bool ok = static_cast<bool>(ds::compileModel(
        context, {"text", mutant}, {"json", config}, false, os));
    EXPECT_EQ(ok, errors.empty()) << mutant << errors;
    EXPECT_EQ(errors.find("expects the ds graph to be valid"),
              std::string::npos)
        << mutant << errors;
    std::optional<std::string> once =
        ds::formatSource({"text", mutant}, llvm::nulls());
    if (!once)
      continue;
    ++accepted;
    EXPECT_EQ(ds::formatSource({"text", *once}, llvm::errs()), once) << mutant;
  }
  EXPECT_GT(accepted, 20u);
}

TEST(Mutation, ConfigurationsGetErrorsOrCompile) {
  std::mt19937 random(2);
  std::string config = readText(DS_SOURCE_DIR
                                "/test/golden/llama3-distill/config.json");
  std::string text = readText(DS_SOURCE_DIR "/models/llama.ds");
  for (unsigned i = 0; i < 300; ++i) {
    std::string mutant = mutate(config, random), errors;
    llvm::raw_string_ostream os(errors);
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    bool ok = static_cast<bool>(ds::compileModel(
        context, {"text", text}, {"json", mutant}, false, os));
    EXPECT_EQ(ok, errors.empty()) << mutant << errors;
    EXPECT_EQ(errors.find("expects the ds graph to be valid"),
              std::string::npos)
        << mutant << errors;
  }
}
