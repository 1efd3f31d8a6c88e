//===- MatmulProduce.cpp - Producers of the right operand -----------------===//
//
// What is not a panel of bf16 or f32 in memory becomes one in scratch, a block
// of k at a time: FP8 weights are decoded, a packed weight is transposed (the
// gradient of a linear layer's input), rows of a matrix are interleaved (the
// gradient of its weight).
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Matmul.h"

using namespace ds;
using namespace ds::cpu;

/// Bytes of a block of a panel of bf16, and of one of its two halves; of a
/// block of f32.
static constexpr int64_t kBlockBytes = 2048, kHalfBytes = 1024,
                         kBlockBytesF32 = 4096;

/// Calls `body` with the number of each block of 32 k-values and its address.
static void forBlocks(KernelBuilder &b, Value to, Value first, Value count,
                      function_ref<void(Value block, Value to)> body,
                      int64_t blockBytes = kBlockBytes) {
  Value begin = b.div(first, kPanelDepth);
  b.loop(b.c(0), b.div(count, kPanelDepth), 1, [&](Value i) {
    body(b.add(begin, i), b.at(to, b.mul(i, blockBytes)));
  });
}

/// Calls `body` with the number of each vector of a half of a block.
static void forSteps(KernelBuilder &b, function_ref<void(Value)> body) {
  b.loop(b.c(0), b.c(kPanelDepth / 2), 1, body);
}

//===----------------------------------------------------------------------===//
// FP8
//===----------------------------------------------------------------------===//

/// e4m3 to f32 / 256: its bits are those of an f16 whose exponent is 8 less.
static Value decodeE4m3(KernelBuilder &b, Value bytes) {
  OpBuilder &builder = b.builder;
  VectorType half = b.vec(builder.getI16Type(), 2 * kLanes);
  auto constant = [&](int16_t bits) -> Value {
    return arith::ConstantOp::create(builder, b.loc,
                                     DenseElementsAttr::get(half, bits));
  };
  Value wide = arith::ExtSIOp::create(builder, b.loc, half, bytes);
  Value shifted = arith::ShRSIOp::create(
      builder, b.loc,
      arith::ShLIOp::create(builder, b.loc, wide, constant(8)), constant(1));
  Value bits = arith::AndIOp::create(builder, b.loc, shifted,
                                     constant(int16_t(0xbf80)));
  Value magnitude =
      arith::AndIOp::create(builder, b.loc, wide, constant(0x7f));
  Value isNan = b.cmp(arith::CmpIPredicate::eq, magnitude, constant(0x7f));
  bits = b.select(isNan, constant(0x7e00), bits);
  Value value = b.bitcast(bits, b.vec(builder.getF16Type(), 2 * kLanes));
  return arith::ExtFOp::create(builder, b.loc, b.vec(b.f32(), 2 * kLanes),
                               value);
}

/// produce(to, source, scales, panel, first, count, depth).
static void emitE4m3(KernelBuilder &b, ValueRange args) {
  Value to = args[0], panel = args[3], depth = args[6];
  Value blocks = b.ceilDiv(depth, kPanelDepth);
  Value source =
      b.at(args[1], b.mul(b.mul(panel, blocks), kBlockBytes / 2));
  Value scaleRow = b.mul(b.div(panel, kScaleBlock / kPanelColumns),
                         b.ceilDiv(depth, kScaleBlock));
  forBlocks(b, to, args[4], args[5], [&](Value block, Value to) {
    Value column = b.div(block, kScaleBlock / kPanelDepth);
    Value scale = b.load(
        b.f32(), b.at(args[2], b.mul(b.add(scaleRow, column), 4)));
    Value scales = b.splat(b.mulf(scale, b.cf(256.0)), 2 * kLanes);
    Value from = b.at(source, b.mul(block, kBlockBytes / 2));
    b.loop(b.c(0), b.c(kPanelDepth), 2, [&](Value i) {
      for (int64_t j = 0; j < 2; ++j) {
        Value at = b.at(from, b.mul(b.add(i, j), 32));
        b.prefetch(b.at(at, 512));
        Value bytes =
            b.load(b.vec(b.builder.getI8Type(), 2 * kLanes), at, 32);
        Value value = b.mulf(decodeE4m3(b, bytes), scales);
        b.store(b.fromF32(value, b.bf16()),
                b.at(to, b.mul(b.add(i, j), 64)), 64);
      }
    });
  });
}

//===----------------------------------------------------------------------===//
// Transposed panels
//===----------------------------------------------------------------------===//

/// Pairs of rows 2q and 2q + 1: their columns from `first` on, interleaved.
static Value interleave(KernelBuilder &b, Value even, Value odd,
                        int64_t first) {
  SmallVector<int64_t> mask;
  for (int64_t c = first; c < first + kLanes; ++c)
    mask.append({c, 2 * kLanes + c});
  return vector::ShuffleOp::create(b.builder, b.loc, even, odd, mask);
}

/// produce(to, source, columns, panel, first, count): a block of the panel
/// [k, 32 columns] is the transpose of block (k, column) of the source.
static void emitTransposed(KernelBuilder &b, ValueRange args) {
  Value to = args[0], panel = args[3];
  Value rowBlocks = b.ceilDiv(args[2], kPanelDepth);
  forBlocks(b, to, args[4], args[5], [&](Value block, Value to) {
    Value from = b.at(
        args[1], b.mul(b.add(b.mul(block, rowBlocks), panel), kBlockBytes));
    b.loop(b.c(0), b.c(2), 1, [&](Value half) {
      Value tile = b.at(from, b.mul(half, kHalfBytes));
      SmallVector<Value> lines;
      for (int64_t i = 0; i < kLanes; ++i)
        lines.push_back(b.load(b.vec(b.i32()), b.at(tile, i * 64), 64));
      transposeLines(b, lines);
      for (Value &line : lines)
        line = b.bitcast(line,
                         b.vec(b.builder.getI16Type(), 2 * kLanes));
      Value out = b.at(to, b.mul(half, kHalfBytes / 2));
      for (int64_t q = 0; q < kLanes / 2; ++q)
        for (int64_t v = 0; v < 2; ++v)
          b.store(interleave(b, lines[2 * q], lines[2 * q + 1], v * kLanes),
                  b.at(out, v * kHalfBytes + q * 64), 64);
    });
  });
}

