//===- MemoryPlanTest.cpp - Places of buffers and sizes -------------------===//
#include "TinyModel.h"
#include <random>

using namespace ds;
using ds::test::TinyModel;

static int64_t alignTo4(int64_t bytes) { return (bytes + 3) / 4 * 4; }

static bool liveTogether(const PlannedBuffer &a, const PlannedBuffer &b) {
  return a.perRow == b.perRow && a.first <= b.last && b.first <= a.last;
}

static int64_t begin(const PlannedBuffer &buffer) {
  return buffer.perRow ? buffer.offsetR : buffer.offsetT;
}

static void expectPlacesApart(const MemoryPlan &plan) {
  for (size_t i = 0; i < plan.buffers.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const PlannedBuffer &a = plan.buffers[i], &b = plan.buffers[j];
      if (liveTogether(a, b)) {
        EXPECT_TRUE(begin(a) + a.rowBytes <= begin(b) ||
                    begin(b) + b.rowBytes <= begin(a))
            << i << " and " << j << " overlap";
      }
    }
}

/// The most bytes that live at one step: no plan needs less.
static int64_t getLowerBound(const MemoryPlan &plan, bool perRow) {
  int64_t bound = 0;
  for (const PlannedBuffer &at : plan.buffers) {
    int64_t live = 0;
    for (const PlannedBuffer &other : plan.buffers)
      if (other.perRow == perRow && other.first <= at.first &&
          at.first <= other.last)
        live += alignTo4(other.rowBytes);
    bound = std::max(bound, live);
  }
  return bound;
}

TEST(MemoryPlan, TinyModelNeedsNoMoreThanWhatLives) {
  TinyModel tiny;
  ASSERT_FALSE(tiny.plan.buffers.empty());
  expectPlacesApart(tiny.plan);
  EXPECT_EQ(tiny.plan.arenaT, getLowerBound(tiny.plan, false));
  EXPECT_EQ(tiny.plan.arenaR, getLowerBound(tiny.plan, true));
  // Both counts are rounded up to 16; 64 bytes are added.
  EXPECT_EQ(tiny.plan.arenaBytes(17, 1),
            32 * tiny.plan.arenaT + 16 * tiny.plan.arenaR + 64);
}

TEST(MemoryPlan, LogitsAndLastHiddenLiveToTheEnd) {
  TinyModel tiny;
  int64_t end = 0;
  for (const PlannedBuffer &buffer : tiny.plan.buffers)
    end = std::max(end, buffer.last);
  EXPECT_EQ(tiny.plan.buffers[tiny.plan.logits].last, end);
  EXPECT_EQ(tiny.plan.buffers[tiny.plan.finalHidden].last, end);
}

TEST(MemoryPlan, SizesOfWeightsAndState) {
  TinyModel tiny;
  // Keys and values: 2 heads of 8 dims, padded to 32, bf16, 3 layers.
  EXPECT_EQ(tiny.plan.stateBytesPerToken(), 2 * 3 * 2 * 32 * 2);
  std::map<std::string, int64_t> bytes;
  for (WeightOp weight : tiny.plan.weights)
    bytes[weight.getSymName().str()] = getPackedBytes(weight);
  EXPECT_EQ(bytes["embed"], 320 * 64 * 2);
  EXPECT_EQ(bytes["layer.attention.qkv"], 3 * 96 * 64 * 2);
  EXPECT_EQ(bytes["layer.mlp.gate_up"], 3 * 352 * 64 * 2);
  EXPECT_EQ(bytes["layer.mlp.down"], 3 * 64 * 192 * 2);
  EXPECT_EQ(bytes["norm"], 64 * 4);
}

TEST(MemoryPlan, LogitsAreF32OfSelectedRows) {
  TinyModel tiny;
  std::string message;
  ScopedDiagnosticHandler handler(&tiny.context, [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  tiny.module->walk([](KernelMatmulOp op) { op.getRowsMutable().clear(); });
  EXPECT_TRUE(failed(planMemory(*tiny.module)));
  EXPECT_EQ(message, "'func.func' op expects to return f32 logits of the rows "
                     "that ds.select_rows chooses");
}

TEST(MemoryPlan, RandomLifetimesNeverOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    MemoryPlan plan;
    int count = 1 + random() % 40;
    for (int i = 0; i < count; ++i) {
      PlannedBuffer buffer;
      buffer.perRow = random() % 4 == 0;
      buffer.rowBytes = 2 + random() % 500;
      buffer.first = random() % 50;
      buffer.last = buffer.first + random() % 20;
      plan.buffers.push_back(buffer);
    }
    plan.place();
    expectPlacesApart(plan);
    EXPECT_GE(plan.arenaT, getLowerBound(plan, false));
    for (const PlannedBuffer &buffer : plan.buffers) {
      EXPECT_EQ(begin(buffer) % 4, 0);
      EXPECT_LE(begin(buffer) + buffer.rowBytes,
                buffer.perRow ? plan.arenaR : plan.arenaT);
      if (buffer.perRow) {
        EXPECT_EQ(buffer.offsetT, plan.arenaT);
      }
    }
  }
}
