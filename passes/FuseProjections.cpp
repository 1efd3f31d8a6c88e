//===- FuseProjections.cpp - One product for projections of one input -----===//
#include "dialect/ValueNames.h"
#include "passes/Passes.h"
#include "passes/WeightTools.h"
#include "llvm/ADT/MapVector.h"

namespace ds {
#define GEN_PASS_DEF_FUSEPROJECTIONS
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

namespace {
/// What projections must share to become one product.
struct Key {
  Value input;
  Type weightElement, resultElement;
  Attribute layers;
  bool hasBias;
  Type biasElement;
  WeightOp weight, bias; // Compared by how they are trained.

  bool operator==(const Key &other) const {
    return input == other.input && weightElement == other.weightElement &&
           resultElement == other.resultElement && layers == other.layers &&
           hasBias == other.hasBias && biasElement == other.biasElement &&
           areTrainedAlike(weight, other.weight) &&
           (!hasBias || areTrainedAlike(bias, other.bias));
  }
};

using Group = std::pair<Key, SmallVector<LinearOp>>;
} // namespace

/// Returns whether `user` reads columns of a wider row as well as a row of
/// its own.
static bool readsColumns(Operation *user) {
  return isa<RopeOp, AppendOp>(user);
}

static bool isCandidate(WeightTable &weights, LinearOp linear) {
  if (!weights.findSole(linear.getWeight()) || linear->use_empty() ||
      !llvm::all_of(linear->getUsers(), readsColumns))
    return false;
  return !linear.getBias() || weights.findSole(linear.getBias());
}

static Key makeKey(WeightTable &weights, LinearOp linear) {
  auto element = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getElementType();
  };
  WeightOp weight = weights.find(linear.getWeight());
  Value bias = linear.getBias();
  return {linear.getInput(),
          element(linear.getWeight()),
          element(linear.getResult()),
          weight.getLayersAttr(),
          bias != nullptr,
          bias ? element(bias) : Type(),
          weight,
          bias ? weights.find(bias) : WeightOp()};
}

/// Groups the candidates of a block, in order.
static SmallVector<Group> findGroups(WeightTable &weights, Block &block) {
  SmallVector<Group> groups;
  for (LinearOp linear : block.getOps<LinearOp>()) {
    if (!isCandidate(weights, linear))
      continue;
    Key key = makeKey(weights, linear);
    auto found = llvm::find_if(
        groups, [&](const Group &group) { return group.first == key; });
    if (found == groups.end())
      groups.push_back({key, {linear}});
    else
      found->second.push_back(linear);
  }
  llvm::erase_if(groups,
                 [](const Group &group) { return group.second.size() < 2; });
  return groups;
}

static void fuse(WeightTable &weights, ArrayRef<LinearOp> linears) {
  SmallVector<Value> matrices, biases;
  SmallVector<Location> locs;
  int64_t columns = 0;
  for (LinearOp linear : linears) {
    matrices.push_back(linear.getWeight());
    if (linear.getBias())
      biases.push_back(linear.getBias());
    locs.push_back(getPlace(linear.getLoc()));
    columns += linear.getType().getDimSize(1);
  }
  LinearOp first = linears.front();
  OpBuilder builder(first);
  Location loc = builder.getFusedLoc(locs);
  Value weight = weights.readConcatenated(builder, loc, matrices);
  Value bias;
  if (!biases.empty())
    bias = weights.readConcatenated(builder, loc, biases);
  RankedTensorType type = first.getType();
  Value fused =
      LinearOp::create(builder, loc,
                       RankedTensorType::get({type.getDimSize(0), columns},
                                             type.getElementType()),
                       first.getInput(), weight, bias);
  int64_t offset = 0;
  for (LinearOp linear : linears) {
    int64_t width = linear.getType().getDimSize(1);
    linear.replaceAllUsesWith(
        sliceColumns(builder, linear.getLoc(), fused, offset, width));
    offset += width;
  }
  for (LinearOp linear : linears)
    linear->erase();
}

namespace {
struct FuseProjections : ds::impl::FuseProjectionsBase<FuseProjections> {
  void runOnOperation() override {
    WeightTable weights(getOperation());
    SmallVector<Group> groups;
    getOperation().walk([&](Block *block) {
      llvm::append_range(groups, findGroups(weights, *block));
    });
    for (Group &group : groups) {
      fuse(weights, group.second);
      fused += group.second.size();
    }
    removeDeadWeights(getOperation());
  }
};
} // namespace
