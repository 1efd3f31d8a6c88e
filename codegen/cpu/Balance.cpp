//===- Balance.cpp - Loads of experts and what follows from them ----------===//
//
// Picks are counted by one tile, in integers or in f32 that hold them exactly,
// so that no order matters.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Kernels.h"

using namespace ds;
using namespace ds::cpu;

static int64_t columnsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape().back();
}

static Value toFloat(KernelBuilder &b, Value integer) {
  return arith::SIToFPOp::create(b.builder, b.loc, b.f32(), integer);
}

static void storeInt(KernelBuilder &b, Value integer, Value to) {
  b.store(arith::TruncIOp::create(b.builder, b.loc, b.i32(), integer), to);
}

namespace {
/// The load of the tokens of one tile.
class LoadEmitter {
public:
  LoadEmitter(KernelBuilder &b, KernelExpertLoadOp op, Value args,
              Value scratch)
      : b(b), op(op), args(args), counts(scratch), k(columnsOf(op.getPicks())),
        experts(columnsOf(op.getResult())),
        groups(static_cast<int64_t>(op.getGroups())),
        last(b.at(scratch, arrayBytes(groups))),
        loads(b.at(scratch, 2 * arrayBytes(groups))) {}

  static int64_t scratchBytes(KernelExpertLoadOp op) {
    return 2 * arrayBytes(static_cast<int64_t>(op.getGroups())) +
           arrayBytes(columnsOf(op.getResult()));
  }

  void emit(Value begin, Value end) {
    count(begin, end);
    spread(b.sub(end, begin));
    b.loop(begin, end, 1, [&](Value row) { copy(row); });
  }

private:
  KernelBuilder &b;
  KernelExpertLoadOp op;
  Value args, counts;
  int64_t k, experts, groups;
  Value last;  ///< Of every group the last token that was counted, plus one.
  Value loads; ///< A row of the result.

  /// Whole vectors, one more than there are, as copies read past the end.
  static int64_t arrayBytes(int64_t count) {
    return static_cast<int64_t>(llvm::alignTo(count * 4, 64)) + 64;
  }
  Value at(Value array, Value index) { return b.at(array, b.mul(index, 4)); }

  void count(Value begin, Value end);
  void spread(Value tokens);
  void copy(Value row);
};
} // namespace

void LoadEmitter::count(Value begin, Value end) {
  b.loop(b.c(0), b.c(groups), 1, [&](Value group) {
    storeInt(b, b.c(0), at(counts, group));
    storeInt(b, b.c(0), at(last, group));
  });
  b.loop(begin, end, 1, [&](Value row) {
    Value picks = b.at(b.arg(args, 0), b.mul(row, k * 4));
    b.loop(b.c(0), b.c(k), 1, [&](Value slot) {
      Value group = b.div(b.loadIndex(at(picks, slot)), experts / groups);
      auto add = [&] {
        storeInt(b, b.add(b.loadIndex(at(counts, group)), 1),
                 at(counts, group));
      };
      if (!op.getDistinct())
        return add();
      Value token = b.add(row, 1);
      Value known = b.loadIndex(at(last, group));
      b.ifThen(b.cmp(arith::CmpIPredicate::ne, known, token), [&] {
        add();
        storeInt(b, token, at(last, group));
      });
    });
  });
}

/// groups / (expected tokens) times the count of an expert's group.
void LoadEmitter::spread(Value tokens) {
  Value share = b.divf(
      b.cf(static_cast<double>(groups)),
      b.mulf(b.cf(static_cast<double>(op.getExpected())), toFloat(b, tokens)));
  b.loop(b.c(0), b.c(experts), 1, [&](Value expert) {
    Value group = b.div(expert, experts / groups);
    Value count = toFloat(b, b.loadIndex(at(counts, group)));
    b.store(b.mulf(count, share), at(loads, expert));
  });
}

