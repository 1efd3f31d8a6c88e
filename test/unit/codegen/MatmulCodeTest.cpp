//===- MatmulCodeTest.cpp - Schedules and assembly of products -------------===//
#include "MatmulCase.h"
#include "codegen/cpu/Matmul.h"
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

static int countOf(StringRef text, StringRef word) {
  return static_cast<int>(text.count(word));
}

static std::string compileFor(Variant variant) {
  return compileToAssembly(
      makeMatmul(256, 512, "bf16", "bf16"), variant,
      [](Operation *op, ModuleOp module, const Isa &isa,
         KernelLimits &limits) {
        emitMatmul(cast<KernelMatmulOp>(op), module, isa, limits);
      });
}

TEST(MatmulCode, TilesStayInRegisters) {
  std::string text = compileFor(Variant::Amx);
  // Blocks of 2 x 2 and of 1 x 2 tiles: a spill would add loads and stores.
  EXPECT_EQ(4 + 2, countOf(text, "\ttdpbf16ps"));
  EXPECT_EQ(4 + 2 + 4 + 3, countOf(text, "\ttileloadd"));
  EXPECT_EQ(4 + 2, countOf(text, "\ttilestored"));
  EXPECT_EQ(2, countOf(text, "\tldtilecfg"));
}

TEST(MatmulCode, VariantsUseTheirInstructions) {
  EXPECT_GT(countOf(compileFor(Variant::Avx512Bf16), "vdpbf16ps"), 100);
  std::string wide = compileFor(Variant::Avx512);
  EXPECT_EQ(0, countOf(wide, "vdpbf16ps"));
  EXPECT_GT(countOf(wide, "zmm"), 100);
  std::string narrow = compileFor(Variant::Avx2);
  EXPECT_EQ(0, countOf(narrow, "zmm"));
  EXPECT_GT(countOf(narrow, "vfmadd"), 100);
}

static MatmulDesc describe(MLIRContext &context, int64_t n, int64_t k) {
  MatmulDesc desc;
  desc.columns = n;
  desc.depth = desc.leftColumns = k;
  desc.leftElement = desc.resultElement = BFloat16Type::get(&context);
  return desc;
}

TEST(MatmulSchedule, KindFollowsOperandsAndVariant) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  MatmulDesc desc = describe(context, 2048, 2048);
  auto kind = [&](Variant variant) {
    return MatmulSchedule(desc, getIsa(variant), false).kind;
  };
  EXPECT_EQ(MicroKind::Tile, kind(Variant::Amx));
  EXPECT_EQ(MicroKind::Dot, kind(Variant::Avx512Bf16));
  EXPECT_EQ(MicroKind::FmaPairs, kind(Variant::Avx512));
  desc.leftElement = Float32Type::get(&context);
  EXPECT_EQ(MicroKind::FmaPairs, kind(Variant::Amx));
  desc.right = RightOperand::PanelF32;
  EXPECT_EQ(MicroKind::Fma, kind(Variant::Avx512Bf16));
}

TEST(MatmulSchedule, FitsTheCaches) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  for (int64_t n : {1, 576, 2048, 5632, 151936})
    for (int64_t k : {1, 64, 2048, 11008, 29568})
      for (Variant variant : {Variant::Avx2, Variant::Avx512Bf16, Variant::Amx})
        for (bool small : {false, true}) {
          MatmulSchedule schedule(describe(context, n, k), getIsa(variant),
                                  small);
          EXPECT_GE(schedule.columnTiles, 1);
          EXPECT_LE(schedule.columnTiles, schedule.panels);
          EXPECT_GE(schedule.depthBlock * schedule.depthBlocks, k);
          EXPECT_EQ(0, schedule.depthBlock % kPanelDepth);
          EXPECT_LE(schedule.rowTile * schedule.depthBlock *
                        schedule.leftBytes(),
                    512 << 10);
          EXPECT_LE(schedule.scratchBytes, 2 << 20);
        }
}
