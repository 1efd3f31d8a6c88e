//===- EntryScores.cpp - Scores of the positions in a token's list --------===//
//
// Training of an indexer: what attention gives to each entry of a token, what
// the indexer finds it worth, and the gradients of that. A tile is a token of
// the step. The row of an entry is brought to scratch as f32 and meets the heads
// of the token there, whose products are 16 lanes, column c in lane c % 16, and
// the tree of ds.row_reduce.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Heads.h"
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

static int64_t columnsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getDimSize(1);
}

Value ds::cpu::countListed(KernelBuilder &b, Value list, int64_t most) {
  Value found = b.c(0);
  for (int64_t size = llvm::PowerOf2Ceil(most + 1) / 2; size; size /= 2) {
    Value next = b.add(found, size);
    Value isInside = b.less(next, b.c(most + 1));
    Value at = b.sub(b.select(isInside, next, b.c(1)), b.c(1));
    Value isEntry = b.less(b.c(-1), b.loadIndex(b.at(list, b.mul(at, 4))));
    Value isBefore =
        arith::AndIOp::create(b.builder, b.loc, isInside, isEntry);
    found = b.select(isBefore, next, found);
  }
  return found;
}

namespace {
/// What the kernels know of an operation.
struct EntryShape {
  template <typename Op>
  EntryShape(Op op, bool keyView)
      : keys(cast<StateType>(op.getKeys().getType())), keyView(keyView),
        heads(static_cast<int64_t>(op.getHeads())),
        most(columnsOf(op.getEntries())),
        element(getElementTypeOrSelf(op.getQuery().getType())) {
    rawAt = place(keys.padded * keys.size + 64);
    rowAt = place(keys.padded * 4);
    queryAt = place(heads * keys.padded * 4);
  }

  /// Reserves scratch and returns where it begins.
  int64_t place(int64_t bytes) {
    int64_t at = scratchBytes;
    scratchBytes = llvm::alignTo(at + bytes, 64);
    return at;
  }

  StateLayout keys;
  bool keyView; ///< How keys are kept; or as values.
  int64_t heads, most;
  Type element; ///< Of the queries.
  int64_t scratchBytes = 0;
  int64_t rawAt;   ///< A row as it is kept,
  int64_t rowAt;   ///< and as f32.
  int64_t queryAt; ///< The token's queries, [heads][padded] f32.
};

class EntryEmitter {
public:
  EntryEmitter(KernelBuilder &b, const EntryShape &shape, Value query,
               Value state, Value seq, Value entries, Value scratch)
      : b(b), shape(shape), query(query), state(state), seq(seq),
        entries(entries), scratch(scratch) {}

protected:
  KernelBuilder &b;
  const EntryShape &shape;
  Value query, state, seq, entries, scratch;

  Value inScratch(int64_t at) { return b.at(scratch, at); }
  Value at(Value array, Value index) { return b.at(array, b.mul(index, 4)); }
  Value entryOf(SeqField field, Value index) {
    return b.loadIndex(at(b.seqField(seq, field), index));
  }
  Value listOf(Value token) {
    return b.at(entries, b.mul(token, shape.most * 4));
  }
  /// Brings the row of `position` to scratch.
  void loadRow(Value sequence, Value position);
  /// Brings a token's queries to scratch.
  void loadQueries(Value token);
  /// The product of the row with the queries of `head`.
  Value multiply(Value head);
  Value headQuery(Value head) {
    return b.at(inScratch(shape.queryAt), b.mul(head, shape.keys.padded * 4));
  }
  /// Calls `body` with each vector of the row's columns.
  void forVectors(function_ref<void(Value offset)> body) {
    b.loop(b.c(0), b.c(shape.keys.padded * 4), kLanes * 4, body);
  }
  void clear(int64_t at, int64_t bytes) {
    b.loop(b.c(0), b.c(bytes), kLanes * 4, [&](Value offset) {
      b.store(b.zero(), b.at(inScratch(at), offset));
    });
  }
  /// Rounds a row of f32 in scratch and stores the keys' columns of it.
  void storeRow(Value from, Value to, Type type);
  /// Copies `count` f32 that lie in scratch.
  void copyOut(Value from, Value to, int64_t count);
};
} // namespace

