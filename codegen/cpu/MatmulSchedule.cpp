//===- MatmulSchedule.cpp - In which order a product is computed ----------===//
//
// Pure functions of the description. Nothing here changes a bit of a result.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Matmul.h"

using namespace ds;
using namespace ds::cpu;

int64_t MatmulDesc::panels() const {
  if (pair)
    return llvm::divideCeil(columns, kLanes);
  return llvm::divideCeil(columns, kPanelColumns);
}

/// Rows of a tile when there are many: their packed block of k and what a
/// panel adds stay in the second-level cache.
static constexpr int64_t kRowTile = 128;
/// k-values that register blocks take at once, at most, in bytes of a column.
static constexpr int64_t kDepthBytes = 4096;
/// k-values of a panel that is produced in scratch: it stays in the first
/// level.
static constexpr int64_t kProducedDepth = 256;
/// Bytes of weights that a tile of few rows reads: tens of microseconds.
static constexpr int64_t kStreamBytes = 512 << 10;
/// Elements of weights that a tile of many rows reads: about a millisecond at
/// 128 rows.
static constexpr int64_t kTileElements = 1 << 20;

static MicroKind chooseKind(const MatmulDesc &desc, const Isa &isa) {
  if (!desc.isPaired())
    return MicroKind::Fma;
  bool dot = isa.bf16Dot && desc.leftElement.isBF16();
  return dot ? MicroKind::Dot : MicroKind::FmaPairs;
}

/// Blocks of equal length that are multiples of 32.
static int64_t chooseDepthBlock(const MatmulDesc &desc, int64_t most) {
  if (desc.depth == MatmulDesc::kDynamic)
    return most;
  int64_t padded = llvm::alignTo(desc.depth, kPanelDepth);
  int64_t blocks = llvm::divideCeil(padded, most);
  return llvm::alignTo(llvm::divideCeil(padded, blocks), kPanelDepth);
}

/// Panels of a tile.
static int64_t choosePanels(const MatmulDesc &desc, bool small) {
  int64_t depth = desc.depth == MatmulDesc::kDynamic
                      ? 512
                      : llvm::alignTo(desc.depth, kPanelDepth);
  int64_t elements = depth * kPanelColumns;
  int64_t size = desc.right == RightOperand::PanelF32    ? 4
                 : desc.right == RightOperand::PanelE4m3 ? 1
                                                         : 2;
  int64_t wanted =
      small ? kStreamBytes / (elements * size) : kTileElements / elements;
  int64_t most = std::max<int64_t>(1, desc.panels() / (small ? 8 : 4));
  return std::clamp<int64_t>(wanted, 1, most);
}

MatmulSchedule::MatmulSchedule(const MatmulDesc &desc, const Isa &isa,
                               bool small, bool reversed)
    : small(small), reversed(reversed), streams(small && !desc.isProduced()),
      kind(chooseKind(desc, isa)),
      rowTile(small ? kSmallRows : kRowTile),
      rowBlock(streams ? kSmallRows : getMostRows(isa, kind)),
      depthBlock(chooseDepthBlock(desc, reversed ? kPanelDepth
                                        : desc.isProduced()
                                            ? kProducedDepth
                                            : kDepthBytes / leftBytes())),
      depthBlocks(desc.depth == MatmulDesc::kDynamic
                      ? 0
                      : llvm::divideCeil(
                            llvm::alignTo(desc.depth, kPanelDepth),
                            depthBlock)),
      panels(desc.panels()),
      columnTiles(llvm::divideCeil(panels, choosePanels(desc, small))) {
  int64_t next = 0;
  auto place = [&](int64_t bytes) {
    int64_t at = next;
    next = llvm::alignTo(next + bytes, 64);
    return at;
  };
  // A line more: packing writes too much at the end.
  leftAt = place(rowTile * depthBlock * leftBytes() + 64);
  if (desc.isProduced())
    rightAt = place(kPanelColumns * depthBlock * 2);
  sumAt = place((parks() ? rowTile * tilePanels() : rowBlock) *
                kPanelColumns * 4);
  scratchBytes = next;
}
