//===- Heads.h - Where heads lie in paged state -----------------*- C++ -*-===//
#ifndef DS_CODEGEN_CPU_HEADS_H
#define DS_CODEGEN_CPU_HEADS_H
#include "codegen/cpu/Builder.h"

namespace ds {
namespace cpu {

/// Sizes of one layer of a state [heads, dims] or [dims] (docs/artifact.md).
struct StateLayout {
  explicit StateLayout(StateType type)
      : heads(type.getShape().size() == 1 ? 1 : type.getShape()[0]),
        dims(type.getWidth() / heads),
        padded(llvm::alignTo(dims, 32)), element(type.getElementType()),
        size(getElementBytes(element)) {}

  int64_t heads, dims;
  int64_t padded; ///< P, columns kept of a head.
  Type element;
  int64_t size; ///< Bytes of an element.

  bool isPaired() const { return element.isBF16(); }
  /// Bytes of 64 positions of one head.
  int64_t headBytes() const { return kPagePositions * padded * size; }
  int64_t pageBytes() const { return heads * headBytes(); }
};

/// The type of what attention reads as values: with a prefix, columns of the
/// keys.
template <typename Op> StateType getReadValues(Op op) {
  auto type = cast<StateType>(op.getValues().getType());
  if (!op.getPrefix())
    return type;
  return StateType::get(op.getContext(),
                        {1, static_cast<int64_t>(*op.getPrefix())},
                        type.getElementType(), 1, 1);
}

/// Returns the address of the page that holds `position` of `sequence`.
Value getPage(KernelBuilder &b, const StateLayout &layout, Value seq,
              Value state, Value sequence, Value position);

/// Returns how many of a list's `most` entries there are: -1 follows the last.
/// EntryScores.cpp.
Value countListed(KernelBuilder &b, Value list, int64_t most);

/// What is worth nothing beside any score of an entry.
constexpr double kNoEntry = -1e30;

/// Transposes 16 x 16 elements. `from` holds a vector for every row `fromStep`
/// bytes apart, or with `paired` for every pair of rows of bf16; so does `to`
/// with rows and columns exchanged, f32 where they are not `dot`. Lanes off in
/// `mask`, if there is one, are taken as zeros. AttentionBackwardPack.cpp.
void transposeElements(KernelBuilder &b, Value from, int64_t fromStep,
                       bool paired, bool dot, Value mask, Value to,
                       int64_t toStep);

} // namespace cpu
} // namespace ds
#endif
