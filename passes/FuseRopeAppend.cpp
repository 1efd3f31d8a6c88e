//===- FuseRopeAppend.cpp - Rotate and append in one operation ------------===//
#include "passes/Passes.h"

namespace ds {
#define GEN_PASS_DEF_FUSEROPEAPPEND
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

namespace {
/// The operations between a projection and attention.
struct Group {
  Value row;
  tensor::ExtractSliceOp slices[3]; ///< Queries, keys, values.
  RopeOp query, key;
  AppendOp keys, values;
};
} // namespace

/// Returns the first column of a slice of whole rows, or -1.
static int64_t getFirstColumn(tensor::ExtractSliceOp slice) {
  if (slice.getSourceType().getRank() != 2 || slice.getType().getRank() != 2 ||
      slice.getStaticOffset(0) != 0 ||
      ShapedType::isDynamic(slice.getStaticOffset(1)) ||
      slice.getStaticStride(1) != 1 || slice.getType().isDynamicDim(1))
    return -1;
  return slice.getStaticOffset(1);
}

/// Finds the three slices that make up the row, in order.
static bool findSlices(Value row, Group &group) {
  SmallVector<tensor::ExtractSliceOp> slices;
  for (Operation *user : row.getUsers()) {
    if (isa<tensor::DimOp>(user))
      continue;
    auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
    if (!slice || getFirstColumn(slice) < 0 || !slice->hasOneUse())
      return false;
    slices.push_back(slice);
  }
  if (slices.size() != 3)
    return false;
  llvm::sort(slices, [](auto a, auto b) {
    return getFirstColumn(a) < getFirstColumn(b);
  });
  int64_t next = 0;
  for (auto [index, slice] : llvm::enumerate(slices)) {
    if (getFirstColumn(slice) != next)
      return false;
    next += slice.getType().getDimSize(1);
    group.slices[index] = slice;
  }
  return next == cast<RankedTensorType>(row.getType()).getDimSize(1);
}

template <typename Op> static Op getOnlyUser(Operation *op) {
  return op->hasOneUse() ? dyn_cast<Op>(*op->getUsers().begin()) : Op();
}

/// Finds what the slices go to.
static bool findUsers(Group &group) {
  group.query = getOnlyUser<RopeOp>(group.slices[0]);
  group.key = getOnlyUser<RopeOp>(group.slices[1]);
  group.values = getOnlyUser<AppendOp>(group.slices[2]);
  if (!group.query || !group.key || !group.values)
    return false;
  group.keys = getOnlyUser<AppendOp>(group.key);
  return group.keys && group.keys.getInput() == group.key.getResult() &&
         group.values.getInput() == group.slices[2].getResult();
}

/// Checks that heads, rope and sequences agree.
static bool agree(Group &group) {
  StateType keys = group.keys.getState().getType();
  StateType values = group.values.getState().getType();
  if (keys.getShape().size() != 2 || values.getShape().size() != 2 ||
      group.keys.getState() == group.values.getState())
    return false;
  int64_t dims = keys.getShape()[1];
  Value seq = group.query.getSeq();
  return group.query.getRope() == group.key.getRope() &&
         group.key.getSeq() == seq && group.keys.getSeq() == seq &&
         group.values.getSeq() == seq &&
         keys.getShape()[0] == values.getShape()[0] &&
         static_cast<int64_t>(group.key.getHeads()) == keys.getShape()[0] &&
         group.query.getType().getDimSize(1) ==
             static_cast<int64_t>(group.query.getHeads()) * dims &&
         group.query.getHeads() % keys.getShape()[0] == 0;
}

/// Returns the last of the operations if they are in one block and all uses of
/// their results come after it.
static Operation *findPlace(Group &group) {
  Operation *ops[] = {group.query, group.keys, group.values};
  Operation *last = ops[0];
  for (Operation *op : ops) {
    if (op->getBlock() != last->getBlock())
      return nullptr;
    if (last->isBeforeInBlock(op))
      last = op;
  }
  for (Operation *op : ops)
    for (Operation *user : op->getUsers())
      if (user->getBlock() != last->getBlock() || user == last ||
          user->isBeforeInBlock(last))
        return nullptr;
  return last;
}

static bool fuse(Value row) {
  Group group{row, {}, {}, {}, {}, {}};
  if (!findSlices(row, group) || !findUsers(group) || !agree(group))
    return false;
  Operation *place = findPlace(group);
  if (!place)
    return false;
  OpBuilder builder(place);
  auto fused = RopeAppendOp::create(
      builder,
      builder.getFusedLoc(
          {group.query.getLoc(), group.keys.getLoc(), group.values.getLoc()}),
      TypeRange{group.query.getType(), group.keys.getType(),
                group.values.getType()},
      row, group.keys.getState(), group.values.getState(), group.query.getSeq(),
      group.query.getHeads(), group.query.getRope());
  group.query.replaceAllUsesWith(fused.getQuery());
  group.keys.replaceAllUsesWith(fused.getNewKeys());
  group.values.replaceAllUsesWith(fused.getNewValues());
  for (Operation *op : {group.query.getOperation(), group.keys.getOperation(),
                        group.key.getOperation(), group.values.getOperation()})
    op->erase();
  for (tensor::ExtractSliceOp slice : group.slices)
    slice.erase();
  return true;
}

namespace {
struct FuseRopeAppend : ds::impl::FuseRopeAppendBase<FuseRopeAppend> {
  void runOnOperation() override {
    llvm::SetVector<Value> rows;
    getOperation().walk(
        [&](tensor::ExtractSliceOp slice) { rows.insert(slice.getSource()); });
    for (Value row : rows)
      fused += fuse(row);
  }
};
} // namespace
