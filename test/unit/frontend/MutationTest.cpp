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
  static const char *const pieces[] = {
      "{", "}",  "(",  ")",  "[",    "]", ",", "\"", ":", "=",   "..",  "-",
      "^", "if", "fn", "\n", "null", "0", "T", "x",  "é", "999", "use", "//"};
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
  std::string config =
      readText(DS_SOURCE_DIR "/test/golden/llama3-distill/config.json");
  std::string text = readText(DS_SOURCE_DIR "/models/llama.ds");
  unsigned accepted = 0;
  for (unsigned i = 0; i < 600; ++i) {
    std::string mutant = mutate(text, random), errors;
    llvm::raw_string_ostream os(errors);
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    bool ok = static_cast<bool>(ds::compileModel(context, {"text", mutant},
                                                 {"json", config}, false, os));
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
  std::string config =
      readText(DS_SOURCE_DIR "/test/golden/llama3-distill/config.json");
  std::string text = readText(DS_SOURCE_DIR "/models/llama.ds");
  for (unsigned i = 0; i < 300; ++i) {
    std::string mutant = mutate(config, random), errors;
    llvm::raw_string_ostream os(errors);
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    bool ok = static_cast<bool>(
        ds::compileModel(context, {"text", text}, {"json", mutant}, false, os));
    EXPECT_EQ(ok, errors.empty()) << mutant << errors;
    EXPECT_EQ(errors.find("expects the ds graph to be valid"),
              std::string::npos)
        << mutant << errors;
  }
}

TEST(Mutation, ObjectivesGetErrorsOrCompile) {
  std::mt19937 random(3);
  std::string text = R"(objective O(policy: model) {
  input share : f32[Tout, 1]
  let low = 0.5
  let high = low * 2
  fn loss(s: seq) -> f32[Tout, 1] {
    z = policy(s)
    lp = log_prob(z, targets(s, all = false), inverse_temperature(s))
    if low > 0.25 {
      lp = max(lp, stop_gradient(-lp)) * (1 - high)
    }
    for i in 0..2 {
      lp = clip(lp + share, low = low, high = high) / exp(share)
    }
    return token_mean(-lp, s) - sequence_mean(log(share), s)
  }
}
)";
  std::string config =
      readText(DS_SOURCE_DIR "/test/golden/llama-gqa/config.json");
  std::string model = readText(DS_SOURCE_DIR "/models/llama.ds");
  unsigned compiled = 0;
  for (unsigned i = 0; i < 600; ++i) {
    ds::SourceText mutant{"objective", i ? mutate(text, random) : text};
    std::string errors;
    llvm::raw_string_ostream os(errors);
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    bool ok = static_cast<bool>(ds::compileModel(
        context, {"text", model}, {"json", config}, false, os, &mutant));
    EXPECT_EQ(ok, errors.empty()) << mutant.text << errors;
    EXPECT_EQ(errors.find("expects the ds graph to be valid"),
              std::string::npos)
        << mutant.text << errors;
    EXPECT_TRUE(ok || i) << errors;
    compiled += ok;
  }
  EXPECT_GT(compiled, 10u);
}

static std::string repeat(const std::string &text, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i)
    result += text;
  return result;
}

/// Texts that are very long or very deep get an error as well.
TEST(Mutation, ExcessIsAnError) {
  size_t many = 200000;
  std::string texts[] = {
      "config C {\n  let a = " + repeat("(", many) + "1\n}\n",
      "config C {\n  let a = 1" + repeat(" + 1", many) + "\n}\n",
      "config C {\n  let a = " + repeat("-", many) + "1\n}\n",
      "config C {\n  let a = 2" + repeat(" ^ 2", many) + "\n}\n",
      "config C {\n  let a = a" + repeat(".a", many) + "\n}\n",
      "config C {\n  let a = a" + repeat("(1)", many) + "\n}\n",
      "config C {\n  let a = " + repeat("[", many) + "1\n}\n",
      "module A() {\n" + repeat("if a {\n", many) + "}\n",
      "module A() {\n  if a {\n  }" + repeat(" else if a {\n}", many) + "\n}",
      repeat("{", many),
      repeat("a b c\n", many),
      repeat("@\n", many),
  };
  for (const std::string &text : texts) {
    std::string errors;
    llvm::raw_string_ostream os(errors);
    EXPECT_FALSE(ds::checkSource({"text", text}, os)) << text.substr(0, 40);
    EXPECT_NE(errors.find("error: "), std::string::npos);
    // The line is printed, and one under it for the caret.
    EXPECT_LT(errors.size(), 4 * text.size());
  }
}

TEST(Mutation, DeepConfigurationsAreAnError) {
  std::string text = readText(DS_SOURCE_DIR "/models/llama.ds"), errors;
  llvm::raw_string_ostream os(errors);
  mlir::MLIRContext context;
  EXPECT_FALSE(ds::compileModel(context, {"text", text},
                                {"json", repeat("[", 200000)}, false, os));
  EXPECT_NE(errors.find("error: expects at most 64 levels of nesting"),
            std::string::npos);
}
