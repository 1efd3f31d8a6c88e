//===- Row.h - Regions over the columns of rows -----------------*- C++ -*-===//
#ifndef DS_CODEGEN_CPU_ROW_H
#define DS_CODEGEN_CPU_ROW_H
#include "codegen/cpu/Kernels.h"

namespace ds {
namespace cpu {

/// The operands of a kernel that maps a region over rows of `width` columns. A
/// matrix [T, width] gives its element, a matrix [T, 1] its row's value, a
/// vector [width] (f32 in memory, rounded to its element type) its column's.
/// With `pairs`, a matrix of more columns is in packed pair order and gives
/// two.
class MapOperands {
public:
  MapOperands(KernelBuilder &b, ValueRange inputs, int64_t width, bool pairs)
      : b(b), inputs(inputs), width(width), pairs(pairs) {}

  /// Finds the operands of `row`; `args` is the kernel's argument array.
  void locate(Value args, Value row);
  /// The region's arguments for 16 columns from `column` on. `mask`, which may
  /// be null, says which of them there are.
  SmallVector<Value> load(Value column, Value mask);
  /// Asks for `count` columns from `column` on of the row `rows` later.
  void prefetch(Value column, int64_t count, int64_t rows);

private:
  KernelBuilder &b;
  ValueRange inputs;
  int64_t width;
  bool pairs;
  SmallVector<Value> pointers;
  /// Values of the row, null for operands that vary within it.
  SmallVector<Value> rowValues;
};

/// A kernel that maps a region over rows. Results are [T, width], or [T, 1] of
/// values that are the same in all columns, or in packed pair order.
/// Reductions within the region are allowed.
struct RowMap {
  StringRef symbol;
  StringRef rows; ///< "T" or "R".
  ValueRange inputs, outputs;
  int64_t width;
  bool pairs;
  Region &body;
  Location loc;

  /// Whether the kernel is the same for all elements, wherever they lie.
  bool isFlat() const;
};

void emitRows(const RowMap &map, ModuleOp module, const Isa &isa);

} // namespace cpu
} // namespace ds
#endif
