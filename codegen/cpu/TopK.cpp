//===- TopK.cpp - The experts of every token ------------------------------===//
//
// A row's choices are copied to scratch, those of groups that are left out as
// -inf, and the greatest is taken k times: its value first, then the lowest
// column that has it.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Kernels.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace ds;
using namespace ds::cpu;

/// Rows of a tile.
static constexpr int64_t kTileRows = 16;

namespace {
class TopKEmitter {
public:
  TopKEmitter(KernelBuilder &b, KernelTopKOp op, Value args, Value scratch)
      : b(b), op(op), k(op.getK()),
        experts(cast<RankedTensorType>(op.getScores().getType()).getDimSize(1)),
        groups(op.getGroups()), choices(scratch),
        worths(b.at(scratch, scratchBytes(experts))), scores(b.arg(args, 0)),
        picks(b.arg(args, op.getBias() ? 2 : 1)) {
    if (op.getBias())
      bias = b.arg(args, 1);
  }

  static int64_t scratchBytes(int64_t count) {
    return static_cast<int64_t>(llvm::alignTo(count, kLanes)) * 4;
  }

  void emitRow(Value row) {
    copyChoices(row);
    if (groups > 1 && op.getKept() < op.getGroups())
      dropGroups();
    b.loop(b.c(0), b.c(k), 1, [&](Value slot) {
      Value best = takeBest(choices, experts);
      Value to = b.add(b.mul(row, k), slot);
      b.store(arith::TruncIOp::create(b.builder, b.loc, b.i32(), best),
              b.at(picks, b.mul(to, 4)));
    });
  }

private:
  KernelBuilder &b;
  KernelTopKOp op;
  int64_t k, experts, groups;
  Value choices, worths; ///< In scratch, padded with -inf.
  Value scores, picks, bias;

  Value lowest() { return b.vf(-INFINITY); }
  Value scalarAt(Value array, Value index) { return b.at(array, b.mul(index, 4)); }

  /// Score + bias of all experts.
  void copyChoices(Value row) {
    Value from = b.at(scores, b.mul(row, experts * 4));
    b.loop(b.c(0), b.c(experts), kLanes, [&](Value column) {
      Value mask = b.laneMask(b.sub(b.c(experts), column));
      Value offset = b.mul(column, 4);
      Value value = b.loadF32(b.f32(), b.at(from, offset), mask);
      if (bias) // Padded to 16.
        value = b.addf(value, b.load(b.vec(b.f32()), b.at(bias, offset)));
      b.store(b.select(mask, value, lowest()), b.at(choices, offset));
    });
  }

  /// Returns the lowest index of the greatest of `count` values, which becomes
  /// -inf.
  Value takeBest(Value array, int64_t count) {
    Value limit = b.c(llvm::alignTo(count, kLanes));
    auto at = [&](Value column) {
      return b.load(b.vec(b.f32()), scalarAt(array, column));
    };
    Value most = b.loop(b.c(0), limit, kLanes, lowest(),
                        [&](Value column, ValueRange carried) {
                          return SmallVector<Value>{
                              b.maxf(carried[0], at(column))};
                        })
                     .front();
    Value best = b.splat(b.reduceMax(most));
    SmallVector<int32_t> numbers(kLanes);
    std::iota(numbers.begin(), numbers.end(), 0);
    Value lanes = arith::ConstantOp::create(
        b.builder, b.loc,
        DenseElementsAttr::get(b.vec(b.i32()), ArrayRef(numbers)));
    Value none = b.vi(static_cast<int64_t>(count) - 1);
    Value first = b.loop(b.c(0), limit, kLanes, none,
                         [&](Value column, ValueRange carried) {
                           Value base = b.splat(arith::TruncIOp::create(
                               b.builder, b.loc, b.i32(), column));
                           Value index = arith::AddIOp::create(
                               b.builder, b.loc, lanes, base);
                           Value is = arith::CmpFOp::create(
                               b.builder, b.loc, arith::CmpFPredicate::OEQ,
                               at(column), best);
                           Value mine = b.select(is, index, none);
                           return SmallVector<Value>{arith::MinSIOp::create(
                               b.builder, b.loc, carried[0], mine)};
                         })
                      .front();
    Value index = vector::ReductionOp::create(
        b.builder, b.loc, vector::CombiningKind::MINSI, first);
    index = arith::ExtSIOp::create(b.builder, b.loc, b.i64(), index);
    b.store(b.cf(-INFINITY), scalarAt(array, index));
    return index;
  }

