//===- Embed.cpp - Gathers rows of an embedding table ---------------------===//
//
// The table lies raw, or packed in panels (docs/artifact.md) where the same
// weight is also the head's.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

static constexpr int64_t kTileRows = 4;
/// Rows of a panel and columns of a block.
static constexpr int64_t kPanelRows = 32, kPanelColumns = 32;

namespace {
/// A table [N, K] and the row of the result that it is copied to.
struct Table {
  Value pointer;
  Type element;
  int64_t columns;
};
} // namespace

static void copyRaw(KernelBuilder &b, Table table, Value id, Value to,
                    Type element) {
  int64_t from = getElementBytes(table.element);
  int64_t into = getElementBytes(element);
  Value row = b.at(table.pointer, b.mul(id, table.columns * from));
  auto copy = [&](Value column, Value mask) {
    Value value =
        b.loadF32(table.element, b.at(row, b.mul(column, from)), mask);
    b.storeF32(value, element, b.at(to, b.mul(column, into)), mask);
  };
  int64_t whole = table.columns / kLanes * kLanes;
  if (whole)
    b.loop(b.c(0), b.c(whole), kLanes,
           [&](Value column) { copy(column, Value()); });
  if (whole < table.columns)
    copy(b.c(whole), b.laneMask(b.c(table.columns - whole)));
}

static void storeScalar(KernelBuilder &b, Value value, Type element,
                        Value to) {
  b.store(b.fromF32(value, element), to);
}

/// panel_f32: [N/32][Kp][32].
static void copyPanelF32(KernelBuilder &b, Table table, Value id, Value to,
                         Type element) {
  int64_t padded = llvm::alignTo(table.columns, kPanelColumns);
  int64_t into = getElementBytes(element);
  Value from = b.at(table.pointer,
                    b.add(b.mul(b.div(id, kPanelRows), padded * 128),
                          b.mul(b.rem(id, kPanelRows), 4)));
  b.loop(b.c(0), b.c(table.columns), 1, [&](Value column) {
    Value value = b.load(b.f32(), b.at(from, b.mul(column, 128)));
    storeScalar(b, value, element, b.at(to, b.mul(column, into)));
  });
}

/// The two bf16 of an i32, as f32.
static std::pair<Value, Value> unpack(KernelBuilder &b, Value pair) {
  auto constant = [&](int64_t value) {
    return arith::ConstantIntOp::create(b.builder, b.loc, value, 32);
  };
  Value low = arith::ShLIOp::create(b.builder, b.loc, pair, constant(16));
  Value high = arith::AndIOp::create(b.builder, b.loc, pair,
                                     constant(int32_t(0xffff0000)));
  return {b.bitcast(low, b.f32()), b.bitcast(high, b.f32())};
}

/// panel_bf16: [N/32][K/32][2][16][16][2].
static void copyPanelBf16(KernelBuilder &b, Table table, Value id, Value to,
                          Type element) {
  int64_t blocks = llvm::divideCeil(table.columns, kPanelColumns);
  int64_t into = getElementBytes(element);
  Value inPanel = b.rem(id, kPanelRows);
  Value from = b.at(
      table.pointer,
      b.add(b.mul(b.div(id, kPanelRows), blocks * 2048),
            b.add(b.mul(b.div(inPanel, 16), 1024),
                  b.mul(b.rem(inPanel, 16), 4))));
  auto load = [&](Value pair) {
    Value offset =
        b.add(b.mul(b.div(pair, 16), 2048), b.mul(b.rem(pair, 16), 64));
    return unpack(b, b.load(b.i32(), b.at(from, offset)));
  };
  b.loop(b.c(0), b.c(table.columns / 2), 1, [&](Value pair) {
    auto [low, high] = load(pair);
    Value target = b.at(to, b.mul(pair, 2 * into));
    storeScalar(b, low, element, target);
    storeScalar(b, high, element, b.at(target, into));
  });
  if (table.columns % 2)
    storeScalar(b, load(b.c(table.columns / 2)).first, element,
                b.at(to, (table.columns - 1) * into));
}

void ds::cpu::emitEmbed(KernelEmbedOp op, ModuleOp module, const Isa &isa,
                        KernelLimits &limits) {
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT), kTileRows);
             });
  auto tableType = cast<RankedTensorType>(op.getTable().getType());
  auto type = cast<RankedTensorType>(op.getResult().getType());
  Type element = type.getElementType();
  int64_t columns = type.getDimSize(1);
  auto copy = op.getLayout() == WeightLayout::PanelBf16  ? copyPanelBf16
              : op.getLayout() == WeightLayout::PanelF32 ? copyPanelF32
                                                         : copyRaw;
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value) {
        Table table{b.arg(args, 0), tableType.getElementType(), columns};
        Value ids = b.seqField(b.arg(args, 1), kSeqIds);
        Value result = b.arg(args, 2);
        Value first = b.mul(tile, kTileRows);
        Value end = b.min(b.add(first, kTileRows), b.dim(dims, kDimT));
        b.loop(first, end, 1, [&](Value row) {
          Value id = b.loadIndex(b.at(ids, b.mul(row, 4)));
          copy(b, table, id,
               b.at(result, b.mul(row, columns * getElementBytes(element))),
               element);
        });
      });
}
