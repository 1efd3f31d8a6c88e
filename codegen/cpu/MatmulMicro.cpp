//===- MatmulMicro.cpp - Register blocks of products ----------------------===//
//
// One function for each way to multiply, shared by all kernels of a module.
// Sums stay in registers while k runs, one accumulator for each output. Where
// weights stream from memory, once for all of up to 16 rows, what counts is
// that they are asked for far ahead and in order.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/E4m3.h"
#include "codegen/cpu/Matmul.h"

using namespace ds;
using namespace ds::cpu;

/// Steps of a panel that all units of a streamed block take in turn: it stays
/// in the first-level cache.
static constexpr int64_t kChunkSteps = 128;
/// Steps of an FP8 panel that share scales.
static constexpr int64_t kGroupSteps = kScaleBlock / 2;
/// Rows up to which a streamed panel is read in the order of memory.
static constexpr int64_t kOrderedRows = 4;

int64_t ds::cpu::getMostRows(const Isa &isa, MicroKind kind) {
  if (isa.wide)
    return 12;
  return kind == MicroKind::FmaPairs ? 5 : 6;
}

namespace {
/// What stays in registers: some rows by one or two vectors.
struct Unit {
  int64_t row, rows;      ///< Of the block's rows.
  int64_t vector, vectors; ///< Of the panel's two.
};

/// What a unit asks for ahead: lines of each step, and where they begin.
struct Ahead {
  int64_t lines = 0;
  Value from;
};

/// A block of `pitch` packed rows by one panel.
class MicroBlock {
public:
  MicroBlock(KernelBuilder &b, MicroKind kind, int64_t pitch, ValueRange args)
      : b(b), kind(kind), pitch(pitch), left(args[0]), right(args[1]),
        sums(args[2]), steps(args[3]),
        next(args.size() > 5 ? args[5] : Value()) {}

  void emit(bool stream);
  void emitDecoding();

private:
  KernelBuilder &b;
  MicroKind kind;
  int64_t pitch;
  Value left, right, sums, steps, next;
  Unit unit = {};

  SmallVector<Unit> chooseUnits() const;
  void emitUnit(Value begin, Value end, Ahead ahead);
  SmallVector<Value> emitSteps(ValueRange initial, Value begin, Value end,
                               const Ahead &ahead);
  SmallVector<Value> emitInOrder(ValueRange initial, const Ahead &ahead);
  SmallVector<Value> emitVector(ValueRange sums, Value step, int64_t v,
                                const Ahead &ahead);
  void emitStep(SmallVector<Value> &sums, Value left, Value panel,
                int64_t from, int64_t to);
  void multiplyHalf(SmallVector<Value> &sums, Value left, int64_t half,
                    int64_t from, ArrayRef<Value> loaded);
  SmallVector<Value> decodeGroup(Value begin, Value end, ValueRange sums,
                                 Value group,
                                 std::array<E4m3Columns *, 2> columns);
  void multiplyRow(SmallVector<Value> &sums, Value left, int64_t at,
                   ArrayRef<Value> loaded);
  Value loadPanel(Value pointer, int64_t half);
  Value takeHalf(Value pairs, int64_t half);
  void askFor(Value from, Value step, int64_t index, int64_t lines);

  /// Calls `body` with the offset of each accumulator in [rows, 32] f32.
  void forSums(function_ref<void(int64_t)> body) {
    for (int64_t r = 0; r < unit.rows; ++r)
      for (int64_t v = 0; v < unit.vectors; ++v)
        body((unit.row + r) * kPanelColumns * 4 + (unit.vector + v) * 64);
  }

  int64_t leftStep() const {
    return pitch * (kind == MicroKind::FmaPairs ? 8 : 4);
  }
  int64_t panelStep() const { return kind == MicroKind::Fma ? 128 : 64; }
  int64_t vectorBytes() const { return kind == MicroKind::Fma ? 64 : 1024; }

  /// Where the group of scales and codes of a step lies.
  Value groupAt(Value step) {
    return b.mul(b.div(step, kGroupSteps), kE4m3GroupBytes);
  }

