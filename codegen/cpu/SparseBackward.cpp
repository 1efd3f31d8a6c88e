//===- SparseBackward.cpp - Gradients of sparse attention -----------------===//
//
// Scores and probabilities are computed again, row by row, from keys and values
// that are unpacked to f32:
//
//   P = exp(scale q . k - lse)     dS = (P (dO . v - delta)) scale
//
// The queries' kernel has a tile for a token and a key head and goes through
// what the token sees. The keys' kernel has one for a key that the step made and
// goes through the tokens that see it: the owner of a sum adds it up in one
// order. A product over a head's columns is taken on 16 lanes and one tree.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/AttentionSparse.h"

using namespace ds;
using namespace ds::cpu;

namespace {
/// What both kernels know of an operation, and where their rows lie in scratch.
struct SparseShape {
  template <typename Op>
  explicit SparseShape(Op op)
      : keys(cast<StateType>(op.getKeys().getType())),
        values(cast<StateType>(op.getValues().getType())),
        stride(cast<StateType>(op.getKeys().getType()).getStride()),
        heads(static_cast<int64_t>(op.getHeads())), group(heads / keys.heads),
        scale(op.getScale().convertToDouble()), source(op.getSource()),
        size(static_cast<int64_t>(op.getSize())),
        queryElement(getElementTypeOrSelf(op.getQuery().getType())),
        gradientElement(getElementTypeOrSelf(op.getOutputGradient().getType())),
        keyVectors(llvm::divideCeil(keys.dims, kLanes)),
        valueVectors(llvm::divideCeil(values.dims, kLanes)) {
    if (op.getBlocks())
      count = cast<RankedTensorType>(op.getBlocks().getType()).getDimSize(1) /
              keys.heads;
    keyAt = place(kLanes * keyVectors * 64);
    valueAt = place(kLanes * valueVectors * 64);
    sumAt = place(group * keyVectors * 64);
    valueSumAt = place(valueVectors * 64);
    scoreAt = place(64);
    productAt = place(64);
  }

  StateLayout keys, values;
  int64_t stride, heads, group;
  double scale;
  KeySource source;
  int64_t size, count = 0;
  Type queryElement, gradientElement;
  int64_t keyVectors, valueVectors;
  int64_t keyAt, valueAt, sumAt, valueSumAt, scoreAt, productAt;
  int64_t scratchBytes = 0;

private:
  int64_t place(int64_t bytes) {
    int64_t at = scratchBytes;
    scratchBytes = llvm::alignTo(at + bytes, 64);
    return at;
  }
};

class SparseBackwardEmitter {
public:
  SparseBackwardEmitter(KernelBuilder &b, const SparseShape &shape, Value args,
                        Value scratch)
      : b(b), s(shape), scratch(scratch), query(b.arg(args, 0)),
        keyState(b.arg(args, 1)), valueState(b.arg(args, 2)),
        lse(b.arg(args, 3)), delta(b.arg(args, 4)), gradient(b.arg(args, 5)),
        seq(b.arg(args, 6)), args(args), resultAt(s.count ? 8 : 7) {
    if (s.count)
      blocks = b.arg(args, 7);
    first = b.arg(args, resultAt);
  }
  /// The keys' kernel has a second result, for values.
  void takeSecondResult() { second = b.arg(args, resultAt + 1); }

  void emitQuery(Value index, Value tokens);
  void emitKeys(Value index, Value rows, Value sequences);

private:
  KernelBuilder &b;
  const SparseShape &s;
  Value scratch, query, keyState, valueState, lse, delta, gradient, seq, args;
  int64_t resultAt;            ///< Argument of the first result.
  Value blocks, first, second; ///< The list of blocks; results.
  // Of the tile.
  Value sequence, head;

  Value inScratch(int64_t at) { return b.at(scratch, at); }
  Value read(SeqField field, Value index) {
    return b.loadIndex(b.at(b.seqField(seq, field), b.mul(index, 4)));
  }
  Value maskFor(int64_t columns, int64_t vector) {
    int64_t left = columns - vector * kLanes;
    return left < kLanes ? b.laneMask(b.c(left)) : Value();
  }
  Value round(Value value) {
    return b.toF32(b.fromF32(value, s.keys.element));
  }

