//===- Emit.cpp - Emits every kernel of a module --------------------------===//
#include "codegen/cpu/Heads.h"
#include "codegen/cpu/Kernels.h"
#include "llvm/ADT/StringSet.h"

using namespace ds;
using namespace ds::cpu;

void ds::cpu::emitKernel(Operation *op, ModuleOp module, const Isa &isa,
                         KernelLimits &limits) {
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](KernelMatmulOp k) { emitMatmul(k, module, isa, limits); })
      .Case([&](KernelOuterOp k) { emitOuter(k, module, isa, limits); })
      .Case([&](KernelAttentionOp k) { emitAttention(k, module, isa, limits); })
      .Case([&](KernelAttentionDeltaOp k) {
        emitAttentionDelta(k, module, isa, limits);
      })
      .Case([&](KernelAttentionBackwardQueryOp k) {
        emitAttentionBackwardQuery(k, module, isa, limits);
      })
      .Case([&](KernelAttentionBackwardKeysOp k) {
        emitAttentionBackwardKeys(k, module, isa, limits);
      })
      .Case([&](KernelEntryShareOp k) {
        emitEntryShare(k, module, isa, limits);
      })
      .Case([&](KernelIndexScoresOp k) {
        emitIndexScores(k, module, isa, limits);
      })
      .Case([&](KernelIndexBackwardQueryOp k) {
        emitIndexBackwardQuery(k, module, isa, limits);
      })
      .Case([&](KernelIndexBackwardKeysOp k) {
        emitIndexBackwardKeys(k, module, isa, limits);
      })
      .Case([&](KernelSelectTokensOp k) {
        emitSelectTokens(k, module, isa, limits);
      })
      .Case([&](KernelRowOp k) { emitRow(k, module, isa, limits); })
      .Case([&](KernelElementwiseOp k) {
        emitElementwise(k, module, isa, limits);
      })
      .Case([&](KernelEmbedOp k) { emitEmbed(k, module, isa, limits); })
      .Case([&](KernelAnglesOp k) { emitAngles(k, module, isa, limits); })
      .Case([&](KernelHeadsOp k) { emitHeads(k, module, isa, limits); })
      .Case([&](KernelColumnsOp k) {
        emitColumnSums(k, module, isa, limits);
      })
      .Case([&](KernelLogProbOp k) { emitLogProb(k, module, isa, limits); })
      .Case([&](KernelLogProbBackwardOp k) {
        emitLogProbBackward(k, module, isa, limits);
      })
      .Case([&](KernelScatterEmbeddingOp k) {
        emitScatterEmbedding(k, module, isa, limits);
      })
      .Case([&](KernelGatherRowsOp k) {
        emitGatherRows(k, module, isa, limits);
      })
      .Case([&](KernelScatterRowsOp k) {
        emitScatterRows(k, module, isa, limits);
      })
      .Case([&](KernelConcatHeadsOp k) {
        emitConcatHeads(k, module, isa, limits);
      })
      .Case([&](KernelTopKOp k) { emitTopK(k, module, isa, limits); })
      .Case([&](KernelPickOp k) { emitPick(k, module, isa, limits); })
      .Case([&](KernelPickBackwardOp k) {
        emitPickBackward(k, module, isa, limits);
      })
      .Case([&](KernelExpertLoadOp k) {
        emitExpertLoad(k, module, isa, limits);
      })
      .Case([&](KernelAccumulatePicksOp k) {
        emitAccumulatePicks(k, module, isa, limits);
      })
      .Case([&](KernelBalanceStepOp k) {
        emitBalanceStep(k, module, isa, limits);
      })
      .Case([&](KernelRouteOp k) { emitRoute(k, module, isa, limits); })
      .Case([&](KernelDispatchOp k) { emitDispatch(k, module, isa, limits); })
      .Case([&](KernelCombineOp k) { emitCombine(k, module, isa, limits); })
      .Case([&](KernelCombineBackwardOp k) {
        emitCombineBackward(k, module, isa, limits);
      })
      .Case([&](KernelSparseAttentionOp k) {
        emitSparseAttention(k, module, isa, limits);
      })
      .Case([&](KernelSelectBlocksOp k) {
        emitSelectBlocks(k, module, isa, limits);
      })
      .Case([&](KernelSparseBackwardQueryOp k) {
        emitSparseBackwardQuery(k, module, isa, limits);
      })
      .Case([&](KernelSparseBackwardKeysOp k) {
        emitSparseBackwardKeys(k, module, isa, limits);
      })
      .Case([&](KernelGatherBlocksOp k) {
        emitGatherBlocks(k, module, isa, limits);
      })
      .Case([&](KernelGatherBlocksBackwardOp k) {
        emitGatherBlocksBackward(k, module, isa, limits);
      })
      .Case([&](KernelAccumulatePositionsOp k) {
        emitAccumulatePositions(k, module, isa, limits);
      })
      .Case([&](KernelAppendBlocksOp k) {
        emitAppendBlocks(k, module, isa, limits);
      })
      .Case([&](KernelMixBranchesOp k) {
        emitMixBranches(k, module, isa, limits);
      })
      .Case([&](KernelMixBranchesBackwardOp k) {
        emitMixBranchesBackward(k, module, isa, limits);
      })
      .Case([&](KernelTakeRowsOp k) { emitTakeRows(k, module, isa, limits); })
      .Case([&](KernelMergeRowsOp k) { emitMergeRows(k, module, isa, limits); })
      .Case([&](KernelReadLatentsOp k) {
        emitReadLatents(k, module, isa, limits);
      })
      .Case([&](KernelReadLatentsBackwardOp k) {
        emitReadLatentsBackward(k, module, isa, limits);
      })
      .Case([&](KernelJoinHeadsOp k) { emitJoinHeads(k, module, isa, limits); })
      .Case([&](KernelExpandKeysBackwardOp k) {
        emitExpandKeysBackward(k, module, isa, limits);
      })
      .Case([&](KernelReferenceOp k) { emitReference(k, module, isa, limits); })
      .Case([&](KernelAdamwOp k) { emitAdamw(k, module, isa, limits); })
      .Case([&](KernelSquareSumOp k) {
        emitSquareSum(k, module, isa, limits);
      });
}

