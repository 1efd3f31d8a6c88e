//===- EntryRows.cpp - Rows of entries, gathered and kept -----------------===//
//
// A launch has a row for every completed entry and key head.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/AttentionSparse.h"
#include "codegen/cpu/Rotation.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a tile.
static constexpr int64_t kTileRows = 4;

static int64_t columnsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getDimSize(1);
}

/// Builds a kernel over rows of dims[0]; `body` gets (args, scratch, row).
static void
buildRows(StringRef name, ModuleOp module, const Isa &isa, Location loc,
          function_ref<void(KernelBuilder &, Value, Value, Value)> body) {
  buildTiles(module, name, isa, loc, [&](KernelBuilder &b, Value dims) {
    return b.ceilDiv(b.dim(dims, kDimT), kTileRows);
  });
  buildKernel(module, name, isa, loc,
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                Value first = b.mul(tile, kTileRows);
                Value end = b.min(b.add(first, kTileRows), b.dim(dims, kDimT));
                b.loop(first, end, 1,
                       [&](Value row) { body(b, args, scratch, row); });
              });
}

static Value readSeq(KernelBuilder &b, Value seq, SeqField field, Value index) {
  return b.loadIndex(b.at(b.seqField(seq, field), b.mul(index, 4)));
}

static Value maskFor(KernelBuilder &b, int64_t count) {
  return count < kLanes ? b.laneMask(b.c(count)) : Value();
}

//===----------------------------------------------------------------------===//
// Gathering
//===----------------------------------------------------------------------===//

/// Columns [column, column + 16) of slot `slot` of a head in the value view.
static Value loadKept(KernelBuilder &b, const StateLayout &layout, Value head,
                      Value slot, int64_t column) {
  if (!layout.isPaired())
    return b.load(b.vec(b.f32()),
                  b.at(b.at(head, b.mul(slot, layout.padded * 4)), column * 4));
  Value pairs = b.load(b.vec(b.i32()),
                       b.at(b.at(head, b.mul(b.div(slot, 2), layout.padded * 4)),
                            column * 4));
  Value high = arith::AndIOp::create(b.builder, b.loc, pairs,
                                     b.vi(int64_t(0xffff0000)));
  Value low = arith::ShLIOp::create(b.builder, b.loc, pairs, b.vi(16));
  Value odd = b.cmp(arith::CmpIPredicate::eq, b.rem(slot, 2), b.c(1));
  return b.bitcast(b.select(odd, high, low), b.vec(b.f32()));
}

void ds::cpu::emitGatherBlocks(KernelGatherBlocksOp op, ModuleOp module,
                               const Isa &isa, KernelLimits &limits) {
  StateLayout layout(op.getState().getType());
  auto length = static_cast<int64_t>(op.getLength());
  Type element = getElementTypeOrSelf(op.getResult().getType());
  Type weight = getElementTypeOrSelf(op.getPositions().getType());
  int64_t size = getElementBytes(element), dims = layout.dims;
  int64_t weightSize = getElementBytes(weight);
  buildRows(
      op.getSymName(), module, isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value, Value row) {
        Value seq = b.arg(args, 2);
        Value entry = b.div(row, layout.heads), head = b.rem(row, layout.heads);
        Value first = b.sub(readSeq(b, seq, kSeqPosition, entry),
                            b.c(length - 1));
        Value sequence = readSeq(b, seq, kSeqSequence, entry);
        Value to = b.at(b.arg(args, 3), b.mul(row, length * dims * size));
        auto forColumns = [&](Value i,
                              function_ref<Value(int64_t, Value)> value) {
          Value into = b.at(to, b.mul(i, dims * size));
          for (int64_t column = 0; column < dims; column += kLanes) {
            Value mask = maskFor(b, dims - column);
            b.storeF32(value(column, mask), element, b.at(into, column * size),
                       mask);
          }
        };
        Value missing = b.max(b.c(0), b.sub(b.c(0), first));
        b.loop(b.c(0), missing, 1, [&](Value i) {
          forColumns(i, [&](int64_t, Value) { return b.zero(); });
        });
        b.loop(missing, b.c(length), 1, [&](Value i) {
          Value position = b.add(first, i);
          Value page =
              getPage(b, layout, seq, b.arg(args, 0), sequence, position);
          Value at = b.at(page, b.mul(head, layout.headBytes()));
          Value slot = b.rem(position, kPagePositions);
          Value added = b.at(b.arg(args, 1), b.mul(i, dims * weightSize));
          forColumns(i, [&](int64_t column, Value mask) {
            return b.addf(
                loadKept(b, layout, at, slot, column),
                b.loadF32(weight, b.at(added, column * weightSize), mask));
          });
        });
      });
}