  Value getListEntry(Value token, Value index) {
    Value list = b.add(b.mul(b.add(b.mul(token, s.keys.heads), head), s.count),
                       index);
    return b.loadIndex(b.at(blocks, b.mul(list, 4)));
  }
  void unpack(Value position, Value row);
  SmallVector<Value> load(Value pointer, Type element, int64_t columns);
  SmallVector<Value> loadScratch(Value pointer, int64_t vectors);
  Value dot(ArrayRef<Value> x, ArrayRef<Value> y);
  /// Query `index` of [T, heads], its gradient, lse and delta.
  struct Row {
    SmallVector<Value> query, gradient;
    Value lse, delta;
  };
  Row loadRow(Value token, Value groupHead);
  /// P and dS of 16 scores and products.
  std::pair<Value, Value> differentiate(Value scores, Value products,
                                        const Row &row);
  void store(Value pointer, Type element, int64_t columns,
             ArrayRef<Value> values);

  Value findPosition(Value token, Value virtualPosition);
  void addChunk(Value token, Value begin, Value lowest, Value end);
  Value enterEntry(Value entry, Value sequences);
  Value sees(Value token, Value position);
  void addQuery(Value token);
};
} // namespace

/// Copies key and value of `position` (of a stride, with entries) to rows of
/// scratch as f32.
void SparseBackwardEmitter::unpack(Value position, Value row) {
  int64_t slots = kPagePositions / s.stride;
  int64_t piece = std::min(kLanes, slots);
  Value slot = b.rem(position, slots), page = b.div(position, slots);
  auto find = [&](const StateLayout &layout, Value state) {
    Value at =
        getEntryPage(b, layout, s.stride, seq, state, sequence, page);
    return b.at(at, b.mul(head, layout.headBytes() / s.stride));
  };
  const StateLayout &keys = s.keys, &values = s.values;
  Value from = b.at(find(keys, keyState),
                    b.add(b.mul(b.div(slot, piece),
                                keys.padded * piece * keys.size),
                          b.mul(b.rem(slot, piece), 4)));
  Value to = b.at(inScratch(s.keyAt), b.mul(row, s.keyVectors * 64));
  int64_t together = keys.isPaired() ? 2 : 1;
  b.loop(b.c(0), b.c(s.keyVectors * kLanes / together), 1, [&](Value word) {
    Value bits = b.load(b.i32(), b.at(from, b.mul(word, piece * 4)));
    Value into = b.at(to, b.mul(word, together * 4));
    if (!keys.isPaired())
      return b.store(bits, into);
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIntOp::create(b.builder, b.loc, value, 32);
    };
    b.store(arith::ShLIOp::create(b.builder, b.loc, bits, constant(16)), into);
    b.store(arith::AndIOp::create(b.builder, b.loc, bits,
                                  constant(int32_t(0xffff0000))),
            b.at(into, 4));
  });
  Value head = find(values, valueState);
  Value toValue = b.at(inScratch(s.valueAt), b.mul(row, s.valueVectors * 64));
  for (int64_t v = 0; v < s.valueVectors; ++v) {
    Value loaded;
    if (values.isPaired()) {
      Value line = b.at(head, b.mul(b.div(slot, 2), values.padded * 4));
      Value pairs = b.load(b.vec(b.i32()), b.at(line, v * 64));
      Value high = arith::AndIOp::create(b.builder, b.loc, pairs,
                                         b.vi(int64_t(0xffff0000)));
      Value low = arith::ShLIOp::create(b.builder, b.loc, pairs, b.vi(16));
      Value odd = b.cmp(arith::CmpIPredicate::eq, b.rem(slot, 2), b.c(1));
      loaded = b.bitcast(b.select(odd, high, low), b.vec(b.f32()));
    } else {
      Value line = b.at(head, b.mul(slot, values.padded * 4));
      loaded = b.load(b.vec(b.f32()), b.at(line, v * 64));
    }
    b.store(loaded, b.at(toValue, v * 64));
  }
}

SmallVector<Value> SparseBackwardEmitter::load(Value pointer, Type element,
                                               int64_t columns) {
  SmallVector<Value> values;
  int64_t size = getElementBytes(element);
  for (int64_t v = 0; v * kLanes < columns; ++v)
    values.push_back(b.loadF32(element, b.at(pointer, v * kLanes * size),
                               maskFor(columns, v)));
  return values;
}