void EntryEmitter::loadRow(Value sequence, Value position) {
  const StateLayout &keys = shape.keys;
  Value page = getPage(b, keys, seq, state, sequence, position);
  Value slot = b.rem(position, kPagePositions);
  Value raw = inScratch(shape.rawAt);
  if (shape.keyView) {
    Value from = b.at(page, b.add(b.mul(b.div(slot, kLanes),
                                        keys.padded * kLanes * keys.size),
                                  b.mul(b.rem(slot, kLanes), 4)));
    b.loop(b.c(0), b.c(keys.padded * keys.size / 4), 1, [&](Value word) {
      b.store(b.load(b.i32(), b.at(from, b.mul(word, 64))), at(raw, word));
    });
  } else {
    // bf16 is kept in pairs of positions.
    int64_t together = keys.isPaired() ? 2 : 1;
    Value from = b.at(page, b.mul(b.div(slot, together), keys.padded * 4));
    Value shift = b.splat(arith::TruncIOp::create(
        b.builder, b.loc, b.i32(), b.mul(b.rem(slot, 2), 16)));
    b.loop(b.c(0), b.c(keys.padded), kLanes, [&](Value column) {
      Value line = b.load(b.vec(b.i32()), at(from, column));
      if (keys.isPaired())
        line = arith::TruncIOp::create(
            b.builder, b.loc, b.vec(b.builder.getI16Type()),
            arith::ShRUIOp::create(b.builder, b.loc, line, shift));
      b.store(line, b.at(raw, b.mul(column, keys.size)));
    });
  }
  b.loop(b.c(0), b.c(keys.padded), kLanes, [&](Value column) {
    b.store(b.loadF32(keys.element, b.at(raw, b.mul(column, keys.size))),
            at(inScratch(shape.rowAt), column));
  });
}

void EntryEmitter::loadQueries(Value token) {
  int64_t dims = shape.keys.dims, size = getElementBytes(shape.element);
  b.loop(b.c(0), b.c(shape.heads), 1, [&](Value head) {
    Value row = b.add(b.mul(token, shape.heads), head);
    Value from = b.at(query, b.mul(row, dims * size));
    Value to = headQuery(head);
    for (int64_t k = 0; k < shape.keys.padded; k += kLanes) {
      int64_t count = std::min(kLanes, dims - k);
      Value value = b.zero();
      if (count > 0)
        value = b.loadF32(shape.element, b.at(from, k * size),
                          count < kLanes ? b.laneMask(b.c(count)) : Value());
      b.store(value, b.at(to, k * 4));
    }
  });
}

Value EntryEmitter::multiply(Value head) {
  Value row = inScratch(shape.rowAt), left = headQuery(head);
  VectorType type = b.vec(b.f32());
  Value lanes =
      b.loop(b.c(0), b.c(shape.keys.padded * 4), kLanes * 4, b.zero(),
             [&](Value offset, ValueRange carried) {
               return SmallVector<Value>{
                   b.fma(b.load(type, b.at(left, offset)),
                         b.load(type, b.at(row, offset)), carried[0])};
             })
          .front();
  return b.reduceAdd(lanes);
}

void EntryEmitter::storeRow(Value from, Value to, Type type) {
  int64_t dims = shape.keys.dims, size = getElementBytes(type);
  for (int64_t k = 0; k < dims; k += kLanes) {
    int64_t count = std::min(kLanes, dims - k);
    b.storeF32(b.load(b.vec(b.f32()), b.at(from, k * 4)), type,
               b.at(to, k * size),
               count < kLanes ? b.laneMask(b.c(count)) : Value());
  }
}

void EntryEmitter::copyOut(Value from, Value to, int64_t count) {
  VectorType type = b.vec(b.f32());
  int64_t whole = count / kLanes * kLanes;
  b.loop(b.c(0), b.c(whole * 4), kLanes * 4, [&](Value offset) {
    b.store(b.load(type, b.at(from, offset)), b.at(to, offset));
  });
  if (whole < count)
    b.storeMasked(b.load(type, b.at(from, whole * 4)), b.at(to, whole * 4),
                  b.laneMask(b.c(count - whole)));
}

/// Builds a kernel whose tiles are the step's tokens.
template <typename Op>
static void
buildTokens(Op op, ModuleOp module, const Isa &isa, KernelLimits &limits,
            int64_t scratchBytes,
            function_ref<void(KernelBuilder &, Value args, Value dims,
                              Value token, Value scratch)>
                body) {
  limits.needScratch(scratchBytes);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) { return b.dim(dims, kDimT); });
  buildKernel(module, op.getSymName(), isa, op.getLoc(), body);
}

//===----------------------------------------------------------------------===//
// The share of attention
//===----------------------------------------------------------------------===//

