//===- MatmulEpilogue.cpp - From sums to results --------------------------===//
//
// The region of the kernel on vectors of 16 columns, row by row, reading sums
// that lie in scratch as [rows, 32] f32.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Matmul.h"

using namespace ds;
using namespace ds::cpu;

namespace {
/// 16 columns of one row of the result.
class EpilogueRow {
public:
  EpilogueRow(KernelBuilder &b, const MatmulDesc &desc,
              const EpilogueBlock &block)
      : b(b), desc(desc), result(block.result) {
    for (size_t i = 0; i < desc.extras.size(); ++i)
      extras.push_back(b.arg(block.args, desc.extraArg() + i));
  }

  /// Stores the columns from `column` on, made of `sums`.
  void emit(Value row, Value column, ValueRange sums) {
    Value mask;
    if (desc.columns % kLanes != 0)
      mask = b.laneMask(b.sub(b.c(desc.columns), column));
    SmallVector<Value> arguments(sums.begin(), sums.end());
    for (auto [extra, pointer] : llvm::zip(desc.extras, extras))
      arguments.push_back(loadExtra(extra, pointer, row, column, mask));
    Value value = desc.epilogue
                      ? b.cloneRegion(*desc.epilogue, arguments).front()
                      : b.fromF32(sums.front(), desc.resultElement);
    Value at = elementAt(result, desc.resultElement, row, column);
    if (desc.accumulates) {
      VectorType type = b.vec(desc.resultElement);
      value = b.addf(mask ? b.loadMasked(type, at, mask) : b.load(type, at),
                     value);
    }
    if (mask)
      b.storeMasked(value, at, mask);
    else
      b.store(value, at);
  }

private:
  KernelBuilder &b;
  const MatmulDesc &desc;
  Value result;
  SmallVector<Value> extras;

  Value elementAt(Value matrix, Type element, Value row, Value column) {
    Value index = b.add(b.mul(row, desc.stride()), column);
    return b.at(matrix, b.mul(index, getElementBytes(element)));
  }

  /// A vector is padded to 16 and needs no mask.
  Value loadExtra(const MatmulDesc::Extra &extra, Value pointer, Value row,
                  Value column, Value mask) {
    VectorType type = b.vec(extra.element);
    if (extra.isVector)
      return b.load(type, b.at(pointer, b.mul(column, getElementBytes(
                                                          extra.element))));
    Value at = elementAt(pointer, extra.element, row, column);
    return mask ? b.loadMasked(type, at, mask) : b.load(type, at);
  }
};
} // namespace

void ds::cpu::emitEpilogue(KernelBuilder &b, const MatmulDesc &desc,
                           const EpilogueBlock &block) {
  EpilogueRow out(b, desc, block);
  int64_t outputs = desc.pair ? kLanes : kPanelColumns;
  Value first = b.mul(block.panel, outputs);
  b.loop(b.c(0), block.rows, 1, [&](Value i) {
    Value line = b.at(block.sums, b.mul(i, kPanelColumns * 4));
    Value row = b.add(block.row, i);
    Value low = b.load(b.vec(b.f32()), line);
    Value high = b.load(b.vec(b.f32()), b.at(line, 64));
    if (desc.pair)
      return out.emit(row, first, {low, high});
    out.emit(row, first, low);
    Value second = b.add(first, kLanes);
    if (desc.columns % kPanelColumns > kLanes ||
        desc.columns % kPanelColumns == 0)
      return out.emit(row, second, high);
    b.ifThen(b.less(second, b.c(desc.columns)),
             [&] { out.emit(row, second, high); });
  });
}