/// The same for panels of f32: 32 k-values of 32 columns.
static void emitTransposedF32(KernelBuilder &b, ValueRange args) {
  Value to = args[0], panel = args[3];
  Value rowBlocks = b.ceilDiv(args[2], kPanelDepth);
  auto emitBlock = [&](Value block, Value to) {
    Value from = b.at(args[1], b.mul(b.add(b.mul(block, rowBlocks), panel),
                                     kBlockBytesF32));
    b.loop(b.c(0), b.c(4), 1, [&](Value quarter) {
      Value row = b.mul(b.div(quarter, 2), kLanes);
      Value column = b.mul(b.rem(quarter, b.c(2)), kLanes);
      auto lineAt = [&](Value block, Value row, Value column, int64_t i) {
        Value index = b.add(b.mul(b.add(row, i), kPanelColumns), column);
        return b.at(block, b.mul(index, 4));
      };
      SmallVector<Value> lines;
      for (int64_t i = 0; i < kLanes; ++i)
        lines.push_back(
            b.load(b.vec(b.f32()), lineAt(from, row, column, i), 64));
      transposeLines(b, lines);
      for (auto [i, line] : llvm::enumerate(lines))
        b.store(line, lineAt(to, column, row, i), 64);
    });
  };
  forBlocks(b, to, args[4], args[5], emitBlock, kBlockBytesF32);
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// produce(to, source, columns, panel, first, count, depth, stride): rows are
/// `stride` bytes apart.
static void emitRows(KernelBuilder &b, ValueRange args) {
  Value to = args[0], columns = args[2], stride = args[7];
  Value column = b.mul(args[3], kPanelColumns);
  forBlocks(b, to, args[4], args[5], [&](Value block, Value to) {
    forSteps(b, [&](Value step) {
      Value k = b.add(b.mul(block, kPanelDepth), b.mul(step, 2));
      Value out = b.at(to, b.mul(step, 64));
      for (int64_t v = 0; v < 2; ++v) {
        Value first = b.add(column, v * kLanes);
        Value count = b.max(b.c(0), b.sub(columns, first));
        b.store(loadPairs(b, b.at(args[1], b.mul(first, 2)), stride, k,
                          args[6], count),
                b.at(out, v * kHalfBytes), 64);
      }
    });
  });
}

/// The same for a matrix of f32.
static void emitRowsF32(KernelBuilder &b, ValueRange args) {
  Value to = args[0], columns = args[2], stride = args[7];
  Value column = b.mul(args[3], kPanelColumns);
  auto emitBlock = [&](Value block, Value to) {
    b.loop(b.c(0), b.c(kPanelDepth), 1, [&](Value step) {
      Value k = b.add(b.mul(block, kPanelDepth), step);
      for (int64_t v = 0; v < 2; ++v) {
        Value first = b.add(column, v * kLanes);
        Value count = b.max(b.c(0), b.sub(columns, first));
        b.store(loadLineF32(b, b.at(args[1], b.mul(first, 4)), stride, k,
                            args[6], count),
                b.at(to, b.add(b.mul(step, kPanelColumns * 4), b.c(v * 64))),
                64);
      }
    });
  };
  forBlocks(b, to, args[4], args[5], emitBlock, kBlockBytesF32);
}

//===----------------------------------------------------------------------===//
// All of them
//===----------------------------------------------------------------------===//

static void callProducer(KernelBuilder &b, ModuleOp module, StringRef name,
                         ValueRange args,
                         void (*emit)(KernelBuilder &, ValueRange)) {
  b.call(getHelper(module, name, args.getTypes(), b.target, b.loc, emit),
         args);
}

void ds::cpu::producePanel(KernelBuilder &b, ModuleOp module,
                           const MatmulDesc &desc,
                           const PanelRequest &request) {
  Value columns = b.c(desc.columns);
  switch (desc.right) {
  case RightOperand::PanelE4m3:
    return callProducer(b, module, "matmul_panel_e4m3",
                        {request.to, request.source, request.scales,
                         request.panel, request.first, request.count,
                         request.depth},
                        emitE4m3);
  case RightOperand::Transposed:
    return callProducer(b, module, "matmul_panel_transposed",
                        {request.to, request.source, columns, request.panel,
                         request.first, request.count},
                        emitTransposed);
  case RightOperand::Rows:
    return callProducer(b, module, "matmul_panel_rows",
                        {request.to, request.source, columns, request.panel,
                         request.first, request.count, request.depth,
                         b.c(desc.rightColumns * 2)},
                        emitRows);
  case RightOperand::TransposedF32:
    return callProducer(b, module, "matmul_panel_transposed_f32",
                        {request.to, request.source, columns, request.panel,
                         request.first, request.count},
                        emitTransposedF32);
  case RightOperand::RowsF32:
    return callProducer(b, module, "matmul_panel_rows_f32",
                        {request.to, request.source, columns, request.panel,
                         request.first, request.count, request.depth,
                         b.c(desc.rightColumns * 4)},
                        emitRowsF32);
  case RightOperand::PanelBf16:
  case RightOperand::PanelF32:
    break;
  }
  llvm_unreachable("expects an operand that is produced");
}
