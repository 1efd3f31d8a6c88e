//===- AttentionBackwardQuery.cpp - Gradient of the queries ---------------===//
//
// A tile is a block of tokens of a sequence and one key head: a page's keys
// and values are transposed once for all of its rows.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/AttentionBackward.h"
#include "codegen/cpu/ProductBlock.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a tile.
static constexpr int64_t kWantedRows = 96;

namespace {
struct QueryShape : BackwardShape {
  QueryShape(KernelAttentionBackwardQueryOp op, const Isa &isa)
      : BackwardShape(op, isa, countRows(op)), tokens(countRows(op) / group),
        // A line more than a power of two.
        scoreStride(kPagePositions * elementBytes() + 64),
        sumStride(keyVectors * 64 + 64) {
    keysAt = place(kPagePositions / together() * keyVectors * kVectorBytes);
    scoreAt = place(rows * scoreStride);
    sumAt = place(rows * sumStride);
  }

  int64_t tokens; ///< Most tokens of a tile.
  int64_t scoreStride, sumStride;
  int64_t keysAt;  ///< The page's keys in the view of values.
  int64_t scoreAt; ///< dS, k-values of the page's positions for every row.
  int64_t sumAt;   ///< dq of every row.

private:
  static int64_t countRows(KernelAttentionBackwardQueryOp op) {
    int64_t group = static_cast<int64_t>(op.getHeads()) /
                    op.getKeys().getType().getShape()[0];
    return std::max<int64_t>(1, kWantedRows / group) * group;
  }
};

class QueryEmitter : public BackwardEmitter {
public:
  QueryEmitter(KernelBuilder &b, const QueryShape &shape, Value args,
               Value scratch)
      : BackwardEmitter(b, shape, args, scratch), shape(shape),
        result(b.arg(args, firstResult())) {}

  void emit(Value index, Value dims);
  static Value countTiles(KernelBuilder &b, const QueryShape &shape,
                          Value dims);

private:
  const QueryShape &shape;
  Value result;
  Value first, last; ///< The tile's rows in its sequence.
  Value padded;      ///< Their number, padded to blocks.

  void emitBlock(Value block);
  void emitPage(Value position);
  void storeScores(Value row, int64_t count, int64_t first, int64_t vectors,
                   ArrayRef<Value> probabilities,
                   ArrayRef<Value> gradients) override;
  void addProducts(Value begin, Value position);
  void storeResults();
};
} // namespace

/// No fewer blocks than there are, of each head.
static Value countBlocks(KernelBuilder &b, const QueryShape &shape,
                         Value dims) {
  return b.add(b.div(b.dim(dims, kDimT), shape.tokens), b.dim(dims, kDimB));
}

Value QueryEmitter::countTiles(KernelBuilder &b, const QueryShape &shape,
                               Value dims) {
  return b.mul(countBlocks(b, shape, dims), shape.keys.heads);
}

/// Late blocks of a sequence see most and come first.
void QueryEmitter::emit(Value index, Value dims) {
  Value blocks = countBlocks(b, shape, dims);
  keyHead = b.div(index, blocks);
  Value last = b.sub(blocks, b.add(b.rem(index, blocks), 1));
  SequenceBlock block = findBlock(last, b.dim(dims, kDimB), [&](Value which) {
    return b.ceilDiv(countRows(seq, which), shape.tokens);
  });
  b.ifThen(b.less(b.c(-1), block.sequence), [&] {
    querySeq = keySeq = getSequence(seq, block.sequence);
    emitBlock(block.index);
  });
}

void QueryEmitter::emitBlock(Value block) {
  Value begin = b.add(querySeq.firstPosition, b.mul(block, shape.tokens));
  Value stop = b.min(b.add(begin, shape.tokens), querySeq.end);
  first = b.mul(begin, shape.group);
  last = b.mul(stop, shape.group);
  padded = padRows(b.sub(last, first));
  packRows(first, padded, last);
  b.loop(b.c(0), b.mul(padded, shape.sumStride), kLanes * 4, [&](Value at) {
    b.store(b.zero(), b.at(inScratch(shape.sumAt), at));
  });
  b.loop(b.c(0), stop, kPagePositions,
         [&](Value position) {
           ifSeen(first, padded, position, [&] { emitPage(position); });
         });
  storeResults();
}