  /// What a group is worth: its greatest choice, or the sum of the two
  /// greatest.
  Value findWorth(Value group) {
    int64_t members = experts / groups;
    Value first = b.mul(group, members);
    SmallVector<Value> best = b.loop(
        first, b.add(first, members), 1, {b.cf(-INFINITY), b.cf(-INFINITY)},
        [&](Value expert, ValueRange carried) {
          Value value = b.load(b.f32(), scalarAt(choices, expert));
          Value second = b.maxf(carried[1], smaller(carried[0], value));
          return SmallVector<Value>{b.maxf(carried[0], value), second};
        });
    if (op.getGroupScore() == GroupScore::Max || members == 1)
      return best[0];
    return b.addf(best[0], best[1]);
  }

  Value smaller(Value x, Value y) {
    Value less = arith::CmpFOp::create(b.builder, b.loc,
                                       arith::CmpFPredicate::OLT, x, y);
    return b.select(less, x, y);
  }

  /// Takes the best groups and gives experts of the others no chance.
  void dropGroups() {
    b.loop(b.c(0), b.c(llvm::alignTo(groups, kLanes)), kLanes,
           [&](Value i) { b.store(lowest(), scalarAt(worths, i)); });
    b.loop(b.c(0), b.c(groups), 1, [&](Value group) {
      b.store(findWorth(group), scalarAt(worths, group));
    });
    b.loop(b.c(0), b.c(op.getKept()), 1, [&](Value) {
      Value best = takeBest(worths, groups);
      b.store(b.cf(INFINITY), scalarAt(kept(), best));
    });
    int64_t members = experts / groups;
    b.loop(b.c(0), b.c(groups), 1, [&](Value group) {
      Value mark = b.load(b.f32(), scalarAt(kept(), group));
      Value out = arith::CmpFOp::create(b.builder, b.loc,
                                        arith::CmpFPredicate::OEQ, mark,
                                        b.cf(0.0));
      b.ifThen(out, [&] {
        Value first = b.mul(group, members);
        b.loop(first, b.add(first, members), 1, [&](Value expert) {
          b.store(b.cf(-INFINITY), scalarAt(choices, expert));
        });
      });
      b.store(b.cf(0.0), scalarAt(kept(), group));
    });
  }

public:
  /// Marks of kept groups, zero between rows.
  Value kept() { return b.at(worths, scratchBytes(groups)); }
  void clearMarks() {
    b.loop(b.c(0), b.c(groups), 1, [&](Value group) {
      b.store(b.cf(0.0), scalarAt(kept(), group));
    });
  }
};
} // namespace

void ds::cpu::emitTopK(KernelTopKOp op, ModuleOp module, const Isa &isa,
                       KernelLimits &limits) {
  int64_t experts =
      cast<RankedTensorType>(op.getScores().getType()).getDimSize(1);
  limits.needScratch(
      TopKEmitter::scratchBytes(experts) +
      2 * TopKEmitter::scratchBytes(static_cast<int64_t>(op.getGroups())));
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT), kTileRows);
             });
  buildKernel(module, op.getSymName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                TopKEmitter emitter(b, op, args, scratch);
                emitter.clearMarks();
                Value first = b.mul(tile, kTileRows);
                Value end = b.min(b.add(first, kTileRows), b.dim(dims, kDimT));
                b.loop(first, end, 1,
                       [&](Value row) { emitter.emitRow(row); });
              });
}
