//===- Kernel.cpp - Verifiers and costs of kernels ------------------------===//
#include "dialect/KernelSupport.h"

using namespace ds;
using namespace ds::kernel;

double kernel::valueBytes(Value value, int64_t rows) {
  RankedTensorType type = typeOf(value);
  if (type.hasStaticShape())
    return getTensorBytes(type);
  int64_t size = getElementBytes(type.getElementType());
  for (int64_t dim : type.getShape())
    size *= ShapedType::isDynamic(dim) ? rows : dim;
  return static_cast<double>(size);
}

double kernel::valueBytes(ValueRange values, int64_t rows) {
  double bytes = 0;
  for (Value value : values)
    if (isa<RankedTensorType>(value.getType()))
      bytes += valueBytes(value, rows);
  return bytes;
}

Cost kernel::rowsCost(Operation *op, Value value, double perElement,
                      int64_t rows) {
  Cost cost;
  cost.flops =
      perElement * static_cast<double>(rows * typeOf(value).getDimSize(1));
  for (ValueRange values :
       {ValueRange(op->getOperands()), ValueRange(op->getResults())})
    for (Value each : values)
      if (auto type = dyn_cast<RankedTensorType>(each.getType()))
        (type.hasStaticShape() ? cost.weightBytes : cost.activationBytes) +=
            valueBytes(each, rows);
  return cost;
}

/// Whether the generators know the operation.
static bool isScalarCode(Operation &op, bool reduces) {
  if (op.getNumRegions() != 0)
    return false;
  if (isa<arith::ArithDialect>(op.getDialect()))
    return true;
  return isa<math::ExpOp, math::LogOp, math::SqrtOp, math::AbsFOp>(op) ||
         (reduces && isa<RowReduceOp, RowMaxOp>(op));
}

static LogicalResult verifyScalarCode(Operation *op, Block &block,
                                      bool reduces) {
  for (Operation &inner : block.without_terminator()) {
    if (isScalarCode(inner, reduces))
      continue;
    InFlightDiagnostic diag = op->emitOpError()
                              << "expects a region of scalar arith and math";
    diag.attachNote(inner.getLoc()) << "found '" << inner.getName() << "'";
    return diag;
  }
  return success();
}

LogicalResult kernel::verifyRegion(Operation *op, Region &region,
                                   ArrayRef<Type> arguments,
                                   ArrayRef<Type> yields, bool reduces) {
  Block &block = region.front();
  if (block.getNumArguments() != arguments.size())
    return op->emitOpError() << "expects a region of " << arguments.size()
                             << " arguments, got " << block.getNumArguments();
  for (auto [argument, type] : llvm::zip(block.getArguments(), arguments))
    if (argument.getType() != type)
      return op->emitOpError()
             << "expects region argument " << argument.getArgNumber()
             << " to be " << type << ", got " << argument.getType();
  auto yield = dyn_cast<YieldOp>(block.getTerminator());
  if (!yield || yield.getOperandTypes() != TypeRange(yields)) {
    InFlightDiagnostic diag = op->emitOpError()
                              << "expects the region to yield ";
    if (yields.size() == 1)
      diag << "one ";
    llvm::interleaveComma(yields, diag);
    return diag;
  }
  return verifyScalarCode(op, block, reduces);
}

/// Checks that `input` is a matrix like `result`, or a vector of its columns.
static LogicalResult verifyInput(Operation *op, Value input, Value result) {
  RankedTensorType type = typeOf(input);
  int64_t columns = typeOf(result).getDimSize(1);
  bool fits = type.getRank() == 2 || type.getRank() == 1;
  if (!fits || type.getShape().back() != columns)
    return op->emitOpError()
           << "expects operands of " << columns << " columns, got " << type;
  return success();
}

/// Returns the symbol of the rows of a view of the sequences.
StringRef ds::getSeqRows(Value seq) {
  auto view = seq.getDefiningOp<ViewSeqOp>();
  if (!view)
    return "T";
  switch (view.getRows()) {
  case SeqRows::Prompt:
    return "P";
  case SeqRows::Generated:
    return "G";
  case SeqRows::Expanded:
    return "E";
  case SeqRows::Blocks:
    return "C";
  case SeqRows::Following:
    return "T";
  }
  llvm_unreachable("covered switch");
}

