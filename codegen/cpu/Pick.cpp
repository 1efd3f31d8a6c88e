//===- Pick.cpp - The weights of every token's experts --------------------===//
//
// A token has a few picks, so this is scalar code.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a tile.
static constexpr int64_t kTileRows = 64;

static int64_t columnsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getDimSize(1);
}

/// Builds a kernel over T rows.
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

namespace {
/// The picks of one token.
struct PickRow {
  PickRow(KernelBuilder &b, Value scores, Value picks, Value args, Value row)
      : b(b), experts(columnsOf(scores)), k(columnsOf(picks)),
        scoreRow(b.at(b.arg(args, 0), b.mul(row, experts * 4))),
        pickRow(b.at(b.arg(args, 1), b.mul(row, k * 4))) {}

  KernelBuilder &b;
  int64_t experts, k;
  Value scoreRow, pickRow;

  Value pickAt(Value slot) {
    return b.loadIndex(b.at(pickRow, b.mul(slot, 4)));
  }
  Value scoreAt(Value slot) {
    return b.load(b.f32(), b.at(scoreRow, b.mul(pickAt(slot), 4)));
  }
  /// The sum over slots, in order from 0, of `term`.
  Value sum(function_ref<Value(Value slot)> term) {
    return b
        .loop(b.c(0), b.c(k), 1, b.cf(0.0),
              [&](Value slot, ValueRange carried) {
                return SmallVector<Value>{b.addf(carried[0], term(slot))};
              })
        .front();
  }
};
} // namespace

void ds::cpu::emitPick(KernelPickOp op, ModuleOp module, const Isa &isa,
                       KernelLimits &) {
  double scale = op.getScale().convertToDouble();
  buildRows(op, module, isa, [&](KernelBuilder &b, Value args, Value row) {
    PickRow picks(b, op.getScores(), op.getPicks(), args, row);
    Value to = b.at(b.arg(args, 2), b.mul(row, picks.k * 4));
    Value total;
    if (op.getNormalise())
      total = picks.sum([&](Value slot) { return picks.scoreAt(slot); });
    b.loop(b.c(0), b.c(picks.k), 1, [&](Value slot) {
      Value weight = picks.scoreAt(slot);
      if (total)
        weight = b.divf(weight, total);
      b.store(b.mulf(weight, b.cf(scale)), b.at(to, b.mul(slot, 4)));
    });
  });
}

void ds::cpu::emitPickBackward(KernelPickBackwardOp op, ModuleOp module,
                               const Isa &isa, KernelLimits &) {
  double scale = op.getScale().convertToDouble();
  buildRows(op, module, isa, [&](KernelBuilder &b, Value args, Value row) {
    PickRow picks(b, op.getScores(), op.getPicks(), args, row);
    Value from = b.at(b.arg(args, 2), b.mul(row, picks.k * 4));
    Value to = b.at(b.arg(args, 3), b.mul(row, picks.experts * 4));
    b.loop(b.c(0), b.c(picks.experts), 1, [&](Value expert) {
      b.store(b.cf(0.0), b.at(to, b.mul(expert, 4)));
    });
    auto gradientAt = [&](Value slot) {
      return b.load(b.f32(), b.at(from, b.mul(slot, 4)));
    };
    Value total, mean;
    if (op.getNormalise()) {
      total = picks.sum([&](Value slot) { return picks.scoreAt(slot); });
      Value product = picks.sum([&](Value slot) {
        return b.mulf(gradientAt(slot), picks.scoreAt(slot));
      });
      mean = b.divf(product, total);
    }
    b.loop(b.c(0), b.c(picks.k), 1, [&](Value slot) {
      Value gradient = gradientAt(slot);
      if (mean)
        gradient = b.divf(b.subf(gradient, mean), total);
      b.store(b.mulf(gradient, b.cf(scale)),
              b.at(to, b.mul(picks.pickAt(slot), 4)));
    });
  });
}
