//===- FuseRopeAppend.cpp - Rotation and appends of one projection --------===//
#include "passes/Passes.h"

namespace ds {
#define GEN_PASS_DEF_FUSEROPEAPPEND
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

namespace {
/// A slice of a projection's columns.
struct Slice {
  Value matrix;
  int64_t begin = -1, end = -1;
};

/// What one attention does to its projection.
struct Match {
  RopeOp query, key;
  AppendOp appendKey, appendValue;
  Value projection;
};
} // namespace

static Slice sliceOf(Value value) {
  auto slice = value.getDefiningOp<tensor::ExtractSliceOp>();
  if (!slice || slice.getStaticOffsets().size() != 2 ||
      slice.getStaticOffsets()[0] != 0)
    return {};
  int64_t begin = slice.getStaticOffsets()[1];
  return {slice.getSource(), begin, begin + slice.getStaticSizes()[1]};
}

/// Whether the three slices are all columns of one matrix, in order.
static bool areAllColumns(Slice q, Slice k, Slice v) {
  if (!q.matrix || q.matrix != k.matrix || q.matrix != v.matrix)
    return false;
  auto type = cast<RankedTensorType>(q.matrix.getType());
  return q.begin == 0 && q.end == k.begin && k.end == v.begin &&
         v.end == type.getDimSize(1);
}

static std::optional<Match> match(AttendOp attend) {
  Match p;
  p.query = attend.getQuery().getDefiningOp<RopeOp>();
  p.appendKey = attend.getKeys().getDefiningOp<AppendOp>();
  p.appendValue = attend.getValues().getDefiningOp<AppendOp>();
  if (!p.query || !p.appendKey || !p.appendValue)
    return std::nullopt;
  p.key = p.appendKey.getInput().getDefiningOp<RopeOp>();
  if (!p.key || p.key.getRope() != p.query.getRope() ||
      !p.query->hasOneUse() || !p.key->hasOneUse() ||
      p.key.getHeads() !=
          static_cast<uint64_t>(p.appendKey.getState().getType().getShape()[0]))
    return std::nullopt;
  Slice q = sliceOf(p.query.getInput()), k = sliceOf(p.key.getInput());
  if (!areAllColumns(q, k, sliceOf(p.appendValue.getInput())))
    return std::nullopt;
  p.projection = q.matrix;
  return p;
}

namespace {
struct FuseRopeAppend : ds::impl::FuseRopeAppendBase<FuseRopeAppend> {
  void runOnOperation() override {
    SmallVector<AttendOp> ops;
    getOperation().walk([&](AttendOp op) { ops.push_back(op); });
    for (AttendOp op : ops)
      if (std::optional<Match> pattern = match(op))
        rewrite(op, *pattern);
  }

  void rewrite(AttendOp attend, Match p) {
    OpBuilder builder(attend);
    auto all = RopeAppendOp::create(
        builder, attend.getLoc(), p.query.getType(), p.appendKey.getType(),
        p.appendValue.getType(), p.projection, p.appendKey.getState(),
        p.appendValue.getState(), attend.getSeq(), p.query.getHeadsAttr(),
        p.query.getRope());
    p.query.replaceAllUsesWith(all.getQuery());
    p.appendKey.replaceAllUsesWith(all.getNewKeys());
    p.appendValue.replaceAllUsesWith(all.getNewValues());
    SmallVector<Value> inputs = {p.query.getInput(), p.key.getInput(),
                                 p.appendValue.getInput()};
    for (Operation *op :
         {p.appendKey.getOperation(), p.appendValue.getOperation(),
          p.query.getOperation(), p.key.getOperation()})
      op->erase();
    eraseDeadSlices(inputs);
    ++fused;
  }

  static void eraseDeadSlices(ValueRange slices) {
    for (Value value : slices) {
      auto slice = value.getDefiningOp<tensor::ExtractSliceOp>();
      if (!slice || !slice->use_empty())
        continue;
      SmallVector<Value> sizes(slice.getSizes());
      slice.erase();
      for (Value size : sizes)
        if (Operation *dim = size.getDefiningOp(); dim && dim->use_empty())
          dim->erase();
    }
  }
};
} // namespace
