//===- AttentionBackward.h - The parts of attention's backward --*- C++ -*-===//
//
// Two kernels share what is here. Rows are (token, head of the group) pairs of
// one sequence and one key head, positions come in pages of 64:
//
//   scores     P[r][p] = exp(scale q[r] . k[p] - lse[r]) where p is seen
//   gradients  dS[r][p] = scale P[r][p] (dO[r] . v[p] - delta[r])
//
// AttentionBackwardQuery.cpp: a tile is a block of tokens; dq[r] += dS[r] k
// over the pages. AttentionBackwardKeys.cpp: a tile is a page; dk[p] += dS^T q
// and dv[p] += P^T dO over chunks of rows.
//
// With a prefix, v are the first columns of k and there is one gradient, dk plus
// dv. With entries, a row sees the positions of its token's list only; the state
// is then kept in the view of values, and pages that no row has an entry of are
// left out.
//
// `dot` (vdpbf16ps) keeps what is multiplied as bf16, in pairs along the sum;
// without it everything lies in scratch as f32, rounded all the same.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_ATTENTIONBACKWARD_H
#define DS_CODEGEN_CPU_ATTENTIONBACKWARD_H
#include "codegen/cpu/Heads.h"
#include "codegen/cpu/Kernels.h"

namespace ds {
namespace cpu {

/// Blocks of 16 positions that a page has.
constexpr int64_t kPageBlocks = kPagePositions / kLanes;

/// What both kernels know of an operation.
struct BackwardShape {
  template <typename Op>
  BackwardShape(Op op, const Isa &isa, int64_t rows)
      : BackwardShape(op.getKeys().getType(), getReadValues(op), isa, rows,
                      op.getPrefix().has_value(), op.getEntries()) {
    heads = static_cast<int64_t>(op.getHeads());
    group = heads / keys.heads;
    scale = op.getScale().convertToDouble();
    queryElement = getElementTypeOrSelf(op.getQuery().getType());
    gradientElement = getElementTypeOrSelf(op.getOutputGradient().getType());
  }
  BackwardShape(StateType keys, StateType values, const Isa &isa, int64_t rows,
                bool isPrefix, Value entries);

  StateLayout keys, values;
  bool isPrefix;
  int64_t entries; ///< Most positions that a row sees, 0 where it is not said.
  bool hasKeySeq = false; ///< Keys have sequences of their own.
  int64_t heads = 0, group = 0; ///< Query heads; of them to a key head.
  double scale = 0;
  Type queryElement, gradientElement;
  bool dot;
  int64_t rowBlock; ///< Rows of a block of scores; rows are padded to it.
  int64_t rows;     ///< Most rows at a time, padded.
  int64_t keyVectors, valueVectors; ///< Vectors of 16 columns.

  // Bytes of a row in scratch, and where the arrays begin.
  int64_t queryStride, gradientStride;
  int64_t queryAt, gradientAt; ///< Rows of q and dO, k-values of products.
  int64_t limitAt; ///< i32: the first position that the row does not see.
  int64_t lseAt, deltaAt; ///< f32, lse negated.
  int64_t productAt;      ///< dO . v of a block of scores, f32.
  /// The page's values in the view of keys; with entries, its keys.
  int64_t transposedAt = 0;
  int64_t seenAt = 0; ///< i64: with entries, the page's positions that it sees.
  int64_t scratchBytes = 0;

  /// Reserves scratch and returns where it begins.
  int64_t place(int64_t bytes) {
    int64_t at = scratchBytes;
    scratchBytes = llvm::alignTo(at + bytes, 64);
    return at;
  }
  /// Bytes of an element that is multiplied, in scratch.
  int64_t elementBytes() const { return dot ? 2 : 4; }
  /// Values of k that one step of a product takes from scratch.
  int64_t together() const { return dot ? 2 : 1; }
  /// Bytes of a vector of 16 columns for a step, whatever the mode.
  static constexpr int64_t kVectorBytes = 64;
  /// Steps of a page's products over `columns`, padded to what is transposed.
  int64_t stepsOf(int64_t columns) const {
    return llvm::alignTo(columns, kLanes) / together();
  }
};

/// A block of a step's tokens or of kept positions, of one sequence.
struct SequenceBlock {
  Value sequence; ///< -1 where the tile has nothing to do.
  Value index;    ///< Of the block within the sequence.
};

/// Emits the parts that both kernels have.
class BackwardEmitter {
public:
  BackwardEmitter(KernelBuilder &b, const BackwardShape &shape, Value args,
                  Value scratch);
  virtual ~BackwardEmitter() = default;

protected:
  KernelBuilder &b;
  const BackwardShape &shape;
  Value args, scratch;
  Value query, keyState, valueState, lse, delta, gradient, seq, entries;
  /// A sequence of the step, or of a view.
  struct SequenceRows {
    Value seq, number;
    Value firstRow;      ///< Of the sequence's first token.
    Value firstPosition; ///< Its position: how many were kept before.
    Value end;           ///< Positions kept after the step.
  };
  // Of the tile.
  Value keyHead;
  SequenceRows querySeq; ///< Whose rows are packed.
  SequenceRows keySeq;   ///< Whose pages are read.

