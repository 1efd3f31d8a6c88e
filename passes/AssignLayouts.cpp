//===- AssignLayouts.cpp - How weights lie in memory ----------------------===//
#include "passes/Passes.h"
#include "passes/WeightTools.h"

namespace ds {
#define GEN_PASS_DEF_ASSIGNLAYOUTS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

/// Returns the layout that the operation of `use` wants, or none where the
/// operand is not a weight's.
static std::optional<WeightLayout> getWanted(OpOperand &use) {
  Operation *op = use.getOwner();
  auto panel = [&](Value input) {
    auto weight = cast<RankedTensorType>(use.get().getType());
    if (isa<Float8E4M3FNType>(weight.getElementType()))
      return WeightLayout::PanelE4m3;
    return cast<RankedTensorType>(input.getType()).getElementType().isF32()
               ? WeightLayout::PanelF32
               : WeightLayout::PanelBf16;
  };
  if (auto linear = dyn_cast<LinearOp>(op))
    return use.get() == linear.getBias() ? WeightLayout::VectorF32
                                         : panel(linear.getInput());
  if (auto gated = dyn_cast<GatedLinearOp>(op))
    return panel(gated.getInput());
  if (auto absorb = dyn_cast<AbsorbQueryOp>(op))
    return panel(absorb.getQuery());
  if (auto absorb = dyn_cast<AbsorbValueOp>(op))
    return panel(absorb.getInput());
  if (auto transposed = dyn_cast<LinearTOp>(op))
    return panel(transposed.getInput());
  if (auto head = dyn_cast<LinearLogProbOp>(op))
    return panel(head.getInput());
  if (auto head = dyn_cast<LinearLogProbBackwardOp>(op))
    return panel(head.getInput());
  if (isa<RmsNormOp, RmsNormBackwardOp, LayerNormOp, LayerNormBackwardOp,
          TopKOp>(op))
    return WeightLayout::VectorF32;
  if (isa<EmbeddingOp, GatherBlocksOp>(op))
    return WeightLayout::Raw;
  return std::nullopt;
}

/// Combines what two uses want: a table that is also multiplied is packed.
static FailureOr<WeightLayout> combine(WeightLayout a, WeightLayout b) {
  if (a == b || b == WeightLayout::Raw)
    return a;
  if (a == WeightLayout::Raw)
    return b;
  return failure();
}

/// Finds the layout that suits all readers of `weight`, if any wants one.
static FailureOr<std::optional<WeightLayout>>
findLayout(WeightOp weight, ArrayRef<GetWeightOp> readers) {
  std::optional<WeightLayout> layout;
  for (GetWeightOp reader : readers) {
    for (OpOperand &use : reader->getUses()) {
      std::optional<WeightLayout> wanted = getWanted(use);
      if (!wanted)
        continue;
      FailureOr<WeightLayout> both = combine(layout.value_or(*wanted), *wanted);
      if (failed(both)) {
        InFlightDiagnostic diag = weight.emitOpError()
                                  << "expects uses that agree on a layout, got "
                                  << stringifyWeightLayout(*layout) << " and "
                                  << stringifyWeightLayout(*wanted);
        diag.attachNote(use.getOwner()->getLoc()) << "used here";
        return failure();
      }
      layout = *both;
    }
  }
  return layout;
}

namespace {
struct AssignLayouts : ds::impl::AssignLayoutsBase<AssignLayouts> {
  void runOnOperation() override {
    WeightTable weights(getOperation());
    for (WeightOp weight : getOperation().getOps<WeightOp>())
      if (!weight.getLayout() && failed(assign(weights, weight)))
        return signalPassFailure();
  }

  LogicalResult assign(WeightTable &weights, WeightOp weight) {
    ArrayRef<GetWeightOp> readers = weights.getReaders(weight);
    FailureOr<std::optional<WeightLayout>> layout = findLayout(weight, readers);
    if (failed(layout))
      return failure();
    if (!*layout)
      return success();
    weight.setLayout(**layout);
    for (GetWeightOp reader : readers)
      reader.getResult().setType(getPackedType(weight));
    return success();
  }
};
} // namespace
