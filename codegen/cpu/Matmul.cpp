//===- Matmul.cpp - The matmul family --------------------------------------===//
//
// A tile is a range of rows and a range of panels. It packs its rows, a block
// of k at a time, and takes panel by panel: all rows meet a panel while it is
// near. Sums start from +0, wait in scratch between blocks of k, and go
// through the epilogue after the last.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Matmul.h"
#include "codegen/cpu/E4m3.h"
#include "codegen/cpu/Routing.h"

using namespace ds;
using namespace ds::cpu;

/// Where the right operand comes from for a weight of `element`. FP8 is
/// multiplied in the element type of the left operand.
static RightOperand getRight(Type element, Type left, bool transposed) {
  bool isF32 = element.isF32();
  if (isa<Float8E4M3FNType>(element)) {
    if (left.isF32())
      return transposed ? RightOperand::TransposedE4m3F32
                        : RightOperand::PanelE4m3F32;
    return transposed ? RightOperand::TransposedE4m3 : RightOperand::PanelE4m3;
  }
  if (transposed)
    return isF32 ? RightOperand::TransposedF32 : RightOperand::Transposed;
  return isF32 ? RightOperand::PanelF32 : RightOperand::PanelBf16;
}

MatmulDesc ds::cpu::describeMatmul(KernelMatmulOp op) {
  MatmulDesc desc;
  auto left = cast<RankedTensorType>(op.getA().getType());
  auto result = cast<RankedTensorType>(op.getResult().getType());
  desc.symbol = op.getSymName().str();
  desc.rowDim = op.getRowSymbol() == "R" ? kDimR : kDimT;
  desc.columns = result.getDimSize(1);
  desc.depth = desc.leftColumns = left.getDimSize(1);
  desc.leftElement = left.getElementType();
  desc.right = getRight(getElementTypeOrSelf(op.getWeight().getType()),
                        desc.leftElement, op.getTransposed());
  desc.resultElement = result.getElementType();
  desc.gathered = static_cast<bool>(op.getRows());
  desc.pair = op.getPair();
  for (Value extra : op.getExtras()) {
    auto type = cast<RankedTensorType>(extra.getType());
    desc.extras.push_back({type.getElementType(), type.getRank() == 1});
  }
  desc.epilogue = &op.getEpilogue();
  if (Value routing = op.getRouting()) {
    desc.routing = cast<RoutingType>(routing.getType());
    desc.byToken = op.getGathered();
  }
  if (op.getHeads()) {
    desc.heads = *op.getHeads();
    int64_t columns = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(1);
    desc.depth = op.getTransposed() ? desc.heads.getRows() : columns;
    desc.columns = op.getTransposed() ? columns : desc.heads.getRows();
  }
  return desc;
}

MatmulDesc ds::cpu::describeOuter(KernelOuterOp op) {
  MatmulDesc desc;
  auto left = cast<RankedTensorType>(op.getOutputGradient().getType());
  auto right = cast<RankedTensorType>(op.getInput().getType());
  desc.symbol = op.getSymName().str();
  desc.rowDim = op.getRowSymbol() == "R" ? kDimR : kDimT;
  desc.rows = desc.leftColumns = left.getDimSize(1);
  desc.columns = desc.rightColumns = right.getDimSize(1);
  desc.depth = MatmulDesc::kDynamic;
  desc.left = LeftOperand::Columns;
  desc.leftElement = left.getElementType();
  desc.right = right.getElementType().isF32() ? RightOperand::RowsF32
                                              : RightOperand::Rows;
  desc.resultElement = Float32Type::get(op.getContext());
  desc.accumulates = true;
  if (Value routing = op.getRouting())
    desc.routing = cast<RoutingType>(routing.getType());
  if (op.getHeads()) {
    desc.heads = *op.getHeads();
    desc.rows = desc.heads.getRows();
    desc.columns =
        cast<RankedTensorType>(op.getGradient().getType()).getDimSize(1);
  }
  return desc;
}

namespace {
/// Emits the function of one kernel.
class MatmulEmitter {
public:
  MatmulEmitter(KernelBuilder &b, const MatmulDesc &desc,
                const MatmulSchedule &schedule, ModuleOp module, Value args,
                Value dims, Value scratch)
      : b(b), desc(desc), schedule(schedule), module(module), args(args),
        dims(dims), scratch(scratch) {}

