//===- Row.cpp - Row kernels: a region over every row, with reductions ----===//
//
// The row is swept once for every depth of reductions and once to store:
// sweep d adds what the reductions of depth d take, of which everything is
// recomputed from the operands. What a sweep does not need is dead code.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Row.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a tile.
static constexpr int64_t kTileRows = 4;

namespace {
/// Emits one row of the kernel after the other.
class RowEmitter {
public:
  RowEmitter(KernelBuilder &b, ValueRange inputs, Value result, Region &body)
      : b(b), inputs(inputs), body(body),
        result(cast<RankedTensorType>(result.getType())),
        width(this->result.getDimSize(1)) {
    findDepths();
  }

  /// Emits the computation of `row`; `args` is the kernel's argument array.
  void emitRow(Value args, Value row) {
    locate(args, row);
    for (int64_t depth = 0; depth < depths; ++depth)
      reduceSweep(depth);
    storeSweep();
  }

private:
  KernelBuilder &b;
  ValueRange inputs;
  Region &body;
  RankedTensorType result;
  int64_t width;
  /// Reductions that a reduction waits for.
  DenseMap<Operation *, int64_t> depthOf;
  int64_t depths = 0;
  /// Sums that are known, as vectors.
  DenseMap<Operation *, Value> sums;
  SmallVector<Value> pointers;
  Value resultPointer;

  void findDepths();
  void locate(Value args, Value row);
  SmallVector<Value> loadArguments(Value column, Value mask);
  SmallVector<Value> clone(Value column, Value mask,
                           DenseMap<Operation *, Value> *terms);
  void reduceSweep(int64_t depth);
  void storeSweep();
};
} // namespace

void RowEmitter::findDepths() {
  DenseMap<Value, int64_t> after;
  for (Operation &op : body.front()) {
    int64_t depth = 0;
    for (Value operand : op.getOperands())
      depth = std::max(depth, after.lookup(operand));
    if (isa<RowReduceOp>(op)) {
      depthOf[&op] = depth++;
      depths = std::max(depths, depth);
    }
    for (Value value : op.getResults())
      after[value] = depth;
  }
}

/// Finds the addresses of the row's first elements.
void RowEmitter::locate(Value args, Value row) {
  pointers.clear();
  sums.clear();
  for (auto [index, input] : llvm::enumerate(inputs)) {
    auto type = cast<RankedTensorType>(input.getType());
    Value pointer = b.arg(args, static_cast<int64_t>(index));
    if (type.getRank() == 2)
      pointer = b.at(pointer, b.mul(row, width * getElementBytes(
                                                     type.getElementType())));
    pointers.push_back(pointer);
  }
  int64_t bytes = width * getElementBytes(result.getElementType());
  resultPointer = b.at(b.arg(args, static_cast<int64_t>(inputs.size())),
                       b.mul(row, bytes));
}

/// Loads 16 elements of every operand from `column` on.
SmallVector<Value> RowEmitter::loadArguments(Value column, Value mask) {
  SmallVector<Value> values;
  for (auto [input, pointer] : llvm::zip(inputs, pointers)) {
    auto type = cast<RankedTensorType>(input.getType());
    Type element = type.getElementType();
    bool isVector = type.getRank() == 1;
    Type stored = isVector ? b.f32() : element;
    Value from = b.at(pointer, b.mul(column, getElementBytes(stored)));
    Value value = mask ? b.loadMasked(b.vec(stored), from, mask)
                       : b.load(b.vec(stored), from);
    values.push_back(isVector ? b.fromF32(value, element) : value);
  }
  return values;
}

/// Clones the region for 16 columns. What reductions take is put into `terms`
/// where it is asked for; sums that are not yet known read as zero.
SmallVector<Value> RowEmitter::clone(Value column, Value mask,
                                     DenseMap<Operation *, Value> *terms) {
  SmallVector<Value> arguments = loadArguments(column, mask);
  return b.cloneRegion(
      body, arguments, [&](Operation *op, IRMapping &map) -> Value {
        if (!isa<RowReduceOp>(op))
          return Value();
        if (terms)
          (*terms)[op] = map.lookup(op->getOperand(0));
        Value sum = sums.lookup(op);
        return sum ? sum : b.zero();
      });
}

/// Takes the sums of the reductions of `depth`.
void RowEmitter::reduceSweep(int64_t depth) {
  SmallVector<Operation *> wanted;
  for (Operation &op : body.front())
    if (depthOf.count(&op) && depthOf[&op] == depth)
      wanted.push_back(&op);
  SmallVector<Value> totals(wanted.size(), b.zero());
  auto accumulate = [&](Value column, Value mask, ValueRange carried) {
    DenseMap<Operation *, Value> terms;
    clone(column, mask, &terms);
    SmallVector<Value> next;
    for (auto [op, total] : llvm::zip(wanted, carried)) {
      Value term = terms.lookup(op);
      if (mask)
        term = b.select(mask, term, b.zero());
      next.push_back(b.addf(total, term));
    }
    return next;
  };
  int64_t whole = width / kLanes * kLanes;
  if (whole)
    totals = b.loop(b.c(0), b.c(whole), kLanes, totals,
                    [&](Value column, ValueRange carried) {
                      return accumulate(column, Value(), carried);
                    });
  if (whole < width)
    totals = accumulate(b.c(whole), b.laneMask(b.c(width - whole)), totals);
  for (auto [op, total] : llvm::zip(wanted, totals))
    sums[op] = b.splat(b.reduceAdd(total));
}

void RowEmitter::storeSweep() {
  int64_t size = getElementBytes(result.getElementType());
  auto emit = [&](Value column, Value mask) {
    Value value = clone(column, mask, nullptr).front();
    Value to = b.at(resultPointer, b.mul(column, size));
    if (mask)
      b.storeMasked(value, to, mask);
    else
      b.store(value, to);
  };
  int64_t whole = width / kLanes * kLanes;
  if (whole)
    b.loop(b.c(0), b.c(whole), kLanes,
           [&](Value column) { emit(column, Value()); });
  if (whole < width)
    emit(b.c(whole), b.laneMask(b.c(width - whole)));
}

void ds::cpu::emitRows(StringRef symbol, ValueRange inputs, Value result,
                       Region &body, ModuleOp module, const Isa &isa,
                       Location loc) {
  Dim rows = getRowSymbolOf(result) == "R" ? kDimR : kDimT;
  buildTiles(module, symbol, isa, loc, [&](KernelBuilder &b, Value dims) {
    return b.ceilDiv(b.dim(dims, rows), kTileRows);
  });
  buildKernel(module, symbol, isa, loc,
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                RowEmitter emitter(b, inputs, result, body);
                Value first = b.mul(tile, kTileRows);
                Value end = b.min(b.add(first, kTileRows), b.dim(dims, rows));
                b.loop(first, end, 1,
                       [&](Value row) { emitter.emitRow(args, row); });
              });
}

void ds::cpu::emitRow(KernelRowOp op, ModuleOp module, const Isa &isa,
                      KernelLimits &limits) {
  emitRows(op.getSymName(), op.getInputs(), op.getResult(), op.getBody(),
           module, isa, op.getLoc());
}
