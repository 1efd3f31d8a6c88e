//===- AttentionProducts.cpp - Products with keys and with values ---------===//
//
// Both are blocks of rows by vectors of 16, with one accumulator for each and
// a broadcast operand in scratch. When a tile is one token, memory is what
// limits: its first block of rows then asks for the page that is read next,
// be it of keys or of values.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Attention.h"
#include "codegen/cpu/ProductBlock.h"

using namespace ds;
using namespace ds::cpu;

/// Blocks of 16 positions that a page has: the vectors of a score block.
static constexpr int64_t kPageBlocks = kPagePositions / kLanes;

/// Asks for `count` lines from `pointer` on, into the second level: there the
/// demand misses of the first level do not wait for them.
static void prefetchLines(KernelBuilder &b, Value pointer, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    b.prefetch(b.at(pointer, i * 64));
}

/// Returns the address of head `tile.head` in the page of `position`.
static Value getHead(KernelBuilder &b, const StateLayout &layout,
                     const AttentionTile &tile, Value state, Value position) {
  if (tile.source)
    return tile.source->getHead(layout, tile, state, position);
  Value page = getPage(b, layout, tile.seq, state, tile.sequence, position);
  return b.at(page, b.mul(tile.head, layout.headBytes()));
}

/// The same for values, `position` counting from the first of the split.
static Value getValueHead(KernelBuilder &b, const AttentionShape &shape,
                          const AttentionTile &tile, Value position) {
  if (!shape.isPrefix)
    return getHead(b, shape.values, tile, tile.valueState,
                   b.add(tile.begin, position));
  int64_t bytes = shape.values.padded * shape.values.size;
  return b.at(b.at(tile.scratch, shape.valueAt), b.mul(position, bytes));
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

namespace {
/// A page of keys that is being multiplied.
struct KeyPage {
  Value position;       ///< First position, in the split.
  Value keys;           ///< The head's blocks.
  Value next;           ///< The page that is read next, to be asked for.
};
} // namespace

/// Scores of `count` rows with `vectors` blocks of the page from `first` on.
static void emitScoreBlock(KernelBuilder &b, const AttentionShape &shape,
                           const AttentionTile &tile, const KeyPage &page,
                           Value row, int64_t count, int64_t first,
                           int64_t vectors, bool ask) {
  int64_t blockBytes = shape.keys.padded * kLanes * shape.keys.size;
  int64_t stepBytes = shape.queryBytes() * (shape.keys.isPaired() ? 2 : 1);
  Value keys = b.at(page.keys, first * blockBytes);
  Value queries = b.at(b.at(tile.scratch, shape.queryAt),
                       b.mul(row, shape.queryStride));
  ProductBlock block(b, shape.keys.isPaired(), shape.keyDot, count, vectors);
  SmallVector<Value> sums = b.loop(
      b.c(0), b.c(shape.keySteps), 1, block.zeros(),
      [&](Value step, ValueRange carried) {
        Value left = b.at(queries, b.mul(step, stepBytes));
        Value right = b.at(keys, b.mul(step, 64));
        if (ask) {
          Value lines = b.at(b.at(page.next, first * blockBytes),
                             b.mul(step, 64));
          for (int64_t v = 0; v < vectors; ++v)
            prefetchLines(b, b.at(lines, v * blockBytes), 1);
        }
        return block.step(
            carried,
            [&](int64_t r) { return b.at(left, r * shape.queryStride); },
            [&](int64_t v) { return b.at(right, v * blockBytes); });
      });
  Value scores = b.at(b.at(tile.scratch, shape.scoreAt + first * 64),
                      b.add(b.mul(row, shape.scoreStride),
                            b.mul(page.position, 4)));
  for (int64_t r = 0; r < count; ++r)
    for (int64_t v = 0; v < vectors; ++v)
      b.store(b.mulf(sums[r * vectors + v], b.vf(shape.scale)),
              b.at(scores, r * shape.scoreStride + v * 64));
}

/// The page at `position` of the split.
static KeyPage findKeyPage(KernelBuilder &b, const AttentionShape &shape,
                           const AttentionTile &tile, Value position) {
  Value at = b.add(tile.begin, position);
  KeyPage page;
  page.position = position;
  page.keys = getHead(b, shape.keys, tile, tile.keyState, at);
  if (tile.single) {
    Value next = b.add(position, kPagePositions);
    Value isInside = b.less(next, tile.positions);
    page.next = b.select(
        isInside,
        getHead(b, shape.keys, tile, tile.keyState,
                b.add(tile.begin, b.select(isInside, next, position))),
        shape.isPrefix
            ? getHead(b, shape.keys, tile, tile.keyState, tile.next)
            : getHead(b, shape.values, tile, tile.valueState, tile.begin));
  }
  return page;
}

void ds::cpu::emitScores(KernelBuilder &b, const AttentionShape &shape,
                         const AttentionTile &tile) {
  int64_t vectors = b.target.wide ? kPageBlocks : 2;
  b.loop(b.c(0), tile.positions, kPagePositions, [&](Value position) {
    KeyPage page = findKeyPage(b, shape, tile, position);
    for (int64_t first = 0; first < kPageBlocks; first += vectors) {
      bool ask = tile.single;
      forRowBlocks(b, shape, tile, ProductBlock::largestRows(b, vectors),
                   [&](Value row, int64_t count) {
                     emitScoreBlock(b, shape, tile, page, row, count, first,
                                    vectors, ask);
                     ask = false;
                   });
    }
  });
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

/// Positions that no row sees are zeros, so that a probability of zero meets
/// no stale value.
void ds::cpu::emitPrefix(KernelBuilder &b, const AttentionShape &shape,
                         const AttentionTile &tile) {
  const StateLayout &keys = shape.keys, &values = shape.values;
  int64_t together = keys.isPaired() ? 2 : 1;
  int64_t blockBytes = keys.padded * kLanes * keys.size;
  int64_t lineBytes = values.padded * 4;
  b.loop(b.c(0), tile.positions, kLanes, [&](Value position) {
    Value at = b.add(tile.begin, position);
    Value page = getHead(b, keys, tile, tile.keyState, at);
    Value block = b.div(b.rem(at, kPagePositions), kLanes);
    Value from = b.at(page, b.mul(block, blockBytes));
    Value to = getValueHead(b, shape, tile, position);
    Value mask = b.laneMask(b.sub(tile.positions, position));
    b.loop(b.c(0), b.c(shape.valueVectors), 1, [&](Value vector) {
      transposeElements(b, b.at(from, b.mul(vector, kLanes / together * 64)),
                        64, keys.isPaired(), /*dot=*/true, mask,
                        b.at(to, b.mul(vector, 64)), lineBytes);
    });
  });
}

/// What is read after the values at `position` of the split: the next page's
/// or the next split's first keys.
static Value findNext(KernelBuilder &b, const AttentionShape &shape,
                      const AttentionTile &tile, Value position) {
  Value next = b.add(position, kPagePositions);
  Value isInside = b.less(next, tile.positions);
  return b.select(
      isInside,
      getHead(b, shape.values, tile, tile.valueState,
              b.add(tile.begin, b.select(isInside, next, position))),
      getHead(b, shape.keys, tile, tile.keyState, tile.next));
}

/// The split's sums of a block of rows from `row` and vectors from `first`.
static SmallVector<Value>
emitValueSums(KernelBuilder &b, const AttentionShape &shape,
              const AttentionTile &tile, ProductBlock &block, Value row,
              int64_t first, bool ask) {
  int64_t together = shape.values.isPaired() ? 2 : 1;
  int64_t lineBytes = shape.values.padded * 4;
  int64_t stepBytes = shape.probabilityBytes() * together;
  Value probabilities = b.at(b.at(tile.scratch, shape.scoreAt),
                             b.mul(row, shape.scoreStride));
  return b.loop(
      b.c(0), tile.positions, kPagePositions, block.zeros(),
      [&](Value position, ValueRange outer) {
        Value values =
            b.at(getValueHead(b, shape, tile, position), first * 64);
        Value next;
        if (ask)
          next = findNext(b, shape, tile, position);
        Value from = b.at(probabilities,
                          b.mul(position, shape.probabilityBytes()));
        Value steps = b.ceilDiv(b.min(b.sub(tile.positions, position),
                                      b.c(kPagePositions)),
                                together);
        return b.loop(
            b.c(0), steps, 1, outer, [&](Value step, ValueRange carried) {
              Value left = b.at(from, b.mul(step, stepBytes));
              Value right = b.at(values, b.mul(step, lineBytes));
              if (ask)
                prefetchLines(b, b.at(next, b.mul(step, lineBytes)),
                              shape.valueVectors);
              return block.step(
                  carried,
                  [&](int64_t r) {
                    return b.at(left, r * shape.scoreStride);
                  },
                  [&](int64_t v) { return b.at(right, v * 64); });
            });
      });
}

/// o' = o exp(m - m') + os exp(ms - m').
static void mergeValues(KernelBuilder &b, const AttentionShape &shape,
                        const AttentionTile &tile, Value row, int64_t count,
                        int64_t first, ArrayRef<Value> sums) {
  auto vectors = static_cast<int64_t>(sums.size()) / count;
  Value out = b.at(b.at(tile.scratch, shape.outAt + first * 64),
                   b.mul(row, shape.outStride));
  Value line = b.at(tile.scratch, b.mul(row, 4));
  for (int64_t r = 0; r < count; ++r) {
    auto scale = [&](int64_t array) {
      return b.splat(b.load(b.f32(), b.at(line, array + r * 4)));
    };
    Value oldScale = scale(shape.oldScaleAt);
    Value newScale = scale(shape.newScaleAt);
    for (int64_t v = 0; v < vectors; ++v) {
      Value at = b.at(out, r * shape.outStride + v * 64);
      Value old = b.mulf(b.load(b.vec(b.f32()), at), oldScale);
      b.store(b.addf(old, b.mulf(sums[r * vectors + v], newScale)), at);
    }
  }
}

void ds::cpu::emitValues(KernelBuilder &b, const AttentionShape &shape,
                         const AttentionTile &tile) {
  int64_t most = b.target.wide ? 8 : 4;
  for (int64_t first = 0; first < shape.valueVectors;) {
    int64_t vectors = std::min(most, shape.valueVectors - first);
    bool ask = tile.single && first == 0 && !shape.isPrefix;
    forRowBlocks(b, shape, tile, ProductBlock::largestRows(b, vectors),
                 [&](Value row, int64_t count) {
                   ProductBlock block(b, shape.values.isPaired(),
                                      shape.valueDot, count, vectors);
                   SmallVector<Value> sums =
                       emitValueSums(b, shape, tile, block, row, first, ask);
                   mergeValues(b, shape, tile, row, count, first, sums);
                   ask = false;
                 });
    first += vectors;
  }
}