  /// Finds the sequence of block `index`, where sequence b has `count(b)`.
  SequenceBlock findBlock(Value index, Value sequences,
                          function_ref<Value(Value)> count);
  /// Loads what is known of sequence `which` of `seq`.
  SequenceRows getSequence(Value seq, Value which);
  Value countRows(Value seq, Value which);
  Value getPast(Value seq, Value which);

  Value inScratch(int64_t at) { return b.at(scratch, at); }
  /// The key head's part of the page at `position`.
  Value getHeadPage(const StateLayout &layout, Value state, Value position);

  /// Row `row` of the sequence is the token at position row / group, head
  /// row % group of the group. Returns where it lies among [T, heads].
  Value getQueryIndex(Value row);
  /// Copies rows [first, first + count) of the sequence to scratch with what
  /// belongs to them; rows of earlier steps and rows from `last` on see
  /// nothing and are zeros.
  void packRows(Value first, Value count, Value last);
  /// Lays `count` rows of `from` side by side in pairs, which become
  /// [count / 2][vectors][16][2].
  void packPairs(int64_t from, int64_t fromStride, int64_t to, Value count,
                 int64_t vectors);
  /// `rows`, rounded up to whole blocks.
  Value padRows(Value rows) {
    return b.mul(b.ceilDiv(rows, shape.rowBlock), shape.rowBlock);
  }
  /// The first result's number among the arguments.
  int64_t firstResult() const {
    return 7 + (shape.entries ? 1 : 0) + (shape.hasKeySeq ? 1 : 0);
  }
  /// Notes which positions of the page rows [first, first + count) of the
  /// sequence have among their entries; calls `body` if any has one. Without
  /// entries it calls it always.
  void ifSeen(Value first, Value count, Value position,
              function_ref<void()> body);
  /// Brings what scores need of the page at `position` to the view of keys.
  void transposeValues(Value position);
  /// Brings the keys of the page to the view of values, at `to`; what lies
  /// beyond `end` is zero.
  void transposeKeys(Value position, int64_t to);

  /// Computes P and dS of the rows from `begin` to `rows`, both padded, with
  /// the page at `position` and passes them on in blocks.
  void emitScores(Value begin, Value rows, Value position);
  /// Takes P and dS of rows [row, row + count) and vectors [first, ...) of the
  /// page, row by row.
  virtual void storeScores(Value row, int64_t count, int64_t first,
                           int64_t vectors, ArrayRef<Value> probabilities,
                           ArrayRef<Value> gradients) = 0;

  /// sums[r][n] += the products of row r's k-values with the right vectors,
  /// over `steps`, for `count` rows.
  struct Product {
    Value left;       ///< Of the first row and step.
    int64_t leftRow;  ///< Bytes from row to row,
    int64_t leftStep; ///< and from step to step.
    Value right;      ///< [steps][vectors][16] for a step's k-values.
    int64_t rightStep;
    Value begin, steps; ///< The first step and the end of them.
    Value sums;         ///< f32, [rows] of sumStride bytes.
    int64_t sumStride;
  };
  void accumulate(const Product &product, int64_t count, int64_t first,
                  int64_t vectors);
  /// Two rows of 16 values, rounded, as pairs: vector<16xi32>.
  Value makePairs(Value even, Value odd);
  /// Rounds `columns` f32 at `from` and stores them.
  void storeRow(Value from, Value to, Type element, int64_t columns);

private:
  Value findSeen(Value row, Value position);
  void copyKeys(Value position, int64_t to);
  void packRow(Value to, Value from, Type element, int64_t columns,
               Type rounded);
  void transpose(Value from, int64_t fromStep, bool paired, Value mask,
                 Value to, int64_t toStep);
  /// A product of rows in scratch with a page.
  struct PageOperands {
    int64_t leftAt, leftStride;
    Value right;        ///< Blocks of 16 positions, [steps][16].
    int64_t blockBytes; ///< From block to block.
    bool paired;        ///< Whether `right` holds pairs along the sum.
    int64_t columns;    ///< Length of the sum.
  };
  SmallVector<Value> multiply(const PageOperands &operands, Value row,
                              int64_t first, int64_t vectors);
  void emitScoreBlock(const PageOperands &values, const PageOperands &keys,
                      Value row, Value position, int64_t first,
                      int64_t vectors);
};

} // namespace cpu
} // namespace ds
#endif
