//===- Heads.cpp - Rotates heads and puts them into state -----------------===//
//
// A token's segment is rotated in f32 and rounded into a row [P], which is
// the result's own row or a temporary that is then spread over the view of
// the state (docs/artifact.md). Views are written element by element, never
// read: tokens of other tiles own the neighbouring elements.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Heads.h"
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Rotation.h"

using namespace ds;
using namespace ds::cpu;

static constexpr int64_t kTileRows = 4;
/// Positions of the value view that are never stale (docs/artifact.md).
static constexpr int64_t kValueBlock = 32;

Value ds::cpu::getPage(KernelBuilder &b, const StateLayout &layout, Value seq,
                       Value state, Value sequence, Value position) {
  Value index = b.add(b.mul(sequence, b.seqField(seq, kSeqMaxPages)),
                      b.div(position, kPagePositions));
  Value page =
      b.loadIndex(b.at(b.seqField(seq, kSeqPages), b.mul(index, 4)));
  return b.at(state, b.mul(page, layout.pageBytes()));
}

namespace {
/// What the rows of a tile have in common.
class HeadsEmitter {
public:
  HeadsEmitter(KernelBuilder &b, KernelHeadsOp op, Value args, Value scratch)
      : b(b), op(op), args(args), scratch(scratch), seq(b.arg(args, 2)),
        inputType(cast<RankedTensorType>(op.getInput().getType())) {}

  void emitRow(Value row);

private:
  KernelBuilder &b;
  KernelHeadsOp op;
  Value args, scratch, seq;
  RankedTensorType inputType;
  // Of the row.
  Value input, angles, row, position, sequence;

  void emitToResult(SegmentAttr segment);
  void emitToState(SegmentAttr segment, int64_t index);
  void emitHead(SegmentAttr segment, Value head, Type element, Value output,
                int64_t padded);
  void putKey(const StateLayout &layout, Value head, Value slot);
  void putValue(const StateLayout &layout, Value head, Value slot);
  void zeroRest(const StateLayout &layout, Value page);
  void zeroHead(const StateLayout &layout, Value head, Value from, Value to);
};
} // namespace

void HeadsEmitter::emitRow(Value tokenRow) {
  row = tokenRow;
  int64_t rowBytes =
      inputType.getDimSize(1) * getElementBytes(inputType.getElementType());
  input = b.at(b.arg(args, 0), b.mul(row, rowBytes));
  angles = b.at(b.arg(args, 1), b.mul(row, op.getRope().getDims() * 4));
  auto read = [&](SeqField field) {
    return b.loadIndex(b.at(b.seqField(seq, field), b.mul(row, 4)));
  };
  position = read(kSeqPosition);
  sequence = read(kSeqSequence);
  int64_t state = 0;
  for (Attribute attr : op.getSegments()) {
    auto segment = cast<SegmentAttr>(attr);
    if (segment.getDest() == SegmentDest::Result)
      emitToResult(segment);
    else
      emitToState(segment, state++);
  }
}

/// Writes one head to `output`, columns from its width to `padded` as zeros.
void HeadsEmitter::emitHead(SegmentAttr segment, Value head, Type element,
                            Value output, int64_t padded) {
  Type from = inputType.getElementType();
  int64_t size = getElementBytes(from);
  Value source = b.at(
      input, b.mul(b.add(b.mul(head, segment.getDim()), segment.getBegin()),
                   size));
  int64_t done = 0;
  if (segment.getRotate()) {
    Rotation(b, op.getRope(), from, element, angles, /*inverse=*/false)
        .emit(source, output);
    copyColumns(b, source, from, output, element, 0, op.getRope().getFirst());
    done = op.getRope().getFirst() + op.getRope().getDims();
  }
  copyColumns(b, source, from, output, element, done, segment.getDim());
  int64_t into = getElementBytes(element);
  for (done = segment.getDim(); done < padded; done += kLanes) {
    int64_t count = std::min(kLanes, padded - done);
    Value mask = count < kLanes ? b.laneMask(b.c(count)) : Value();
    b.storeF32(b.zero(), element, b.at(output, done * into), mask);
  }
}

void HeadsEmitter::emitToResult(SegmentAttr segment) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  int64_t size = getElementBytes(type.getElementType());
  auto index = static_cast<int64_t>(3 + op.getStates().size());
  Value output = b.at(b.arg(args, index),
                      b.mul(row, type.getDimSize(1) * size));
  b.loop(b.c(0), b.c(segment.getHeads()), 1, [&](Value head) {
    emitHead(segment, head, type.getElementType(),
             b.at(output, b.mul(head, segment.getDim() * size)),
             segment.getDim());
  });
}