namespace {
struct ShareShape : EntryShape {
  explicit ShareShape(KernelEntryShareOp op)
      : EntryShape(op, /*keyView=*/false),
        stride(static_cast<int64_t>(llvm::alignTo(most, kLanes)) * 4),
        scale(op.getScale().convertToDouble()), scoresAt(place(heads * stride)),
        sharesAt(place(stride)) {}
  int64_t stride; ///< Bytes of a head's scores.
  double scale;
  int64_t scoresAt, sharesAt;
};

class ShareEmitter : public EntryEmitter {
public:
  ShareEmitter(KernelBuilder &b, const ShareShape &shape, Value args,
               Value scratch)
      : EntryEmitter(b, shape, b.arg(args, 0), b.arg(args, 1), b.arg(args, 2),
                     b.arg(args, 3), scratch),
        shape(shape), result(b.arg(args, 4)) {}

  void emit(Value token);

private:
  const ShareShape &shape;
  Value result;

  void addHead(Value scores);
};
} // namespace

/// Adds the head's probabilities, a mean over the heads, to the shares.
void ShareEmitter::addHead(Value scores) {
  VectorType type = b.vec(b.f32());
  auto load = [&](Value offset) { return b.load(type, b.at(scores, offset)); };
  Value stride = b.c(shape.stride);
  Value largest = b.loop(b.c(0), stride, kLanes * 4, load(b.c(0)),
                         [&](Value offset, ValueRange carried) {
                           return SmallVector<Value>{
                               b.maxf(load(offset), carried[0])};
                         })
                      .front();
  Value most = b.splat(b.reduceMax(largest));
  Value sums =
      b.loop(b.c(0), stride, kLanes * 4, b.zero(),
             [&](Value offset, ValueRange carried) {
               Value p = b.exp(b.subf(load(offset), most));
               b.store(p, b.at(scores, offset));
               return SmallVector<Value>{b.addf(carried[0], p)};
             })
          .front();
  Value factor = b.splat(
      b.divf(b.cf(1.0 / static_cast<double>(shape.heads)), b.reduceAdd(sums)));
  b.loop(b.c(0), stride, kLanes * 4, [&](Value offset) {
    Value to = b.at(inScratch(shape.sharesAt), offset);
    b.store(b.fma(load(offset), factor, b.load(type, to)), to);
  });
}

void ShareEmitter::emit(Value token) {
  Value list = listOf(token);
  Value count = countListed(b, list, shape.most);
  loadQueries(token);
  // What is no entry has a probability of exactly 0.
  b.loop(b.c(0), b.c(shape.heads * shape.stride), kLanes * 4,
         [&](Value offset) {
           b.store(b.vf(kNoEntry), b.at(inScratch(shape.scoresAt), offset));
         });
  clear(shape.sharesAt, shape.stride);
  Value sequence = entryOf(kSeqSequence, token);
  b.loop(b.c(0), count, 1, [&](Value i) {
    loadRow(sequence, b.loadIndex(at(list, i)));
    b.loop(b.c(0), b.c(shape.heads), 1, [&](Value head) {
      Value scores =
          b.at(inScratch(shape.scoresAt), b.mul(head, shape.stride));
      b.store(b.mulf(multiply(head), b.cf(shape.scale)), at(scores, i));
    });
  });
  b.loop(b.c(0), b.c(shape.heads), 1, [&](Value head) {
    addHead(b.at(inScratch(shape.scoresAt), b.mul(head, shape.stride)));
  });
  copyOut(inScratch(shape.sharesAt),
          b.at(result, b.mul(token, shape.most * 4)), shape.most);
}

void ds::cpu::emitEntryShare(KernelEntryShareOp op, ModuleOp module,
                             const Isa &isa, KernelLimits &limits) {
  ShareShape shape(op);
  buildTokens(op, module, isa, limits, shape.scratchBytes,
              [&](KernelBuilder &b, Value args, Value, Value token,
                  Value scratch) {
                ShareEmitter(b, shape, args, scratch).emit(token);
              });
}

//===----------------------------------------------------------------------===//
// The indexer's scores
//===----------------------------------------------------------------------===//