StringRef ds::findRowSymbol(Operation *op) {
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    if (type && type.getRank() == 2 && type.isDynamicDim(0))
      return getRowSymbolOf(operand);
  }
  for (Value operand : op->getOperands())
    if (isa<SeqType>(operand.getType()))
      return getSeqRows(operand);
  return "T";
}

StringRef ds::getRowSymbolOf(Value matrix) {
  Operation *op = matrix.getDefiningOp();
  if (auto rows = dyn_cast_or_null<RowsInterface>(op))
    return rows.getResultRows(cast<OpResult>(matrix).getResultNumber());
  if (auto kernel = dyn_cast_or_null<KernelInterface>(op))
    return kernel.getRowSymbol();
  if (auto argument = dyn_cast<BlockArgument>(matrix)) {
    auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
    auto rows = function ? function.getArgAttrOfType<StringAttr>(
                               argument.getArgNumber(), kRowsAttr)
                         : StringAttr();
    return rows ? rows.getValue() : "T";
  }
  if (auto input = dyn_cast_or_null<RowInputOp>(op))
    return input.getTokens() ? "T" : "R";
  if (auto fill = dyn_cast_or_null<FillOp>(op))
    return fill.getTokens() ? "T" : "R";
  if (isa_and_nonnull<RunRowsOp>(op))
    return "R";
  return op ? findRowSymbol(op) : "T";
}

StringRef kernel::getInputRows(ValueRange inputs) {
  for (Value input : inputs)
    if (typeOf(input).getRank() == 2)
      return getRowSymbolOf(input);
  return "T";
}

LogicalResult kernel::verifyRows(Operation *op, ValueRange inputs,
                                 StringRef symbol) {
  for (Value input : inputs)
    if (typeOf(input).getRank() == 2 && input.getDefiningOp() &&
        getRowSymbolOf(input) != symbol)
      return op->emitOpError()
             << "expects operands of " << symbol << " rows, got one of "
             << getRowSymbolOf(input) << " rows";
  return success();
}

int64_t kernel::countRows(KernelInterface op, StepShape step) {
  return kernel::countRows(op.getRowSymbol(), step);
}

int64_t kernel::countRows(StringRef symbol, StepShape step) {
  auto [rows, times] = symbol.split('*');
  int64_t factor = 1;
  times.getAsInteger(10, factor);
  return factor * (rows == "R" ? step.rows : step.tokens);
}

double kernel::countSeen(StepShape step, int64_t limit) {
  auto rows = static_cast<double>(step.tokens) / step.sequences;
  auto last = static_cast<double>(step.cached);
  double first = last - rows + 1, most = static_cast<double>(limit);
  if (most >= last)
    return (first + last) / 2;
  if (most <= first)
    return most;
  double below = most - first; // Rows that see fewer than `limit`.
  return (below * (first + most - 1) / 2 + (rows - below) * most) / rows;
}

LogicalResult kernel::verifyMatrices(Operation *op, StringRef name,
                                     Value value, int64_t rows, int64_t columns,
                                     Value routing) {
  RankedTensorType type = typeOf(value);
  if (type.getRank() != (routing ? 3 : 2))
    return op->emitOpError() << "expects a " << name << " of rank "
                             << (routing ? 3 : 2) << ", got " << type;
  ArrayRef<int64_t> shape = type.getShape().take_back(2);
  if (shape[0] != rows)
    return op->emitOpError() << "expects a " << name << " of " << rows
                             << " rows, got " << type;
  if (shape[1] != columns)
    return op->emitOpError() << "expects a " << name << " of " << columns
                             << " columns, got " << type;
  if (routing) {
    auto routed = cast<RoutingType>(routing.getType());
    if (type.getDimSize(0) != routed.getExperts())
      return op->emitOpError() << "expects a " << name << " of "
                               << routed.getExperts() << " experts, got "
                               << type;
  }
  return success();
}

LogicalResult kernel::verifyHeads(Operation *op, HeadsAttr heads, Value input,
                                  Value weight, Value result, bool transposed) {
  RankedTensorType matrix = typeOf(weight);
  if (matrix.getRank() != 2)
    return op->emitOpError() << "expects a weight of rank 2, got " << matrix;
  int64_t last = heads.getCount() - 1;
  int64_t inputColumns =
      transposed ? heads.getRows() : matrix.getDimSize(1);
  int64_t resultColumns =
      transposed ? matrix.getDimSize(1) : heads.getRows();
  if (heads.getInputBegin() + last * heads.getInputStride() + inputColumns >
      typeOf(input).getDimSize(1))
    return op->emitOpError() << "expects the heads' columns to lie within "
                             << typeOf(input);
  if (heads.getWeightBegin() + last * heads.getWeightStride() +
          heads.getRows() >
      matrix.getDimSize(0))
    return op->emitOpError() << "expects the heads' rows to lie within "
                             << matrix;
  if (last * heads.getResultStride() + resultColumns !=
      typeOf(result).getDimSize(1))
    return op->emitOpError() << "expects the heads to fill " << typeOf(result);
  return success();
}