  /// Emits a tile of a product whose operands are whole, or of one head's.
  void emit(Value tile);
  /// Emits a tile of the rows [begin, end) that one expert's matrix, or sum,
  /// has; `index` counts its tiles.
  void emitExpert(Value index, Value expert, Value begin, Value end);

private:
  KernelBuilder &b;
  const MatmulDesc &desc;
  const MatmulSchedule &schedule;
  ModuleOp module;
  Value args, dims, scratch;
  // Of the tile.
  Value left, right, result; ///< Where operands and result begin.
  Value outRows; ///< Rows of the left operand by those of the product, if any.
  Value firstRow, rows, blocks; ///< Its rows, and their register blocks.
  Value firstPanel, endPanel;
  Value depth, padded; ///< Length of the sums; padded to 32.
  // Of the block of k.
  Value first, count, isFirst, isLast;

  void emitRows(Value index, Value begin, Value total);
  void emitDepthBlock(Value index, Value total);
  void packLeft();
  void packBlock(Value to, Value row, Value count);
  Value findPanel(Value panel);
  void emitPanel(Value panel);
  void multiplyPanel(Value panel);
  void decodePanel(Value panel);
  void emitPanelTiles(Value panel);
  Value findNext(Value panel, Value right);
  Value findStream(Value right, Value rowCount);
  Value findAhead(Value panel, Value right, Value block, Value rowCount);
  Value leftAt(Value row);
  Value sumsAt(Value panel, Value row);
  void startSums(Value sums, Value rowCount);
  void finishSums(Value sums, Value panel, Value row, Value rowCount);
  int64_t columnBytes() const { return desc.isPaired() ? 2 : 4; }
  /// Calls `body` with the number, the first row and the rows of each register
  /// block.
  void forRowBlocks(function_ref<void(Value, Value, Value)> body);
};
} // namespace

static Value getRows(KernelBuilder &b, const MatmulDesc &desc, Value dims) {
  return desc.rows == MatmulDesc::kDynamic ? b.dim(dims, desc.rowDim)
                                           : b.c(desc.rows);
}

static Value countRowTiles(KernelBuilder &b, const MatmulSchedule &schedule,
                           Value rows) {
  return schedule.small ? b.min(rows, b.c(1))
                        : b.ceilDiv(rows, schedule.rowTile);
}

/// The `index`-th of `parts` even parts of `total`: where it begins.
static Value splitAt(KernelBuilder &b, Value index, Value total, Value parts) {
  return b.div(b.mul(index, total), parts);
}

void MatmulEmitter::forRowBlocks(
    function_ref<void(Value, Value, Value)> body) {
  b.loop(b.c(0), blocks, 1, [&](Value i) {
    Value next = b.add(i, 1);
    if (schedule.kind == MicroKind::Tile) {
      Value row = b.mul(i, schedule.rowBlock);
      Value end = b.min(b.mul(next, schedule.rowBlock), rows);
      return body(i, row, b.sub(end, row));
    }
    Value row = splitAt(b, i, rows, blocks);
    body(i, row, b.sub(splitAt(b, next, rows, blocks), row));
  });
}

void MatmulEmitter::emit(Value tile) {
  left = b.arg(args, 0), right = b.arg(args, 1);
  result = b.arg(args, desc.resultArg());
  depth = desc.depth == MatmulDesc::kDynamic ? b.dim(dims, desc.rowDim)
                                             : b.c(desc.depth);
  if (desc.gathered)
    outRows = b.seqField(b.arg(args, desc.rowsArg()), kSeqOutRows);
  if (HeadsAttr heads = desc.heads) {
    Value head = b.rem(tile, heads.getCount());
    tile = b.div(tile, heads.getCount());
    int64_t bytes = getElementBytes(desc.leftElement);
    Value column = b.add(b.mul(head, heads.getInputStride()),
                         heads.getInputBegin());
    left = b.at(left, b.mul(column, bytes));
    // The head's rows of the weight or its gradient, its columns of the other.
    Value &byRows = desc.accumulates ? result : right;
    Value &byColumns = desc.accumulates ? right : result;
    byRows = b.at(
        byRows,
        b.add(b.mul(head, desc.weightRowsBytes(heads.getWeightStride())),
              desc.weightRowsBytes(heads.getWeightBegin())));
    if (!desc.accumulates)
      bytes = getElementBytes(desc.resultElement);
    byColumns = b.at(byColumns, b.mul(head, heads.getResultStride() * bytes));
  }
  emitRows(tile, b.c(0), getRows(b, desc, dims));
}

