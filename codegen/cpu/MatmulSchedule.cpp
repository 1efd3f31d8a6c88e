//===- MatmulSchedule.cpp - In which order a product is computed ----------===//
//
// Pure functions of the description. Nothing here changes a bit of a result.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/E4m3.h"
#include "codegen/cpu/Matmul.h"

using namespace ds;
using namespace ds::cpu;

int64_t MatmulDesc::panels() const {
  if (pair)
    return llvm::divideCeil(columns, kLanes);
  return llvm::divideCeil(columns, kPanelColumns);
}

int64_t MatmulDesc::weightRowsBytes(int64_t rows) const {
  if (accumulates)
    return rows * stride() * 4;
  // Panels of a transposed operand are of its own columns.
  int64_t length = llvm::alignTo(isTransposed() ? columns : depth, kPanelDepth);
  if (isE4m3())
    return rows / kPanelColumns * getE4m3PanelBytes(length);
  return rows * length * (isPaired() ? 2 : 4);
}

int64_t MatmulDesc::expertBytes() const {
  if (accumulates)
    return weightRowsBytes(llvm::alignTo(rows, kPanelColumns));
  return weightRowsBytes(isTransposed() ? llvm::alignTo(depth, kPanelDepth)
                                        : panels() * kPanelColumns);
}

/// Rows of a tile when there are many: their packed block of k and what a
/// panel adds stay in the second-level cache. More rows pay where tile
/// registers are fast, and where a panel is produced for each of these tiles.
static int64_t chooseRowTile(const MatmulDesc &desc, MicroKind kind) {
  return kind == MicroKind::Tile || desc.isProduced() ? 256 : 128;
}

/// k-values of a panel that stay in the first-level cache.
static constexpr int64_t kNearDepth = 256;
/// Most bytes of a row's block of k. Vectors read a panel fast enough from the
/// second level.
static constexpr int64_t kDepthBytes = 4096;
/// Bytes of weights that a tile of few rows reads: tens of microseconds.
static constexpr int64_t kStreamBytes = 512 << 10;
/// Elements of weights that a tile of many rows reads: about a millisecond.
static constexpr int64_t kTileElements = 1 << 20;

static MicroKind chooseKind(const MatmulDesc &desc, const Isa &isa) {
  if (!desc.isPaired())
    return MicroKind::Fma;
  if (!isa.bf16Dot || !desc.leftElement.isBF16())
    return MicroKind::FmaPairs;
  return isa.tiles ? MicroKind::Tile : MicroKind::Dot;
}

/// Blocks of equal length that are multiples of 32, or of k-values that share
/// scales.
static int64_t chooseDepthBlock(const MatmulDesc &desc, int64_t most) {
  if (desc.depth == MatmulDesc::kDynamic)
    return most;
  int64_t padded = llvm::alignTo(desc.depth, kPanelDepth);
  int64_t blocks = llvm::divideCeil(padded, most);
  bool grouped = desc.isE4m3() && !desc.isTransposed();
  return llvm::alignTo(llvm::divideCeil(padded, blocks),
                       grouped ? kScaleBlock : kPanelDepth);
}

static int64_t getElementSize(const MatmulDesc &desc) {
  return desc.isE4m3() ? 1 : desc.isPaired() ? 2 : 4;
}

/// Panels of a tile.
static int64_t choosePanels(const MatmulDesc &desc, MicroKind kind,
                            bool small) {
  bool isDynamic = desc.depth == MatmulDesc::kDynamic;
  int64_t depth = isDynamic ? 512 : llvm::alignTo(desc.depth, kPanelDepth);
  int64_t panel = depth * kPanelColumns;
  int64_t least = 1, wanted = kTileElements / panel;
  if (small)
    wanted = kStreamBytes / (panel * getElementSize(desc));
  else if (kind == MicroKind::Tile) // Packing rows costs more beside them.
    least = 16, wanted = 2 * kTileElements / panel;
  int64_t most = std::max<int64_t>(1, desc.panels() / (small ? 8 : 4));
  return std::min(std::max(least, wanted), most);
}

static int64_t chooseRowBlock(const Isa &isa, MicroKind kind, bool small,
                              bool streams) {
  if (kind == MicroKind::Tile)
    return small ? 16 : 32;
  return streams ? kSmallRows : getMostRows(isa, kind);
}

static int64_t chooseMostDepth(const MatmulDesc &desc, MicroKind kind,
                               bool small, bool streams, bool reversed) {
  if (reversed)
    return kPanelDepth;
  if ((desc.isProduced() && !streams) || (kind == MicroKind::Tile && !small))
    return kNearDepth;
  bool isNarrow = kind == MicroKind::Tile || kind == MicroKind::Dot;
  return kDepthBytes / (isNarrow ? 2 : 4);
}

MatmulSchedule::MatmulSchedule(const MatmulDesc &desc, const Isa &isa,
                               bool small, bool reversed)
    : small(small), reversed(reversed),
      streams(small &&
              (!desc.isProduced() || desc.right == RightOperand::PanelE4m3)),
      decodeRows(0), kind(chooseKind(desc, isa)),
      rowTile(small ? kSmallRows : chooseRowTile(desc, kind)),
      rowBlock(chooseRowBlock(isa, kind, small, streams)),
      depthBlock(chooseDepthBlock(
          desc, chooseMostDepth(desc, kind, small, streams, reversed))),
      depthBlocks(desc.depth == MatmulDesc::kDynamic
                      ? 0
                      : llvm::divideCeil(llvm::alignTo(desc.depth, kPanelDepth),
                                         depthBlock)),
      panels(desc.panels()),
      columnTiles(llvm::divideCeil(panels, choosePanels(desc, kind, small))) {
  if (streams && desc.isE4m3() && kind != MicroKind::Tile)
    decodeRows = getDecodeRows(isa);
  int64_t next = 0;
  auto place = [&](int64_t bytes) {
    int64_t at = next;
    next = llvm::alignTo(next + bytes, 64);
    return at;
  };
  leftAt = place(rowTile * depthBlock * leftBytes() + kPackSlack);
  if (desc.isProduced())
    rightAt = place(kPanelColumns * depthBlock * (desc.isPaired() ? 2 : 4));
  int64_t sumRows = parks()                    ? rowTile * tilePanels()
                    : kind == MicroKind::Tile ? rowTile
                                              : rowBlock;
  sumAt = place(sumRows * kPanelColumns * 4);
  scratchBytes = next;
}
