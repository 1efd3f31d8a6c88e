//===- Attention.cpp - Attention over paged state -------------------------===//
#include "codegen/cpu/Attention.h"

using namespace ds;
using namespace ds::cpu;

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

/// Rows of a tile that keep a split of keys and values busy in cache while
/// the rows' scores fit beside it.
static constexpr int64_t kWantedRows = 48;

int64_t ds::cpu::chooseQueryRows(ArrayRef<int64_t> groups) {
  int64_t result = kWantedRows;
  for (int64_t group : groups)
    result = std::min(result, std::max<int64_t>(1, kWantedRows / group));
  return result;
}

AttentionShape::AttentionShape(KernelAttentionOp op, const Isa &isa,
                               int64_t queryRows)
    : keys(cast<StateType>(op.getKeys().getType())), values(getReadValues(op)),
      heads(static_cast<int64_t>(op.getHeads())), group(heads / keys.heads),
      queryElement(getElementTypeOrSelf(op.getQuery().getType())),
      resultElement(getElementTypeOrSelf(op.getResult().getType())),
      keepsLse(op.getLse() != nullptr),
      scale(op.getScale().convertToDouble()), rows(queryRows * group),
      isPrefix(op.getPrefix().has_value()) {
  lay(isa);
}

AttentionShape::AttentionShape(KernelSparseAttentionOp op, const Isa &isa,
                               int64_t queryRows)
    : keys(cast<StateType>(op.getKeys().getType())),
      values(cast<StateType>(op.getValues().getType())),
      heads(static_cast<int64_t>(op.getHeads())), group(heads / keys.heads),
      queryElement(getElementTypeOrSelf(op.getQuery().getType())),
      resultElement(getElementTypeOrSelf(op.getResult().getType())),
      keepsLse(true), scale(op.getScale().convertToDouble()),
      rows(queryRows * group) {
  lay(isa);
}

AttentionShape::AttentionShape(KernelSelectBlocksOp op, const Isa &isa)
    : keys(cast<StateType>(op.getKeys().getType())), values(keys),
      heads(static_cast<int64_t>(op.getHeads())), group(heads / keys.heads),
      queryElement(getElementTypeOrSelf(op.getQuery().getType())),
      resultElement(queryElement), keepsLse(false),
      scale(op.getScale().convertToDouble()), rows(group) {
  lay(isa);
}

AttentionShape::AttentionShape(KernelSelectTokensOp op, const Isa &isa)
    : keys(cast<StateType>(op.getKeys().getType())), values(keys),
      heads(static_cast<int64_t>(op.getHeads())), group(heads),
      queryElement(getElementTypeOrSelf(op.getQuery().getType())),
      resultElement(queryElement), keepsLse(false), scale(1), rows(group) {
  lay(isa);
}

void AttentionShape::lay(const Isa &isa) {
  keyDot = isa.bf16Dot && keys.isPaired();
  valueDot = isa.bf16Dot && values.isPaired();
  keySteps = keys.isPaired() ? llvm::divideCeil(keys.dims, 2) : keys.dims;
  valueVectors = llvm::divideCeil(values.dims, kLanes);
  // A line more than a power of two, so that rows do not share cache sets.
  queryStride = keys.padded * queryBytes() + 64;
  scoreStride = kSplitPositions * 4 + 64;
  outStride = values.padded * 4 + 64;
  queryAt = place(rows * queryStride);
  scoreAt = place(rows * scoreStride);
  outAt = place(rows * outStride);
  maxAt = place(rows * 4);
  sumAt = place(rows * 4);
  oldScaleAt = place(rows * 4);
  newScaleAt = place(rows * 4);
  if (isPrefix)
    valueAt = place(kSplitPositions * values.padded * values.size);
}

//===----------------------------------------------------------------------===//
// A tile
//===----------------------------------------------------------------------===//