  /// A block of a panel of pairs is [2][16 steps] vectors.
  Value panelOffset(Value step) {
    if (kind == MicroKind::Fma)
      return b.mul(step, 128);
    Value block = arith::AndIOp::create(b.builder, b.loc, step, b.c(-16));
    return b.mul(b.add(step, block), 64);
  }
};
} // namespace

SmallVector<Unit> MicroBlock::chooseUnits() const {
  int64_t most = getMostRows(b.target, kind);
  int64_t parts = llvm::divideCeil(pitch, most);
  int64_t accumulators = b.target.wide ? 24 : 6;
  SmallVector<Unit> units;
  for (int64_t i = 0; i < parts; ++i) {
    int64_t row = i * pitch / parts;
    int64_t rows = (i + 1) * pitch / parts - row;
    int64_t vectors = 2 * rows <= accumulators ? 2 : 1;
    for (int64_t v = 0; v < 2; v += vectors)
      units.push_back({row, rows, v, vectors});
  }
  return units;
}

void MicroBlock::emit(bool stream) {
  SmallVector<Unit> units = chooseUnits();
  if (!stream || units.size() == 1) {
    Ahead ahead = {stream ? 2 : 1, next};
    for (const Unit &each : units) {
      unit = each;
      emitUnit(b.c(0), steps, ahead);
      ahead.lines = 0;
    }
    return;
  }
  // Each of the first two units asks for a half of what is to come.
  b.loop(b.c(0), steps, kChunkSteps, [&](Value begin) {
    Value end = b.min(b.add(begin, kChunkSteps), steps);
    Value half = b.mul(b.sub(end, begin), 64);
    Value from = b.at(next, b.mul(begin, 64));
    for (auto [i, each] : llvm::enumerate(units)) {
      unit = each;
      emitUnit(begin, end, {i < 2 ? 1 : 0, i == 0 ? from : b.at(from, half)});
    }
  });
}

void MicroBlock::emitUnit(Value begin, Value end, Ahead ahead) {
  SmallVector<Value> initial;
  forSums([&](int64_t offset) {
    initial.push_back(b.load(b.vec(b.f32()), b.at(sums, offset)));
  });
  bool inOrder = ahead.lines == 2 && pitch <= kOrderedRows &&
                 kind != MicroKind::Fma;
  SmallVector<Value> last = inOrder ? emitInOrder(initial, ahead)
                                    : emitSteps(initial, begin, end, ahead);
  int64_t i = 0;
  forSums([&](int64_t offset) { b.store(last[i++], b.at(sums, offset)); });
}

/// Asks for `lines` lines of step `step` + `index`.
void MicroBlock::askFor(Value from, Value step, int64_t index, int64_t lines) {
  if (lines == 0)
    return;
  Value at = b.at(from, b.mul(step, lines * 64));
  for (int64_t i = 0; i < lines; ++i)
    b.prefetch(b.at(at, (index * lines + i) * 64), /*level=*/2);
}

/// All vectors of a step together.
SmallVector<Value> MicroBlock::emitSteps(ValueRange initial, Value begin,
                                         Value end, const Ahead &ahead) {
  int64_t products = unit.rows * unit.vectors;
  int64_t unroll = products <= 2 ? 16 : products <= 8 ? 4 : 2;
  return b.loop(begin, end, unroll, initial,
                [&](Value step, ValueRange carried) {
                  SmallVector<Value> next(carried);
                  Value from = b.at(left, b.mul(step, leftStep()));
                  Value panel = b.at(right, panelOffset(step));
                  for (int64_t i = 0; i < unroll; ++i) {
                    askFor(ahead.from, step, i, ahead.lines);
                    emitStep(next, b.at(from, i * leftStep()),
                             b.at(panel, i * panelStep()), 0, unit.vectors);
                  }
                  return next;
                });
}