SmallVector<Value> SparseBackwardEmitter::loadScratch(Value pointer,
                                                      int64_t vectors) {
  SmallVector<Value> values;
  for (int64_t v = 0; v < vectors; ++v)
    values.push_back(b.load(b.vec(b.f32()), b.at(pointer, v * 64)));
  return values;
}

Value SparseBackwardEmitter::dot(ArrayRef<Value> x, ArrayRef<Value> y) {
  Value sum = b.zero();
  for (auto [left, right] : llvm::zip(x, y))
    sum = b.fma(left, right, sum);
  return b.reduceAdd(sum);
}

SparseBackwardEmitter::Row SparseBackwardEmitter::loadRow(Value token,
                                                          Value groupHead) {
  Value index = b.add(b.mul(token, s.heads),
                      b.add(b.mul(head, s.group), groupHead));
  auto row = [&](Value from, Type element, int64_t columns) {
    return load(b.at(from, b.mul(index, columns * getElementBytes(element))),
                element, columns);
  };
  auto stat = [&](Value from) {
    return b.splat(b.load(b.f32(), b.at(from, b.mul(index, 4))));
  };
  return {row(query, s.queryElement, s.keys.dims),
          row(gradient, s.gradientElement, s.values.dims), stat(lse),
          stat(delta)};
}

std::pair<Value, Value> SparseBackwardEmitter::differentiate(Value scores,
                                                             Value products,
                                                             const Row &row) {
  Value p = b.exp(b.subf(b.mulf(scores, b.vf(s.scale)), row.lse));
  Value ds = b.mulf(b.mulf(p, b.subf(products, row.delta)), b.vf(s.scale));
  return {p, ds};
}

void SparseBackwardEmitter::store(Value pointer, Type element, int64_t columns,
                                  ArrayRef<Value> values) {
  int64_t size = getElementBytes(element);
  for (auto [v, value] : llvm::enumerate(values)) {
    auto vector = static_cast<int64_t>(v);
    b.storeF32(value, element, b.at(pointer, vector * kLanes * size),
               maskFor(columns, vector));
  }
}

//===----------------------------------------------------------------------===//
// Queries
//===----------------------------------------------------------------------===//

/// Where position `at` of what the token sees lies in the sequence.
Value SparseBackwardEmitter::findPosition(Value token, Value at) {
  if (s.source != KeySource::Blocks)
    return at;
  return b.add(b.mul(getListEntry(token, b.div(at, s.size)), s.size),
               b.rem(at, s.size));
}

/// Adds 16 positions from `begin` on, of those in [lowest, end).
void SparseBackwardEmitter::addChunk(Value token, Value begin, Value lowest,
                                     Value end) {
  Value from = b.max(b.c(0), b.sub(lowest, begin));
  Value to = b.min(b.c(kLanes), b.sub(end, begin));
  b.loop(from, to, 1, [&](Value i) {
    unpack(findPosition(token, b.add(begin, i)), i);
  });
  b.loop(b.c(0), b.c(s.group), 1, [&](Value r) {
    Row row = loadRow(token, r);
    b.loop(from, to, 1, [&](Value i) {
      Value key = b.at(inScratch(s.keyAt), b.mul(i, s.keyVectors * 64));
      Value value = b.at(inScratch(s.valueAt), b.mul(i, s.valueVectors * 64));
      b.store(dot(row.query, loadScratch(key, s.keyVectors)),
              b.at(inScratch(s.scoreAt), b.mul(i, 4)));
      b.store(dot(row.gradient, loadScratch(value, s.valueVectors)),
              b.at(inScratch(s.productAt), b.mul(i, 4)));
    });
    VectorType type = b.vec(b.f32());
    auto [p, ds] = differentiate(b.load(type, inScratch(s.scoreAt)),
                                 b.load(type, inScratch(s.productAt)), row);
    b.store(round(ds), inScratch(s.scoreAt));
    Value sums = b.at(inScratch(s.sumAt), b.mul(r, s.keyVectors * 64));
    SmallVector<Value> added = b.loop(
        from, to, 1, loadScratch(sums, s.keyVectors),
        [&](Value i, ValueRange carried) {
          Value key = b.at(inScratch(s.keyAt), b.mul(i, s.keyVectors * 64));
          Value factor = b.splat(
              b.load(b.f32(), b.at(inScratch(s.scoreAt), b.mul(i, 4))));
          SmallVector<Value> next;
          for (auto [v, column] :
               llvm::enumerate(loadScratch(key, s.keyVectors)))
            next.push_back(b.fma(factor, column, carried[v]));
          return next;
        });
    for (auto [v, value] : llvm::enumerate(added))
      b.store(value, b.at(sums, static_cast<int64_t>(v) * 64));
  });
}