namespace {
/// Of both derivatives; `gradient` is null in the forward.
struct IndexOperands {
  IndexOperands(KernelBuilder &b, Value args, bool isBackward)
      : gradient(isBackward ? b.arg(args, 0) : Value()),
        query(b.arg(args, isBackward)), weights(b.arg(args, isBackward + 1)),
        keys(b.arg(args, isBackward + 2)), seq(b.arg(args, isBackward + 3)),
        entries(b.arg(args, isBackward + 4)) {}
  Value gradient, query, weights, keys, seq, entries;
};

class IndexEmitter : public EntryEmitter {
public:
  IndexEmitter(KernelBuilder &b, const EntryShape &shape,
               const IndexOperands &o, const APFloat &scale, Value scratch)
      : EntryEmitter(b, shape, o.query, o.keys, o.seq, o.entries, scratch),
        operands(o), scale(b.cf(scale.convertToDouble())) {}

  /// I of every entry.
  void emitScores(Value token, Value result);
  void emitQuery(Value token, int64_t sumsAt, Value queryResult,
                 Value weightResult);
  void emitKey(Value token, int64_t sumsAt, Value result);

private:
  const IndexOperands &operands;
  Value scale;

  /// The gradient of the products' weighted sum.
  Value slopeAt(Value index) {
    return b.mulf(scale,
                  b.load(b.f32(), at(operands.gradient, index)));
  }
  Value weightOf(Value token, Value head) {
    return at(operands.weights, b.add(b.mul(token, shape.heads), head));
  }
  Value isPositive(Value product) {
    return arith::CmpFOp::create(b.builder, b.loc, arith::CmpFPredicate::OGT,
                                 product, b.cf(0));
  }
  /// sums += factor times the vectors at `from`.
  void addScaled(Value sums, Value factor, Value from);
  Value findEntry(Value list, Value position);
};
} // namespace

void IndexEmitter::emitScores(Value token, Value result) {
  Value list = listOf(token), to = b.at(result, b.mul(token, shape.most * 4));
  Value count = countListed(b, list, shape.most);
  Value sequence = entryOf(kSeqSequence, token);
  loadQueries(token);
  b.loop(b.c(0), count, 1, [&](Value i) {
    loadRow(sequence, b.loadIndex(at(list, i)));
    Value sum =
        b.loop(b.c(0), b.c(shape.heads), 1, b.cf(0),
               [&](Value head, ValueRange carried) {
                 Value product = multiply(head);
                 Value kept = b.select(isPositive(product), product, b.cf(0));
                 Value weight = b.load(b.f32(), weightOf(token, head));
                 return SmallVector<Value>{
                     b.addf(b.mulf(weight, kept), carried[0])};
               })
            .front();
    b.store(b.mulf(scale, sum), at(to, i));
  });
  b.loop(count, b.c(shape.most), 1,
         [&](Value i) { b.store(b.cf(kNoEntry), at(to, i)); });
}

void IndexEmitter::addScaled(Value sums, Value factor, Value from) {
  VectorType type = b.vec(b.f32());
  Value lanes = b.splat(factor);
  forVectors([&](Value offset) {
    Value to = b.at(sums, offset);
    b.store(b.fma(lanes, b.load(type, b.at(from, offset)), b.load(type, to)),
            to);
  });
}

void IndexEmitter::emitQuery(Value token, int64_t sumsAt, Value queryResult,
                             Value weightResult) {
  int64_t rowBytes = shape.keys.padded * 4;
  Value list = listOf(token);
  Value count = countListed(b, list, shape.most);
  Value sequence = entryOf(kSeqSequence, token);
  loadQueries(token);
  clear(sumsAt, shape.heads * rowBytes);
  Value weights = b.at(weightResult, b.mul(token, shape.heads * 4));
  b.loop(b.c(0), b.c(shape.heads), 1,
         [&](Value head) { b.store(b.cf(0), at(weights, head)); });
  b.loop(b.c(0), count, 1, [&](Value i) {
    loadRow(sequence, b.loadIndex(at(list, i)));
    Value slope = slopeAt(b.add(b.mul(token, shape.most), i));
    b.loop(b.c(0), b.c(shape.heads), 1, [&](Value head) {
      Value product = multiply(head);
      b.ifThen(isPositive(product), [&] {
        Value to = at(weights, head);
        b.store(b.addf(b.load(b.f32(), to), b.mulf(slope, product)), to);
        Value weight = b.load(b.f32(), weightOf(token, head));
        addScaled(b.at(inScratch(sumsAt), b.mul(head, rowBytes)),
                  b.mulf(slope, weight), inScratch(shape.rowAt));
      });
    });
  });
  int64_t bytes = shape.keys.dims * getElementBytes(shape.element);
  b.loop(b.c(0), b.c(shape.heads), 1, [&](Value head) {
    Value row = b.add(b.mul(token, shape.heads), head);
    storeRow(b.at(inScratch(sumsAt), b.mul(head, rowBytes)),
             b.at(queryResult, b.mul(row, bytes)), shape.element);
  });
}

