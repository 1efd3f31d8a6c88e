//===- Matmul.h - The parts of the matmul kernel ----------------*- C++ -*-===//
//
// A product of rows by panels of 32 columns. One description says what is
// multiplied: where both operands come from, and the epilogue. Producers write
// either operand, a block at a time, into the form that the micro kernels
// read; the schedule says in which order. So the same loops serve weights of
// any element type, and both gradients of a linear layer.
//
//   left    packed rows: for each step, the step's values of every row
//   right   panels of 32 columns: for each step, two vectors of 16
//   a step  a pair of k (panels of bf16) or one k (panels of f32)
//
// For tile registers, rows are packed as [32 k-values of a row] instead.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_MATMUL_H
#define DS_CODEGEN_CPU_MATMUL_H
#include "codegen/cpu/Kernels.h"

namespace ds {
namespace cpu {

/// Columns of a panel.
constexpr int64_t kPanelColumns = 32;
/// k-values of a block of a panel of bf16.
constexpr int64_t kPanelDepth = 32;

/// Where the left operand comes from. `Columns` is a matrix [depth, rows].
enum class LeftOperand { Rows, Columns };

/// Where the right operand comes from.
enum class RightOperand {
  PanelBf16,         ///< docs/artifact.md.
  PanelF32,          ///< docs/artifact.md.
  PanelE4m3,         ///< docs/artifact.md, multiplied as bf16.
  Transposed,        ///< The panel_bf16 of the transposed operand.
  TransposedE4m3,    ///< The panel_e4m3 of the transposed operand, as bf16.
  Rows,              ///< A matrix [depth, columns] of bf16.
  TransposedF32,     ///< The panel_f32 of the transposed operand.
  RowsF32,           ///< A matrix [depth, columns] of f32.
  PanelE4m3F32,      ///< As PanelE4m3 and
  TransposedE4m3F32, ///< TransposedE4m3, multiplied as f32.
};

/// What a matmul kernel computes.
struct MatmulDesc {
  static constexpr int64_t kDynamic = -1;
  /// An operand of the epilogue.
  struct Extra {
    Type element;
    bool isVector; ///< [columns], or else a matrix like the result.
  };

  std::string symbol;
  int64_t rows = kDynamic; ///< Or as many as the launch has: `rowDim`.
  Dim rowDim = kDimT;
  int64_t columns = 0;     ///< Columns of the result.
  int64_t depth = 0;       ///< Length of the sums; kDynamic: T.
  LeftOperand left = LeftOperand::Rows;
  Type leftElement;
  RightOperand right = RightOperand::PanelBf16;
  Type resultElement;
  bool gathered = false; ///< Row r of the product takes row out_rows[r].
  /// Rows are routed: each meets its expert's matrix, and `byToken` says that
  /// the left operand has a row for each token. Of sums over rows, each
  /// expert's are a product of their own.
  RoutingType routing;
  bool byToken = false;
  /// A product for each head: of columns of the left operand and rows of the
  /// right one, or of columns of both that give rows of the result if that is
  /// added to.
  HeadsAttr heads;
  int64_t leftColumns = 0;  ///< Of a row in memory of the left operand.
  int64_t rightColumns = 0; ///< Of one of the right, if that is a matrix.
  bool pair = false;     ///< Panels hold 16 gate and 16 up columns.
  /// The result is [rows, columns padded to 32] and is added to.
  bool accumulates = false;
  SmallVector<Extra> extras;
  Region *epilogue = nullptr; ///< Null: the sum is rounded and stored.

