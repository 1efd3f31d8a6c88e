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

/// Elements of a tile, of which there are at least four rows.
static constexpr int64_t kTileElements = 2048;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static int64_t columnsOf(Value value) {
  return typeOf(value).getShape().back();
}

static bool isReduction(Operation &op) {
  return isa<RowReduceOp, RowMaxOp>(op);
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

void MapOperands::locate(Value args, Value row) {
  pointers.clear();
  rowValues.clear();
  for (auto [index, input] : llvm::enumerate(inputs)) {
    RankedTensorType type = typeOf(input);
    Value pointer = b.arg(args, static_cast<int64_t>(index));
    Value rowValue;
    if (type.getRank() == 2) {
      Type element = type.getElementType();
      int64_t bytes = type.getDimSize(1) * getElementBytes(element);
      pointer = b.at(pointer, b.mul(row, bytes));
      // As integers, which live across branches on every variant.
      if (type.getDimSize(1) == 1 && width != 1)
        rowValue = b.splat(b.load(
            b.builder.getIntegerType(8 * getElementBytes(element)), pointer));
    }
    pointers.push_back(pointer);
    rowValues.push_back(rowValue);
  }
}

SmallVector<Value> MapOperands::load(Value column, Value mask) {
  SmallVector<Value> values;
  for (auto [input, pointer, rowValue] :
       llvm::zip(inputs, pointers, rowValues)) {
    RankedTensorType type = typeOf(input);
    Type element = type.getElementType();
    if (rowValue) {
      values.push_back(b.bitcast(rowValue, b.vec(element)));
      continue;
    }
    if (pairs && columnsOf(input) != width) {
      Value from = b.at(pointer, b.mul(column, 2 * getElementBytes(element)));
      values.push_back(b.load(b.vec(element), from));
      from = b.at(from, kLanes * getElementBytes(element));
      values.push_back(b.load(b.vec(element), from));
      continue;
    }
    bool isVector = type.getRank() == 1;
    Type stored = isVector ? b.f32() : element;
    Value from = b.at(pointer, b.mul(column, getElementBytes(stored)));
    Value value = mask ? b.loadMasked(b.vec(stored), from, mask)
                       : b.load(b.vec(stored), from);
    values.push_back(isVector ? b.fromF32(value, element) : value);
  }
  return values;
}

void MapOperands::prefetch(Value column, int64_t count, int64_t rows) {
  constexpr int64_t line = 64;
  for (auto [input, pointer] : llvm::zip(inputs, pointers)) {
    RankedTensorType type = typeOf(input);
    int64_t size = getElementBytes(type.getElementType());
    if (type.getRank() != 2 || type.getDimSize(1) == 1)
      continue;
    Value later = b.at(b.at(pointer, b.mul(column, size)),
                       rows * type.getDimSize(1) * size);
    for (int64_t byte = 0; byte < count * size; byte += line)
      b.prefetch(b.at(later, byte));
  }
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

namespace {
/// Emits one row of the kernel after the other.
class RowEmitter {
public:
  RowEmitter(KernelBuilder &b, const RowMap &map)
      : b(b), map(map), operands(b, map.inputs, map.width, map.pairs) {
    findDepths();
  }

  /// Emits the computation of `row`; `args` is the kernel's argument array.
  void emitRow(Value args, Value row) {
    locate(args, row);
    for (int64_t depth = 0; depth < depths; ++depth)
      reduceSweep(depth);
    storeRowValues();
    bool sweeps = llvm::any_of(map.outputs, [&](Value output) {
      return columnsOf(output) != 1 || map.width == 1;
    });
    if (sweeps)
      storeSweep(b.c(map.width));
  }

  /// Emits `rows` rows from `row` on as one, where rows end does not matter.
  void emitElements(Value args, Value row, Value rows) {
    locate(args, row);
    storeSweep(b.mul(rows, map.width));
  }

private:
  KernelBuilder &b;
  const RowMap &map;
  MapOperands operands;
  /// Reductions that a reduction waits for.
  DenseMap<Operation *, int64_t> depthOf;
  int64_t depths = 0;
  /// Sums that are known, as vectors.
  DenseMap<Operation *, Value> sums;
  SmallVector<Value> results;

  void findDepths();
  void locate(Value args, Value row);
  SmallVector<Value> clone(Value column, Value mask,
                           DenseMap<Operation *, Value> *terms);
  void reduceSweep(int64_t depth);
  void storeRowValues();
  void storeSweep(Value columns);
  void store(Value column, Value mask);
};
} // namespace

void RowEmitter::findDepths() {
  DenseMap<Value, int64_t> after;
  for (Operation &op : map.body.front()) {
    int64_t depth = 0;
    for (Value operand : op.getOperands())
      depth = std::max(depth, after.lookup(operand));
    if (isReduction(op)) {
      depthOf[&op] = depth++;
      depths = std::max(depths, depth);
    }
    for (Value value : op.getResults())
      after[value] = depth;
  }
}

/// Finds the addresses of the row's first elements.
void RowEmitter::locate(Value args, Value row) {
  sums.clear();
  results.clear();
  operands.locate(args, row);
  for (auto [index, output] : llvm::enumerate(map.outputs)) {
    int64_t bytes =
        columnsOf(output) * getElementBytes(typeOf(output).getElementType());
    auto number = static_cast<int64_t>(map.inputs.size() + index);
    results.push_back(b.at(b.arg(args, number), b.mul(row, bytes)));
  }
}

/// Clones the region for 16 columns. What reductions take is put into `terms`
/// where it is asked for; sums that are not yet known read as zero.
SmallVector<Value> RowEmitter::clone(Value column, Value mask,
                                     DenseMap<Operation *, Value> *terms) {
  SmallVector<Value> arguments = operands.load(column, mask);
  return b.cloneRegion(
      map.body, arguments, [&](Operation *op, IRMapping &values) -> Value {
        if (!isReduction(*op))
          return Value();
        if (terms)
          (*terms)[op] = values.lookup(op->getOperand(0));
        Value sum = sums.lookup(op);
        return sum ? sum : b.zero();
      });
}

/// Takes the sums of the reductions of `depth`.
void RowEmitter::reduceSweep(int64_t depth) {
  SmallVector<Operation *> wanted;
  for (Operation &op : map.body.front())
    if (depthOf.count(&op) && depthOf[&op] == depth)
      wanted.push_back(&op);
  auto neutral = [&](Operation *op) {
    return isa<RowMaxOp>(op) ? b.vf(-INFINITY) : b.zero();
  };
  SmallVector<Value> totals = llvm::map_to_vector(wanted, neutral);
  auto accumulate = [&](Value column, Value mask, ValueRange carried) {
    DenseMap<Operation *, Value> terms;
    clone(column, mask, &terms);
    SmallVector<Value> next;
    for (auto [op, total] : llvm::zip(wanted, carried)) {
      Value term = terms.lookup(op);
      if (mask)
        term = b.select(mask, term, neutral(op));
      next.push_back(isa<RowMaxOp>(op) ? b.maxf(total, term)
                                       : b.addf(total, term));
    }
    return next;
  };
  int64_t width = map.width, whole = width / kLanes * kLanes;
  if (whole)
    totals = b.loop(b.c(0), b.c(whole), kLanes, totals,
                    [&](Value column, ValueRange carried) {
                      return accumulate(column, Value(), carried);
                    });
  if (whole < width)
    totals = accumulate(b.c(whole), b.laneMask(b.c(width - whole)), totals);
  for (auto [op, total] : llvm::zip(wanted, totals))
    sums[op] = b.splat(isa<RowMaxOp>(op) ? b.reduceMax(total)
                                         : b.reduceAdd(total));
}

/// Stores the results [T, 1] of wider rows. All lanes hold their value.
void RowEmitter::storeRowValues() {
  bool isRow = map.width != 1 && !map.pairs;
  if (!isRow || llvm::all_of(map.outputs, [](Value output) {
        return columnsOf(output) != 1;
      }))
    return;
  SmallVector<Value> values = clone(b.c(0), b.laneMask(b.c(1)), nullptr);
  for (auto [value, output, to] : llvm::zip(values, map.outputs, results))
    if (columnsOf(output) == 1)
      b.store(vector::ExtractOp::create(b.builder, b.loc, value, 0), to);
}

/// Stores 16 columns of every result.
void RowEmitter::store(Value column, Value mask) {
  SmallVector<Value> values = clone(column, mask, nullptr);
  const Value *value = values.begin();
  for (auto [output, pointer] : llvm::zip(map.outputs, results)) {
    Type element = typeOf(output).getElementType();
    int64_t size = getElementBytes(element);
    if (map.pairs && columnsOf(output) != map.width) {
      Value to = b.at(pointer, b.mul(column, 2 * size));
      Value none = arith::ConstantOp::create(
          b.builder, b.loc, b.builder.getZeroAttr(b.vec(element)));
      for (int64_t half = 0; half < 2; ++half, ++value)
        b.store(mask ? b.select(mask, *value, none) : *value,
                b.at(to, half * kLanes * size));
      continue;
    }
    Value stored = *value++;
    if (columnsOf(output) != map.width)
      continue;
    Value to = b.at(pointer, b.mul(column, size));
    if (mask)
      b.storeMasked(stored, to, mask);
    else
      b.store(stored, to);
  }
}

void RowEmitter::storeSweep(Value columns) {
  Value left = b.rem(columns, kLanes);
  Value whole = b.sub(columns, left);
  b.loop(b.c(0), whole, kLanes, [&](Value column) { store(column, Value()); });
  b.ifThen(b.less(b.c(0), left),
           [&] { store(whole, b.laneMask(left)); });
}

void ds::cpu::emitRows(const RowMap &map, ModuleOp module, const Isa &isa) {
  Dim rows = map.rows == "R" ? kDimR : kDimT;
  int64_t tileRows = std::max<int64_t>(4, kTileElements / map.width);
  buildTiles(module, map.symbol, isa, map.loc,
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, rows), tileRows);
             });
  buildKernel(module, map.symbol, isa, map.loc,
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                RowEmitter emitter(b, map);
                Value first = b.mul(tile, tileRows);
                Value end = b.min(b.add(first, tileRows), b.dim(dims, rows));
                if (map.isFlat())
                  emitter.emitElements(args, first, b.sub(end, first));
                else
                  b.loop(first, end, 1,
                         [&](Value row) { emitter.emitRow(args, row); });
              });
}

bool RowMap::isFlat() const {
  auto isWhole = [&](Value value) {
    return typeOf(value).getRank() == 2 && columnsOf(value) == width;
  };
  return llvm::all_of(inputs, isWhole) && llvm::all_of(outputs, isWhole) &&
         llvm::none_of(body.front(), isReduction);
}

void ds::cpu::emitRow(KernelRowOp op, ModuleOp module, const Isa &isa,
                      KernelLimits &limits) {
  emitRows({op.getSymName(), op.getRowSymbol(), op.getInputs(),
            op.getOutputs(), op.getWidth(), /*pairs=*/false, op.getBody(),
            op.getLoc()},
           module, isa);
}
