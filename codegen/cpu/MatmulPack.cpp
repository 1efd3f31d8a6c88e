//===- MatmulPack.cpp - Producers of the left operand ---------------------===//
//
// The micro kernels read the left operand as words: a pair of bf16 for each
// step, or an f32 for each k, the rows of a block side by side. Rows of a
// matrix are transposed 16 x 16 words at a time. Every 16 words of a step are
// stored whole, in order: what is too much is overwritten by the next step.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Matmul.h"

using namespace ds;
using namespace ds::cpu;

// By swapping ever larger blocks.
void ds::cpu::transposeLines(KernelBuilder &b, SmallVector<Value> &lines) {
  for (int64_t d = 1; d < kLanes; d *= 2) {
    SmallVector<int64_t> low(kLanes), high(kLanes);
    for (int64_t l = 0; l < kLanes; ++l) {
      low[l] = l & d ? kLanes + l - d : l;
      high[l] = l & d ? kLanes + l : l + d;
    }
    for (int64_t i = 0; i < kLanes; ++i) {
      if (i & d)
        continue;
      Value a = lines[i], c = lines[i + d];
      lines[i] = vector::ShuffleOp::create(b.builder, b.loc, a, c, low);
      lines[i + d] = vector::ShuffleOp::create(b.builder, b.loc, a, c, high);
    }
  }
}

