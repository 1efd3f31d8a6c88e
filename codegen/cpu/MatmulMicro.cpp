//===- MatmulMicro.cpp - Register blocks of products ----------------------===//
//
// One function for each way to multiply, shared by all kernels of a module:
// sums of up to 16 rows by one or two vectors of a panel stay in registers
// while k runs, one accumulator for each output.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Matmul.h"

using namespace ds;
using namespace ds::cpu;

/// How far ahead of its use a streamed panel is asked for, in bytes.
static constexpr int64_t kAhead = 1024;

/// Vectors of accumulators that fit beside the operands.
static int64_t getAccumulators(const Isa &isa) { return isa.wide ? 24 : 6; }

int64_t ds::cpu::getMostRows(const Isa &isa, MicroKind kind, bool small) {
  if (!isa.wide)
    return kind == MicroKind::FmaPairs ? 5 : 6;
  return small ? 16 : 12;
}

namespace {
/// One register block: `rows` x `vectors` from vector `first` of the panel.
class MicroBlock {
public:
  MicroBlock(KernelBuilder &b, MicroKind kind, bool stream, int64_t rows,
             int64_t first, int64_t vectors)
      : b(b), kind(kind), stream(stream), rows(rows), first(first),
        vectors(vectors) {}

  void emit(Value left, Value right, Value sums, Value steps) {
    SmallVector<Value> initial;
    forSums([&](int64_t offset) {
      initial.push_back(b.load(b.vec(b.f32()), b.at(sums, offset)));
    });
    int64_t unroll = chooseUnroll();
    SmallVector<Value> final = b.loop(
        b.c(0), steps, unroll, initial,
        [&](Value step, ValueRange carried) {
          SmallVector<Value> next(carried.begin(), carried.end());
          Value from = b.at(left, b.mul(step, leftStep()));
          Value panel = b.at(right, panelOffset(step));
          for (int64_t i = 0; i < unroll; ++i)
            emitStep(next, b.at(from, i * leftStep()),
                     b.at(panel, i * panelStep()));
          return next;
        });
    int64_t i = 0;
    forSums([&](int64_t offset) { b.store(final[i++], b.at(sums, offset)); });
  }

private:
  KernelBuilder &b;
  MicroKind kind;
  bool stream;
  int64_t rows, first, vectors;

  /// Calls `body` with the offset of each accumulator in [rows, 32] f32.
  void forSums(function_ref<void(int64_t)> body) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        body(r * kPanelColumns * 4 + (first + v) * 64);
  }

  /// Divides the 16 steps of a block.
  int64_t chooseUnroll() const {
    int64_t products = rows * vectors;
    return products <= 2 ? 16 : products <= 8 ? 4 : 2;
  }

  int64_t leftStep() const {
    return rows * (kind == MicroKind::FmaPairs ? 8 : 4);
  }
  int64_t panelStep() const { return kind == MicroKind::Fma ? 128 : 64; }
  int64_t vectorBytes() const { return kind == MicroKind::Fma ? 64 : 1024; }

  /// A block of a panel of pairs is [2][16 steps] vectors.
  Value panelOffset(Value step) {
    if (kind == MicroKind::Fma)
      return b.mul(step, 128);
    Value block = arith::AndIOp::create(b.builder, b.loc, step, b.c(-16));
    return b.mul(b.add(step, block), 64);
  }

  void emitStep(SmallVector<Value> &sums, Value left, Value panel) {
    auto vectorAt = [&](int64_t v) {
      return b.at(panel, (first + v) * vectorBytes());
    };
    if (stream)
      for (int64_t v = 0; v < vectors; ++v)
        b.prefetch(b.at(vectorAt(v), kAhead));
    if (kind == MicroKind::Dot)
      return emitDots(sums, left, vectorAt);
    int64_t halves = kind == MicroKind::FmaPairs ? 2 : 1;
    for (int64_t half = 0; half < halves; ++half)
      emitFmas(sums, b.at(left, half * rows * 4), half, vectorAt);
  }

  void emitDots(SmallVector<Value> &sums, Value left,
                function_ref<Value(int64_t)> vectorAt) {
    SmallVector<Value> loaded;
    for (int64_t v = 0; v < vectors; ++v)
      loaded.push_back(b.load(b.vec(b.i32()), vectorAt(v), 64));
    for (int64_t r = 0; r < rows; ++r) {
      KernelBuilder::Pair pair =
          b.broadcastPair(b.load(b.i32(), b.at(left, r * 4)));
      for (int64_t v = 0; v < vectors; ++v) {
        Value &sum = sums[r * vectors + v];
        sum = b.dotPair(pair, loaded[v], sum);
      }
    }
  }

  /// One k: the low or the high half of pairs, or a k of f32.
  void emitFmas(SmallVector<Value> &sums, Value left, int64_t half,
                function_ref<Value(int64_t)> vectorAt) {
    SmallVector<Value> loaded;
    for (int64_t v = 0; v < vectors; ++v)
      loaded.push_back(loadPanel(vectorAt(v), half));
    for (int64_t r = 0; r < rows; ++r) {
      Value k = b.splat(b.load(b.f32(), b.at(left, r * 4)));
      for (int64_t v = 0; v < vectors; ++v) {
        Value &sum = sums[r * vectors + v];
        sum = b.fma(k, loaded[v], sum);
      }
    }
  }

  Value loadPanel(Value pointer, int64_t half) {
    if (kind == MicroKind::Fma)
      return b.load(b.vec(b.f32()), pointer, 64);
    Value pairs = b.load(b.vec(b.i32()), pointer, 64);
    Value bits =
        half ? Value(arith::AndIOp::create(b.builder, b.loc, pairs,
                                           b.vi(int64_t(0xffff0000))))
             : Value(arith::ShLIOp::create(b.builder, b.loc, pairs, b.vi(16)));
    return b.bitcast(bits, b.vec(b.f32()));
  }
};
} // namespace

static StringRef getName(MicroKind kind) {
  switch (kind) {
  case MicroKind::Dot:
    return "matmul_micro_dot";
  case MicroKind::FmaPairs:
    return "matmul_micro_fma_pairs";
  case MicroKind::Fma:
    return "matmul_micro_fma";
  }
  llvm_unreachable("all kinds are named");
}

func::FuncOp ds::cpu::getMicroKernel(ModuleOp module, const Isa &isa,
                                     Location loc, MicroKind kind,
                                     bool stream, int64_t mostRows) {
  std::string name = (getName(kind) + (stream ? "_stream_" : "_") +
                      Twine(mostRows)).str();
  Builder types(module.getContext());
  Type pointer = LLVM::LLVMPointerType::get(module.getContext());
  Type index = types.getI64Type();
  return getHelper(
      module, name, {pointer, pointer, pointer, index, index}, isa, loc,
      [&](KernelBuilder &b, ValueRange args) {
        b.dispatch(args[4], 1, mostRows, [&](int64_t rows) {
          int64_t vectors = 2 * rows <= getAccumulators(isa) ? 2 : 1;
          for (int64_t first = 0; first < 2; first += vectors)
            MicroBlock(b, kind, stream, rows, first, vectors)
                .emit(args[0], args[1], args[2], args[3]);
        });
      });
}