/// Where `position` is among the entries of a list, or -1.
Value IndexEmitter::findEntry(Value list, Value position) {
  Value count = countListed(b, list, shape.most);
  // How many entries come before it: they ascend.
  Value found = b.c(0);
  for (int64_t size = llvm::PowerOf2Ceil(shape.most + 1) / 2; size; size /= 2) {
    Value next = b.add(found, size);
    Value isInside = b.less(next, b.add(count, 1));
    Value last = b.sub(b.select(isInside, next, b.c(1)), b.c(1));
    Value isBefore = arith::AndIOp::create(
        b.builder, b.loc, isInside,
        b.less(b.loadIndex(at(list, last)), position));
    found = b.select(isBefore, next, found);
  }
  Value isInside = b.less(found, count);
  Value entry = b.loadIndex(at(list, b.select(isInside, found, b.c(0))));
  Value isThere = arith::AndIOp::create(
      b.builder, b.loc, isInside,
      b.cmp(arith::CmpIPredicate::eq, entry, position));
  return b.select(isThere, found, b.c(-1));
}

void IndexEmitter::emitKey(Value token, int64_t sumsAt, Value result) {
  Value sequence = entryOf(kSeqSequence, token);
  Value position = entryOf(kSeqPosition, token);
  Value end = entryOf(kSeqRowBegin, b.add(sequence, 1));
  loadRow(sequence, position);
  clear(sumsAt, shape.keys.padded * 4);
  b.loop(token, end, 1, [&](Value other) {
    Value i = findEntry(listOf(other), position);
    b.ifThen(b.less(b.c(-1), i), [&] {
      Value slope = slopeAt(b.add(b.mul(other, shape.most), i));
      loadQueries(other);
      b.loop(b.c(0), b.c(shape.heads), 1, [&](Value head) {
        b.ifThen(isPositive(multiply(head)), [&] {
          Value weight = b.load(b.f32(), weightOf(other, head));
          addScaled(inScratch(sumsAt), b.mulf(slope, weight),
                    headQuery(head));
        });
      });
    });
  });
  int64_t bytes = shape.keys.dims * shape.keys.size;
  storeRow(inScratch(sumsAt), b.at(result, b.mul(token, bytes)),
           shape.keys.element);
}

void ds::cpu::emitIndexScores(KernelIndexScoresOp op, ModuleOp module,
                              const Isa &isa, KernelLimits &limits) {
  EntryShape shape(op, /*keyView=*/true);
  buildTokens(op, module, isa, limits, shape.scratchBytes,
              [&](KernelBuilder &b, Value args, Value, Value token,
                  Value scratch) {
                IndexOperands operands(b, args, /*isBackward=*/false);
                IndexEmitter(b, shape, operands, op.getScale(), scratch)
                    .emitScores(token, b.arg(args, 5));
              });
}

void ds::cpu::emitIndexBackwardQuery(KernelIndexBackwardQueryOp op,
                                     ModuleOp module, const Isa &isa,
                                     KernelLimits &limits) {
  EntryShape shape(op, /*keyView=*/true);
  int64_t sumsAt = shape.place(shape.heads * shape.keys.padded * 4);
  buildTokens(op, module, isa, limits, shape.scratchBytes,
              [&](KernelBuilder &b, Value args, Value, Value token,
                  Value scratch) {
                IndexOperands operands(b, args, /*isBackward=*/true);
                IndexEmitter(b, shape, operands, op.getScale(), scratch)
                    .emitQuery(token, sumsAt, b.arg(args, 6), b.arg(args, 7));
              });
}

void ds::cpu::emitIndexBackwardKeys(KernelIndexBackwardKeysOp op,
                                    ModuleOp module, const Isa &isa,
                                    KernelLimits &limits) {
  EntryShape shape(op, /*keyView=*/true);
  int64_t sumsAt = shape.place(shape.keys.padded * 4);
  buildTokens(op, module, isa, limits, shape.scratchBytes,
              [&](KernelBuilder &b, Value args, Value, Value token,
                  Value scratch) {
                IndexOperands operands(b, args, /*isBackward=*/true);
                IndexEmitter(b, shape, operands, op.getScale(), scratch)
                    .emitKey(token, sumsAt, b.arg(args, 6));
              });
}