void QueryEmitter::emitPage(Value position) {
  transposeValues(position);
  transposeKeys(position, shape.keysAt);
  // Rows of tokens before the page see nothing of it.
  Value seeing = b.max(b.c(0), b.sub(b.mul(position, shape.group), first));
  Value begin = b.mul(b.div(seeing, shape.rowBlock), shape.rowBlock);
  emitScores(begin, padded, position);
  addProducts(begin, position);
}

void QueryEmitter::storeScores(Value row, int64_t count, int64_t first,
                               int64_t vectors, ArrayRef<Value>,
                               ArrayRef<Value> gradients) {
  int64_t size = shape.elementBytes();
  Value to = b.at(inScratch(shape.scoreAt + first * kLanes * size),
                  b.mul(row, shape.scoreStride));
  for (int64_t r = 0; r < count; ++r)
    for (int64_t v = 0; v < vectors; ++v) {
      Value rounded = b.fromF32(gradients[r * vectors + v], shape.keys.element);
      b.store(shape.dot ? rounded : b.toF32(rounded),
              b.at(to, r * shape.scoreStride + v * kLanes * size));
    }
}

/// Largest divisor of a block of rows beside `vectors` accumulators a row.
static int64_t chooseRows(const KernelBuilder &b, const BackwardShape &shape,
                          int64_t vectors) {
  int64_t rows =
      std::min(shape.rowBlock, ProductBlock::largestRows(b, vectors));
  while (shape.rowBlock % rows)
    --rows;
  return rows;
}

/// dq += dS k over the page's positions that a block of rows sees, for the
/// rows from `begin` on.
void QueryEmitter::addProducts(Value begin, Value position) {
  int64_t most = b.target.wide ? 8 : 4;
  for (int64_t vector = 0; vector < shape.keyVectors; vector += most) {
    int64_t vectors = std::min(most, shape.keyVectors - vector);
    int64_t count = chooseRows(b, shape, vectors);
    b.loop(begin, padded, count, [&](Value row) {
      Value seen =
          b.add(b.div(b.add(first, b.add(row, count - 1)), shape.group), 1);
      Value positions = b.max(b.c(0), b.min(b.sub(b.min(seen, keySeq.end), position),
                                            b.c(kPagePositions)));
      Product product;
      product.left =
          b.at(inScratch(shape.scoreAt), b.mul(row, shape.scoreStride));
      product.leftRow = shape.scoreStride;
      product.leftStep = shape.elementBytes() * shape.together();
      product.right = inScratch(shape.keysAt);
      product.rightStep = shape.keyVectors * shape.kVectorBytes;
      product.begin = b.c(0);
      product.steps = b.ceilDiv(positions, shape.together());
      product.sums = b.at(inScratch(shape.sumAt), b.mul(row, shape.sumStride));
      product.sumStride = shape.sumStride;
      accumulate(product, count, vector, vectors);
    });
  }
}

void QueryEmitter::storeResults() {
  int64_t rowBytes = shape.keys.dims * getElementBytes(shape.queryElement);
  b.loop(b.c(0), b.sub(last, first), 1, [&](Value row) {
    storeRow(b.at(inScratch(shape.sumAt), b.mul(row, shape.sumStride)),
             b.at(result, b.mul(getQueryIndex(b.add(first, row)), rowBytes)),
             shape.queryElement, shape.keys.dims);
  });
}

void ds::cpu::emitAttentionBackwardQuery(KernelAttentionBackwardQueryOp op,
                                         ModuleOp module, const Isa &isa,
                                         KernelLimits &limits) {
  QueryShape shape(op, isa);
  limits.needScratch(shape.scratchBytes);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return QueryEmitter::countTiles(b, shape, dims);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value scratch) {
        QueryEmitter(b, shape, args, scratch).emit(tile, dims);
      });
}
