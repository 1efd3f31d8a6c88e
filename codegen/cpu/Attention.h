//===- Attention.h - The parts of the attention kernel ----------*- C++ -*-===//
//
// One tile is a query tile of a sequence and one key head. Its rows are
// (token, head of the group) pairs. Positions are read in splits of 512
// (docs/artifact.md, "Numerics of kernels"):
//
//   scores     S[r][p] = q[r] . k[p], 16 positions to a vector
//   softmax    m, l and probabilities of the split, in place of S
//   values     o of the split, merged into O[r] with fresh m and l
//
// What a row sees never depends on the other rows: every product has its own
// accumulator, and positions that a row does not see have probability zero.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_ATTENTION_H
#define DS_CODEGEN_CPU_ATTENTION_H
#include "codegen/cpu/Heads.h"
#include "codegen/cpu/Kernels.h"

namespace ds {
namespace cpu {

/// The shape of an attention kernel and where a tile's data lie in scratch.
struct AttentionShape {
  AttentionShape(KernelAttentionOp op, const Isa &isa, int64_t queryRows);

  StateLayout keys, values;
  int64_t heads, group;        ///< Query heads; of them to a key head.
  Type queryElement, resultElement;
  bool keepsLse;               ///< Whether the second result is asked for.
  double scale;
  int64_t rows;                ///< Most rows of a tile.

  /// Whether products are of pairs by vdpbf16ps. If not, queries and
  /// probabilities lie in scratch as f32 (rounded all the same).
  bool keyDot, valueDot;
  int64_t keySteps;            ///< Pairs (bf16) or columns (f32) of a key.
  int64_t valueVectors;        ///< Vectors of 16 columns of a value.

  // Bytes of a row in scratch, and where the arrays begin.
  int64_t queryStride, scoreStride, outStride;
  int64_t queryAt, scoreAt, outAt, maxAt, sumAt, oldScaleAt, newScaleAt;
  int64_t scratchBytes;

  /// Bytes of a broadcast operand in scratch for each position or column.
  int64_t queryBytes() const { return keyDot ? 2 : 4; }
  int64_t probabilityBytes() const { return valueDot ? 2 : 4; }
};

/// Values of the tile that is being emitted.
struct AttentionTile {
  Value scratch;
  Value seq, keyState, valueState; ///< Arguments.
  Value sequence, head;            ///< Of the tile; `head` is the key head.
  Value rows;                      ///< Rows of the tile.
  Value firstPosition;             ///< Of the tile's first token.
  // Of the split.
  Value begin;     ///< Its first position.
  Value positions; ///< How many of its positions any row sees.
  Value next;      ///< First position of the next split, or its own again.
  /// Whether the tile is known to be of one token, `group` rows: decode.
  bool single = false;
};

/// Calls `body(row, count)` for blocks of rows; `count` is at most `largest`
/// and constant in each call.
void forRowBlocks(KernelBuilder &b, const AttentionShape &shape,
                  const AttentionTile &tile, int64_t largest,
                  function_ref<void(Value row, int64_t count)> body);

/// Scaled scores of all rows with the positions of the split.
void emitScores(KernelBuilder &b, const AttentionShape &shape,
                const AttentionTile &tile);
/// Probabilities, fresh maxima and sums, and the factors of the merge.
void emitSoftmax(KernelBuilder &b, const AttentionShape &shape,
                 const AttentionTile &tile);
/// Adds the split's values to the rows' results.
void emitValues(KernelBuilder &b, const AttentionShape &shape,
                const AttentionTile &tile);

} // namespace cpu
} // namespace ds
#endif