LogicalResult HeadsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                int64_t count, int64_t inputBegin,
                                int64_t inputStride, int64_t weightBegin,
                                int64_t weightStride, int64_t rows,
                                int64_t resultStride) {
  if (count <= 0 || rows <= 0 || inputBegin < 0 || inputStride <= 0 ||
      weightBegin < 0 || weightStride < rows || resultStride <= 0)
    return emitError() << "expects heads, rows and strides to be positive";
  if (weightBegin % 32 || weightStride % 32)
    return emitError() << "expects every head's rows to begin at a multiple of "
                       << "32";
  return success();
}

LogicalResult KernelMatmulOp::verify() {
  Type f32 = Float32Type::get(getContext());
  SmallVector<Type> arguments(getPair() ? 2 : 1, f32);
  for (Value extra : getExtras())
    arguments.push_back(typeOf(extra).getElementType());
  int64_t outputs = typeOf(getResult()).getDimSize(1) * (getPair() ? 2 : 1);
  int64_t depth = typeOf(getA()).getDimSize(1);
  if (getTransposed()) {
    if (getPair() || getRows())
      return emitOpError() << "expects no pairs and no chosen rows of a "
                           << "transposed weight";
    std::swap(outputs, depth);
  }
  if (getHeads()) {
    if (getPair() || getRows() || getRouting())
      return emitOpError() << "expects no pairs, no chosen and no routed rows "
                           << "of a product for each head";
    if (failed(verifyHeads(*this, *getHeads(), getA(), getWeight(), getResult(),
                           getTransposed())))
      return failure();
  } else if (failed(verifyMatrices(*this, "weight", getWeight(), outputs, depth,
                                   getRouting()))) {
    return failure();
  }
  if (getGathered() && !getRouting())
    return emitOpError() << "expects a routing to gather by";
  for (Value extra : getExtras())
    if (failed(verifyInput(*this, extra, getResult())))
      return failure();
  if (failed(verifyRows(*this, getExtras(), getRowSymbol())))
    return failure();
  return verifyRegion(*this, getEpilogue(), arguments,
                      typeOf(getResult()).getElementType(), /*reduces=*/false);
}

Cost KernelMatmulOp::getCost(StepShape step) {
  Cost cost;
  int64_t rows = countRows(*this, step);
  auto elements = static_cast<double>(typeOf(getWeight()).getNumElements());
  cost.weightBytes = valueBytes(getWeight(), rows);
  if (getRouting()) { // Rows of few tokens go to experts of their own.
    auto experts = static_cast<double>(typeOf(getWeight()).getDimSize(0));
    elements /= experts;
    cost.weightBytes *= std::min(1.0, static_cast<double>(rows) / experts);
  }
  if (getHeads()) { // Some of the weight's rows.
    double whole = elements;
    elements = static_cast<double>(getHeads()->getCount() *
                                   getHeads()->getRows() *
                                   typeOf(getWeight()).getDimSize(1));
    cost.weightBytes *= elements / whole;
  }
  cost.flops = 2.0 * static_cast<double>(rows) * elements;
  cost.activationBytes =
      valueBytes(getA(), rows) + valueBytes(getResult(), rows);
  for (Value extra : getExtras())
    cost.activationBytes += valueBytes(extra, rows);
  return cost;
}

StringRef KernelMatmulOp::getRowSymbol() {
  if (getRouting())
    return cast<RoutingType>(getRouting().getType()).getRowSymbol();
  return getRows() ? "R" : getRowSymbolOf(getA());
}

bool KernelMatmulOp::canReuseOperand(unsigned operand, unsigned result) {
  return operand >= 2 && operand < getNumOperands() &&
         getOperand(operand).getType() == getResult().getType();
}

LogicalResult kernel::verifyColumns(Operation *op, StringRef name, Value value,
                                    int64_t columns) {
  if (typeOf(value).getDimSize(1) != columns)
    return op->emitOpError() << "expects " << name << " of " << columns
                             << " columns, got " << typeOf(value);
  return success();
}

