//===- Rotation.h - Turns the columns of a head -----------------*- C++ -*-===//
#ifndef DS_CODEGEN_CPU_ROTATION_H
#define DS_CODEGEN_CPU_ROTATION_H
#include "codegen/cpu/Builder.h"

namespace ds {
namespace cpu {

/// Rotates one head in f32 by a token's angles, or back.
class Rotation {
public:
  /// `angles` is the token's row of cos, then sin; `from` and `to` are the
  /// element types of the head and of what it becomes.
  Rotation(KernelBuilder &b, RopeAttr rope, Type from, Type to, Value angles,
           bool inverse)
      : b(b), rope(rope), from(from), to(to), angles(angles), inverse(inverse),
        half(rope.getDims() / 2), fromSize(getElementBytes(from)),
        toSize(getElementBytes(to)) {}

  /// Rotates the columns of the head at `input` that are rotated, into
  /// `output`.
  void emit(Value input, Value output);

private:
  KernelBuilder &b;
  RopeAttr rope;
  Type from, to;
  Value angles;
  bool inverse;
  int64_t half, fromSize, toSize;

  Value load(Value input, int64_t column, Value mask);
  void store(Value value, Value output, int64_t column, Value mask);
  std::pair<Value, Value> turn(Value x, Value y, Value cosine, Value sine);
  void emitHalfSplit(Value input, Value output, int64_t first, Value mask,
                     Value cosine, Value sine);
  void emitInterleaved(Value input, Value output, int64_t first,
                       int64_t count, Value cosine, Value sine);
};

/// Copies the columns [begin, end) of a row of `from` to a row of `to`, rounded
/// where `to` is narrower.
void copyColumns(KernelBuilder &b, Value source, Type from, Value output,
                 Type to, int64_t begin, int64_t end);

} // namespace cpu
} // namespace ds
#endif