/// One vector after the other for the 16 steps of a block of pairs, so that
/// memory is read in order.
SmallVector<Value> MicroBlock::emitInOrder(ValueRange initial,
                                           const Ahead &ahead) {
  return b.loop(b.c(0), steps, kLanes, initial,
                [&](Value step, ValueRange carried) {
                  SmallVector<Value> sums(carried);
                  for (int64_t v = 0; v < unit.vectors; ++v)
                    sums = emitVector(sums, step, v, ahead);
                  return sums;
                });
}

SmallVector<Value> MicroBlock::emitVector(ValueRange sums, Value step,
                                          int64_t v, const Ahead &ahead) {
  Value from = b.at(left, b.mul(step, leftStep()));
  Value panel = b.at(right, b.mul(step, 128));
  Value ask = b.at(ahead.from, b.add(b.mul(step, 128), v * 1024));
  int64_t unroll = unit.rows == 1 ? kLanes : 4;
  return b.loop(b.c(0), b.c(kLanes), unroll, sums,
                [&](Value i, ValueRange carried) {
                  SmallVector<Value> next(carried);
                  Value k = b.at(from, b.mul(i, leftStep()));
                  Value at = b.at(panel, b.mul(i, panelStep()));
                  for (int64_t j = 0; j < unroll; ++j) {
                    askFor(ask, i, j, 1);
                    emitStep(next, b.at(k, j * leftStep()),
                             b.at(at, j * panelStep()), v, v + 1);
                  }
                  return next;
                });
}

/// One step of the unit's vectors `from` to `to`.
void MicroBlock::emitStep(SmallVector<Value> &sums, Value left, Value panel,
                          int64_t from, int64_t to) {
  int64_t halves = kind == MicroKind::FmaPairs ? 2 : 1;
  for (int64_t half = 0; half < halves; ++half) {
    SmallVector<Value> loaded;
    for (int64_t v = from; v < to; ++v)
      loaded.push_back(
          loadPanel(b.at(panel, (unit.vector + v) * vectorBytes()), half));
    multiplyHalf(sums, left, half, from, loaded);
  }
}

/// Adds products of the `half` of a step with vectors of the unit from `from`
/// on.
void MicroBlock::multiplyHalf(SmallVector<Value> &sums, Value left,
                              int64_t half, int64_t from,
                              ArrayRef<Value> loaded) {
  Value k = b.at(left, (half * pitch + unit.row) * 4);
  for (int64_t r = 0; r < unit.rows; ++r)
    multiplyRow(sums, b.at(k, r * 4), r * unit.vectors + from, loaded);
}

/// Adds a row's products with `loaded` to the sums from `at` on.
void MicroBlock::multiplyRow(SmallVector<Value> &sums, Value left, int64_t at,
                             ArrayRef<Value> loaded) {
  KernelBuilder::Pair pair;
  Value k;
  if (kind == MicroKind::Dot)
    pair = b.broadcastPair(b.load(b.i32(), left));
  else
    k = b.splat(b.load(b.f32(), left));
  for (Value vector : loaded) {
    Value &sum = sums[at++];
    sum = kind == MicroKind::Dot ? b.dotPair(pair, vector, sum)
                                 : b.fma(k, vector, sum);
  }
}

/// 16 columns: of pairs for Dot, else of one k, the `half` of a pair.
Value MicroBlock::loadPanel(Value pointer, int64_t half) {
  if (kind == MicroKind::Fma)
    return b.load(b.vec(b.f32()), pointer, 64);
  return takeHalf(b.load(b.vec(b.i32()), pointer, 64), half);
}

Value MicroBlock::takeHalf(Value pairs, int64_t half) {
  if (kind == MicroKind::Dot)
    return pairs;
  Value bits =
      half ? Value(arith::AndIOp::create(b.builder, b.loc, pairs,
                                         b.vi(int64_t(0xffff0000))))
           : Value(arith::ShLIOp::create(b.builder, b.loc, pairs, b.vi(16)));
  return b.bitcast(bits, b.vec(b.f32()));
}

//===----------------------------------------------------------------------===//
// FP8
//===----------------------------------------------------------------------===//