void ds::cpu::forRowBlocks(KernelBuilder &b, const AttentionShape &shape,
                           const AttentionTile &tile, int64_t largest,
                           function_ref<void(Value, int64_t)> body) {
  if (tile.single) {
    // The first block apart, since it may do more.
    int64_t row = 0, whole = shape.group / largest * largest;
    bool isLong = whole > 4 * largest;
    if (isLong) {
      body(b.c(0), largest);
      b.loop(b.c(largest), b.c(whole), largest,
             [&](Value next) { body(next, largest); });
      row = whole;
    }
    for (; row < shape.group; row += largest)
      body(b.c(row), std::min(largest, shape.group - row));
    return;
  }
  Value begin = b.c(0);
  for (int64_t count = largest; count >= 1; count /= 2) {
    Value left = b.sub(tile.rows, begin);
    Value end = b.add(begin, b.mul(b.div(left, count), count));
    b.loop(begin, end, count, [&](Value row) { body(row, count); });
    begin = end;
  }
}

namespace {
/// Rows that see all positions up to their own.
class CausalEmitter : public AttentionEmitter {
public:
  CausalEmitter(KernelBuilder &b, const AttentionShape &shape, Value args,
                Value scratch)
      : AttentionEmitter(b, shape, scratch) {
    query = b.arg(args, 0);
    tile.keyState = b.arg(args, 1);
    tile.valueState = b.arg(args, 2);
    tile.seq = b.arg(args, 3);
    result = b.arg(args, 4);
    if (shape.keepsLse)
      lse = b.arg(args, 5);
  }

  void emit(Value index, Value queryTiles);
};
} // namespace

/// Query tiles run fastest, so that a thread meets a head's keys in cache.
void AttentionEmitter::locate(Value index, Value queryTiles) {
  tile.head = b.div(index, queryTiles);
  Value entry = b.at(b.seqField(tile.seq, kSeqQueryTiles),
                     b.mul(b.rem(index, queryTiles), 12));
  tile.sequence = b.loadIndex(entry);
  firstRow = b.loadIndex(b.at(entry, 4));
  tile.rows = b.mul(b.loadIndex(b.at(entry, 8)), shape.group);
  tile.firstPosition = b.loadIndex(
      b.at(b.seqField(tile.seq, kSeqPosition), b.mul(firstRow, 4)));
}

void AttentionEmitter::forRows(
    function_ref<void(Value row, Value token, Value head)> body) {
  b.loop(b.c(0), tile.rows, 1, [&](Value row) {
    Value token = b.add(firstRow, b.div(row, shape.group));
    Value head = b.add(b.mul(tile.head, shape.group),
                       b.rem(row, shape.group));
    body(row, token, head);
  });
}

void AttentionEmitter::packQueries() {
  int64_t size = getElementBytes(shape.queryElement);
  int64_t into = shape.queryBytes();
  forRows([&](Value row, Value token, Value head) {
    Value from = b.at(
        query, b.mul(b.add(b.mul(token, shape.heads), head),
                     shape.keys.dims * size));
    Value to = b.at(b.at(tile.scratch, shape.queryAt),
                    b.mul(row, shape.queryStride));
    for (int64_t k = 0; k < shape.keys.padded; k += kLanes) {
      int64_t count = std::min(kLanes, shape.keys.dims - k);
      Value value = b.zero();
      if (count > 0)
        value = b.loadF32(shape.queryElement, b.at(from, k * size),
                          count < kLanes ? b.laneMask(b.c(count)) : Value());
      Value rounded = b.fromF32(value, shape.keys.element);
      b.store(shape.keyDot ? rounded : b.toF32(rounded), b.at(to, k * into));
    }
  });
}

void AttentionEmitter::clearResults() {
  b.loop(b.c(0), tile.rows, 1, [&](Value row) {
    Value out = b.at(b.at(tile.scratch, shape.outAt),
                     b.mul(row, shape.outStride));
    for (int64_t v = 0; v < shape.valueVectors; ++v)
      b.store(b.zero(), b.at(out, v * 64));
    Value line = b.at(tile.scratch, b.mul(row, 4));
    b.store(b.cf(-std::numeric_limits<double>::infinity()),
            b.at(line, shape.maxAt));
    b.store(b.cf(0), b.at(line, shape.sumAt));
  });
}