/// The kernels of `source`, one for each symbol: equal kernels share one.
static SmallVector<Operation *> collectKernels(ModuleOp source) {
  SmallVector<Operation *> kernels;
  llvm::StringSet<> seen;
  source.walk([&](Operation *op) {
    auto kernel = dyn_cast<KernelInterface>(op);
    if (kernel && seen.insert(kernel.getKernelName()).second)
      kernels.push_back(op);
  });
  return kernels;
}

EmittedKernels ds::cpu::emitKernels(ModuleOp source,
                                    ArrayRef<Variant> variants,
                                    bool mutateReductions) {
  EmittedKernels result;
  result.limits.mutateReductions = mutateReductions;
  SmallVector<Operation *> kernels = collectKernels(source);
  // By the rows that queries have.
  llvm::StringMap<SmallVector<int64_t>> groups;
  auto add = [&](auto op) {
    StateLayout keys(cast<StateType>(op.getKeys().getType()));
    groups[getSeqRows(op.getSeq())].push_back(
        static_cast<int64_t>(op.getHeads()) / keys.heads);
  };
  for (Operation *kernel : kernels)
    if (auto op = dyn_cast<KernelAttentionOp>(kernel); op && !op.getEntries())
      add(op);
    else if (auto sparse = dyn_cast<KernelSparseAttentionOp>(kernel))
      add(sparse);
  result.limits.queryRows = chooseQueryRows(groups["T"]);
  result.limits.promptQueryRows = chooseQueryRows(groups["P"]);
  result.limits.generatedQueryRows = chooseQueryRows(groups["G"]);
  source.getContext()
      ->loadDialect<arith::ArithDialect, func::FuncDialect, math::MathDialect,
                    scf::SCFDialect, vector::VectorDialect,
                    LLVM::LLVMDialect>();
  for (Variant variant : variants) {
    OwningOpRef<ModuleOp> module = ModuleOp::create(source.getLoc());
    for (Operation *kernel : kernels)
      emitKernel(kernel, *module, getIsa(variant), result.limits);
    result.modules.emplace_back(variant, std::move(module));
  }
  return result;
}
