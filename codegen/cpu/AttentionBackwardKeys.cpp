//===- AttentionBackwardKeys.cpp - Gradients of keys and values -----------===//
//
// A tile is a page of a sequence and one key head. Rows come in chunks from
// the first that sees the page to the sequence's last; P and dS of a chunk lie
// in scratch with rows along k. Where keys have sequences of their own, each
// has runs of queries, one after the other.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/AttentionBackward.h"
#include "codegen/cpu/ProductBlock.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a chunk.
static constexpr int64_t kChunkRows = 48;

namespace {
struct KeysShape : BackwardShape {
  KeysShape(KernelAttentionBackwardKeysOp op, const Isa &isa)
      : BackwardShape(op, isa, kChunkRows), keySumStride(keyVectors * 64 + 64),
        valueSumStride(valueVectors * 64 + 64) {
    hasKeySeq = static_cast<bool>(op.getKeySeq());
    probabilityAt = place(rows * rowBytes());
    scoreAt = place(rows * rowBytes());
    keySumAt = place(kPagePositions * keySumStride);
    valueSumAt = place(kPagePositions * valueSumStride);
    if (dot) {
      queryPairsAt = place(rows / 2 * keyVectors * kVectorBytes);
      gradientPairsAt = place(rows / 2 * valueVectors * kVectorBytes);
    }
  }

  /// Bytes of a row's k-values for all positions of a page.
  int64_t rowBytes() const { return kPagePositions * elementBytes(); }

  int64_t keySumStride, valueSumStride;
  int64_t probabilityAt,
      scoreAt;                  ///< P and dS, [rows / 2][64][2] or [rows][64].
  int64_t keySumAt, valueSumAt; ///< dk and dv of every position.
  int64_t queryPairsAt = 0, gradientPairsAt = 0; ///< See packPairs.
};

class KeysEmitter : public BackwardEmitter {
public:
  KeysEmitter(KernelBuilder &b, const KeysShape &shape, Value args,
              Value scratch)
      : BackwardEmitter(b, shape, args, scratch), shape(shape),
        keyResult(b.arg(args, firstResult())),
        valueResult(shape.isPrefix ? Value() : b.arg(args, firstResult() + 1)),
        ofKeys(shape.hasKeySeq ? b.arg(args, firstResult() - 1) : seq) {}

  void emit(Value index, Value dims);

private:
  const KeysShape &shape;
  Value keyResult, valueResult;
  Value ofKeys; ///< The sequences of the keys.

  void emitPage(Value position);
  void emitRun(Value position);
  void emitChunk(Value first, Value last, Value position);
  void emitRows(Value first, Value rows, Value last, Value position);
  void addPrefix();
  void storeScores(Value row, int64_t count, int64_t first, int64_t vectors,
                   ArrayRef<Value> probabilities,
                   ArrayRef<Value> gradients) override;
  void storeRows(int64_t into, Value row, int64_t count, int64_t first,
                 int64_t vectors, ArrayRef<Value> values, Type element);
  void addProducts(Value rows, Value skipped, int64_t left, Value right,
                   int64_t rightStep, int64_t sumAt, int64_t sumStride,
                   int64_t columns);
  void storeResults(Value result, int64_t sumAt, int64_t sumStride,
                    const StateLayout &layout, Value position);
};
} // namespace

/// No fewer pages than the step's tokens lie in.
static Value countPages(KernelBuilder &b, Value dims) {
  return b.add(b.div(b.dim(dims, kDimT), kPagePositions),
               b.mul(b.dim(dims, kDimB), 2));
}

void KeysEmitter::emit(Value index, Value dims) {
  Value pages = countPages(b, dims);
  keyHead = b.div(index, pages);
  SequenceBlock block =
      findBlock(b.rem(index, pages), b.dim(dims, kDimB), [&](Value which) {
        Value past = getPast(ofKeys, which), rows = countRows(ofKeys, which);
        Value touched = b.sub(b.ceilDiv(b.add(past, rows), kPagePositions),
                              b.div(past, kPagePositions));
        return b.select(b.less(b.c(0), rows), touched, b.c(0));
      });
  b.ifThen(b.less(b.c(-1), block.sequence), [&] {
    querySeq = keySeq = getSequence(ofKeys, block.sequence);
    Value page =
        b.add(b.div(keySeq.firstPosition, kPagePositions), block.index);
    emitPage(b.mul(page, kPagePositions));
  });
}