/// Entries that the step completes of the sequences before `which`.
static Value countEntries(KernelBuilder &b, Value seq, Value which,
                          int64_t stride) {
  return b
      .loop(b.c(0), which, 1, b.c(0),
            [&](Value i, ValueRange carried) {
              Value past = readSeq(b, seq, kSeqPast, i);
              Value rows = b.sub(readSeq(b, seq, kSeqRowBegin, b.add(i, 1)),
                                 readSeq(b, seq, kSeqRowBegin, i));
              Value count = b.sub(b.div(b.add(past, rows), stride),
                                  b.div(past, stride));
              return SmallVector<Value>{b.add(carried[0], count)};
            })
      .front();
}

void ds::cpu::emitGatherBlocksBackward(KernelGatherBlocksBackwardOp op,
                                       ModuleOp module, const Isa &isa,
                                       KernelLimits &limits) {
  auto length = static_cast<int64_t>(op.getLength());
  auto stride = static_cast<int64_t>(op.getStride());
  int64_t dims = columnsOf(op.getGradient()) / length;
  int64_t heads = columnsOf(op.getResult()) / dims;
  Type from = getElementTypeOrSelf(op.getGradient().getType());
  Type element = getElementTypeOrSelf(op.getResult().getType());
  int64_t fromSize = getElementBytes(from), size = getElementBytes(element);
  buildRows(
      op.getSymName(), module, isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value, Value row) {
        Value seq = b.arg(args, 1);
        Value position = readSeq(b, seq, kSeqPosition, row);
        Value sequence = readSeq(b, seq, kSeqSequence, row);
        Value past = readSeq(b, seq, kSeqPast, sequence);
        Value rows =
            b.sub(readSeq(b, seq, kSeqRowBegin, b.add(sequence, 1)),
                  readSeq(b, seq, kSeqRowBegin, sequence));
        Value done = b.div(past, stride), stop = b.div(b.add(past, rows), stride);
        Value before = countEntries(b, seq, sequence, stride);
        // Strides at whose ends entries with this token end.
        Value own = b.div(position, stride);
        Value begin = b.max(own, done);
        Value end = b.min(b.add(own, length / stride), stop);
        Value to = b.at(b.arg(args, 2), b.mul(row, heads * dims * size));
        b.loop(b.c(0), b.c(heads), 1, [&](Value head) {
          for (int64_t column = 0; column < dims; column += kLanes) {
            Value mask = maskFor(b, dims - column);
            Value sum =
                b.loop(begin, end, 1, b.zero(),
                       [&](Value slot, ValueRange carried) {
                         Value entry = b.add(before, b.sub(slot, done));
                         // The entry's first token.
                         Value first = b.add(b.mul(slot, stride),
                                             stride - length);
                         Value at = b.add(
                             b.mul(b.add(b.mul(entry, heads), head),
                                   length * dims),
                             b.add(b.mul(b.sub(position, first), dims),
                                   column));
                         return SmallVector<Value>{b.addf(
                             carried[0],
                             b.loadF32(from,
                                       b.at(b.arg(args, 0), b.mul(at, fromSize)),
                                       mask))};
                       })
                    .front();
            Value into = b.at(to, b.mul(b.add(b.mul(head, dims), column), size));
            b.storeF32(sum, element, into, mask);
          }
        });
      });
}

void ds::cpu::emitAccumulatePositions(KernelAccumulatePositionsOp op,
                                      ModuleOp module, const Isa &isa,
                                      KernelLimits &limits) {
  auto memory = cast<RankedTensorType>(op.getGradient().getType());
  int64_t length = memory.getDimSize(0), dims = memory.getDimSize(1);
  int64_t lineBytes = static_cast<int64_t>(llvm::alignTo(dims, 32)) * 4;
  Type from = getElementTypeOrSelf(op.getInput().getType());
  int64_t size = getElementBytes(from);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value) { return b.c(length); });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims0, Value tile, Value) {
        for (int64_t column = 0; column < dims; column += kLanes) {
          Value mask = maskFor(b, dims - column);
          Value to = b.at(b.at(b.arg(args, 0), b.mul(tile, lineBytes)),
                          column * 4);
          Value sum =
              b.loop(b.c(0), b.dim(dims0, kDimT), 1,
                     b.loadF32(b.f32(), to, mask),
                     [&](Value row, ValueRange carried) {
                       Value at = b.add(b.mul(row, length * dims),
                                        b.add(b.mul(tile, dims), column));
                       return SmallVector<Value>{b.addf(
                           carried[0],
                           b.loadF32(from,
                                     b.at(b.arg(args, 1), b.mul(at, size)),
                                     mask))};
                     })
                  .front();
          b.storeF32(sum, b.f32(), to, mask);
        }
      });
}