void SparseBackwardEmitter::emitQuery(Value index, Value tokens) {
  head = b.div(index, tokens);
  Value token = b.rem(index, tokens);
  sequence = read(kSeqSequence, token);
  Value position = read(kSeqPosition, token);
  b.loop(b.c(0), b.c(s.group * s.keyVectors), 1, [&](Value v) {
    b.store(b.zero(), b.at(inScratch(s.sumAt), b.mul(v, 64)));
  });
  Value lowest = b.c(0), end = b.add(position, 1);
  if (s.source == KeySource::Window) {
    lowest = b.max(b.c(0), b.add(position, 1 - s.size));
  } else if (s.source == KeySource::Entries) {
    lowest = b.c(s.size / s.stride - 1);
    end = b.div(end, s.stride);
  } else {
    Value there =
        b.loop(b.c(0), b.c(s.count), 1, b.c(0),
               [&](Value i, ValueRange carried) {
                 Value is = b.less(b.c(-1), getListEntry(token, i));
                 return SmallVector<Value>{b.add(
                     carried[0],
                     arith::ExtUIOp::create(b.builder, b.loc, b.i64(), is))};
               })
            .front();
    end = b.add(b.mul(b.sub(there, b.c(1)), s.size),
                b.add(b.rem(position, s.size), 1));
  }
  Value begin = b.mul(b.div(lowest, kLanes), kLanes);
  b.loop(begin, end, kLanes,
         [&](Value chunk) { addChunk(token, chunk, lowest, end); });
  b.loop(b.c(0), b.c(s.group), 1, [&](Value r) {
    Value row = b.add(b.mul(token, s.heads), b.add(b.mul(head, s.group), r));
    int64_t bytes = s.keys.dims * getElementBytes(s.queryElement);
    store(b.at(first, b.mul(row, bytes)), s.queryElement, s.keys.dims,
          loadScratch(b.at(inScratch(s.sumAt), b.mul(r, s.keyVectors * 64)),
                      s.keyVectors));
  });
}

//===----------------------------------------------------------------------===//
// Keys and values
//===----------------------------------------------------------------------===//

/// Whether the list of the token at row `token` has the block of `position`.
Value SparseBackwardEmitter::sees(Value token, Value position) {
  Value block = b.div(position, s.size);
  Value found =
      b.loop(b.c(0), b.c(s.count), 1, b.c(0),
             [&](Value i, ValueRange carried) {
               Value is = b.cmp(arith::CmpIPredicate::eq,
                                getListEntry(token, i), block);
               return SmallVector<Value>{b.add(
                   carried[0],
                   arith::ExtUIOp::create(b.builder, b.loc, b.i64(), is))};
             })
          .front();
  return b.less(b.c(0), found);
}

/// Adds what the heads of the token at row `token` give to the tile's key.
void SparseBackwardEmitter::addQuery(Value token) {
  b.loop(b.c(0), b.c(s.group), 1, [&](Value r) {
    Row row = loadRow(token, r);
    SmallVector<Value> key = loadScratch(inScratch(s.keyAt), s.keyVectors);
    SmallVector<Value> value = loadScratch(inScratch(s.valueAt), s.valueVectors);
    auto [p, ds] = differentiate(b.splat(dot(row.query, key)),
                                 b.splat(dot(row.gradient, value)), row);
    auto add = [&](int64_t at, Value factor, ArrayRef<Value> columns) {
      for (auto [v, column] : llvm::enumerate(columns)) {
        Value sum = b.at(inScratch(at), static_cast<int64_t>(v) * 64);
        b.store(b.fma(factor, column, b.load(b.vec(b.f32()), sum)), sum);
      }
    };
    add(s.sumAt, round(ds), row.query);
    add(s.valueSumAt, round(p), row.gradient);
  });
}

