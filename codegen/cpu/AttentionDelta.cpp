//===- AttentionDelta.cpp - Sum of output times its gradient --------------===//
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

static constexpr int64_t kTileRows = 8;

/// The sum over one head's `columns`, on 16 lanes and one tree.
static Value emitHead(KernelBuilder &b, KernelAttentionDeltaOp op, Value output,
                      Value gradient, int64_t columns) {
  Type outputElement = getElementTypeOrSelf(op.getOutput().getType());
  Type gradientElement = getElementTypeOrSelf(op.getOutputGradient().getType());
  Value sum = b.zero();
  for (int64_t k = 0; k < columns; k += kLanes) {
    int64_t count = std::min(kLanes, columns - k);
    Value mask = count < kLanes ? b.laneMask(b.c(count)) : Value();
    auto load = [&](Value from, Type element) {
      return b.loadF32(element, b.at(from, k * getElementBytes(element)), mask);
    };
    sum = b.fma(load(output, outputElement), load(gradient, gradientElement),
                sum);
  }
  return b.reduceAdd(sum);
}

void ds::cpu::emitAttentionDelta(KernelAttentionDeltaOp op, ModuleOp module,
                                 const Isa &isa, KernelLimits &limits) {
  auto outputType = cast<RankedTensorType>(op.getOutput().getType());
  auto gradientType = cast<RankedTensorType>(op.getOutputGradient().getType());
  auto heads = static_cast<int64_t>(op.getHeads());
  int64_t columns = outputType.getDimSize(1) / heads;
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT), kTileRows);
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value) {
        Value output = b.arg(args, 0), gradient = b.arg(args, 1);
        Value result = b.arg(args, 2);
        Value first = b.mul(tile, kTileRows);
        Value last = b.min(b.add(first, kTileRows), b.dim(dims, kDimT));
        // A row's heads follow each other, as rows do.
        b.loop(b.mul(first, heads), b.mul(last, heads), 1, [&](Value head) {
          auto at = [&](Value from, RankedTensorType type) {
            return b.at(
                from,
                b.mul(head, columns * getElementBytes(type.getElementType())));
          };
          b.store(emitHead(b, op, at(output, outputType),
                           at(gradient, gradientType), columns),
                  b.at(result, b.mul(head, 4)));
        });
      });
}
