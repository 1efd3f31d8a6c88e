//===- ProductBlock.h - Rows by vectors of a product ------------*- C++ -*-===//
#ifndef DS_CODEGEN_CPU_PRODUCTBLOCK_H
#define DS_CODEGEN_CPU_PRODUCTBLOCK_H
#include "codegen/cpu/Builder.h"

namespace ds {
namespace cpu {

/// The accumulators of `rows` x `vectors` and the steps that add to them.
class ProductBlock {
public:
  /// Rows that keep the registers busy beside `vectors` accumulators a row.
  static int64_t largestRows(const KernelBuilder &b, int64_t vectors) {
    int64_t most = b.target.wide ? 24 : 5;
    return std::max<int64_t>(1, most / vectors);
  }

  ProductBlock(KernelBuilder &b, bool paired, bool dot, int64_t rows,
               int64_t vectors)
      : b(b), paired(paired), dot(dot), rows(rows), vectors(vectors) {}

  SmallVector<Value> zeros() {
    return SmallVector<Value>(rows * vectors, b.zero());
  }

  /// Adds one step: a pair of k where elements are bf16, or one k. `left`
  /// gives the address of the row's k-values, `right` that of a vector.
  SmallVector<Value> step(ValueRange sums,
                          function_ref<Value(int64_t row)> left,
                          function_ref<Value(int64_t vector)> right) {
    SmallVector<Value> next(sums.begin(), sums.end());
    if (dot)
      return stepDot(next, left, right);
    for (int64_t half = 0; half < (paired ? 2 : 1); ++half)
      stepFma(next, half, left, right);
    return next;
  }

private:
  KernelBuilder &b;
  bool paired, dot;
  int64_t rows, vectors;

  SmallVector<Value> stepDot(SmallVector<Value> &sums,
                             function_ref<Value(int64_t)> left,
                             function_ref<Value(int64_t)> right) {
    SmallVector<Value> loaded;
    for (int64_t v = 0; v < vectors; ++v)
      loaded.push_back(b.load(b.vec(b.i32()), right(v)));
    for (int64_t r = 0; r < rows; ++r) {
      KernelBuilder::Pair pair =
          b.broadcastPair(b.load(b.i32(), left(r), /*align=*/2));
      for (int64_t v = 0; v < vectors; ++v) {
        Value &sum = sums[r * vectors + v];
        sum = b.dotPair(pair, loaded[v], sum);
      }
    }
    return sums;
  }

  /// One k: the low or high half of pairs, or a column of f32.
  void stepFma(SmallVector<Value> &sums, int64_t half,
               function_ref<Value(int64_t)> left,
               function_ref<Value(int64_t)> right) {
    SmallVector<Value> loaded;
    for (int64_t v = 0; v < vectors; ++v)
      loaded.push_back(loadRight(right(v), half));
    for (int64_t r = 0; r < rows; ++r) {
      Value k = b.splat(b.load(b.f32(), b.at(left(r), half * 4)));
      for (int64_t v = 0; v < vectors; ++v) {
        Value &sum = sums[r * vectors + v];
        sum = b.fma(k, loaded[v], sum);
      }
    }
  }

  Value loadRight(Value pointer, int64_t half) {
    if (!paired)
      return b.load(b.vec(b.f32()), pointer);
    Value pairs = b.load(b.vec(b.i32()), pointer);
    Value bits =
        half ? Value(arith::AndIOp::create(b.builder, b.loc, pairs,
                                           b.vi(int64_t(0xffff0000))))
             : Value(arith::ShLIOp::create(b.builder, b.loc, pairs, b.vi(16)));
    return b.bitcast(bits, b.vec(b.f32()));
  }
};

} // namespace cpu
} // namespace ds
#endif