  bool isProduced() const {
    return right != RightOperand::PanelBf16 && right != RightOperand::PanelF32;
  }
  /// A step is a pair of k.
  bool isPaired() const {
    return right != RightOperand::PanelF32 &&
           right != RightOperand::TransposedF32 &&
           right != RightOperand::RowsF32 &&
           right != RightOperand::PanelE4m3F32 &&
           right != RightOperand::TransposedE4m3F32;
  }
  bool isTransposed() const {
    return right == RightOperand::Transposed ||
           right == RightOperand::TransposedF32 ||
           right == RightOperand::TransposedE4m3 ||
           right == RightOperand::TransposedE4m3F32;
  }
  bool isE4m3() const {
    return right == RightOperand::PanelE4m3 ||
           right == RightOperand::PanelE4m3F32 ||
           right == RightOperand::TransposedE4m3 ||
           right == RightOperand::TransposedE4m3F32;
  }
  /// Elements from a row of the result to the next.
  int64_t stride() const {
    if (accumulates)
      return llvm::alignTo(columns, kPanelColumns);
    return heads ? (heads.getCount() - 1) * heads.getResultStride() + columns
                 : columns;
  }
  /// Bytes of an expert's weight, or of its gradient.
  int64_t expertBytes() const;
  /// Bytes of `rows` packed rows of the weight, or of its gradient.
  int64_t weightRowsBytes(int64_t rows) const;
  /// Columns of the product: gate and up are two.
  int64_t panelColumns() const { return pair ? 2 * columns : columns; }
  int64_t panels() const;
  int64_t extraArg() const { return 2; }
  int64_t rowsArg() const {
    return extraArg() + static_cast<int64_t>(extras.size());
  }
  int64_t routingArg() const {
    return accumulates ? 3 : rowsArg() + (gathered ? 1 : 0);
  }
  int64_t resultArg() const {
    if (accumulates)
      return 2;
    return rowsArg() + (gathered ? 1 : 0) + (routing ? 1 : 0);
  }
};

/// How micro kernels multiply.
enum class MicroKind { Tile, Dot, FmaPairs, Fma };

/// In which order a matmul kernel computes it. Never changes a bit.
struct MatmulSchedule {
  /// Chooses for launches of up to 16 rows (`small`) or of any number.
  /// `reversed` takes short blocks of k backwards, which does change bits:
  /// the test of the contract must notice.
  MatmulSchedule(const MatmulDesc &desc, const Isa &isa, bool small,
                 bool reversed = false);

  bool small;
  bool reversed;
  bool streams; ///< Panels come from memory, once.
  /// Most rows whose micro kernel decodes a panel while it multiplies: more
  /// than these share a panel that was decoded before.
  int64_t decodeRows;
  MicroKind kind;
  int64_t rowTile;     ///< Most rows of a tile.
  int64_t rowBlock;    ///< Most rows of a register block.
  int64_t depthBlock;  ///< k-values that are packed at once.
  int64_t depthBlocks; ///< 0 when the depth is dynamic.
  int64_t panels;      ///< Panels of the product.
  int64_t columnTiles; ///< Tiles that they are divided into, evenly.
  // Scratch, in bytes.
  int64_t leftAt = 0, rightAt = 0, sumAt = 0, scratchBytes = 0;