void MatmulEmitter::emitExpert(Value index, Value expert, Value begin,
                               Value end) {
  left = b.arg(args, 0), right = b.arg(args, 1);
  result = b.arg(args, desc.resultArg());
  Value offset = b.mul(expert, desc.expertBytes());
  if (desc.accumulates) {
    // The expert's rows of both operands.
    auto skip = [&](Value matrix, int64_t columns) {
      int64_t bytes = columns * getElementBytes(desc.leftElement);
      return b.at(matrix, b.mul(begin, bytes));
    };
    left = skip(left, desc.leftColumns);
    right = skip(right, desc.rightColumns);
    result = b.at(result, offset);
    depth = b.sub(end, begin);
    return emitRows(index, b.c(0), b.c(desc.rows));
  }
  right = b.at(right, offset);
  depth = b.c(desc.depth);
  if (desc.byToken)
    outRows = RoutingArrays(b, desc.routing, b.arg(args, desc.routingArg()),
                            b.dim(dims, desc.rowDim))
                  .tokens;
  emitRows(index, begin, b.sub(end, begin));
}

/// Tile `index` of the `total` rows from `begin` on.
void MatmulEmitter::emitRows(Value index, Value begin, Value total) {
  Value rowTiles = countRowTiles(b, schedule, total);
  Value rowTile = b.rem(index, rowTiles);
  Value columnTile = b.div(index, rowTiles);
  firstRow = splitAt(b, rowTile, total, rowTiles);
  rows = b.sub(splitAt(b, b.add(rowTile, 1), total, rowTiles), firstRow);
  firstRow = b.add(firstRow, begin);
  blocks = b.ceilDiv(rows, schedule.rowBlock);
  Value panels = b.c(schedule.panels), tiles = b.c(schedule.columnTiles);
  firstPanel = splitAt(b, columnTile, panels, tiles);
  endPanel = splitAt(b, b.add(columnTile, 1), panels, tiles);
  padded = b.mul(b.ceilDiv(depth, kPanelDepth), kPanelDepth);
  Value depthBlocks = b.ceilDiv(padded, schedule.depthBlock);
  b.loop(b.c(0), depthBlocks, 1,
         [&](Value block) { emitDepthBlock(block, depthBlocks); });
}

void MatmulEmitter::emitDepthBlock(Value index, Value total) {
  Value last = b.sub(total, b.c(1));
  isFirst = b.cmp(arith::CmpIPredicate::eq, index, b.c(0));
  isLast = b.cmp(arith::CmpIPredicate::eq, index, last);
  if (schedule.reversed)
    index = b.sub(last, index);
  first = b.mul(index, schedule.depthBlock);
  count = b.min(b.c(schedule.depthBlock), b.sub(padded, first));
  packLeft();
  b.loop(firstPanel, endPanel, 1, [&](Value panel) {
    if (schedule.kind == MicroKind::Tile)
      emitPanelTiles(panel);
    else
      emitPanel(panel);
  });
}

void MatmulEmitter::packLeft() {
  forRowBlocks([&](Value, Value row, Value rows) {
    packBlock(leftAt(row), b.add(firstRow, row), rows);
  });
}

void MatmulEmitter::packBlock(Value to, Value row, Value rows) {
  Value stride = b.c(desc.leftColumns * getElementBytes(desc.leftElement));
  if (desc.left == LeftOperand::Columns) {
    b.call(getPackColumns(module, b.target, b.loc, desc.leftElement,
                          schedule.kind),
           {to, left, stride, row, rows, depth, first, count});
    return;
  }
  b.call(getPackRows(module, b.target, b.loc, desc.leftElement, schedule.kind,
                     static_cast<bool>(outRows)),
         {to, left, outRows ? outRows : left, stride, row, rows, depth, first,
          count});
}

/// The block of k of a panel: in the weight, or in scratch once produced.
Value MatmulEmitter::findPanel(Value panel) {
  if (!desc.isProduced()) {
    Value k = b.add(b.mul(panel, padded), first);
    return b.at(right, b.mul(k, kPanelColumns * columnBytes()));
  }
  PanelRequest request;
  request.to = b.at(scratch, schedule.rightAt);
  request.source = right;
  request.panel = panel;
  request.first = first;
  request.count = count;
  request.depth = depth;
  producePanel(b, module, desc, request);
  return request.to;
}

