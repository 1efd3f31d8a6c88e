//===- NameValues.cpp - A name for every value of the graph ---------------===//
#include "dialect/ValueNames.h"
#include "passes/Passes.h"

namespace ds {
#define GEN_PASS_DEF_NAMEVALUES
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

/// Whether an activation, a routing or a version of a state is made here.
static bool makesValue(Operation *op) {
  if (isa<RunOp, GetWeightOp, NewStateOp>(op))
    return false;
  return llvm::any_of(op->getResultTypes(), [](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return isa<StateType, RoutingType>(type) ||
           (tensor && tensor.getRank() == 2 && tensor.isDynamicDim(0));
  });
}

/// "layer/ds.linear@12:3", by what is there and where the text says so.
static std::string describe(func::FuncOp function, Operation *op) {
  std::string name =
      (function.getName() + "/" + op->getName().getStringRef()).str();
  if (auto place = op->getLoc()->findInstanceOf<FileLineColLoc>())
    name += "@" + std::to_string(place.getLine()) + ":" +
            std::to_string(place.getColumn());
  return name;
}

namespace {
struct NameValues : ds::impl::NameValuesBase<NameValues> {
  void runOnOperation() override {
    llvm::StringMap<unsigned> taken;
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      function.walk([&](Operation *op) {
        if (!makesValue(op))
          return;
        std::string name = describe(function, op);
        unsigned before = taken[name]++;
        if (before > 0)
          name += "#" + std::to_string(before + 1);
        op->setLoc(nameLocation(op->getLoc(), name));
        ++named;
      });
  }
};
} // namespace
