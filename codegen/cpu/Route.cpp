//===- Route.cpp - Sorts (token, slot) pairs by expert --------------------===//
//
// One tile counts, adds up and places: a few nanoseconds a pair.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Routing.h"

using namespace ds;
using namespace ds::cpu;

static void storeIndex(KernelBuilder &b, Value value, Value array,
                       Value index) {
  b.store(arith::TruncIOp::create(b.builder, b.loc, b.i32(), value),
          b.at(array, b.mul(index, 4)));
}

void ds::cpu::emitRoute(KernelRouteOp op, ModuleOp module, const Isa &isa,
                        KernelLimits &limits) {
  auto type = cast<RoutingType>(op.getResult().getType());
  int64_t experts = type.getExperts();
  limits.needScratch(experts * 4);
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.min(b.dim(dims, kDimT), b.c(1));
             });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value, Value scratch) {
        Value slots = b.mul(b.dim(dims, kDimT), type.getPicks());
        Value picks = b.arg(args, 0);
        RoutingArrays routing(b, type, b.arg(args, 1), slots);
        auto at = [&](Value array, Value index) {
          return RoutingArrays::at(b, array, index);
        };
        b.loop(b.c(0), b.c(experts), 1, [&](Value expert) {
          storeIndex(b, b.c(0), scratch, expert);
        });
        b.loop(b.c(0), slots, 1, [&](Value slot) {
          Value expert = at(picks, slot);
          storeIndex(b, b.add(at(scratch, expert), 1), scratch, expert);
        });
        // Counts become the rows that are next.
        Value total =
            b.loop(b.c(0), b.c(experts), 1, b.c(0),
                   [&](Value expert, ValueRange carried) {
                     Value count = at(scratch, expert);
                     storeIndex(b, carried[0], routing.offsets, expert);
                     storeIndex(b, carried[0], scratch, expert);
                     return SmallVector<Value>{b.add(carried[0], count)};
                   })
                .front();
        storeIndex(b, total, routing.offsets, b.c(experts));
        b.loop(b.c(0), slots, 1, [&](Value slot) {
          Value expert = at(picks, slot), row = at(scratch, expert);
          storeIndex(b, b.add(row, 1), scratch, expert);
          storeIndex(b, b.div(slot, type.getPicks()), routing.tokens, row);
          storeIndex(b, row, routing.inverse, slot);
        });
      });
}