//===----------------------------------------------------------------------===//
// A panel and all rows of the tile
//===----------------------------------------------------------------------===//

/// Where the packed rows from `row` on lie.
Value MatmulEmitter::leftAt(Value row) {
  return b.at(b.at(scratch, schedule.leftAt),
              b.mul(row, b.mul(count, schedule.leftBytes())));
}

/// Where the sums of a panel lie, of the rows from `row` on.
Value MatmulEmitter::sumsAt(Value panel, Value row) {
  Value sums = b.at(scratch, schedule.sumAt);
  if (!schedule.parks())
    return sums;
  Value line = b.add(b.mul(b.sub(panel, firstPanel), rows), row);
  return b.at(sums, b.mul(line, kPanelColumns * 4));
}

void MatmulEmitter::startSums(Value sums, Value rowCount) {
  b.ifThen(isFirst, [&] {
    b.loop(b.c(0), b.mul(rowCount, kPanelColumns * 4), 64,
           [&](Value at) { b.store(b.zero(), b.at(sums, at)); });
  });
}

void MatmulEmitter::finishSums(Value sums, Value panel, Value row,
                               Value rowCount) {
  b.ifThen(isLast, [&] {
    emitEpilogue(b, desc,
                 {args, result, sums, b.add(firstRow, row), rowCount, panel});
  });
}

void MatmulEmitter::emitPanel(Value panel) {
  if (schedule.decodeRows == 0)
    return multiplyPanel(panel);
  b.ifThen(
      b.less(b.c(schedule.decodeRows), rows), [&] { multiplyPanel(panel); },
      [&] { decodePanel(panel); });
}

/// A panel of FP8 that few rows meet.
void MatmulEmitter::decodePanel(Value panel) {
  Value at = b.add(b.mul(panel, getE4m3PanelBytes(b, depth)),
                   b.mul(b.div(first, kScaleBlock), kE4m3GroupBytes));
  Value source = b.at(right, at), sums = sumsAt(panel, b.c(0));
  startSums(sums, rows);
  b.call(getDecodingKernel(module, b.target, b.loc, schedule.kind),
         {leftAt(b.c(0)), source, sums, b.div(count, 2), rows});
  finishSums(sums, panel, b.c(0), rows);
}

void MatmulEmitter::multiplyPanel(Value panel) {
  Value right = findPanel(panel);
  Value steps = b.div(count, desc.isPaired() ? 2 : 1);
  func::FuncOp kernel = getMicroKernel(module, b.target, b.loc, schedule.kind,
                                       schedule.streams);
  forRowBlocks([&](Value block, Value row, Value rows) {
    Value sums = sumsAt(panel, row);
    startSums(sums, rows);
    b.call(kernel, {leftAt(row), right, sums, steps, rows,
                    findAhead(panel, right, block, rows)});
    finishSums(sums, panel, row, rows);
  });
}

/// With tile registers all blocks are multiplied before the epilogue.
void MatmulEmitter::emitPanelTiles(Value panel) {
  Value right = findPanel(panel), sums = sumsAt(panel, b.c(0));
  startSums(sums, rows);
  TileOperands operands = {b.c(0), right, b.c(0), b.div(count, kPanelDepth),
                           b.c(1), rows,  right,  b.c(0)};
  if (schedule.streams && !desc.isProduced()) {
    operands.ahead = findStream(right, rows);
    operands.lines = b.c(kPanelDepth);
  } else if (!desc.isProduced()) {
    // Blocks ask for an even part of what comes next each.
    operands.ahead = findNext(panel, right);
    operands.lines =
        b.div(b.sub(b.add(blocks, kPanelDepth), b.c(1)), blocks);
  }
  auto call = [&](Value row, int64_t tiles) {
    operands.left = leftAt(row);
    operands.sums = b.at(sums, b.mul(row, kPanelColumns * 4));
    callTileKernel(b, module, tiles, operands);
  };
  if (schedule.small) {
    call(b.c(0), 1);
    return finishSums(sums, panel, b.c(0), rows);
  }
  Value row = b.mul(b.div(rows, schedule.rowBlock), schedule.rowBlock);
  Value tail = b.sub(rows, row);
  operands.blocks = b.div(rows, schedule.rowBlock);
  operands.rows = b.c(schedule.rowBlock);
  call(b.c(0), 2);
  operands.blocks = b.c(1);
  operands.rows = tail;
  // A tile of no rows is an error, even if it is not used.
  b.ifThen(b.less(b.c(0), tail), [&] {
    b.ifThen(b.less(tail, b.c(kSmallRows + 1)), [&] { call(row, 1); },
             [&] { call(row, 2); });
  });
  finishSums(sums, panel, b.c(0), rows);
}

