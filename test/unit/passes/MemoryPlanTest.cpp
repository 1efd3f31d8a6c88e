//===- MemoryPlanTest.cpp - Places of buffers and sizes -------------------===//
#include "TinyModel.h"
#include <random>

using namespace ds;
using ds::test::TinyModel;

static int64_t alignTo4(int64_t bytes) { return (bytes + 3) / 4 * 4; }

static bool liveTogether(const PlannedBuffer &a, const PlannedBuffer &b) {
  return a.rows == b.rows && a.first <= b.last && b.first <= a.last;
}

static int64_t begin(const PlannedBuffer &buffer) {
  return buffer.rows == BufferRows::Window
             ? buffer.offset.constant
             : buffer.offset.per[static_cast<size_t>(buffer.rows)];
}

/// What the buffer takes among those of as many rows.
static int64_t size(const PlannedBuffer &buffer) {
  int64_t rows = buffer.rows == BufferRows::Window ? kWindowRows : 1;
  return rows * alignTo4(buffer.rowBytes) * buffer.layers;
}

static int64_t arena(const EntryPlan &plan, BufferRows rows) {
  return rows == BufferRows::Window
             ? plan.arena.constant
             : plan.arena.per[static_cast<size_t>(rows)];
}

static void expectPlacesApart(const EntryPlan &plan) {
  for (size_t i = 0; i < plan.buffers.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const PlannedBuffer &a = plan.buffers[i], &b = plan.buffers[j];
      if (liveTogether(a, b)) {
        EXPECT_TRUE(begin(a) + size(a) <= begin(b) ||
                    begin(b) + size(b) <= begin(a))
            << i << " and " << j << " overlap";
      }
    }
}

/// The most bytes that live at one step: no plan needs less.
static int64_t getLowerBound(const EntryPlan &plan, BufferRows rows) {
  int64_t bound = 0;
  for (const PlannedBuffer &at : plan.buffers) {
    int64_t live = 0;
    for (const PlannedBuffer &other : plan.buffers)
      if (other.rows == rows && other.first <= at.first &&
          at.first <= other.last)
        live += size(other);
    bound = std::max(bound, live);
  }
  return bound;
}

TEST(MemoryPlan, TinyModelNeedsNoMoreThanWhatLives) {
  TinyModel tiny;
  const EntryPlan &plan = *tiny.plan.find(kInferEntry);
  ASSERT_FALSE(plan.buffers.empty());
  expectPlacesApart(plan);
  for (BufferRows rows : {BufferRows::Tokens, BufferRows::Outputs})
    EXPECT_EQ(arena(plan, rows), getLowerBound(plan, rows));
  // Both counts are rounded up to 16; 64 bytes are added.
  EXPECT_EQ(plan.arenaBytes(17, 1),
            32 * arena(plan, BufferRows::Tokens) +
                16 * arena(plan, BufferRows::Outputs) + 64);
}

TEST(MemoryPlan, LogitsAndLastHiddenLiveToTheEnd) {
  TinyModel tiny;
  const EntryPlan &plan = *tiny.plan.find(kInferEntry);
  int64_t end = 0;
  for (const PlannedBuffer &buffer : plan.buffers)
    end = std::max(end, buffer.last);
  EXPECT_EQ(plan.buffers[plan.logits].last, end);
  EXPECT_EQ(plan.buffers[plan.finalHidden].last, end);
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
  const BufferRows kinds[] = {
      BufferRows::Tokens,  BufferRows::Tokens,    BufferRows::Outputs,
      BufferRows::Prompt,  BufferRows::Generated, BufferRows::Expanded,
      BufferRows::Blocks,  BufferRows::Window};
  for (int round = 0; round < 200; ++round) {
    EntryPlan plan;
    int count = 1 + random() % 40;
    for (int i = 0; i < count; ++i) {
      PlannedBuffer buffer;
      buffer.rows = kinds[random() % 8];
      buffer.rowBytes = 2 + random() % 500;
      buffer.layers = random() % 5 == 0 ? 1 + random() % 6 : 1;
      buffer.first = random() % 50;
      buffer.last = buffer.first + random() % 20;
      plan.buffers.push_back(buffer);
    }
    plan.place();
    expectPlacesApart(plan);
    EXPECT_GE(arena(plan, BufferRows::Tokens),
              getLowerBound(plan, BufferRows::Tokens));
    for (const PlannedBuffer &buffer : plan.buffers) {
      EXPECT_EQ(begin(buffer) % 4, 0);
      EXPECT_LE(begin(buffer) + size(buffer), arena(plan, buffer.rows));
      for (size_t kind = 0; kind < kStepRows; ++kind)
        if (kind != static_cast<size_t>(buffer.rows)) {
          EXPECT_EQ(buffer.offset.per[kind],
                    kind < static_cast<size_t>(buffer.rows)
                        ? plan.arena.per[kind]
                        : 0);
        }
    }
  }
}
