//===- Nsa.h - What ops and kernels of sparse attention share ---*- C++ -*-===//
#ifndef DS_DIALECT_NSA_H
#define DS_DIALECT_NSA_H
#include "dialect/KernelSupport.h"

namespace ds {
namespace nsa {

inline int64_t headsOf(StateType state) {
  return state.getShape().size() == 1 ? 1 : state.getShape()[0];
}
inline int64_t dimsOf(StateType state) {
  return state.getWidth() / headsOf(state);
}

/// "C*2" for two heads: rows for every completed entry and head.
StringRef getEntryRows(StateType state);

/// What attention over some of the kept positions is checked for and costs.
struct Sparse {
  Operation *op;
  Value query;
  StateType keys, values;
  Value blocks;
  int64_t heads;
  KeySource source;
  int64_t size;

  LogicalResult verify() const;
  /// Checks a value that every query head has: [T, heads], f32.
  LogicalResult verifyStatistic(StringRef name, Value value) const;
  /// Checks a gradient of what `state` keeps.
  LogicalResult verifyGradient(StringRef name, Value value,
                               StateType state) const;
  /// Keys that a query sees where `cached` are kept.
  double countSeen(StepShape step) const;
  /// `keyProducts` and `valueProducts` for each pair of query and key.
  Cost getCost(StepShape step, int64_t keyProducts,
               int64_t valueProducts) const;
};

template <typename Op> Sparse getSparse(Op op) {
  return {op,
          op.getQuery(),
          cast<StateType>(op.getKeys().getType()),
          cast<StateType>(op.getValues().getType()),
          op.getBlocks(),
          static_cast<int64_t>(op.getHeads()),
          op.getSource(),
          static_cast<int64_t>(op.getSize())};
}

LogicalResult verifyGather(Operation *op, StateType state, Value positions,
                           Value result, int64_t length, int64_t stride);
LogicalResult verifyAccumulate(Operation *op, Value gradient, Value input);
LogicalResult verifyAppend(Operation *op, StateType state, Value input);
LogicalResult verifyMix(Operation *op, Value gates, Value branch,
                        int64_t heads);

/// How blocks are chosen.
struct Selection {
  int64_t heads, length, block, count, initial, local;
};
template <typename Op> Selection getSelection(Op op) {
  auto number = [](uint64_t value) { return static_cast<int64_t>(value); };
  return {number(op.getHeads()), number(op.getLength()), number(op.getBlock()),
          number(op.getCount()), number(op.getInitial()),
          number(op.getLocal())};
}
LogicalResult verifySelect(Operation *op, const Selection &selection,
                           Value query, StateType keys, Value lse,
                           Value result);
Cost getSelectCost(Operation *op, Value query, StateType keys, StepShape step);

/// Bytes of all matrices, rows as their symbols say, and `perElement` FLOPs for
/// each element of `value`.
Cost getMoveCost(Operation *op, Value value, double perElement, StepShape step);

} // namespace nsa
} // namespace ds
#endif
