//===- MemoryPlan.cpp - Sizes and places of what a step needs -------------===//
//
// Buffers are placed greatest first, each in the smallest gap that is free for
// its lifetime. Buffers of different kinds of rows lie apart, so that all offsets
// are linear in the numbers of rows.
//
//===----------------------------------------------------------------------===//
#include "passes/PlanMemory.h"

using namespace ds;

static int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

StringRef ds::stringifyRows(BufferRows rows) {
  switch (rows) {
  case BufferRows::Tokens:
    return "T";
  case BufferRows::Outputs:
    return "R";
  case BufferRows::Prompt:
    return "P";
  case BufferRows::Generated:
    return "G";
  case BufferRows::Expanded:
    return "E";
  case BufferRows::Blocks:
    return "C";
  case BufferRows::Window:
    return "W";
  }
  llvm_unreachable("covered switch");
}

RowCount ds::parseRows(StringRef symbol) {
  auto [name, times] = symbol.split('*');
  RowCount count;
  for (BufferRows rows :
       {BufferRows::Tokens, BufferRows::Outputs, BufferRows::Prompt,
        BufferRows::Generated, BufferRows::Expanded, BufferRows::Blocks,
        BufferRows::Window})
    if (stringifyRows(rows) == name)
      count.rows = rows;
  times.getAsInteger(10, count.times);
  return count;
}

int64_t LinearBytes::at(const std::array<int64_t, kStepRows> &rows) const {
  int64_t bytes = constant;
  for (auto [each, count] : llvm::zip(per, rows))
    bytes += each * roundUp(count, 16);
  return bytes;
}

int64_t EntryPlan::arenaBytes(int64_t tokens, int64_t rows) const {
  int64_t expanded = roundUp(tokens, kPagePositions);
  return arena.at({tokens, rows, tokens, 0, expanded, tokens / stride}) +
         kArenaPadding;
}

const EntryPlan *MemoryPlan::find(StringRef name) const {
  auto it = llvm::find_if(entries,
                          [&](const EntryPlan &each) { return each.name == name; });
  return it == entries.end() ? nullptr : &*it;
}

/// Rows of `weight` once its parts are in packed order.
static int64_t getPackedRows(WeightOp weight) {
  if (weight.getRowGroups())
    return getValueType(weight).getDimSize(0);
  int64_t rows = 0;
  for (int64_t part : weight.getRows())
    rows += weight.getPaired() ? roundUp(part, 16) : part;
  return rows;
}

/// Layers, times the experts of a stack.
static int64_t getLayers(WeightOp weight) {
  int64_t layers = weight.getLayers() ? (*weight.getLayers())[1] : 1;
  return layers * static_cast<int64_t>(weight.getStack().value_or(1));
}

int64_t ds::getPackedBytes(WeightOp weight) {
  RankedTensorType type = getPackedType(weight);
  int64_t layers = getLayers(weight);
  int64_t size = getElementBytes(type.getElementType());
  if (type.getRank() == 1)
    return layers * roundUp(type.getDimSize(0), 16) * size;
  int64_t columns = type.getShape().back();
  if (weight.getLayout() == WeightLayout::Raw)
    return layers * getPackedRows(weight) * columns * size;
  int64_t rows = roundUp(getPackedRows(weight), 32);
  int64_t row = roundUp(columns, 32) * size;
  if (weight.getLayout() == WeightLayout::PanelE4m3)
    row += llvm::divideCeil(columns, kScaleBlock) * 4;
  return layers * rows * row;
}

int64_t ds::getTrainedRows(WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  return type.getRank() == 1 ? roundUp(type.getDimSize(0), 16)
                             : roundUp(getPackedRows(weight), 32);
}

int64_t ds::getTrainedBytes(WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t columns =
      type.getRank() == 1 ? 1 : roundUp(type.getShape().back(), 32);
  return getLayers(weight) * getTrainedRows(weight) * columns * 4;
}

int64_t MemoryPlan::trainingBytes() const {
  if (!find(kTrainEntry))
    return 0;
  int64_t bytes = 0;
  for (WeightOp weight : weights)
    bytes += 4 * getTrainedBytes(weight);
  return bytes;
}

int64_t MemoryPlan::weightBytes() const {
  int64_t bytes = 0;
  for (WeightOp weight : weights)
    bytes += getPackedBytes(weight);
  return bytes;
}

int64_t MemoryPlan::stateBytesPerToken(bool drafts) const {
  int64_t bytes = 0;
  for (const PlannedState &state : states)
    if (state.drafts == drafts)
      bytes += state.type.getLayers() * state.type.getWidth() /
               state.type.getShape().back() *
               roundUp(state.type.getShape().back(), 32) *
               getElementBytes(state.type.getElementType()) /
               state.type.getStride();
  return bytes;
}

/// Returns the bytes for each row of `rows`, or the constant for windows.
static int64_t &getPer(LinearBytes &bytes, BufferRows rows) {
  return rows == BufferRows::Window ? bytes.constant
                                    : bytes.per[static_cast<size_t>(rows)];
}

/// Returns where `buffer` begins among the buffers of as many rows.
static int64_t &getOffset(PlannedBuffer &buffer) {
  return getPer(buffer.offset, buffer.rows);
}

/// Returns what `buffer` takes there.
static int64_t getSize(const PlannedBuffer &buffer) {
  int64_t rows = buffer.rows == BufferRows::Window ? kWindowRows : 1;
  return rows * buffer.getStride() * buffer.layers;
}

/// Returns whether the buffers need different places.
static bool conflict(const PlannedBuffer &a, const PlannedBuffer &b) {
  return a.rows == b.rows && a.first <= b.last && b.first <= a.last;
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
    end = std::max(end, getOffset(*rival) + getSize(*rival));
  }
  return best < 0 ? end : best;
}

void EntryPlan::place() {
  SmallVector<PlannedBuffer *> order, placed;
  for (PlannedBuffer &buffer : buffers)
    order.push_back(&buffer);
  llvm::sort(order, [](PlannedBuffer *a, PlannedBuffer *b) {
    return std::make_pair(-getSize(*a), a) < std::make_pair(-getSize(*b), b);
  });
  for (PlannedBuffer *buffer : order) {
    SmallVector<PlannedBuffer *> rivals;
    llvm::copy_if(
        placed, std::back_inserter(rivals),
        [&](PlannedBuffer *other) { return conflict(*other, *buffer); });
    llvm::sort(rivals, [](PlannedBuffer *a, PlannedBuffer *b) {
      return getOffset(*a) < getOffset(*b);
    });
    getOffset(*buffer) = findGap(rivals, getSize(*buffer));
    int64_t &end = getPer(arena, buffer->rows);
    end = std::max(end, getOffset(*buffer) + getSize(*buffer));
    placed.push_back(buffer);
  }
  // Buffers of one kind of rows follow those of another.
  for (PlannedBuffer &buffer : buffers)
    for (size_t kind = 0; kind < kStepRows; ++kind)
      if (kind < static_cast<size_t>(buffer.rows))
        buffer.offset.per[kind] = arena.per[kind];
}