int64_t ds::cpu::getDecodeRows(const Isa &isa) { return isa.wide ? 4 : 2; }

/// Both vectors of a step at once: a row's sum waits for the one before it. What
/// follows is not asked for: the machine looks far enough ahead by itself where
/// decoding takes longer than reading.
void MicroBlock::emitDecoding() {
  unit = {0, pitch, 0, 2};
  SmallVector<Value> initial;
  forSums([&](int64_t offset) {
    initial.push_back(b.load(b.vec(b.f32()), b.at(sums, offset)));
  });
  SmallVector<Value> last = b.loop(
      b.c(0), steps, kGroupSteps, initial, [&](Value step, ValueRange carried) {
        Value group = b.at(right, groupAt(step));
        Value end = b.min(b.add(step, kGroupSteps), steps);
        return decodeE4m3Group(
            b, group, carried, [&](std::array<E4m3Columns *, 2> columns) {
              return decodeGroup(step, end, carried, group, columns);
            });
      });
  int64_t i = 0;
  forSums([&](int64_t offset) { b.store(last[i++], b.at(sums, offset)); });
}

/// Steps `begin` to `end`, those of a group, two at a time.
SmallVector<Value>
MicroBlock::decodeGroup(Value begin, Value end, ValueRange sums, Value group,
                        std::array<E4m3Columns *, 2> columns) {
  int64_t halves = kind == MicroKind::FmaPairs ? 2 : 1;
  VectorType bytes = b.vec(b.builder.getI8Type(), 64);
  Value from = b.at(left, b.mul(begin, leftStep()));
  return b.loop(
      b.c(0), b.sub(end, begin), 2, sums, [&](Value step, ValueRange carried) {
        SmallVector<Value> all(carried);
        std::array<std::array<Value, 2>, 2> pairs; // [half of 32][step]
        for (int64_t v = 0; v < 2; ++v)
          pairs[v] = columns[v]->decode(
              b.load(bytes, getE4m3Pairs(b, group, step, v), 64));
        Value k = b.at(from, b.mul(step, leftStep()));
        for (int64_t i = 0; i < 2; ++i)
          for (int64_t half = 0; half < halves; ++half)
            multiplyHalf(
                all, b.at(k, i * leftStep()), half, 0,
                {takeHalf(pairs[0][i], half), takeHalf(pairs[1][i], half)});
        return all;
      });
}

static StringRef getName(MicroKind kind) {
  switch (kind) {
  case MicroKind::Tile:
    break;
  case MicroKind::Dot:
    return "matmul_micro_dot";
  case MicroKind::FmaPairs:
    return "matmul_micro_fma_pairs";
  case MicroKind::Fma:
    return "matmul_micro_fma";
  }
  llvm_unreachable("expects a kind that uses vectors");
}

func::FuncOp ds::cpu::getMicroKernel(ModuleOp module, const Isa &isa,
                                     Location loc, MicroKind kind,
                                     bool stream) {
  std::string name = (getName(kind) + (stream ? "_stream" : "")).str();
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  Type index = Builder(module.getContext()).getI64Type();
  int64_t most = stream ? kSmallRows : getMostRows(isa, kind);
  return getHelper(module, name, {pointer, pointer, pointer, index, index, pointer},
                   isa, loc, [&](KernelBuilder &b, ValueRange args) {
                     b.dispatch(args[4], 1, most, [&](int64_t rows) {
                       MicroBlock(b, kind, rows, args).emit(stream);
                     });
                   });
}

func::FuncOp ds::cpu::getDecodingKernel(ModuleOp module, const Isa &isa,
                                        Location loc, MicroKind kind) {
  std::string name = (getName(kind) + "_e4m3").str();
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  Type index = Builder(module.getContext()).getI64Type();
  return getHelper(
      module, name, {pointer, pointer, pointer, index, index}, isa, loc,
      [&](KernelBuilder &b, ValueRange args) {
        b.dispatch(args[4], 1, getDecodeRows(isa), [&](int64_t rows) {
          MicroBlock(b, kind, rows, args).emitDecoding();
        });
      });
}
