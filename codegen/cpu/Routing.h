//===- Routing.h - The arrays of a routing ----------------------*- C++ -*-===//
//
// A routing in memory (docs/artifact.md): where every expert's rows begin, the
// token of every routed row, the routed row of every slot. All are i32.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_ROUTING_H
#define DS_CODEGEN_CPU_ROUTING_H
#include "codegen/cpu/Builder.h"

namespace ds {
namespace cpu {

struct RoutingArrays {
  /// Finds the arrays of the routing at `pointer` for a step of `slots`
  /// (token, slot) pairs.
  RoutingArrays(KernelBuilder &b, RoutingType type, Value pointer, Value slots)
      : offsets(pointer),
        tokens(b.at(pointer, llvm::alignTo(type.getExperts() + 1, 16) * 4)),
        inverse(b.at(tokens, b.mul(slots, 4))) {}

  Value offsets; ///< [experts + 1] first routed row of each expert.
  Value tokens;  ///< [slots] token of a routed row.
  Value inverse; ///< [slots] routed row.

  static Value at(KernelBuilder &b, Value array, Value index) {
    return b.loadIndex(b.at(array, b.mul(index, 4)));
  }
};

} // namespace cpu
} // namespace ds
#endif