/// o / l. Adding +0 makes a zero's sign the same whatever was skipped.
void AttentionEmitter::storeResults() {
  int64_t size = getElementBytes(shape.resultElement);
  int64_t dims = shape.values.dims;
  forRows([&](Value row, Value token, Value head) {
    Value out = b.at(b.at(tile.scratch, shape.outAt),
                     b.mul(row, shape.outStride));
    Value sum = b.splat(
        b.load(b.f32(), b.at(b.at(tile.scratch, shape.sumAt),
                             b.mul(row, 4))));
    if (tile.source) { // A row that sees nothing gets zero.
      Value isNone = arith::CmpFOp::create(
          b.builder, b.loc, arith::CmpFPredicate::OEQ, sum, b.zero());
      sum = b.select(isNone, b.vf(1), sum);
    }
    Value to = b.at(result, b.mul(b.add(b.mul(token, shape.heads), head),
                                  dims * size));
    for (int64_t v = 0; v < shape.valueVectors; ++v) {
      int64_t count = std::min(kLanes, dims - v * kLanes);
      Value value = b.load(b.vec(b.f32()), b.at(out, v * 64));
      b.storeF32(b.addf(b.divf(value, sum), b.zero()), shape.resultElement,
                 b.at(to, v * kLanes * size),
                 count < kLanes ? b.laneMask(b.c(count)) : Value());
    }
  });
}

/// m + log l.
void AttentionEmitter::storeLse() {
  forRows([&](Value row, Value token, Value head) {
    auto stat = [&](int64_t array) {
      return b.splat(b.load(
          b.f32(), b.at(b.at(tile.scratch, array), b.mul(row, 4))));
    };
    Value value = b.addf(stat(shape.maxAt), b.log(stat(shape.sumAt)));
    b.store(vector::ExtractOp::create(b.builder, b.loc, value, 0),
            b.at(lse, b.mul(b.add(b.mul(token, shape.heads), head), 4)));
  });
}

void CausalEmitter::emit(Value index, Value queryTiles) {
  locate(index, queryTiles);
  packQueries();
  clearResults();
  Value tokens = b.div(tile.rows, shape.group);
  Value end = b.add(tile.firstPosition, tokens);
  b.loop(b.c(0), end, kSplitPositions, [&](Value begin) {
    tile.begin = begin;
    tile.positions = b.min(b.sub(end, begin), b.c(kSplitPositions));
    Value next = b.add(begin, kSplitPositions);
    tile.next = b.select(b.less(next, end), next, begin);
    Value isSingle =
        b.cmp(arith::CmpIPredicate::eq, tile.rows, b.c(shape.group));
    b.ifThen(isSingle, [&] { emitSplit(true); }, [&] { emitSplit(false); });
  });
  storeResults();
  if (shape.keepsLse)
    storeLse();
}

void AttentionEmitter::emitSplit(bool single) {
  tile.single = single;
  emitScores(b, shape, tile);
  emitSoftmax(b, shape, tile);
  if (shape.isPrefix)
    emitPrefix(b, shape, tile);
  emitValues(b, shape, tile);
}

void ds::cpu::emitAttention(KernelAttentionOp op, ModuleOp module,
                            const Isa &isa, KernelLimits &limits) {
  if (op.getEntries())
    return emitEntryAttention(op, module, isa, limits);
  AttentionShape shape(op, isa, limits.getQueryRows(op.getSeq()));
  limits.needScratch(shape.scratchBytes);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.mul(b.dim(dims, kDimQ), shape.keys.heads);
             });
  buildKernel(module, op.getSymName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                CausalEmitter emitter(b, shape, args, scratch);
                emitter.emit(tile, b.dim(dims, kDimQ));
              });
}
