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
  AttentionShape(KernelSparseAttentionOp op, const Isa &isa, int64_t queryRows);
  /// Scores alone.
  AttentionShape(KernelSelectBlocksOp op, const Isa &isa);
  AttentionShape(KernelSelectTokensOp op, const Isa &isa);

  StateLayout keys, values;
  int64_t heads, group;        ///< Query heads; of them to a key head.
  Type queryElement, resultElement;
  bool keepsLse;               ///< Whether the second result is asked for.
  double scale;
  int64_t rows;                ///< Most rows of a tile.
  /// The values are the first columns of the keys: a split of them is brought
  /// to the view of values in scratch.
  bool isPrefix = false;

  /// Whether products are of pairs by vdpbf16ps. If not, queries and
  /// probabilities lie in scratch as f32 (rounded all the same).
  bool keyDot, valueDot;
  int64_t keySteps;            ///< Pairs (bf16) or columns (f32) of a key.
  int64_t valueVectors;        ///< Vectors of 16 columns of a value.

  // Bytes of a row in scratch, and where the arrays begin.
  int64_t queryStride, scoreStride, outStride;
  int64_t queryAt, scoreAt, outAt, maxAt, sumAt, oldScaleAt, newScaleAt;
  int64_t valueAt = 0;
  int64_t scratchBytes = 0;

  /// Reserves scratch and returns where it begins.
  int64_t place(int64_t bytes) {
    int64_t at = scratchBytes;
    scratchBytes = llvm::alignTo(at + bytes, 64);
    return at;
  }
  /// Bytes of a broadcast operand in scratch for each position or column.
  int64_t queryBytes() const { return keyDot ? 2 : 4; }
  int64_t probabilityBytes() const { return valueDot ? 2 : 4; }

private:
  /// Decides on products and places what a tile of `rows` keeps.
  void lay(const Isa &isa);
};

struct AttentionTile;

/// Where positions lie that are not the pages of a sequence in order, and which
/// of them a row sees.
class PositionSource {
public:
  virtual ~PositionSource() = default;
  /// The key head's part of the page that `position` is in, laid out as
  /// `layout`.
  virtual Value getHead(const StateLayout &layout, const AttentionTile &tile,
                        Value state, Value position) const = 0;
  /// The first position of the split that the row sees and the end of them;
  /// with nothing between where it sees none.
  virtual std::pair<Value, Value> getVisible(const AttentionTile &tile,
                                             Value row) const = 0;
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
  /// Null where rows see all positions up to their own.
  const PositionSource *source = nullptr;
};

/// Calls `body(row, count)` for blocks of rows; `count` is at most `largest`
/// and constant in each call.
void forRowBlocks(KernelBuilder &b, const AttentionShape &shape,
                  const AttentionTile &tile, int64_t largest,
                  function_ref<void(Value row, int64_t count)> body);

/// The rows of a tile, from queries to results.
class AttentionEmitter {
public:
  AttentionEmitter(KernelBuilder &b, const AttentionShape &shape, Value scratch)
      : b(b), shape(shape) {
    tile.scratch = scratch;
  }
  virtual ~AttentionEmitter() = default;

protected:
  KernelBuilder &b;
  const AttentionShape &shape;
  Value query, result, lse; ///< Arguments; no lse where it is not kept.
  Value firstRow;           ///< Of the tile, in the step.
  AttentionTile tile;

  /// Makes tile `index` that of a query tile and a key head.
  void locate(Value index, Value queryTiles);
  /// Copies the tile's queries to scratch, padded with zeros.
  void packQueries();
  /// Calls `body` with every row, the token's row in the step and the head.
  void forRows(function_ref<void(Value row, Value token, Value head)> body);
  void clearResults();
  void emitSplit(bool single);
  void storeResults();
  void storeLse();
};

/// Scaled scores of all rows with the positions of the split.
void emitScores(KernelBuilder &b, const AttentionShape &shape,
                const AttentionTile &tile);
/// Probabilities, fresh maxima and sums, and the factors of the merge.
void emitSoftmax(KernelBuilder &b, const AttentionShape &shape,
                 const AttentionTile &tile);
/// Brings the values of a split to scratch where they are columns of the keys.
void emitPrefix(KernelBuilder &b, const AttentionShape &shape,
                const AttentionTile &tile);
/// Adds the split's values to the rows' results.
void emitValues(KernelBuilder &b, const AttentionShape &shape,
                const AttentionTile &tile);

} // namespace cpu
} // namespace ds
#endif