//===----------------------------------------------------------------------===//
// What is asked for ahead
//===----------------------------------------------------------------------===//

/// Where the block of k that follows this panel's lies: of the next panel, or
/// of the first panel, further down.
Value MatmulEmitter::findNext(Value panel, Value right) {
  int64_t kBytes = kPanelColumns * columnBytes();
  Value panelBytes = b.mul(padded, kBytes);
  Value isInside = b.less(b.add(panel, 1), endPanel);
  Value back = b.sub(b.mul(count, kBytes),
                     b.mul(b.sub(panel, firstPanel), panelBytes));
  return b.at(right, b.select(isInside, panelBytes, back));
}

/// Streamed panels: what follows beyond the page, where the machine does not
/// look by itself; one row is read the fastest and needs the shorter way.
Value MatmulEmitter::findStream(Value right, Value rowCount) {
  Value isOne = b.cmp(arith::CmpIPredicate::eq, rowCount, b.c(1));
  return b.at(right, b.select(isOne, b.c(4096), b.c(16384)));
}

/// The first two blocks ask for a half of what comes next each, the others for
/// what is near anyway.
Value MatmulEmitter::findAhead(Value panel, Value right, Value block,
                               Value rowCount) {
  if (desc.isProduced())
    return right;
  if (schedule.streams)
    return findStream(right, rowCount);
  Value half = b.mul(count, kPanelColumns / 2 * columnBytes());
  return b.select(b.less(block, b.c(2)),
                  b.at(findNext(panel, right), b.mul(block, half)), right);
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

/// Row tiles that all experts together have at most.
static Value countExpertTiles(KernelBuilder &b, const MatmulDesc &desc,
                              const MatmulSchedule &few,
                              const MatmulSchedule &many, Value slots) {
  Value experts = b.min(slots, b.c(desc.routing.getExperts()));
  int64_t mostTiles = std::max(few.columnTiles, many.columnTiles);
  return b.add(b.mul(experts, mostTiles),
               b.mul(b.div(slots, many.rowTile), many.columnTiles));
}

namespace {
/// The tile of an expert that a number stands for.
struct ExpertTile {
  Value expert; ///< Or -1.
  Value index, begin, end;
};
} // namespace

/// Finds the expert of tile number `tile`: those of few rows have the tiles of
/// `few`. A scan takes a nanosecond or two for each expert.
static ExpertTile findExpert(KernelBuilder &b, const MatmulDesc &desc,
                             const MatmulSchedule &few,
                             const MatmulSchedule &many, Value offsets,
                             Value tile) {
  SmallVector<Value> found = b.loop(
      b.c(0), b.c(desc.routing.getExperts()), 1,
      {tile, b.c(-1), b.c(0), b.c(0), b.c(0), b.c(0)},
      [&](Value expert, ValueRange carried) {
        Value left = carried[0], begin = carried[5];
        Value end = RoutingArrays::at(b, offsets, b.add(expert, 1));
        Value rows = b.sub(end, begin);
        Value count = b.select(
            b.less(rows, b.c(kSmallRows + 1)),
            b.mul(b.min(rows, b.c(1)), few.columnTiles),
            b.mul(b.ceilDiv(rows, many.rowTile), many.columnTiles));
        // Only the first that holds it: afterwards `left` is negative.
        Value holds = arith::AndIOp::create(
            b.builder, b.loc, b.less(left, count), b.less(b.c(-1), left));
        return SmallVector<Value>{b.sub(left, count),
                                  b.select(holds, expert, carried[1]),
                                  b.select(holds, left, carried[2]),
                                  b.select(holds, begin, carried[3]),
                                  b.select(holds, end, carried[4]), end};
      });
  return {found[1], found[2], found[3], found[4]};
}

/// Emits a kernel of routed rows. Experts of few rows are read once, like the
/// weights of a small product.
static void emitRouted(const MatmulDesc &desc, bool small, ModuleOp module,
                       const Isa &isa, KernelLimits &limits) {
  MatmulSchedule few(desc, isa, true);
  MatmulSchedule many(desc, isa, false, limits.mutateReductions && !small);
  limits.needScratch(std::max(few.scratchBytes, many.scratchBytes));
  std::string symbol = desc.symbol + (small ? "_m16" : "");
  Location loc = UnknownLoc::get(module.getContext());
  buildTiles(module, symbol, isa, loc, [&](KernelBuilder &b, Value dims) {
    Value slots = b.dim(dims, desc.rowDim);
    if (small)
      return b.mul(b.min(slots, b.c(desc.routing.getExperts())),
                   few.columnTiles);
    return countExpertTiles(b, desc, few, many, slots);
  });
  buildKernel(module, symbol, isa, loc,
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                Value offsets = b.arg(args, desc.routingArg());
                ExpertTile at =
                    findExpert(b, desc, few, many, offsets, tile);
                auto emit = [&](const MatmulSchedule &schedule) {
                  MatmulEmitter(b, desc, schedule, module, args, dims, scratch)
                      .emitExpert(at.index, at.expert, at.begin, at.end);
                };
                b.ifThen(b.less(b.c(-1), at.expert), [&] {
                  if (small)
                    return emit(few);
                  Value rows = b.sub(at.end, at.begin);
                  b.ifThen(b.less(rows, b.c(kSmallRows + 1)),
                           [&] { emit(few); }, [&] { emit(many); });
                });
              });
}