LogicalResult KernelEmbedOp::verify() {
  if (getLayout() == WeightLayout::VectorF32)
    return emitOpError() << "expects a table that is raw or packed";
  if (isa<Float8E4M3FNType>(typeOf(getTable()).getElementType()))
    return emitOpError() << "expects a table of bf16 or f32, got "
                         << getTable().getType();
  return success();
}

Cost KernelEmbedOp::getCost(StepShape step) {
  Cost cost;
  int64_t width = typeOf(getResult()).getDimSize(1);
  cost.weightBytes = static_cast<double>(step.tokens * width) *
                     getElementBytes(typeOf(getTable()).getElementType());
  cost.activationBytes = valueBytes(getResult(), step.tokens);
  return cost;
}

LogicalResult KernelAnglesOp::verify() {
  if (typeOf(getResult()).getDimSize(1) != getRope().getDims())
    return emitOpError() << "expects a result of " << getRope().getDims()
                         << " columns";
  return success();
}

Cost KernelAnglesOp::getCost(StepShape step) {
  Cost cost;
  cost.flops = 40.0 * static_cast<double>(step.tokens * getRope().getDims());
  cost.activationBytes = valueBytes(getResult(), step.tokens);
  return cost;
}

/// Checks that a segment lies within the row and fills `target`, the result or
/// a state.
static LogicalResult verifySegment(KernelHeadsOp op, SegmentAttr segment,
                                   Type target) {
  int64_t width = segment.getHeads() * segment.getDim();
  int64_t columns = typeOf(op.getInput()).getDimSize(1);
  if (segment.getBegin() < 0 || segment.getHeads() <= 0 ||
      segment.getDim() <= 0 || segment.getBegin() + width > columns)
    return op.emitOpError() << "expects segment " << segment
                            << " to lie within " << columns << " columns";
  if (segment.getRotate() &&
      op.getRope().getFirst() + op.getRope().getDims() > segment.getDim())
    return op.emitOpError()
           << "expects rotated dims (" << op.getRope().getDims()
           << ") to fit segment " << segment;
  auto state = dyn_cast<StateType>(target);
  int64_t expected =
      state ? state.getWidth() : cast<RankedTensorType>(target).getDimSize(1);
  if (width != expected)
    return op.emitOpError()
           << "expects segment " << segment << " to fill " << target;
  return success();
}

LogicalResult KernelHeadsOp::verify() {
  if (typeOf(getAngles()).getDimSize(1) != getRope().getDims())
    return emitOpError() << "expects angles of " << getRope().getDims()
                         << " columns, got " << typeOf(getAngles());
  if (getStates().getTypes() != getNewStates().getTypes())
    return emitOpError() << "expects new states of the types of the states";
  size_t states = 0;
  bool hasResult = false;
  for (SegmentAttr segment : getSegments().getAsRange<SegmentAttr>()) {
    bool isState = segment.getDest() != SegmentDest::Result;
    if (!isState && (hasResult || !getResult()))
      return emitOpError() << "expects one result for one segment with dest "
                           << "result";
    if (isState && states == getStates().size())
      return emitOpError() << "expects a state for segment " << segment;
    Type target =
        isState ? getStates()[states++].getType() : getResult().getType();
    hasResult |= !isState;
    if (failed(verifySegment(*this, segment, target)))
      return failure();
  }
  if (states != getStates().size())
    return emitOpError() << "expects a segment for each of "
                         << getStates().size() << " states, got " << states;
  if (!hasResult && getResult())
    return emitOpError() << "expects a segment with dest result";
  return verifyLinear(*this, getStates());
}

Cost KernelHeadsOp::getCost(StepShape step) {
  Cost cost;
  int64_t width = typeOf(getInput()).getDimSize(1);
  cost.flops = 3.0 * static_cast<double>(step.tokens * width);
  cost.activationBytes = valueBytes(getInput(), step.tokens);
  if (getResult())
    cost.activationBytes += valueBytes(getResult(), step.tokens);
  for (Value state : getStates()) {
    auto type = cast<StateType>(state.getType());
    cost.stateBytes += static_cast<double>(step.tokens * type.getWidth()) *
                       getElementBytes(type.getElementType());
  }
  return cost;
}

bool KernelHeadsOp::canReuseOperand(unsigned operand, unsigned result) {
  return false;
}
