//===- Kernels.h - One generator per kernel family --------------*- C++ -*-===//
//
// Each generator emits `<symbol>.<variant>` and `<symbol>.<variant>.tiles`
// for a kernel operation into a module of functions.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_KERNELS_H
#define DS_CODEGEN_CPU_KERNELS_H
#include "codegen/cpu/Builder.h"

namespace ds {
namespace cpu {

/// What all kernels of an artifact share.
struct KernelLimits {
  int64_t scratchBytes = 0; ///< Largest scratch that a kernel needs.
  /// Rows of a query tile (docs/artifact.md), of the step's sequences and of
  /// those views that queries have.
  int64_t queryRows = 1, promptQueryRows = 1, generatedQueryRows = 1;
  /// Break the numerics contract on purpose, for the test that must notice.
  bool mutateReductions = false;

  int64_t getQueryRows(Value seq) const {
    StringRef rows = getSeqRows(seq);
    return rows == "P"   ? promptQueryRows
           : rows == "G" ? generatedQueryRows
                         : queryRows;
  }
  void needScratch(int64_t bytes) {
    scratchBytes = std::max(scratchBytes, bytes);
  }
};

/// The rows of a launch up to which a matmul uses its `_m16` form.
constexpr int64_t kSmallRows = 16;

// Matmul.cpp: `<name>` and `<name>_m16`.
void emitMatmul(KernelMatmulOp op, ModuleOp module, const Isa &isa,
                KernelLimits &limits);
// Matmul.cpp.
void emitOuter(KernelOuterOp op, ModuleOp module, const Isa &isa,
               KernelLimits &limits);
// Attention.cpp. `limits.queryRows` is read, see chooseQueryRows.
void emitAttention(KernelAttentionOp op, ModuleOp module, const Isa &isa,
                   KernelLimits &limits);
// AttentionEntries.cpp. Where queries have entries.
void emitEntryAttention(KernelAttentionOp op, ModuleOp module, const Isa &isa,
                        KernelLimits &limits);
// EntryScores.cpp.
void emitEntryShare(KernelEntryShareOp op, ModuleOp module, const Isa &isa,
                    KernelLimits &limits);
void emitIndexScores(KernelIndexScoresOp op, ModuleOp module, const Isa &isa,
                     KernelLimits &limits);
void emitIndexBackwardQuery(KernelIndexBackwardQueryOp op, ModuleOp module,
                            const Isa &isa, KernelLimits &limits);
void emitIndexBackwardKeys(KernelIndexBackwardKeysOp op, ModuleOp module,
                           const Isa &isa, KernelLimits &limits);
// SelectTokens.cpp.
void emitSelectTokens(KernelSelectTokensOp op, ModuleOp module, const Isa &isa,
                      KernelLimits &limits);
// AttentionDelta.cpp, AttentionBackwardQuery.cpp, AttentionBackwardKeys.cpp.
void emitAttentionDelta(KernelAttentionDeltaOp op, ModuleOp module,
                        const Isa &isa, KernelLimits &limits);
void emitAttentionBackwardQuery(KernelAttentionBackwardQueryOp op,
                                ModuleOp module, const Isa &isa,
                                KernelLimits &limits);
void emitAttentionBackwardKeys(KernelAttentionBackwardKeysOp op,
                               ModuleOp module, const Isa &isa,
                               KernelLimits &limits);
/// Rows of a query tile that suit all attention kernels of the model; `groups`
/// are query heads to a key head.
int64_t chooseQueryRows(ArrayRef<int64_t> groups);
// Row.cpp.
void emitRow(KernelRowOp op, ModuleOp module, const Isa &isa,
             KernelLimits &limits);
// Elementwise.cpp.
void emitElementwise(KernelElementwiseOp op, ModuleOp module, const Isa &isa,
                     KernelLimits &limits);
// Heads.cpp.
void emitHeads(KernelHeadsOp op, ModuleOp module, const Isa &isa,
               KernelLimits &limits);
// Embed.cpp.
void emitEmbed(KernelEmbedOp op, ModuleOp module, const Isa &isa,
               KernelLimits &limits);
// Angles.cpp.
void emitAngles(KernelAnglesOp op, ModuleOp module, const Isa &isa,
                KernelLimits &limits);
// Columns.cpp.
void emitColumnSums(KernelColumnsOp op, ModuleOp module, const Isa &isa,
                    KernelLimits &limits);
// LogProb.cpp.
void emitLogProb(KernelLogProbOp op, ModuleOp module, const Isa &isa,
                 KernelLimits &limits);
void emitLogProbBackward(KernelLogProbBackwardOp op, ModuleOp module,
                         const Isa &isa, KernelLimits &limits);
// MoveRows.cpp.
void emitScatterEmbedding(KernelScatterEmbeddingOp op, ModuleOp module,
                          const Isa &isa, KernelLimits &limits);
void emitGatherRows(KernelGatherRowsOp op, ModuleOp module, const Isa &isa,
                    KernelLimits &limits);
void emitScatterRows(KernelScatterRowsOp op, ModuleOp module, const Isa &isa,
                     KernelLimits &limits);
// ConcatHeads.cpp.
void emitConcatHeads(KernelConcatHeadsOp op, ModuleOp module, const Isa &isa,
                     KernelLimits &limits);
// Update.cpp.
void emitAdamw(KernelAdamwOp op, ModuleOp module, const Isa &isa,
               KernelLimits &limits);
void emitSquareSum(KernelSquareSumOp op, ModuleOp module, const Isa &isa,
                   KernelLimits &limits);

// TopK.cpp.
void emitTopK(KernelTopKOp op, ModuleOp module, const Isa &isa,
              KernelLimits &limits);
// Pick.cpp.
void emitPick(KernelPickOp op, ModuleOp module, const Isa &isa,
              KernelLimits &limits);
void emitPickBackward(KernelPickBackwardOp op, ModuleOp module, const Isa &isa,
                      KernelLimits &limits);
// Balance.cpp.
void emitExpertLoad(KernelExpertLoadOp op, ModuleOp module, const Isa &isa,
                    KernelLimits &limits);
void emitAccumulatePicks(KernelAccumulatePicksOp op, ModuleOp module,
                         const Isa &isa, KernelLimits &limits);
void emitBalanceStep(KernelBalanceStepOp op, ModuleOp module, const Isa &isa,
                     KernelLimits &limits);
// Route.cpp.
void emitRoute(KernelRouteOp op, ModuleOp module, const Isa &isa,
               KernelLimits &limits);
// Combine.cpp.
void emitDispatch(KernelDispatchOp op, ModuleOp module, const Isa &isa,
                  KernelLimits &limits);
void emitCombine(KernelCombineOp op, ModuleOp module, const Isa &isa,
                 KernelLimits &limits);
void emitCombineBackward(KernelCombineBackwardOp op, ModuleOp module,
                         const Isa &isa, KernelLimits &limits);

// AttentionSparse.cpp. `limits.queryRows` is read.
void emitSparseAttention(KernelSparseAttentionOp op, ModuleOp module,
                         const Isa &isa, KernelLimits &limits);
// AttentionSelect.cpp.
void emitSelectBlocks(KernelSelectBlocksOp op, ModuleOp module, const Isa &isa,
                      KernelLimits &limits);
// SparseBackward.cpp.
void emitSparseBackwardQuery(KernelSparseBackwardQueryOp op, ModuleOp module,
                             const Isa &isa, KernelLimits &limits);
void emitSparseBackwardKeys(KernelSparseBackwardKeysOp op, ModuleOp module,
                            const Isa &isa, KernelLimits &limits);
// EntryRows.cpp.
void emitGatherBlocks(KernelGatherBlocksOp op, ModuleOp module, const Isa &isa,
                      KernelLimits &limits);
void emitGatherBlocksBackward(KernelGatherBlocksBackwardOp op, ModuleOp module,
                              const Isa &isa, KernelLimits &limits);
void emitAccumulatePositions(KernelAccumulatePositionsOp op, ModuleOp module,
                             const Isa &isa, KernelLimits &limits);
void emitAppendBlocks(KernelAppendBlocksOp op, ModuleOp module, const Isa &isa,
                      KernelLimits &limits);
// Branches.cpp.
void emitMixBranches(KernelMixBranchesOp op, ModuleOp module, const Isa &isa,
                     KernelLimits &limits);
void emitMixBranchesBackward(KernelMixBranchesBackwardOp op, ModuleOp module,
                             const Isa &isa, KernelLimits &limits);

// LatentRows.cpp.
void emitTakeRows(KernelTakeRowsOp op, ModuleOp module, const Isa &isa,
                  KernelLimits &limits);
void emitMergeRows(KernelMergeRowsOp op, ModuleOp module, const Isa &isa,
                   KernelLimits &limits);
void emitReadLatents(KernelReadLatentsOp op, ModuleOp module, const Isa &isa,
                     KernelLimits &limits);
void emitReadLatentsBackward(KernelReadLatentsBackwardOp op, ModuleOp module,
                             const Isa &isa, KernelLimits &limits);
void emitJoinHeads(KernelJoinHeadsOp op, ModuleOp module, const Isa &isa,
                   KernelLimits &limits);
void emitExpandKeysBackward(KernelExpandKeysBackwardOp op, ModuleOp module,
                            const Isa &isa, KernelLimits &limits);

// Reference.cpp.
void emitReference(KernelReferenceOp op, ModuleOp module, const Isa &isa,
                   KernelLimits &limits);

/// Calls the generator of the kernel's family.
void emitKernel(Operation *op, ModuleOp module, const Isa &isa,
                KernelLimits &limits);

/// Emits every kernel of `source` once for each of `variants`, each into its
/// own module of the result.
struct EmittedKernels {
  SmallVector<std::pair<Variant, OwningOpRef<ModuleOp>>> modules;
  KernelLimits limits;
};
EmittedKernels emitKernels(ModuleOp source, ArrayRef<Variant> variants,
                           bool mutateReductions = false);

} // namespace cpu
} // namespace ds
#endif
