//===- LatentRows.cpp - Rows of views of the sequences --------------------===//
//
// Moves rows between the step's tokens, the views of its prompt and generated
// tokens, and expanded positions.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Heads.h"
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a tile.
static constexpr int64_t kTileRows = 8;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Builds a kernel over the rows of its launch.
static void buildRows(
    KernelInterface op, ModuleOp module, const Isa &isa,
    function_ref<void(KernelBuilder &, Value args, Value row)> body) {
  buildTiles(module, op.getKernelName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT), kTileRows);
             });
  buildKernel(module, op.getKernelName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value) {
                Value first = b.mul(tile, kTileRows);
                Value end = b.min(b.add(first, kTileRows), b.dim(dims, kDimT));
                b.loop(first, end, 1, [&](Value row) { body(b, args, row); });
              });
}

/// Calls `emit` for 16 columns after the other; its mask may be null.
static void forColumns(KernelBuilder &b, int64_t columns,
                       function_ref<void(Value, Value)> emit) {
  int64_t whole = columns / kLanes * kLanes;
  if (whole)
    b.loop(b.c(0), b.c(whole), kLanes,
           [&](Value column) { emit(column, Value()); });
  if (whole < columns)
    emit(b.c(whole), b.laneMask(b.c(columns - whole)));
}

/// Copies `columns` elements, or stores zeros where `from` is null.
static void copy(KernelBuilder &b, Type element, Value from, Value to,
                 int64_t columns) {
  int64_t size = getElementBytes(element);
  // Of integers: a zero of bf16 that lived across a branch would become f32,
  // and a library call, where bf16 is no type of registers.
  VectorType type = b.vec(b.builder.getIntegerType(8 * size));
  Value zeros = arith::ConstantOp::create(b.builder, b.loc,
                                          b.builder.getZeroAttr(type));
  forColumns(b, columns, [&](Value column, Value mask) {
    Value offset = b.mul(column, size), value = zeros;
    if (from)
      value = mask ? b.loadMasked(type, b.at(from, offset), mask)
                   : b.load(type, b.at(from, offset));
    if (mask)
      b.storeMasked(value, b.at(to, offset), mask);
    else
      b.store(value, b.at(to, offset));
  });
}

/// The address of a row of a matrix like `like` at `matrix`.
static Value rowAt(KernelBuilder &b, Value like, Value matrix, Value row) {
  RankedTensorType type = typeOf(like);
  int64_t bytes =
      type.getDimSize(1) * getElementBytes(type.getElementType());
  return b.at(matrix, b.mul(row, bytes));
}

/// Entry `index` of an array of the sequences.
static Value entry(KernelBuilder &b, Value seq, SeqField field, Value index) {
  return b.loadIndex(b.at(b.seqField(seq, field), b.mul(index, 4)));
}

static Value isNegative(KernelBuilder &b, Value value) {
  return b.less(value, b.c(0));
}

void ds::cpu::emitTakeRows(KernelTakeRowsOp op, ModuleOp module,
                           const Isa &isa, KernelLimits &) {
  RankedTensorType type = typeOf(op.getResult());
  buildRows(op, module, isa, [&](KernelBuilder &b, Value args, Value row) {
    Value from = entry(b, b.arg(args, 1), kSeqRows, row);
    copy(b, type.getElementType(), rowAt(b, op.getInput(), b.arg(args, 0), from),
         rowAt(b, op.getResult(), b.arg(args, 2), row), type.getDimSize(1));
  });
}

