//===- MatmulProduce.cpp - Producers of the right operand -----------------===//
//
// What is not a panel of bf16 or f32 in memory becomes one in scratch, a block
// of k at a time: FP8 weights are decoded, a packed weight is transposed (the
// gradient of a linear layer's input), rows of a matrix are interleaved (the
// gradient of its weight).
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/E4m3.h"
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

/// What decodes the two halves of a group's columns by products.
static std::array<E4m3Products, 2> loadProducts(KernelBuilder &b, Value group) {
  auto load = [&](int64_t half) {
    return E4m3Products(
        b, b.load(b.vec(b.f32()), b.at(group, half * kLanes * 4), 64));
  };
  return {load(0), load(1)};
}

/// Calls `body` with each group of scales and blocks that `count` k-values from
/// `first` on touch, its pairs, and where they go.
static void
forGroups(KernelBuilder &b, ValueRange args, int64_t blockBytes,
          function_ref<void(Value group, Value pairs, Value to)> body) {
  Value panel = b.at(args[1], b.mul(args[2], getE4m3PanelBytes(b, args[5])));
  Value begin = b.div(args[3], kScaleBlock), count = args[4];
  b.loop(b.c(0), b.ceilDiv(count, kScaleBlock), 1, [&](Value i) {
    Value group = b.at(panel, b.mul(b.add(begin, i), kE4m3GroupBytes));
    Value left = b.sub(count, b.mul(i, kScaleBlock));
    constexpr int64_t blocks = kScaleBlock / kPanelDepth;
    body(group, b.div(b.min(left, b.c(kScaleBlock)), 2),
         b.at(args[0], b.mul(i, blocks * blockBytes)));
  });
}

/// Calls `body` with each even pair of a group, the half of its columns and the
/// bytes.
static void forPairs(KernelBuilder &b, Value group, Value pairs,
                     function_ref<void(Value, int64_t, Value)> body) {
  VectorType bytes = b.vec(b.builder.getI8Type(), 64);
  b.loop(b.c(0), pairs, 2, [&](Value pair) {
    for (int64_t half = 0; half < 2; ++half) {
      Value at = getE4m3Pairs(b, group, pair, half);
      b.prefetch(b.at(at, kE4m3GroupBytes));
      body(pair, half, b.load(bytes, at, 64));
    }
  });
}

/// produce(to, source, panel, first, count, depth).
static void emitE4m3(KernelBuilder &b, ValueRange args) {
  forGroups(b, args, kBlockBytes, [&](Value group, Value pairs, Value to) {
    decodeE4m3Group(b, group, {}, [&](std::array<E4m3Columns *, 2> columns) {
      forPairs(b, group, pairs, [&](Value pair, int64_t half, Value bytes) {
        // Pairs of a half of a block lie together, the other half between.
        Value inBlock = b.rem(pair, kPanelDepth / 2);
        Value line = b.add(b.mul(b.sub(pair, inBlock), 2), inBlock);
        Value at = b.at(to, b.add(b.mul(line, 64), half * kHalfBytes));
        std::array<Value, 2> decoded = columns[half]->decode(bytes);
        for (int64_t i = 0; i < 2; ++i)
          b.store(decoded[i], b.at(at, i * 64), 64);
      });
      return SmallVector<Value>();
    });
  });
}