/// The lanes of a power of two of vectors, side by side: lane 0 of each, then
/// lane 1 of each.
static SmallVector<Value> interleaveLines(KernelBuilder &b,
                                          ArrayRef<Value> lines) {
  if (lines.size() == 1)
    return {lines.front()};
  SmallVector<Value> even, odd, result;
  for (auto [i, line] : llvm::enumerate(lines))
    (i % 2 ? odd : even).push_back(line);
  even = interleaveLines(b, even);
  odd = interleaveLines(b, odd);
  SmallVector<int64_t> low, high;
  for (int64_t l = 0; l < kLanes / 2; ++l) {
    low.append({l, kLanes + l});
    high.append({kLanes / 2 + l, kLanes + kLanes / 2 + l});
  }
  for (auto [a, c] : llvm::zip(even, odd))
    for (const SmallVector<int64_t> &mask : {low, high})
      result.push_back(
          vector::ShuffleOp::create(b.builder, b.loc, a, c, mask));
  return result;
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

namespace {
/// Packs rows of one element type for one kind of micro kernel.
class RowPacker {
public:
  RowPacker(KernelBuilder &b, Type element, bool pairs, ValueRange args)
      : b(b), element(element), pairs(pairs), to(args[0]), matrix(args[1]),
        outRows(args[2]), stride(args[3]), firstRow(args[4]), rows(args[5]),
        depth(args[6]), first(args[7]), count(args[8]) {}

  void emit(bool gathered) { emitFew(1, gathered); }

  Value rowPointer(Value row, bool gathered) {
    if (gathered)
      row = b.loadIndex(b.at(outRows, b.mul(row, 4)));
    Value start = b.at(matrix, b.mul(row, stride));
    return b.at(start, b.mul(first, getElementBytes(element)));
  }

  /// Words of the k-values from `k` on, of those below `limit` when given.
  Value loadWords(Value pointer, Value k, Value limit) {
    Value at = b.at(pointer, b.mul(k, getElementBytes(element)));
    if (!pairs)
      return b.loadF32(element, at, limit ? b.laneMask(limit) : Value());
    if (!limit)
      return b.load(b.vec(b.i32()), at, 2);
    Value words = b.loadMasked(b.vec(b.bf16(), 2 * kLanes), at,
                               b.laneMask(limit, 2 * kLanes));
    return b.bitcast(words, b.vec(b.i32()));
  }

  /// Calls `body` for every 16 words, with the k-values that are left where
  /// there are fewer.
  void forChunks(function_ref<void(Value k, Value limit)> body) {
    Value known = b.max(b.c(0), b.min(count, b.sub(depth, first)));
    Value whole = b.mul(b.div(known, chunk()), chunk());
    b.loop(b.c(0), whole, chunk(), [&](Value k) { body(k, Value()); });
    b.loop(whole, count, chunk(),
           [&](Value k) { body(k, b.sub(known, k)); });
  }

private:
  KernelBuilder &b;
  Type element;
  bool pairs;
  Value to, matrix, outRows, stride, firstRow, rows, depth, first, count;

  /// k-values of 16 words.
  int64_t chunk() const { return pairs ? 2 * kLanes : kLanes; }

  /// For `number` rows, a power of two, interleaves lines; for any other
  /// number transposes.
  void emitFew(int64_t number, bool gathered) {
    if (number == kLanes)
      return emitRows(gathered);
    b.ifThen(
        b.cmp(arith::CmpIPredicate::eq, rows, b.c(number)),
        [&] { emitInterleaved(number, gathered); },
        [&] { emitFew(2 * number, gathered); });
  }

  void emitInterleaved(int64_t number, bool gathered) {
    SmallVector<Value> pointers;
    for (int64_t r = 0; r < number; ++r)
      pointers.push_back(rowPointer(b.add(firstRow, r), gathered));
    forChunks([&](Value k, Value limit) {
      SmallVector<Value> lines;
      for (Value pointer : pointers)
        lines.push_back(loadWords(pointer, k, limit));
      Value at = b.at(to, b.mul(k, number * (pairs ? 2 : 4)));
      for (auto [i, line] : llvm::enumerate(interleaveLines(b, lines)))
        b.store(line, b.at(at, i * 64));
    });
  }

  void emitRows(bool gathered) {
    SmallVector<Value> pointers;
    Value last = b.sub(rows, b.c(1));
    for (int64_t r = 0; r < kLanes; ++r)
      pointers.push_back(
          rowPointer(b.add(firstRow, b.min(b.c(r), last)), gathered));
    Value pitch = b.mul(rows, 4);
    forChunks([&](Value k, Value limit) {
      SmallVector<Value> lines;
      for (Value pointer : pointers)
        lines.push_back(loadWords(pointer, k, limit));
      transposeLines(b, lines);
      Value at = b.at(to, b.mul(k, b.mul(rows, pairs ? 2 : 4)));
      for (Value line : lines) {
        b.store(line, at);
        at = b.at(at, pitch);
      }
    });
  }
};
} // namespace

/// Rows of 32 k-values, for tiles.
static void emitTileRows(KernelBuilder &b, ValueRange args, bool gathered) {
  RowPacker packer(b, b.bf16(), /*pairs=*/true, args);
  Value rows = args[5];
  b.loop(b.c(0), rows, 1, [&](Value row) {
    Value to = b.at(args[0], b.mul(row, 64));
    Value pointer = packer.rowPointer(b.add(args[4], row), gathered);
    packer.forChunks([&](Value k, Value limit) {
      b.store(packer.loadWords(pointer, k, limit),
              b.at(to, b.mul(b.mul(k, 2), rows)), 64);
    });
  });
}

func::FuncOp ds::cpu::getPackRows(ModuleOp module, const Isa &isa,
                                  Location loc, Type element, MicroKind kind,
                                  bool gathered) {
  bool isTile = kind == MicroKind::Tile, pairs = kind == MicroKind::Dot;
  std::string name = std::string("matmul_pack_rows_") +
                     (element.isF32() ? "f32" : "bf16") +
                     (isTile ? "_tile" : pairs ? "_pairs" : "") +
                     (gathered ? "_gathered" : "");
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  Type index = Builder(module.getContext()).getI64Type();
  return getHelper(module, name,
                   {pointer, pointer, pointer, index, index, index, index,
                    index, index},
                   isa, loc, [&](KernelBuilder &b, ValueRange args) {
                     if (isTile)
                       return emitTileRows(b, args, gathered);
                     RowPacker(b, element, pairs, args).emit(gathered);
                   });
}

//===----------------------------------------------------------------------===//
// Columns
//===----------------------------------------------------------------------===//

/// 16 elements of row `k`, those below `count`; zeros when `k` is not below
/// `depth`.
static Value loadLine(KernelBuilder &b, Type element, Value matrix,
                      Value stride, Value k, Value depth, Value count) {
  Value inside = b.less(k, depth);
  Value at = b.at(matrix, b.mul(b.select(inside, k, b.c(0)), stride));
  return b.loadMasked(b.vec(element), at,
                      b.laneMask(b.select(inside, count, b.c(0))));
}

Value ds::cpu::loadLineF32(KernelBuilder &b, Value matrix, Value stride,
                           Value k, Value depth, Value count) {
  return loadLine(b, b.f32(), matrix, stride, k, depth, count);
}

Value ds::cpu::loadPairs(KernelBuilder &b, Value matrix, Value stride, Value k,
                         Value depth, Value count) {
  auto widen = [&](Value line) -> Value {
    Value bits = b.bitcast(line, b.vec(b.builder.getI16Type()));
    return arith::ExtUIOp::create(b.builder, b.loc, b.vec(b.i32()), bits);
  };
  Value low = widen(loadLine(b, b.bf16(), matrix, stride, k, depth, count));
  Value high =
      widen(loadLine(b, b.bf16(), matrix, stride, b.add(k, 1), depth, count));
  return arith::OrIOp::create(
      b.builder, b.loc, low,
      arith::ShLIOp::create(b.builder, b.loc, high, b.vi(16)));
}

/// Steps side by side: the words of 16 columns, as micro kernels read them.
static void emitColumns(KernelBuilder &b, Type element, ValueRange args,
                        bool pairs) {
  Value stride = args[2], rows = args[4];
  Value matrix =
      b.at(args[1], b.mul(args[3], getElementBytes(element)));
  b.loop(b.c(0), args[7], pairs ? 2 : 1, [&](Value i) {
    Value k = b.add(args[6], i);
    Value words = pairs
                      ? loadPairs(b, matrix, stride, k, args[5], rows)
                      : b.toF32(loadLine(b, element, matrix, stride, k, args[5],
                                        rows));
    b.store(words, b.at(args[0], b.mul(b.mul(i, rows), pairs ? 2 : 4)));
  });
}

/// Rows of 32 k-values for tiles: 16 words of 16 columns, transposed.
static void emitTileColumns(KernelBuilder &b, ValueRange args) {
  Value stride = args[2], rows = args[4];
  Value matrix = b.at(args[1], b.mul(args[3], 2));
  b.loop(b.c(0), args[7], kPanelDepth, [&](Value i) {
    Value to = b.at(args[0], b.mul(b.mul(i, 2), rows));
    b.loop(b.c(0), rows, kLanes, [&](Value row) {
      SmallVector<Value> lines;
      for (int64_t j = 0; j < kLanes; ++j)
        lines.push_back(loadPairs(b, b.at(matrix, b.mul(row, 2)), stride,
                                  b.add(b.add(args[6], i), 2 * j), args[5],
                                  b.sub(rows, row)));
      transposeLines(b, lines);
      for (auto [j, line] : llvm::enumerate(lines))
        b.store(line, b.at(to, b.mul(b.add(row, j), 64)), 64);
    });
  });
}

func::FuncOp ds::cpu::getPackColumns(ModuleOp module, const Isa &isa,
                                     Location loc, Type element,
                                     MicroKind kind) {
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  Type index = Builder(module.getContext()).getI64Type();
  std::string name = element.isF32() ? "matmul_pack_columns_f32"
                                     : "matmul_pack_columns";
  if (kind == MicroKind::Tile)
    name += "_tile";
  else if (kind == MicroKind::Dot)
    name += "_pairs";
  return getHelper(
      module, name,
      {pointer, pointer, index, index, index, index, index, index}, isa, loc,
      [&](KernelBuilder &b, ValueRange args) {
        if (kind == MicroKind::Tile)
          return emitTileColumns(b, args);
        emitColumns(b, element, args, kind == MicroKind::Dot);
      });
}