/// Emits the sums over each expert's rows: as many tiles for each expert.
static void emitRoutedOuter(const MatmulDesc &desc, ModuleOp module,
                            const Isa &isa, KernelLimits &limits) {
  MatmulSchedule schedule(desc, isa, false, limits.mutateReductions);
  limits.needScratch(schedule.scratchBytes);
  Location loc = UnknownLoc::get(module.getContext());
  int64_t experts = desc.routing.getExperts();
  int64_t tiles = llvm::divideCeil(desc.rows, schedule.rowTile) *
                  schedule.columnTiles;
  buildTiles(module, desc.symbol, isa, loc,
             [&](KernelBuilder &b, Value) { return b.c(experts * tiles); });
  buildKernel(module, desc.symbol, isa, loc,
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                Value offsets = b.arg(args, desc.routingArg());
                Value expert = b.div(tile, tiles);
                Value begin = RoutingArrays::at(b, offsets, expert);
                Value end = RoutingArrays::at(b, offsets, b.add(expert, 1));
                b.ifThen(b.less(begin, end), [&] {
                  MatmulEmitter(b, desc, schedule, module, args, dims, scratch)
                      .emitExpert(b.rem(tile, tiles), expert, begin, end);
                });
              });
}

//===----------------------------------------------------------------------===//
// The family
//===----------------------------------------------------------------------===//

void ds::cpu::emitMatmul(const MatmulDesc &desc, bool small, ModuleOp module,
                         const Isa &isa, KernelLimits &limits) {
  if (desc.routing && desc.accumulates)
    return emitRoutedOuter(desc, module, isa, limits);
  if (desc.routing)
    return emitRouted(desc, small, module, isa, limits);
  MatmulSchedule schedule(desc, isa, small,
                          limits.mutateReductions && !small);
  limits.needScratch(schedule.scratchBytes);
  std::string symbol = desc.symbol + (small ? "_m16" : "");
  Location loc = UnknownLoc::get(module.getContext());
  int64_t heads = desc.heads ? desc.heads.getCount() : 1;
  buildTiles(module, symbol, isa, loc, [&](KernelBuilder &b, Value dims) {
    Value rows = getRows(b, desc, dims);
    return b.mul(countRowTiles(b, schedule, rows),
                 schedule.columnTiles * heads);
  });
  buildKernel(module, symbol, isa, loc,
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                MatmulEmitter(b, desc, schedule, module, args, dims, scratch)
                    .emit(tile);
              });
}

void ds::cpu::emitMatmul(KernelMatmulOp op, ModuleOp module, const Isa &isa,
                         KernelLimits &limits) {
  MatmulDesc desc = describeMatmul(op);
  for (bool small : {true, false})
    emitMatmul(desc, small, module, isa, limits);
}

void ds::cpu::emitOuter(KernelOuterOp op, ModuleOp module, const Isa &isa,
                        KernelLimits &limits) {
  emitMatmul(describeOuter(op), /*small=*/false, module, isa, limits);
}
