//===- AttentionSources.cpp - Where sparse attention finds positions ------===//
#include "codegen/cpu/AttentionSparse.h"

using namespace ds;
using namespace ds::cpu;

void ds::cpu::copyLines(KernelBuilder &b, Value from, Value to, int64_t bytes) {
  b.loop(b.c(0), b.c(bytes), 64, [&](Value at) {
    b.store(b.load(b.vec(b.f32()), b.at(from, at)), b.at(to, at));
  });
}

static Value clamp(KernelBuilder &b, Value value, Value most) {
  return b.max(b.c(0), b.min(value, most));
}

PackedSplit::PackedSplit(AttentionShape &shape, bool values)
    : keysAt(shape.place(kSplitPositions / kPagePositions *
                         shape.keys.headBytes())) {
  if (values)
    valuesAt = shape.place(kSplitPositions / kPagePositions *
                           shape.values.headBytes());
}

Value PackedSplit::getHead(KernelBuilder &b, const StateLayout &layout,
                           const AttentionTile &tile, Value state,
                           Value position) const {
  int64_t at = state == tile.keyState ? keysAt : valuesAt;
  // What would be read next is not known to be packed.
  Value inSplit = clamp(b, b.sub(position, tile.begin),
                        b.c(kSplitPositions - kPagePositions));
  return b.at(b.at(tile.scratch, at),
              b.mul(b.div(inSplit, kPagePositions), layout.headBytes()));
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

Value WindowSource::getHead(const StateLayout &layout,
                            const AttentionTile &tile, Value state,
                            Value position) const {
  Value page = getPage(b, layout, tile.seq, state, tile.sequence, position);
  return b.at(page, b.mul(tile.head, layout.headBytes()));
}

std::pair<Value, Value> WindowSource::getVisible(const AttentionTile &tile,
                                                 Value row) const {
  Value own = b.sub(b.add(tile.firstPosition, b.div(row, shape.group)),
                    tile.begin);
  return {clamp(b, b.add(own, 1 - size), tile.positions),
          clamp(b, b.add(own, 1), tile.positions)};
}

Value WindowSource::getFirst(const AttentionTile &tile) const {
  Value first = b.max(b.c(0), b.add(tile.firstPosition, 1 - size));
  return b.mul(b.div(first, kPagePositions), kPagePositions);
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

Value BlockSource::getBlock(Value index) const {
  return b.loadIndex(b.at(list, b.mul(index, 4)));
}

Value BlockSource::getHead(const StateLayout &layout, const AttentionTile &tile,
                           Value state, Value position) const {
  if (packed)
    return packed->getHead(b, layout, tile, state, position);
  Value real = b.add(b.mul(getBlock(b.div(position, size)), size),
                     b.rem(position, size));
  Value page = getPage(b, layout, tile.seq, state, tile.sequence, real);
  return b.at(page, b.mul(tile.head, layout.headBytes()));
}

std::pair<Value, Value> BlockSource::getVisible(const AttentionTile &tile,
                                                Value row) const {
  return {b.c(0), tile.positions};
}

Value BlockSource::getEnd(Value position, int64_t count) const {
  Value blocks =
      b.loop(b.c(0), b.c(count), 1, b.c(0),
             [&](Value i, ValueRange carried) {
               Value isThere = b.less(b.c(-1), getBlock(i));
               return SmallVector<Value>{b.add(
                   carried[0], arith::ExtUIOp::create(b.builder, b.loc, b.i64(),
                                                      isThere))};
             })
          .front();
  // The last block is the token's own.
  return b.add(b.mul(b.sub(blocks, b.c(1)), size),
               b.add(b.rem(position, size), 1));
}

void BlockSource::pack(const AttentionTile &tile) const {
  if (!packed)
    return;
  Value end = b.ceilDiv(tile.positions, size);
  b.loop(b.c(0), end, 1, [&](Value block) {
    Value real = b.mul(getBlock(b.add(b.div(tile.begin, size), block)), size);
    Value slot = b.rem(real, kPagePositions), to = b.mul(block, size);
    // Rows of a block of positions lie together in both views.
    auto copy = [&](const StateLayout &layout, Value state, int64_t at) {
      Value page = getPage(b, layout, tile.seq, state, tile.sequence, real);
      Value from = b.at(b.at(page, b.mul(tile.head, layout.headBytes())),
                        b.mul(slot, layout.padded * layout.size));
      copyLines(b, from,
                b.at(b.at(tile.scratch, at),
                     b.mul(to, layout.padded * layout.size)),
                size * layout.padded * layout.size);
    };
    copy(shape.keys, tile.keyState, packed->keysAt);
    copy(shape.values, tile.valueState, packed->valuesAt);
  });
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

Value ds::cpu::getEntryPage(KernelBuilder &b, const StateLayout &layout,
                            int64_t stride, Value seq, Value state,
                            Value sequence, Value index) {
  Value place =
      b.add(b.mul(sequence, b.seqField(seq, kSeqMaxPages)), index);
  Value page = b.loadIndex(b.at(b.seqField(seq, kSeqPages), b.mul(place, 4)));
  return b.at(state, b.mul(page, layout.pageBytes() / stride));
}

Value EntrySource::getHead(const StateLayout &layout, const AttentionTile &tile,
                           Value state, Value position) const {
  return packed.getHead(b, layout, tile, state, position);
}

std::pair<Value, Value> EntrySource::getVisible(const AttentionTile &tile,
                                                Value row) const {
  Value tokens = b.add(tile.firstPosition, b.add(b.div(row, shape.group), b.c(1)));
  Value end = b.sub(b.div(tokens, stride), tile.begin);
  Value begin = clamp(b, b.sub(b.c(first), tile.begin), tile.positions);
  return {begin, b.max(begin, clamp(b, end, tile.positions))};
}

/// Copies the entries of one page, in pieces of up to 16.
void EntrySource::packPage(const AttentionTile &tile, Value page,
                           bool keysOnly) const {
  int64_t slots = kPagePositions / stride;
  Value to = b.sub(b.mul(page, slots), tile.begin);
  auto find = [&](const StateLayout &layout, Value state) {
    Value at = getEntryPage(b, layout, stride, tile.seq, state, tile.sequence,
                            page);
    return b.at(at, b.mul(tile.head, layout.headBytes() / stride));
  };
  const StateLayout &keys = shape.keys;
  Value from = find(keys, tile.keyState);
  int64_t piece = std::min(kLanes, slots), steps = keys.padded * keys.size / 4;
  for (int64_t i = 0; i < slots; i += piece) {
    Value slot = b.add(to, i);
    Value into = b.at(b.at(tile.scratch, packed.keysAt),
                      b.add(b.mul(b.div(slot, kLanes), steps * 64),
                            b.mul(b.rem(slot, kLanes), 4)));
    Value source = b.at(from, i * keys.padded * keys.size);
    b.loop(b.c(0), b.c(steps), 1, [&](Value step) {
      Value value = b.load(b.vec(b.i32(), piece),
                           b.at(source, b.mul(step, piece * 4)), 4);
      b.store(value, b.at(into, b.mul(step, 64)), 4);
    });
  }
  if (keysOnly)
    return;
  const StateLayout &values = shape.values;
  copyLines(b, find(values, tile.valueState),
            b.at(b.at(tile.scratch, packed.valuesAt),
                 b.mul(to, values.padded * values.size)),
            slots * values.padded * values.size);
}

void EntrySource::pack(const AttentionTile &tile, bool keysOnly) const {
  int64_t slots = kPagePositions / stride;
  b.loop(b.div(tile.begin, slots),
         b.ceilDiv(b.add(tile.begin, tile.positions), slots), 1,
         [&](Value page) { packPage(tile, page, keysOnly); });
}