void ds::cpu::emitMergeRows(KernelMergeRowsOp op, ModuleOp module,
                            const Isa &isa, KernelLimits &) {
  RankedTensorType type = typeOf(op.getResult());
  Type element = type.getElementType();
  int64_t columns = type.getDimSize(1);
  int64_t generated = op.getPrompt() ? 1 : 0;
  int64_t seq = generated + (op.getGenerated() ? 1 : 0);
  buildRows(op, module, isa, [&](KernelBuilder &b, Value args, Value row) {
    Value from = entry(b, b.arg(args, seq), kSeqViewRow, row);
    Value to = rowAt(b, op.getResult(), b.arg(args, seq + 1), row);
    auto take = [&](Value matrix, int64_t index, Value at) {
      Value source;
      if (matrix)
        source = rowAt(b, matrix, b.arg(args, index), at);
      copy(b, element, source, to, columns);
    };
    b.ifThen(
        isNegative(b, from),
        [&] {
          take(op.getGenerated(), generated, b.sub(b.c(-1), from));
        },
        [&] { take(op.getPrompt(), 0, from); });
  });
}

//===----------------------------------------------------------------------===//
// Latents
//===----------------------------------------------------------------------===//

void ds::cpu::emitReadLatents(KernelReadLatentsOp op, ModuleOp module,
                              const Isa &isa, KernelLimits &limits) {
  StateLayout layout(cast<StateType>(op.getLatents().getType()));
  Type element = layout.element;
  int64_t rank = typeOf(op.getLatent()).getDimSize(1);
  int64_t rope = typeOf(op.getKey()).getDimSize(1);
  // A line more: copies of whole vectors read past the columns.
  limits.needScratch(layout.padded * layout.size + 64);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT), kTileRows);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value scratch) {
        Value view = b.arg(args, 1);
        auto readRow = [&](Value row) {
          Value latent = rowAt(b, op.getLatent(), b.arg(args, 2), row);
          Value key = rowAt(b, op.getKey(), b.arg(args, 3), row);
          Value position = entry(b, view, kSeqPosition, row);
          Value sequence = entry(b, view, kSeqSequence, row);
          auto read = [&] {
            Value index = b.add(b.mul(sequence, b.seqField(view, kSeqMaxPages)),
                                b.div(position, kPagePositions));
            Value page = entry(b, view, kSeqStatePages, index);
            Value slot = b.rem(position, kPagePositions);
            Value from = b.at(
                b.at(b.arg(args, 0), b.mul(page, layout.pageBytes())),
                b.add(b.mul(b.div(slot, kLanes),
                            layout.padded * kLanes * layout.size),
                      b.mul(b.rem(slot, kLanes), 4)));
            b.loop(b.c(0), b.c(layout.padded * layout.size / 4), 1,
                   [&](Value word) {
                     b.store(b.load(b.i32(), b.at(from, b.mul(word, 64))),
                             b.at(scratch, b.mul(word, 4)));
                   });
            copy(b, element, scratch, latent, rank);
            copy(b, element, b.at(scratch, rank * layout.size), key, rope);
          };
          b.ifThen(b.less(position, entry(b, view, kSeqLengths, sequence)),
                   read, [&] {
                     copy(b, element, Value(), latent, rank);
                     copy(b, element, Value(), key, rope);
                   });
        };
        Value first = b.mul(tile, kTileRows);
        Value end = b.min(b.add(first, kTileRows), b.dim(dims, kDimT));
        b.loop(first, end, 1, readRow);
      });
}

void ds::cpu::emitReadLatentsBackward(KernelReadLatentsBackwardOp op,
                                      ModuleOp module, const Isa &isa,
                                      KernelLimits &) {
  Type element = typeOf(op.getResult()).getElementType();
  int64_t rank = typeOf(op.getLatentGradient()).getDimSize(1);
  int64_t rope = typeOf(op.getKeyGradient()).getDimSize(1);
  buildRows(op, module, isa, [&](KernelBuilder &b, Value args, Value row) {
    Value from = entry(b, b.arg(args, 2), kSeqExpandedRow, row);
    Value to = rowAt(b, op.getResult(), b.arg(args, 3), row);
    Value second = b.at(to, rank * getElementBytes(element));
    b.ifThen(
        isNegative(b, from),
        [&] { copy(b, element, Value(), to, rank + rope); },
        [&] {
          copy(b, element,
               rowAt(b, op.getLatentGradient(), b.arg(args, 0), from), to,
               rank);
          copy(b, element, rowAt(b, op.getKeyGradient(), b.arg(args, 1), from),
               second, rope);
        });
  });
}