  int64_t tilePanels() const { return llvm::divideCeil(panels, columnTiles); }
  /// Bytes of a packed k-value of one row.
  int64_t leftBytes() const {
    return kind == MicroKind::Tile || kind == MicroKind::Dot ? 2 : 4;
  }
  /// Sums wait in scratch for the next block of k, so each has its place.
  bool parks() const { return depthBlocks != 1; }
};

/// Fills a description from an operation.
MatmulDesc describeMatmul(KernelMatmulOp op);
MatmulDesc describeOuter(KernelOuterOp op);

/// Emits `<symbol>` or, for at most 16 rows, `<symbol>_m16`, each with its
/// tiles.
void emitMatmul(const MatmulDesc &desc, bool small, ModuleOp module,
                const Isa &isa, KernelLimits &limits);

// MatmulMicro.cpp.

/// Rows that a register block can have at most.
int64_t getMostRows(const Isa &isa, MicroKind kind);

/// micro(left, right, sums, steps, rows, ahead): adds to rows x 32 f32 sums
/// the products of packed rows with one panel. Asks for memory at `ahead` on
/// the way: for as much as the panel's with `stream`, which takes up to 16
/// rows; for half as much otherwise, and for up to getMostRows.
func::FuncOp getMicroKernel(ModuleOp module, const Isa &isa, Location loc,
                            MicroKind kind, bool stream);

/// micro(left, panel, sums, steps, rows): the same for a panel_e4m3, decoded in
/// registers, of up to getDecodeRows rows.
func::FuncOp getDecodingKernel(ModuleOp module, const Isa &isa, Location loc,
                               MicroKind kind);
int64_t getDecodeRows(const Isa &isa);

// MatmulTiles.cpp.

/// What tile registers multiply: blocks of `rows` rows one after the other.
struct TileOperands {
  Value left;   ///< Packed, [blocks][steps][rows][32] bf16.
  Value right;  ///< Panel, [steps][2][16][16][2] bf16.
  Value sums;   ///< [blocks][rows][32] f32, added to.
  Value steps;  ///< Of 32 k.
  Value blocks;
  Value rows;   ///< At most 16 `count`, more than 16 (`count` - 1).
  Value ahead;  ///< Memory that is asked for on the way,
  Value lines;  ///< so many lines each step.
};

/// Multiplies in tiles: `count`, 1 or 2, tiles of rows make a block.
void callTileKernel(KernelBuilder &b, ModuleOp module, int64_t count,
                    const TileOperands &operands);

// MatmulPack.cpp.

constexpr int64_t kPackSlack = 1024;

/// pack(to, matrix, out_rows, stride, first row, rows, depth, first k,
/// count): packs `rows` rows of a matrix whose rows are `stride` bytes apart;
/// `count` is a multiple of 32, k-values from `depth` on are zero. Writes up
/// to kPackSlack bytes more than it should.
func::FuncOp getPackRows(ModuleOp module, const Isa &isa, Location loc,
                         Type element, MicroKind kind, bool gathered);

/// pack(to, matrix, stride, first row, rows, depth, first k, count): the same
/// for rows that are columns of a matrix of `element`.
func::FuncOp getPackColumns(ModuleOp module, const Isa &isa, Location loc,
                            Type element, MicroKind kind);

/// Transposes 16 vectors of 16 lanes.
void transposeLines(KernelBuilder &b, SmallVector<Value> &lines);

/// 16 f32 of row `k` of a matrix, as loadPairs.
Value loadLineF32(KernelBuilder &b, Value matrix, Value stride, Value k,
                  Value depth, Value count);

/// 16 words (k, k + 1) of rows k and k + 1 of a matrix of bf16 [depth, ...],
/// of its first `count` columns; zeros beyond either.
Value loadPairs(KernelBuilder &b, Value matrix, Value stride, Value k,
                Value depth, Value count);

// MatmulProduce.cpp.

/// What a producer of panels is asked for.
struct PanelRequest {
  Value to;          ///< Scratch for the panel's block.
  Value source;      ///< The right operand.
  Value panel;       ///< Panel number.
  Value first;       ///< First k, a multiple of the depth block.
  Value count;       ///< k-values, a multiple of 32.
  Value depth;       ///< Length of the sums.
};

/// Calls the producer that writes a panel's block as panel_bf16 or panel_f32.
void producePanel(KernelBuilder &b, ModuleOp module, const MatmulDesc &desc,
                  const PanelRequest &request);

// MatmulEpilogue.cpp.

/// A block of sums and where they go.
struct EpilogueBlock {
  Value args;
  Value result; ///< Where the result begins.
  Value sums;  ///< [rows, 32] f32.
  Value row;   ///< First row of the result.
  Value rows;
  Value panel;
};

/// Applies the epilogue to a block and stores the results.
void emitEpilogue(KernelBuilder &b, const MatmulDesc &desc,
                  const EpilogueBlock &block);

} // namespace cpu
} // namespace ds
#endif
