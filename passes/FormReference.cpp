//===- FormReference.cpp - Kernels that are what operations mean ----------===//
#include "dialect/Meaning.h"
#include "passes/Passes.h"
#include "passes/Regions.h"

namespace ds {
#define GEN_PASS_DEF_FORMREFERENCE
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

/// Whether `op` only names something that operations take.
static bool isSource(Operation *op) {
  return isa<ModuleOp, func::FuncOp, func::ReturnOp, WeightOp, GetWeightOp,
             RunOp, ViewSeqOp, RowInputOp, tensor::DimOp,
             arith::ConstantIndexOp>(op);
}

/// Clones what gives a size, and what that takes, on the values of `map`.
static void cloneSize(OpBuilder &builder, Value size, IRMapping &map) {
  if (map.contains(size))
    return;
  Operation *op = size.getDefiningOp();
  for (Value operand : op->getOperands())
    cloneSize(builder, operand, map);
  builder.clone(*op, map);
}

/// Returns the symbol of the rows of what `op` makes, or puts into states.
static StringRef findRows(Operation *op) {
  Value result = op->getResult(0);
  return isa<RankedTensorType>(result.getType()) ? getRowSymbolOf(result)
                                                 : findRowSymbol(op);
}

static void form(Operation *op) {
  OpBuilder builder(op);
  SmallVector<Value> inputs;
  for (Value operand : op->getOperands())
    if (!operand.getType().isIndex() && !llvm::is_contained(inputs, operand))
      inputs.push_back(operand);
  auto kernel = KernelReferenceOp::create(
      builder, op->getLoc(), op->getResultTypes(), op->getName().stripDialect(),
      inputs, findRows(op));
  Block &block = kernel.getBody().emplaceBlock();
  IRMapping map;
  for (Value input : inputs)
    map.map(input, block.addArgument(input.getType(), op->getLoc()));
  OpBuilder inside = OpBuilder::atBlockBegin(&block);
  for (Value operand : op->getOperands())
    cloneSize(inside, operand, map);
  Operation *meant = inside.clone(*op, map);
  YieldOp::create(inside, op->getLoc(), meant->getResults());
  op->replaceAllUsesWith(kernel);
  op->erase();
}

/// FP8 is decoded when it is loaded: what is multiplied is of the compute type.
static void decodeWeights(ModuleOp module) {
  auto compute = module->getAttrOfType<TypeAttr>(kComputeAttr);
  Type element = compute ? compute.getValue()
                         : BFloat16Type::get(module.getContext());
  auto decode = [&](Type type) -> RankedTensorType {
    auto tensor = cast<RankedTensorType>(type);
    if (isa<Float8E4M3FNType>(tensor.getElementType()))
      return tensor.clone(element);
    return tensor;
  };
  for (WeightOp weight : module.getOps<WeightOp>())
    weight.setType(decode(weight.getType()));
  module.walk([&](GetWeightOp read) {
    read.getResult().setType(decode(read.getType()));
  });
}

namespace {
struct FormReference : ds::impl::FormReferenceBase<FormReference> {
  void runOnOperation() override {
    decodeWeights(getOperation());
    for (WeightOp weight : getOperation().getOps<WeightOp>())
      weight.setLayout(WeightLayout::Raw);
    SmallVector<Operation *> ops;
    WalkResult found = getOperation().walk([&](Operation *op) -> WalkResult {
      if (isSource(op))
        return WalkResult::advance();
      if (!hasMeaning(op))
        return op->emitOpError() << "expects an operation whose meaning is "
                                 << "known";
      ops.push_back(op);
      return WalkResult::advance();
    });
    if (found.wasInterrupted())
      return signalPassFailure();
    for (Operation *op : ops)
      form(op);
    formed += ops.size();
    eraseSizes();
  }

  /// Sizes were for slices, which have copies of them.
  void eraseSizes() {
    SmallVector<Operation *> sizes;
    getOperation().walk([&](Operation *op) {
      if (isa<tensor::DimOp, arith::ConstantIndexOp>(op) &&
          !op->getParentOfType<KernelReferenceOp>())
        sizes.push_back(op);
    });
    for (Operation *op : llvm::reverse(sizes))
      if (op->use_empty())
        op->erase();
  }
};
} // namespace
