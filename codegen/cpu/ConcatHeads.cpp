//===- ConcatHeads.cpp - Turns heads back and puts them side by side ------===//
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Rotation.h"

using namespace ds;
using namespace ds::cpu;

static constexpr int64_t kTileRows = 8;

namespace {
/// Emits one row of the result after the other.
class ConcatEmitter {
public:
  ConcatEmitter(KernelBuilder &b, KernelConcatHeadsOp op, Value args)
      : b(b), op(op), args(args),
        element(cast<RankedTensorType>(op.getResult().getType())
                    .getElementType()),
        size(getElementBytes(element)) {}

  void emitRow(Value row);

private:
  KernelBuilder &b;
  KernelConcatHeadsOp op;
  Value args;
  Type element;
  int64_t size;
  Value angles; ///< Of the row, null where none turns.

  Value at(int64_t argument, Value row, int64_t bytes) {
    return b.at(b.arg(args, argument), b.mul(row, bytes));
  }
  void emitPart(HeadsPartAttr part, Value from, Value to);
};
} // namespace

void ConcatEmitter::emitRow(Value row) {
  auto inputs = static_cast<int64_t>(op.getInputs().size());
  if (op.getAngles())
    angles = at(inputs, row, op.getRope()->getDims() * 4);
  auto type = cast<RankedTensorType>(op.getResult().getType());
  Value to =
      at(op->getNumOperands(), row, type.getDimSize(1) * size);
  for (auto [index, attr] : llvm::enumerate(op.getParts())) {
    auto part = cast<HeadsPartAttr>(attr);
    int64_t bytes = part.getHeads() * part.getDim() * size;
    emitPart(part, at(static_cast<int64_t>(index), row, bytes), to);
    to = b.at(to, bytes);
  }
}

void ConcatEmitter::emitPart(HeadsPartAttr part, Value from, Value to) {
  int64_t dim = part.getDim();
  if (!part.getRotate()) {
    copyColumns(b, from, element, to, element, 0, part.getHeads() * dim);
    return;
  }
  b.loop(b.c(0), b.c(part.getHeads()), 1, [&](Value head) {
    Value offset = b.mul(head, dim * size);
    Value source = b.at(from, offset), output = b.at(to, offset);
    Rotation(b, *op.getRope(), element, element, angles, /*inverse=*/true)
        .emit(source, output);
    int64_t first = op.getRope()->getFirst();
    copyColumns(b, source, element, output, element, 0, first);
    copyColumns(b, source, element, output, element,
                first + op.getRope()->getDims(), dim);
  });
}

void ds::cpu::emitConcatHeads(KernelConcatHeadsOp op, ModuleOp module,
                              const Isa &isa, KernelLimits &limits) {
  Dim rows = op.getRowSymbol() == "R" ? kDimR : kDimT;
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, rows), kTileRows);
             });
  buildKernel(module, op.getSymName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value) {
                ConcatEmitter emitter(b, op, args);
                Value first = b.mul(tile, kTileRows);
                Value end = b.min(b.add(first, kTileRows), b.dim(dims, rows));
                b.loop(first, end, 1,
                       [&](Value row) { emitter.emitRow(row); });
              });
}
