//===- KernelMap.cpp - Kernels that map a region over rows ----------------===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

namespace {
/// What the verifiers of row, elementwise and column kernels look at.
struct MapShape {
  Operation *op;
  Region &body;
  int64_t width;
  bool vectors;       ///< Operands [W] are allowed.
  bool pairs = false; ///< Matrices in packed pair order are allowed.

  int64_t scalars(RankedTensorType type) const {
    return pairs && type.getShape().back() != width ? 2 : 1;
  }
  LogicalResult verify(ValueRange inputs, ArrayRef<RankedTensorType> outputs,
                       bool reduces) const;
  LogicalResult verifyType(StringRef what, RankedTensorType type,
                           bool vectorFits) const;
};
} // namespace

static int64_t columnsOf(Value value) {
  return typeOf(value).getShape().back();
}

/// Columns of the widest tensor, or of the narrowest.
static int64_t findWidth(Operation *op, bool narrowest) {
  int64_t width = 0;
  auto look = [&](Value value) {
    int64_t columns = columnsOf(value);
    bool better = narrowest ? columns < width : columns > width;
    if (!width || better)
      width = columns;
  };
  llvm::for_each(op->getOperands(), look);
  llvm::for_each(op->getResults(), look);
  return width;
}

int64_t KernelRowOp::getWidth() { return findWidth(*this, false); }

int64_t KernelElementwiseOp::getWidth() { return findWidth(*this, getPairs()); }

int64_t KernelColumnsOp::getWidth() { return columnsOf(getGradient()); }

StringRef KernelRowOp::getRowSymbol() { return getInputRows(getInputs()); }

StringRef KernelElementwiseOp::getRowSymbol() {
  return getInputRows(getInputs());
}

StringRef KernelColumnsOp::getRowSymbol() { return getInputRows(getInputs()); }

LogicalResult MapShape::verifyType(StringRef what, RankedTensorType type,
                                   bool vectorFits) const {
  int64_t columns = type.getShape().back();
  bool isMatrix = type.getRank() == 2;
  bool fits = isMatrix || (vectorFits && type.getRank() == 1);
  bool wide = pairs ? columns == 2 * int64_t(llvm::alignTo(width, 16))
                    : isMatrix && columns == 1;
  if (fits && (columns == width || wide))
    return success();
  return op->emitOpError() << "expects " << what << " of " << width
                           << " columns, got " << type;
}

/// Whether a region's value is the same in all columns. `body`'s argument i
/// stands for a row's value where `isRow[i]`.
static bool isUniform(Value value, ArrayRef<bool> isRow,
                      DenseMap<Value, bool> &known) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return isRow[argument.getArgNumber()];
  if (isa<RowReduceOp, RowMaxOp>(value.getDefiningOp()))
    return true;
  if (auto found = known.find(value); found != known.end())
    return found->second;
  bool uniform = llvm::all_of(
      value.getDefiningOp()->getOperands(),
      [&](Value operand) { return isUniform(operand, isRow, known); });
  return known[value] = uniform;
}

LogicalResult MapShape::verify(ValueRange inputs,
                               ArrayRef<RankedTensorType> outputs,
                               bool reduces) const {
  if (llvm::none_of(inputs, [](Value v) { return typeOf(v).getRank() == 2; }))
    return op->emitOpError() << "expects a matrix among its operands";
  SmallVector<Type> arguments, yields;
  for (Value input : inputs) {
    RankedTensorType type = typeOf(input);
    if (failed(verifyType("operands", type, vectors)))
      return failure();
    arguments.append(scalars(type), type.getElementType());
  }
  for (RankedTensorType type : outputs) {
    if (failed(verifyType("results", type, type.getRank() == 1)))
      return failure();
    yields.append(scalars(type), type.getElementType());
  }
  StringRef symbol = cast<KernelInterface>(op).getRowSymbol();
  if (failed(verifyRows(op, inputs, symbol)))
    return failure();
  return verifyRegion(op, body, arguments, yields, reduces);
}

/// Checks that results [T, 1] of wider rows get values of the row.
static LogicalResult verifyRowResults(Operation *op, Region &body,
                                      int64_t width) {
  SmallVector<bool> isRow;
  for (Value input : op->getOperands())
    isRow.push_back(typeOf(input).getRank() == 2 && columnsOf(input) == 1);
  DenseMap<Value, bool> known;
  ValueRange yielded = body.front().getTerminator()->getOperands();
  for (auto [value, result] : llvm::zip(yielded, op->getResults()))
    if (columnsOf(result) != width && !isUniform(value, isRow, known))
      return op->emitOpError()
             << "expects what result " << result.getResultNumber()
             << " gets to be the same in all columns";
  return success();
}

/// The types of a kernel's results, of which there must be one.
static FailureOr<SmallVector<RankedTensorType>> findResultTypes(Operation *op) {
  if (op->getNumResults() == 0)
    return op->emitOpError() << "expects a result";
  return llvm::map_to_vector(op->getResults(), typeOf);
}

LogicalResult KernelRowOp::verify() {
  MapShape shape{*this, getBody(), getWidth(), /*vectors=*/true};
  FailureOr<SmallVector<RankedTensorType>> results = findResultTypes(*this);
  if (failed(results) ||
      failed(shape.verify(getInputs(), *results, /*reduces=*/true)))
    return failure();
  return verifyRowResults(*this, getBody(), getWidth());
}

LogicalResult KernelElementwiseOp::verify() {
  MapShape shape{*this, getBody(), getWidth(), /*vectors=*/false, getPairs()};
  FailureOr<SmallVector<RankedTensorType>> results = findResultTypes(*this);
  if (failed(results) ||
      failed(shape.verify(getInputs(), *results, /*reduces=*/false)))
    return failure();
  return getPairs() ? success()
                    : verifyRowResults(*this, getBody(), getWidth());
}

LogicalResult KernelColumnsOp::verify() {
  MapShape shape{*this, getBody(), getWidth(), /*vectors=*/true};
  return shape.verify(getInputs(), typeOf(getGradient()), /*reduces=*/false);
}

static Cost mapCost(Operation *op, Region &region, int64_t width,
                    StepShape step) {
  Cost cost;
  int64_t rows = countRows(cast<KernelInterface>(op), step);
  cost.flops = static_cast<double>(rows * width) *
               static_cast<double>(region.front().getOperations().size() - 1);
  cost.activationBytes = valueBytes(op->getResults(), rows) +
                         valueBytes(op->getOperands(), rows);
  return cost;
}

Cost KernelRowOp::getCost(StepShape step) {
  return mapCost(*this, getBody(), getWidth(), step);
}

Cost KernelElementwiseOp::getCost(StepShape step) {
  return mapCost(*this, getBody(), getWidth(), step);
}

Cost KernelColumnsOp::getCost(StepShape step) {
  return mapCost(*this, getBody(), getWidth(), step);
}

/// A result may overwrite an operand of its type: 16 columns of all operands
/// are read before they are written.
static bool sameType(Operation *op, unsigned operand, unsigned result) {
  return operand < op->getNumOperands() &&
         op->getOperand(operand).getType() == op->getResult(result).getType();
}

bool KernelRowOp::canReuseOperand(unsigned operand, unsigned result) {
  return sameType(*this, operand, result);
}

bool KernelElementwiseOp::canReuseOperand(unsigned operand, unsigned result) {
  return sameType(*this, operand, result);
}