void LoadEmitter::copy(Value row) {
  Value to = b.at(b.arg(args, 2), b.mul(row, experts * 4));
  int64_t whole = experts / kLanes * kLanes;
  b.loop(b.c(0), b.c(whole), kLanes, [&](Value column) {
    b.storeF32(b.loadF32(b.f32(), at(loads, column)), b.f32(), at(to, column));
  });
  if (whole < experts)
    b.storeF32(b.loadF32(b.f32(), at(loads, b.c(whole))), b.f32(),
               at(to, b.c(whole)), b.laneMask(b.c(experts - whole)));
}

void ds::cpu::emitExpertLoad(KernelExpertLoadOp op, ModuleOp module,
                             const Isa &isa, KernelLimits &limits) {
  limits.needScratch(LoadEmitter::scratchBytes(op));
  bool perSequence = op.getPerSequence();
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return perSequence ? b.dim(dims, kDimB)
                                  : b.min(b.dim(dims, kDimT), b.c(1));
             });
  buildKernel(module, op.getSymName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value scratch) {
                Value begin = b.c(0), end = b.dim(dims, kDimT);
                if (perSequence) {
                  Value first = b.at(b.seqField(b.arg(args, 1), kSeqRowBegin),
                                     b.mul(tile, 4));
                  begin = b.loadIndex(first);
                  end = b.loadIndex(b.at(first, 4));
                }
                LoadEmitter(b, op, args, scratch).emit(begin, end);
              });
}

void ds::cpu::emitAccumulatePicks(KernelAccumulatePicksOp op, ModuleOp module,
                                  const Isa &isa, KernelLimits &) {
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.min(b.dim(dims, kDimT), b.c(1));
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value, Value) {
        Value slots = b.mul(b.dim(dims, kDimT), columnsOf(op.getPicks()));
        Value picks = b.arg(args, 0), counts = b.arg(args, 1);
        b.loop(b.c(0), slots, 1, [&](Value slot) {
          Value expert = b.loadIndex(b.at(picks, b.mul(slot, 4)));
          Value to = b.at(counts, b.mul(expert, 4));
          b.store(b.addf(b.load(b.f32(), to), b.cf(1.0)), to);
        });
      });
}

void ds::cpu::emitBalanceStep(KernelBalanceStepOp op, ModuleOp module,
                              const Isa &isa, KernelLimits &) {
  int64_t experts = columnsOf(op.getMaster());
  double rate = op.getRate().convertToDouble();
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.min(b.dim(dims, kDimT), b.c(1));
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value, Value, Value) {
        Value bias = b.arg(args, 0), counts = b.arg(args, 1);
        Value packed = b.arg(args, 2);
        auto at = [&](Value array, Value index) {
          return b.at(array, b.mul(index, 4));
        };
        // Padding of the counts is zero.
        Value sum =
            b.loop(b.c(0), b.c(experts), kLanes, b.zero(),
                   [&](Value index, ValueRange carried) {
                     Value some = b.load(b.vec(b.f32()), at(counts, index));
                     return SmallVector<Value>{b.addf(carried[0], some)};
                   })
                .front();
        Value mean = b.divf(b.reduceAdd(sum),
                            b.cf(static_cast<double>(experts)));
        b.loop(b.c(0), b.c(experts), 1, [&](Value expert) {
          Value load = b.load(b.f32(), at(counts, expert));
          auto compare = [&](arith::CmpFPredicate predicate) -> Value {
            return arith::CmpFOp::create(b.builder, b.loc, predicate, load,
                                         mean);
          };
          Value step = b.select(
              compare(arith::CmpFPredicate::OLT), b.cf(rate),
              b.select(compare(arith::CmpFPredicate::OGT), b.cf(-rate),
                       b.cf(0.0)));
          Value next = b.addf(b.load(b.f32(), at(bias, expert)), step);
          b.store(next, at(bias, expert));
          b.store(next, at(packed, expert));
        });
      });
}