void HeadsEmitter::emitToState(SegmentAttr segment, int64_t index) {
  StateLayout layout(cast<StateType>(op.getStates()[index].getType()));
  Value page = getPage(b, layout, seq, b.arg(args, 3 + index), sequence,
                       position);
  Value slot = b.rem(position, kPagePositions);
  bool isKey = segment.getDest() == SegmentDest::Key;
  b.loop(b.c(0), b.c(segment.getHeads()), 1, [&](Value head) {
    emitHead(segment, head, layout.element, scratch, layout.padded);
    Value base = b.at(page, b.mul(head, layout.headBytes()));
    if (isKey)
      putKey(layout, base, slot);
    else
      putValue(layout, base, slot);
  });
  if (!isKey)
    zeroRest(layout, page);
}

/// Spreads the scratch row over [64/16][P/2][16][2] or [64/16][P][16].
void HeadsEmitter::putKey(const StateLayout &layout, Value head, Value slot) {
  Value target = b.at(
      head, b.add(b.mul(b.div(slot, kLanes),
                        layout.padded * kLanes * layout.size),
                  b.mul(b.rem(slot, kLanes), 4)));
  int64_t words = layout.padded * layout.size / 4;
  b.loop(b.c(0), b.c(words), 1, [&](Value word) {
    Value value = b.load(b.i32(), b.at(scratch, b.mul(word, 4)));
    b.store(value, b.at(target, b.mul(word, 64)));
  });
}

/// Spreads the scratch row over [64/2][P][2] or copies it to [64][P].
void HeadsEmitter::putValue(const StateLayout &layout, Value head,
                            Value slot) {
  if (!layout.isPaired()) {
    Value target = b.at(head, b.mul(slot, layout.padded * 4));
    for (int64_t column = 0; column < layout.padded; column += kLanes)
      b.store(b.load(b.vec(b.f32()), b.at(scratch, column * 4)),
              b.at(target, column * 4));
    return;
  }
  Value target = b.at(head, b.add(b.mul(b.div(slot, 2), layout.padded * 4),
                                  b.mul(b.rem(slot, 2), 2)));
  Type i16 = b.builder.getI16Type();
  b.loop(b.c(0), b.c(layout.padded), 1, [&](Value column) {
    Value value = b.load(i16, b.at(scratch, b.mul(column, 2)));
    b.store(value, b.at(target, b.mul(column, 4)));
  });
}

/// After the step's last token of a sequence, zeroes the rest of its block of
/// 32 positions if the step began that block.
void HeadsEmitter::zeroRest(const StateLayout &layout, Value page) {
  auto read = [&](SeqField field, Value index) {
    return b.loadIndex(b.at(b.seqField(seq, field), b.mul(index, 4)));
  };
  Value end = read(kSeqRowBegin, b.add(sequence, 1));
  Value isLast = b.cmp(arith::CmpIPredicate::eq, b.add(row, 1), end);
  Value block = b.mul(b.div(position, kValueBlock), kValueBlock);
  Value begins = b.cmp(arith::CmpIPredicate::sge, block,
                       read(kSeqPast, sequence));
  Value both = arith::AndIOp::create(b.builder, b.loc, isLast, begins);
  b.ifThen(both, [&] {
    Value slot = b.rem(position, kPagePositions);
    Value from = b.add(slot, 1);
    Value to = b.mul(b.ceilDiv(from, kValueBlock), kValueBlock);
    b.loop(b.c(0), b.c(layout.heads), 1, [&](Value head) {
      zeroHead(layout, b.at(page, b.mul(head, layout.headBytes())), from, to);
    });
  });
}

/// Zeroes the slots [from, to) of a head's value view; `to` is even.
void HeadsEmitter::zeroHead(const StateLayout &layout, Value head, Value from,
                            Value to) {
  int64_t together = layout.isPaired() ? 2 : 1;
  if (layout.isPaired()) {
    Value odd = b.cmp(arith::CmpIPredicate::eq, b.rem(from, 2), b.c(1));
    b.ifThen(odd, [&] {
      Value target = b.at(head, b.mul(b.div(from, 2), layout.padded * 4));
      Value none = arith::ConstantIntOp::create(b.builder, b.loc, 0, 16);
      b.loop(b.c(0), b.c(layout.padded), 1, [&](Value column) {
        b.store(none, b.at(target, b.add(b.mul(column, 4), 2)));
      });
    });
  }
  b.loop(b.ceilDiv(from, together), b.div(to, together), 1, [&](Value line) {
    Value target = b.at(head, b.mul(line, layout.padded * 4));
    for (int64_t column = 0; column < layout.padded; column += kLanes)
      b.store(b.zero(), b.at(target, column * 4));
  });
}

void ds::cpu::emitHeads(KernelHeadsOp op, ModuleOp module, const Isa &isa,
                        KernelLimits &limits) {
  for (Value state : op.getStates()) {
    StateLayout layout(cast<StateType>(state.getType()));
    limits.needScratch(layout.padded * layout.size);
  }
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT), kTileRows);
             });
  buildKernel(module, op.getSymName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                HeadsEmitter emitter(b, op, args, scratch);
                Value first = b.mul(tile, kTileRows);
                Value end = b.min(b.add(first, kTileRows), b.dim(dims, kDimT));
                b.loop(first, end, 1,
                       [&](Value row) { emitter.emitRow(row); });
              });
}
