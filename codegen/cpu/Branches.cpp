//===- Branches.cpp - Branches of attention and their gates ---------------===//
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a tile.
static constexpr int64_t kTileRows = 4;

namespace {
/// A token's gates and branches, head by head.
class BranchEmitter {
public:
  template <typename Op>
  BranchEmitter(KernelBuilder &b, Op op, Value args)
      : b(b), args(args), heads(static_cast<int64_t>(op.getHeads())),
        dims(cast<RankedTensorType>(op.getFirst().getType()).getDimSize(1) /
             heads),
        gateElement(getElementTypeOrSelf(op.getGates().getType())),
        element(getElementTypeOrSelf(op.getFirst().getType())),
        size(getElementBytes(element)) {}

  void emitForward(Value row) {
    forHeads(row, [&](Value head, ArrayRef<Value> gates) {
      forColumns([&](int64_t column, Value mask) {
        Value sum = b.mulf(gates[0], load(1, row, head, column, mask));
        for (int64_t i = 1; i < 3; ++i)
          sum = b.fma(gates[i], load(1 + i, row, head, column, mask), sum);
        store(sum, 4, row, head, column, mask);
      });
    });
  }

  void emitBackward(Value row) {
    forHeads(row, [&](Value head, ArrayRef<Value> gates) {
      SmallVector<Value> sums(3, b.zero());
      forColumns([&](int64_t column, Value mask) {
        Value dy = load(4, row, head, column, mask);
        for (int64_t i = 0; i < 3; ++i) {
          sums[i] = b.fma(load(1 + i, row, head, column, mask), dy, sums[i]);
          store(b.mulf(gates[i], dy), 6 + i, row, head, column, mask);
        }
      });
      for (int64_t i = 0; i < 3; ++i)
        b.storeF32(b.splat(b.reduceAdd(sums[i])), gateElement,
                   gateAt(5, row, head, i), b.laneMask(b.c(1)));
    });
  }

private:
  KernelBuilder &b;
  Value args;
  int64_t heads, dims;
  Type gateElement, element;
  int64_t size;

  Value gateAt(int64_t argument, Value row, Value head, int64_t branch) {
    Value index = b.add(b.mul(b.add(b.mul(row, heads), head), 3), branch);
    return b.at(b.arg(args, argument),
                b.mul(index, getElementBytes(gateElement)));
  }
  void forHeads(Value row,
                function_ref<void(Value head, ArrayRef<Value> gates)> body) {
    b.loop(b.c(0), b.c(heads), 1, [&](Value head) {
      SmallVector<Value> gates;
      for (int64_t i = 0; i < 3; ++i)
        gates.push_back(b.splat(
            b.toF32(b.load(gateElement, gateAt(0, row, head, i)))));
      body(head, gates);
    });
  }
  void forColumns(function_ref<void(int64_t, Value)> body) {
    for (int64_t column = 0; column < dims; column += kLanes)
      body(column, dims - column < kLanes ? b.laneMask(b.c(dims - column))
                                          : Value());
  }
  Value at(int64_t argument, Value row, Value head, int64_t column) {
    Value index = b.add(b.mul(b.add(b.mul(row, heads), head), dims), column);
    return b.at(b.arg(args, argument), b.mul(index, size));
  }
  Value load(int64_t argument, Value row, Value head, int64_t column,
             Value mask) {
    return b.loadF32(element, at(argument, row, head, column), mask);
  }
  void store(Value value, int64_t argument, Value row, Value head,
             int64_t column, Value mask) {
    b.storeF32(value, element, at(argument, row, head, column), mask);
  }
};
} // namespace

template <typename Op>
static void build(Op op, ModuleOp module, const Isa &isa,
                  void (BranchEmitter::*emit)(Value)) {
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT), kTileRows);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value) {
        BranchEmitter emitter(b, op, args);
        Value first = b.mul(tile, kTileRows);
        Value end = b.min(b.add(first, kTileRows), b.dim(dims, kDimT));
        b.loop(first, end, 1, [&](Value row) { (emitter.*emit)(row); });
      });
}

void ds::cpu::emitMixBranches(KernelMixBranchesOp op, ModuleOp module,
                              const Isa &isa, KernelLimits &limits) {
  build(op, module, isa, &BranchEmitter::emitForward);
}

void ds::cpu::emitMixBranchesBackward(KernelMixBranchesBackwardOp op,
                                      ModuleOp module, const Isa &isa,
                                      KernelLimits &limits) {
  build(op, module, isa, &BranchEmitter::emitBackward);
}