void KeysEmitter::emitPage(Value position) {
  transposeValues(position);
  auto clear = [&](int64_t at, int64_t bytes) {
    b.loop(b.c(0), b.c(bytes), kLanes * 4, [&](Value offset) {
      b.store(b.zero(), b.at(inScratch(at), offset));
    });
  };
  clear(shape.keySumAt, kPagePositions * shape.keySumStride);
  clear(shape.valueSumAt, kPagePositions * shape.valueSumStride);
  if (shape.hasKeySeq) {
    Value runs = b.at(b.seqField(seq, kSeqRuns), b.mul(keySeq.number, 4));
    b.loop(b.loadIndex(runs), b.loadIndex(b.at(runs, 4)), 1, [&](Value run) {
      querySeq = getSequence(seq, run);
      emitRun(position);
    });
  } else {
    emitRun(position);
  }
  if (shape.isPrefix)
    addPrefix();
  storeResults(keyResult, shape.keySumAt, shape.keySumStride, shape.keys,
               position);
  if (!shape.isPrefix)
    storeResults(valueResult, shape.valueSumAt, shape.valueSumStride,
                 shape.values, position);
}

/// The rows of `querySeq` that see the page.
void KeysEmitter::emitRun(Value position) {
  // Even, so that rows pair up as they do in any other step.
  Value begin = b.mul(b.max(position, querySeq.firstPosition), shape.group);
  Value last = b.mul(querySeq.end, shape.group);
  b.loop(b.mul(b.div(begin, 2), 2), last, shape.rows,
         [&](Value first) { emitChunk(first, last, position); });
}

/// Values are columns of the keys, and so is their gradient. Added once, so
/// that chunks do not matter.
void KeysEmitter::addPrefix() {
  b.loop(b.c(0), b.c(kPagePositions), 1, [&](Value position) {
    Value keys = b.at(inScratch(shape.keySumAt),
                      b.mul(position, shape.keySumStride));
    Value values = b.at(inScratch(shape.valueSumAt),
                        b.mul(position, shape.valueSumStride));
    for (int64_t v = 0; v < shape.valueVectors; ++v) {
      auto load = [&](Value from) {
        return b.load(b.vec(b.f32()), b.at(from, v * 64));
      };
      b.store(b.addf(load(keys), load(values)), b.at(keys, v * 64));
    }
  });
}

void KeysEmitter::emitChunk(Value first, Value last, Value position) {
  Value rows = b.min(b.c(shape.rows), padRows(b.sub(last, first)));
  ifSeen(first, rows, position,
         [&] { emitRows(first, rows, last, position); });
}

void KeysEmitter::emitRows(Value first, Value rows, Value last,
                           Value position) {
  packRows(first, rows, last);
  Value queries = inScratch(shape.queryAt);
  Value gradients = inScratch(shape.gradientAt);
  int64_t queryStep = shape.queryStride, gradientStep = shape.gradientStride;
  if (shape.dot) {
    packPairs(shape.queryAt, shape.queryStride, shape.queryPairsAt, rows,
              shape.keyVectors);
    packPairs(shape.gradientAt, shape.gradientStride, shape.gradientPairsAt,
              rows, shape.valueVectors);
    queries = inScratch(shape.queryPairsAt);
    gradients = inScratch(shape.gradientPairsAt);
    queryStep = shape.keyVectors * shape.kVectorBytes;
    gradientStep = shape.valueVectors * shape.kVectorBytes;
  }
  emitScores(b.c(0), rows, position);
  Value skipped = b.sub(first, b.mul(position, shape.group));
  addProducts(rows, skipped, shape.probabilityAt, gradients, gradientStep,
              shape.valueSumAt, shape.valueSumStride, shape.valueVectors);
  addProducts(rows, skipped, shape.scoreAt, queries, queryStep, shape.keySumAt,
              shape.keySumStride, shape.keyVectors);
}