/// The same as a panel of f32.
static void emitE4m3F32(KernelBuilder &b, ValueRange args) {
  forGroups(b, args, kBlockBytesF32, [&](Value group, Value pairs, Value to) {
    std::array<E4m3Products, 2> columns = loadProducts(b, group);
    forPairs(b, group, pairs, [&](Value pair, int64_t half, Value bytes) {
      Value at = b.at(to, b.add(b.mul(pair, 2 * kPanelColumns * 4), half * 64));
      for (auto [i, line] : llvm::enumerate(columns[half].decodeF32(bytes)))
        b.store(line, b.at(at, i * kPanelColumns * 4), 64);
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

/// Stores 16 pairs of k of 16 columns as 8 pairs of 32 columns.
static void storeTransposed(KernelBuilder &b, SmallVector<Value> &lines,
                            Value out) {
  transposeLines(b, lines);
  for (Value &line : lines)
    line = b.bitcast(line, b.vec(b.builder.getI16Type(), 2 * kLanes));
  for (int64_t q = 0; q < kLanes / 2; ++q)
    for (int64_t v = 0; v < 2; ++v)
      b.store(interleave(b, lines[2 * q], lines[2 * q + 1], v * kLanes),
              b.at(out, v * kHalfBytes + q * 64), 64);
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
      storeTransposed(b, lines, b.at(to, b.mul(half, kHalfBytes / 2)));
    });
  });
}

/// Calls `body` with each block of the source, where its transpose goes, the
/// group that has it, and its first pair there.
static void
forTransposedE4m3(KernelBuilder &b, ValueRange args, int64_t blockBytes,
                  function_ref<void(Value group, Value pair, Value to)> body) {
  constexpr int64_t blocks = kScaleBlock / kPanelDepth;
  Value panel = args[3], panelBytes = getE4m3PanelBytes(b, args[2]);
  Value inPanel = b.mul(b.div(panel, blocks), kE4m3GroupBytes);
  Value pair = b.mul(b.rem(panel, blocks), kPanelDepth / 2);
  forBlocks(
      b, args[0], args[4], args[5],
      [&](Value block, Value to) {
        body(b.at(args[1], b.add(b.mul(block, panelBytes), inPanel)), pair, to);
      },
      blockBytes);
}

/// As emitTransposed, of a panel_e4m3.
static void emitTransposedE4m3(KernelBuilder &b, ValueRange args) {
  VectorType bytes = b.vec(b.builder.getI8Type(), 64);
  forTransposedE4m3(
      b, args, kBlockBytes, [&](Value group, Value pair, Value to) {
        std::array<E4m3Products, 2> columns = loadProducts(b, group);
        for (int64_t half = 0; half < 2; ++half) {
          SmallVector<Value> lines;
          for (int64_t i = 0; i < kLanes; i += 2) {
            Value at = getE4m3Pairs(b, group, b.add(pair, i), half);
            for (Value line : columns[half].decode(b.load(bytes, at, 64)))
              lines.push_back(line);
          }
          storeTransposed(b, lines, b.at(to, half * kHalfBytes / 2));
        }
      });
}

/// The same to panels of f32.
static void emitTransposedE4m3F32(KernelBuilder &b, ValueRange args) {
  VectorType bytes = b.vec(b.builder.getI8Type(), 64);
  forTransposedE4m3(
      b, args, kBlockBytesF32, [&](Value group, Value pair, Value to) {
        std::array<E4m3Products, 2> columns = loadProducts(b, group);
        for (int64_t half = 0; half < 2; ++half)
          for (int64_t first = 0; first < kLanes; first += kLanes / 2) {
            SmallVector<Value> lines;
            for (int64_t i = 0; i < kLanes / 2; i += 2) {
              Value at = getE4m3Pairs(b, group, b.add(pair, first + i), half);
              for (Value line : columns[half].decodeF32(b.load(bytes, at, 64)))
                lines.push_back(line);
            }
            transposeLines(b, lines);
            for (auto [i, line] : llvm::enumerate(lines))
              b.store(
                  line,
                  b.at(to,
                       ((half * kLanes + i) * kPanelColumns + 2 * first) * 4),
                  64);
          }
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
                        {request.to, request.source, request.panel,
                         request.first, request.count, request.depth},
                        emitE4m3);
  case RightOperand::PanelE4m3F32:
    return callProducer(b, module, "matmul_panel_e4m3_f32",
                        {request.to, request.source, request.panel,
                         request.first, request.count, request.depth},
                        emitE4m3F32);
  case RightOperand::TransposedE4m3:
    return callProducer(b, module, "matmul_panel_transposed_e4m3",
                        {request.to, request.source, columns, request.panel,
                         request.first, request.count},
                        emitTransposedE4m3);
  case RightOperand::TransposedE4m3F32:
    return callProducer(b, module, "matmul_panel_transposed_e4m3_f32",
                        {request.to, request.source, columns, request.panel,
                         request.first, request.count},
                        emitTransposedE4m3F32);
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