/// Finds the sequence of entry `entry` of those that the step completes and
/// returns the stride at whose end it ends.
Value SparseBackwardEmitter::enterEntry(Value entry, Value sequences) {
  SmallVector<Value> found = b.loop(
      b.c(0), sequences, 1, {b.c(0), b.c(0), entry},
      [&](Value which, ValueRange carried) {
        Value past = read(kSeqPast, which), left = carried[2];
        Value rows = b.sub(read(kSeqRowBegin, b.add(which, 1)),
                           read(kSeqRowBegin, which));
        Value done = b.div(past, s.stride);
        Value fresh = b.sub(b.div(b.add(past, rows), s.stride), done);
        Value isHere = arith::AndIOp::create(
            b.builder, b.loc, b.less(b.c(-1), left), b.less(left, fresh));
        return SmallVector<Value>{
            b.select(isHere, which, carried[0]),
            b.select(isHere, b.add(done, left), carried[1]),
            b.sub(left, fresh)};
      });
  sequence = found[0];
  return found[1];
}

void SparseBackwardEmitter::emitKeys(Value index, Value rows, Value sequences) {
  bool entries = s.source == KeySource::Entries;
  // A row is an entry and a head, or a token.
  Value owner = entries ? b.div(index, s.keys.heads) : b.rem(index, rows);
  head = entries ? b.rem(index, s.keys.heads) : b.div(index, rows);
  Value position;
  if (entries) {
    position = enterEntry(owner, sequences);
  } else {
    sequence = read(kSeqSequence, owner);
    position = read(kSeqPosition, owner);
  }
  Value begin = read(kSeqRowBegin, sequence), past = read(kSeqPast, sequence);
  Value end = b.add(past, b.sub(read(kSeqRowBegin, b.add(sequence, 1)), begin));
  Value from = position;
  if (entries)
    from = b.sub(b.mul(b.add(position, 1), s.stride), b.c(1));
  // The first entries have tokens before the first: nothing sees them.
  if (entries)
    from = b.select(b.less(position, b.c(s.size / s.stride - 1)), end, from);
  if (s.source == KeySource::Window)
    end = b.min(end, b.add(position, s.size));
  unpack(position, b.c(0));
  for (auto [at, vectors] : {std::pair(s.sumAt, s.keyVectors),
                             std::pair(s.valueSumAt, s.valueVectors)})
    for (int64_t v = 0; v < vectors; ++v)
      b.store(b.zero(), b.at(inScratch(at), v * 64));
  b.loop(from, end, 1, [&](Value at) {
    Value token = b.add(begin, b.sub(at, past));
    if (s.source != KeySource::Blocks)
      return addQuery(token);
    b.ifThen(sees(token, position), [&] { addQuery(token); });
  });
  auto finish = [&](Value result, const StateLayout &layout, int64_t at,
                    int64_t vectors) {
    Value row = b.add(b.mul(owner, layout.heads), head);
    store(b.at(result, b.mul(row, layout.dims * layout.size)), layout.element,
          layout.dims, loadScratch(inScratch(at), vectors));
  };
  finish(first, s.keys, s.sumAt, s.keyVectors);
  finish(second, s.values, s.valueSumAt, s.valueVectors);
}

void ds::cpu::emitSparseBackwardQuery(KernelSparseBackwardQueryOp op,
                                      ModuleOp module, const Isa &isa,
                                      KernelLimits &limits) {
  SparseShape shape(op);
  limits.needScratch(shape.scratchBytes);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.mul(b.dim(dims, kDimT), shape.keys.heads);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value scratch) {
        SparseBackwardEmitter(b, shape, args, scratch)
            .emitQuery(tile, b.dim(dims, kDimT));
      });
}

void ds::cpu::emitSparseBackwardKeys(KernelSparseBackwardKeysOp op,
                                     ModuleOp module, const Isa &isa,
                                     KernelLimits &limits) {
  SparseShape shape(op);
  limits.needScratch(shape.scratchBytes);
  // Rows of entries are one for each head already.
  int64_t heads = op.getSource() == KeySource::Entries ? 1 : shape.keys.heads;
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.mul(b.dim(dims, kDimT), heads);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value scratch) {
        SparseBackwardEmitter emitter(b, shape, args, scratch);
        emitter.takeSecondResult();
        emitter.emitKeys(tile, b.dim(dims, kDimT), b.dim(dims, kDimB));
      });
}