void KeysEmitter::storeRows(int64_t into, Value row, int64_t count,
                            int64_t first, int64_t vectors,
                            ArrayRef<Value> values, Type element) {
  Value to = b.at(inScratch(into + first * 64), b.mul(row, shape.rowBytes()));
  int64_t lineBytes = shape.rowBytes() * shape.together();
  for (int64_t r = 0; r < count; r += shape.together())
    for (int64_t v = 0; v < vectors; ++v) {
      Value value = values[r * vectors + v];
      Value stored = shape.dot ? makePairs(value, values[(r + 1) * vectors + v])
                               : b.toF32(b.fromF32(value, element));
      b.store(stored, b.at(to, r / shape.together() * lineBytes + v * 64));
    }
}

void KeysEmitter::storeScores(Value row, int64_t count, int64_t first,
                              int64_t vectors, ArrayRef<Value> probabilities,
                              ArrayRef<Value> gradients) {
  storeRows(shape.probabilityAt, row, count, first, vectors, probabilities,
            shape.values.element);
  storeRows(shape.scoreAt, row, count, first, vectors, gradients,
            shape.keys.element);
}

/// sums[p] += left[rows][p] right[rows] over the chunk's rows that see p.
void KeysEmitter::addProducts(Value rows, Value skipped, int64_t left,
                              Value right, int64_t rightStep, int64_t sumAt,
                              int64_t sumStride, int64_t columns) {
  int64_t most = b.target.wide ? 8 : 4;
  for (int64_t first = 0; first < columns; first += most) {
    int64_t vectors = std::min(most, columns - first);
    int64_t largest = ProductBlock::largestRows(b, vectors);
    auto add = [&](Value position, int64_t count) {
      Product product;
      product.left = b.at(inScratch(left), b.mul(position, 4));
      product.leftRow = 4;
      product.leftStep = shape.rowBytes() * shape.together();
      product.right = right;
      product.rightStep = rightStep;
      // The chunk's first row is `skipped` rows after the page's first token.
      Value unseeing = b.sub(b.mul(position, shape.group), skipped);
      product.begin = b.div(b.max(b.c(0), unseeing), shape.together());
      product.steps = b.div(rows, shape.together());
      product.sums = b.at(inScratch(sumAt), b.mul(position, sumStride));
      product.sumStride = sumStride;
      accumulate(product, count, first, vectors);
    };
    int64_t whole = kPagePositions / largest * largest;
    b.loop(b.c(0), b.c(whole), largest,
           [&](Value position) { add(position, largest); });
    if (whole < kPagePositions)
      add(b.c(whole), kPagePositions - whole);
  }
}

/// The page's positions that the step's tokens have.
void KeysEmitter::storeResults(Value result, int64_t sumAt, int64_t sumStride,
                               const StateLayout &layout, Value position) {
  int64_t rowBytes = layout.dims * layout.size;
  Value begin = b.max(position, keySeq.firstPosition);
  Value stop = b.min(b.add(position, kPagePositions), keySeq.end);
  b.loop(begin, stop, 1, [&](Value at) {
    Value token =
        b.add(keySeq.firstRow, b.sub(at, keySeq.firstPosition));
    storeRow(b.at(inScratch(sumAt), b.mul(b.sub(at, position), sumStride)),
             b.at(result,
                  b.mul(b.add(b.mul(token, layout.heads), keyHead), rowBytes)),
             layout.element, layout.dims);
  });
}

void ds::cpu::emitAttentionBackwardKeys(KernelAttentionBackwardKeysOp op,
                                        ModuleOp module, const Isa &isa,
                                        KernelLimits &limits) {
  KeysShape shape(op, isa);
  limits.needScratch(shape.scratchBytes);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.mul(countPages(b, dims), shape.keys.heads);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value scratch) {
        KeysEmitter(b, shape, args, scratch).emit(tile, dims);
      });
}
