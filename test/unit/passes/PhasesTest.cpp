//===- PhasesTest.cpp - Names of phases, reports --------------------------===//
#include "TinyModel.h"
#include "llvm/Support/raw_ostream.h"

using namespace ds;
using ds::test::TinyModel;

TEST(Phases, AreFoundByName) {
  for (const PhaseInfo &info : getPhases()) {
    EXPECT_EQ(findPhase(info.name), info.phase);
    EXPECT_FALSE(info.description.empty());
  }
  EXPECT_EQ(findPhase("no-such-phase"), std::nullopt);
}

TEST(Reports, MemorySaysWhatAStepNeeds) {
  TinyModel tiny;
  std::string text;
  llvm::raw_string_ostream stream(text);
  printMemory(*tiny.module, tiny.plan, stream);
  EXPECT_NE(text.find("768 T + 1204 R + 64 bytes"), std::string::npos) << text;
  EXPECT_NE(text.find("768 bytes per token"), std::string::npos) << text;
}

TEST(Reports, CostAddsUpLayers) {
  TinyModel tiny;
  std::string text;
  llvm::raw_string_ostream stream(text);
  printCost(*tiny.module, tiny.plan, 512, stream);
  EXPECT_NE(text.find("step of 1 token"), std::string::npos) << text;
  EXPECT_NE(text.find("step of 512 tokens"), std::string::npos) << text;
  EXPECT_NE(text.find("matmul_gate_up"), std::string::npos) << text;
}