//===----------------------------------------------------------------------===//
// Heads
//===----------------------------------------------------------------------===//

void ds::cpu::emitJoinHeads(KernelJoinHeadsOp op, ModuleOp module,
                            const Isa &isa, KernelLimits &) {
  Type element = typeOf(op.getResult()).getElementType();
  int64_t size = getElementBytes(element);
  auto count = static_cast<int64_t>(op.getInputs().size());
  int64_t width = typeOf(op.getResult()).getDimSize(1) /
                  static_cast<int64_t>(op.getHeads());
  buildRows(op, module, isa, [&](KernelBuilder &b, Value args, Value row) {
    Value to = rowAt(b, op.getResult(), b.arg(args, count), row);
    b.loop(b.c(0), b.c(static_cast<int64_t>(op.getHeads())), 1,
           [&](Value head) {
             Value out = b.at(to, b.mul(head, width * size));
             int64_t done = 0;
             for (int64_t i = 0; i < count; ++i) {
               auto piece = cast<PieceAttr>(op.getPieces()[i]);
               Value column =
                   b.add(b.mul(head, piece.getStride()), piece.getBegin());
               Value from = b.at(
                   rowAt(b, op.getInputs()[i], b.arg(args, i), row),
                   b.mul(column, size));
               copy(b, element, from, b.at(out, done * size),
                    piece.getColumns());
               done += piece.getColumns();
             }
           });
  });
}

void ds::cpu::emitExpandKeysBackward(KernelExpandKeysBackwardOp op,
                                     ModuleOp module, const Isa &isa,
                                     KernelLimits &) {
  LatentHeadsAttr heads = op.getHeads();
  Type element = typeOf(op.getExpandedGradient()).getElementType();
  int64_t size = getElementBytes(element), count = heads.getCount();
  int64_t rows = typeOf(op.getExpandedGradient()).getDimSize(1);
  int64_t stride = heads.getHeadRows(rows), keyRows = heads.getKeyRows(rows);
  int64_t keyColumns = heads.getNope() + heads.getRope();
  buildRows(op, module, isa, [&](KernelBuilder &b, Value args, Value row) {
    Value keys = rowAt(b, op.getKeyGradient(), b.arg(args, 0), row);
    Value values = rowAt(b, op.getValueGradient(), b.arg(args, 1), row);
    Value expanded = rowAt(b, op.getExpandedGradient(), b.arg(args, 2), row);
    Value shared = rowAt(b, op.getSharedGradient(), b.arg(args, 3), row);
    copy(b, element, Value(), expanded, rows); // Rows between the heads'.
    b.loop(b.c(0), b.c(count), 1, [&](Value head) {
      Value to = b.at(expanded, b.mul(head, stride * size));
      copy(b, element, b.at(keys, b.mul(head, keyColumns * size)), to,
           heads.getNope());
      copy(b, element, b.at(values, b.mul(head, heads.getValue() * size)),
           b.at(to, keyRows * size), heads.getValue());
    });
    Value ropes = b.at(keys, heads.getNope() * size);
    forColumns(b, heads.getRope(), [&](Value column, Value mask) {
      Value offset = b.mul(column, size);
      Value sum =
          b.loop(b.c(0), b.c(count), 1, b.zero(),
                 [&](Value head, ValueRange carried) {
                   Value from = b.at(ropes, b.mul(head, keyColumns * size));
                   Value value = b.loadF32(element, b.at(from, offset), mask);
                   return SmallVector<Value>{b.addf(carried[0], value)};
                 })
              .front();
      b.storeF32(sum, element, b.at(shared, offset), mask);
    });
  });
}
