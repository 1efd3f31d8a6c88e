//===- AbsorbMla.cpp - The forms of latent attention, by a token's role ---===//
//
// Prompt tokens: keys and values of all positions are expanded once, which many
// queries share. Generated tokens: the projections are absorbed by queries and
// results, so that a step reads what is kept and nothing else. The roles
// decide, not the step, so that a token's result does not depend on how a
// sequence was cut into steps. Where every token has positions of its own, none
// share, and all are computed as generated ones are.
//
//===----------------------------------------------------------------------===//
#include "dialect/ValueNames.h"
#include "passes/Passes.h"
#include "passes/WeightTools.h"

namespace ds {
#define GEN_PASS_DEF_ABSORBMLA
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

namespace {
class Absorber {
public:
  explicit Absorber(MlaAttendOp op)
      : op(op), builder(op), loc(getPlace(op.getLoc())), heads(op.getHeads()),
        element(op.getType().getElementType()) {}

  void run() {
    Value result = op.getEntries() ? absorb(op.getQuery(), op.getSeq())
                                   : attendByRole();
    op.replaceAllUsesWith(result);
    op.erase();
  }

private:
  MlaAttendOp op;
  OpBuilder builder;
  Location loc;
  LatentHeadsAttr heads;
  Type element;

  RankedTensorType rows(int64_t columns) {
    return RankedTensorType::get({ShapedType::kDynamic, columns}, element);
  }
  Value view(SeqRows which) {
    return ViewSeqOp::create(builder, loc, op.getSeq(), which);
  }
  Value attend(Value query, Value keys, Value values, Value seq,
               int64_t columns, IntegerAttr prefix) {
    return AttendOp::create(builder, loc, rows(heads.getCount() * columns),
                            Type(), query, keys, values, seq, op.getEntries(),
                            builder.getI64IntegerAttr(heads.getCount()),
                            op.getScaleAttr(), prefix)
        .getResult();
  }
  Value expand();
  Value absorb(Value query, Value seq);
  Value attendByRole() {
    Value prompt = expand(), generated = absorbGenerated();
    return MergeRowsOp::create(builder, op.getLoc(), op.getType(), prompt,
                               generated, op.getSeq());
  }
  Value absorbGenerated() {
    Value generated = view(SeqRows::Generated);
    return absorb(
        TakeRowsOp::create(builder, loc, op.getQuery(), generated), generated);
  }
};
} // namespace

Value Absorber::expand() {
  Value prompt = view(SeqRows::Prompt), all = view(SeqRows::Expanded);
  Value query = TakeRowsOp::create(builder, loc, op.getQuery(), prompt);
  auto read = ReadLatentsOp::create(builder, loc, rows(heads.getRank()),
                                    rows(heads.getRope()), op.getLatents(),
                                    all);
  auto projection = cast<RankedTensorType>(op.getProjection().getType());
  Value expanded =
      LinearOp::create(builder, loc, rows(projection.getDimSize(0)),
                       read.getLatent(), op.getProjection());
  auto state = [&](int64_t columns) {
    return StateType::get(op.getContext(), {heads.getCount(), columns}, element,
                          1, 1);
  };
  auto made = ExpandKeysOp::create(
      builder, loc, state(heads.getNope() + heads.getRope()),
      state(heads.getValue()), expanded, read.getKey(), all, heads);
  return attend(query, made.getKeys(), made.getValues(), prompt,
                heads.getValue(), IntegerAttr());
}

Value Absorber::absorb(Value query, Value seq) {
  query = AbsorbQueryOp::create(
      builder, loc,
      rows(heads.getCount() * (heads.getRank() + heads.getRope())), query,
      op.getProjection(), heads);
  Value latent = attend(query, op.getLatents(), op.getLatents(), seq,
                        heads.getRank(),
                        builder.getI64IntegerAttr(heads.getRank()));
  // Without roles, this is what the operation gives.
  return AbsorbValueOp::create(builder, op.getEntries() ? op.getLoc() : loc,
                               rows(heads.getCount() * heads.getValue()),
                               latent, op.getProjection(), heads);
}

/// The share of each entry is that of attention over latents.
static void absorbShare(MlaEntryShareOp op) {
  OpBuilder builder(op);
  LatentHeadsAttr heads = op.getHeads();
  auto type = cast<RankedTensorType>(op.getQuery().getType());
  int64_t columns = heads.getCount() * (heads.getRank() + heads.getRope());
  Value query = AbsorbQueryOp::create(
      builder, op.getLoc(),
      type.clone({ShapedType::kDynamic, columns}), op.getQuery(),
      op.getProjection(), heads);
  Value share = EntryShareOp::create(
      builder, op.getLoc(), op.getType(), query, op.getLatents(), op.getSeq(),
      op.getEntries(), heads.getCount(), op.getScale());
  op.replaceAllUsesWith(share);
  op.erase();
}

namespace {
struct AbsorbMla : ds::impl::AbsorbMlaBase<AbsorbMla> {
  void runOnOperation() override {
    WeightTable weights(getOperation());
    SmallVector<MlaAttendOp> ops;
    getOperation().walk([&](MlaAttendOp op) { ops.push_back(op); });
    for (MlaAttendOp op : ops) {
      if (failed(padProjection(weights, op)))
        return signalPassFailure();
      Absorber(op).run();
      ++absorbed;
    }
    SmallVector<MlaEntryShareOp> shares;
    getOperation().walk([&](MlaEntryShareOp op) { shares.push_back(op); });
    for (MlaEntryShareOp op : shares)
      absorbShare(op);
  }

  /// Has every head's rows begin at a multiple of 32 once they are packed, so
  /// that a head is whole panels.
  LogicalResult padProjection(WeightTable &weights, MlaAttendOp op) {
    LatentHeadsAttr heads = op.getHeads();
    if (heads.getNope() % 32 == 0 && heads.getValue() % 32 == 0)
      return success();
    WeightOp weight = weights.find(op.getProjection());
    if (!weight)
      return op.emitOpError() << "expects a projection that is a weight";
    if (weight.getRowGroups())
      return success();
    weight.setRowGroups(ArrayRef<int64_t>{heads.getNope(), heads.getValue()});
    RankedTensorType type = getValueType(weight);
    for (GetWeightOp reader : weights.getReaders(weight)) {
      for (Operation *user : reader->getUsers())
        if (!isa<MlaAttendOp, MlaEntryShareOp>(user))
          return user->emitOpError() << "expects a projection of latent "
                                     << "attention to have no other use";
      reader.getResult().setType(type);
    }
    return success();
  }
};
} // namespace
