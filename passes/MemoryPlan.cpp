//===- MemoryPlan.cpp - Sizes and places of what a step needs -------------===//
//
// Buffers are placed greatest first, each in the smallest gap that is free for
// its lifetime. Buffers of T rows and of R rows lie apart, so that all
// offsets are linear in T and R.
//
//===----------------------------------------------------------------------===//
#include "passes/PlanMemory.h"

using namespace ds;

static int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int64_t MemoryPlan::arenaBytes(int64_t tokens, int64_t rows) const {
  return roundUp(tokens, 16) * arenaT + roundUp(rows, 16) * arenaR +
         kArenaPadding;
}

int64_t ds::getPackedBytes(WeightOp weight) {
  RankedTensorType type = getPackedType(weight);
  int64_t layers = weight.getLayers() ? (*weight.getLayers())[1] : 1;
  int64_t size = getElementBytes(type.getElementType());
  if (type.getRank() == 1)
    return layers * roundUp(type.getDimSize(0), 16) * size;
  if (weight.getLayout() == WeightLayout::Raw)
    return layers * type.getNumElements() * size;
  int64_t rows = 0;
  for (int64_t part : weight.getRows())
    rows += weight.getPaired() ? roundUp(part, 16) : part;
  return layers * roundUp(rows, 32) * roundUp(type.getDimSize(1), 32) * size;
}

int64_t MemoryPlan::weightBytes() const {
  int64_t bytes = 0;
  for (WeightOp weight : weights)
    bytes += getPackedBytes(weight);
  return bytes;
}

int64_t MemoryPlan::stateBytesPerToken() const {
  int64_t bytes = 0;
  for (const PlannedState &state : states)
    bytes += state.type.getLayers() * state.type.getWidth() /
             state.type.getShape().back() *
             roundUp(state.type.getShape().back(), 32) *
             getElementBytes(state.type.getElementType());
  return bytes;
}

/// Bytes of a row in the arena: with T and R multiples of 16, offsets are
/// multiples of 64.
static int64_t getStride(const PlannedBuffer &buffer) {
  return roundUp(buffer.rowBytes, 4);
}

static int64_t &getOffset(PlannedBuffer &buffer) {
  return buffer.perRow ? buffer.offsetR : buffer.offsetT;
}

/// Returns whether the buffers need different places.
static bool conflict(const PlannedBuffer &a, const PlannedBuffer &b) {
  return a.perRow == b.perRow && a.first <= b.last && b.first <= a.last;
}

/// Returns the smallest gap between `rivals`, which are sorted by offset, that
/// holds `size`, or the end of the last.
static int64_t findGap(ArrayRef<PlannedBuffer *> rivals, int64_t size) {
  int64_t end = 0, best = -1, bestWaste = 0;
  for (PlannedBuffer *rival : rivals) {
    int64_t waste = getOffset(*rival) - end - size;
    if (waste >= 0 && (best < 0 || waste < bestWaste)) {
      best = end;
      bestWaste = waste;
    }
    end = std::max(end, getOffset(*rival) + getStride(*rival));
  }
  return best < 0 ? end : best;
}

void MemoryPlan::place() {
  SmallVector<PlannedBuffer *> order, placed;
  for (PlannedBuffer &buffer : buffers)
    order.push_back(&buffer);
  llvm::sort(order, [](PlannedBuffer *a, PlannedBuffer *b) {
    return std::make_pair(-a->rowBytes, a) < std::make_pair(-b->rowBytes, b);
  });
  for (PlannedBuffer *buffer : order) {
    SmallVector<PlannedBuffer *> rivals;
    llvm::copy_if(
        placed, std::back_inserter(rivals),
        [&](PlannedBuffer *other) { return conflict(*other, *buffer); });
    llvm::sort(rivals, [](PlannedBuffer *a, PlannedBuffer *b) {
      return getOffset(*a) < getOffset(*b);
    });
    getOffset(*buffer) = findGap(rivals, getStride(*buffer));
    int64_t &arena = buffer->perRow ? arenaR : arenaT;
    arena = std::max(arena, getOffset(*buffer) + getStride(*buffer));
    placed.push_back(buffer);
  }
  for (PlannedBuffer &buffer : buffers)
    if (buffer.perRow)
      buffer.offsetT = arenaT;
}