//===----------------------------------------------------------------------===//
// Keeping
//===----------------------------------------------------------------------===//

/// Spreads the scratch row over pieces of up to 16 entries:
/// [slots/n][P/2][n][2] or [slots/n][P][n].
static void putKey(KernelBuilder &b, const StateLayout &layout, int64_t slots,
                   Value scratch, Value head, Value slot) {
  int64_t piece = std::min(kLanes, slots);
  Value target =
      b.at(head, b.add(b.mul(b.div(slot, piece),
                             layout.padded * piece * layout.size),
                       b.mul(b.rem(slot, piece), 4)));
  b.loop(b.c(0), b.c(layout.padded * layout.size / 4), 1, [&](Value word) {
    b.store(b.load(b.i32(), b.at(scratch, b.mul(word, 4))),
            b.at(target, b.mul(word, piece * 4)));
  });
}

/// Spreads the scratch row over [slots/2][P][2] or copies it to [slots][P].
/// The other half of a pair that the step does not fill becomes zero.
static void putValue(KernelBuilder &b, const StateLayout &layout, Value scratch,
                     Value head, Value slot, Value isLast) {
  if (!layout.isPaired())
    return copyLines(b, scratch, b.at(head, b.mul(slot, layout.padded * 4)),
                     layout.padded * 4);
  Value pair = b.at(head, b.mul(b.div(slot, 2), layout.padded * 4));
  Value target = b.at(pair, b.mul(b.rem(slot, 2), 2));
  Type i16 = b.builder.getI16Type();
  b.loop(b.c(0), b.c(layout.padded), 1, [&](Value column) {
    b.store(b.load(i16, b.at(scratch, b.mul(column, 2))),
            b.at(target, b.mul(column, 4)));
  });
  Value even = b.cmp(arith::CmpIPredicate::eq, b.rem(slot, 2), b.c(0));
  b.ifThen(arith::AndIOp::create(b.builder, b.loc, even, isLast), [&] {
    Value none = arith::ConstantIntOp::create(b.builder, b.loc, 0, 16);
    b.loop(b.c(0), b.c(layout.padded), 1, [&](Value column) {
      b.store(none, b.at(target, b.add(b.mul(column, 4), 2)));
    });
  });
}

void ds::cpu::emitAppendBlocks(KernelAppendBlocksOp op, ModuleOp module,
                               const Isa &isa, KernelLimits &limits) {
  StateLayout layout(op.getState().getType());
  int64_t stride = op.getState().getType().getStride();
  int64_t slots = kPagePositions / stride;
  Type from = getElementTypeOrSelf(op.getInput().getType());
  int64_t size = getElementBytes(from);
  limits.needScratch(layout.padded * layout.size);
  buildRows(
      op.getSymName(), module, isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value scratch, Value row) {
        Value seq = b.arg(args, 2);
        Value entry = b.div(row, layout.heads), head = b.rem(row, layout.heads);
        Value position = readSeq(b, seq, kSeqPosition, entry);
        Value sequence = readSeq(b, seq, kSeqSequence, entry);
        copyColumns(b, b.at(b.arg(args, 1), b.mul(row, layout.dims * size)),
                    from, scratch, layout.element, 0, layout.dims);
        for (int64_t column = layout.dims; column < layout.padded;
             column += kLanes) {
          Value mask = maskFor(b, layout.padded - column);
          b.storeF32(b.zero(), layout.element,
                     b.at(scratch, column * layout.size), mask);
        }
        Value page = getEntryPage(b, layout, stride, seq, b.arg(args, 0),
                                  sequence, b.div(position, kPagePositions));
        Value base = b.at(page, b.mul(head, layout.headBytes() / stride));
        Value slot = b.div(b.rem(position, kPagePositions), stride);
        if (op.getKeys())
          return putKey(b, layout, slots, scratch, base, slot);
        Value isLast =
            b.cmp(arith::CmpIPredicate::eq, b.add(entry, 1),
                  readSeq(b, seq, kSeqRowBegin, b.add(sequence, 1)));
        putValue(b, layout, scratch, base, slot, isLast);
      });
}
