//===- Decompose.cpp - Fused operations in smaller ones -------------------===//
//
// The one home of a fused operation's meaning: equal to the bit, rounding
// points included.
//
//===----------------------------------------------------------------------===//
#include "dialect/Dialect.h"

using namespace ds;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Takes `count` entries from `first` on along `dim` of a tensor of rank 2.
static Value slice(OpBuilder &builder, Location loc, Value source, int64_t dim,
                   int64_t first, int64_t count) {
  RankedTensorType type = typeOf(source);
  SmallVector<OpFoldResult> offsets(2, builder.getIndexAttr(0)), sizes,
      strides(2, builder.getIndexAttr(1));
  for (int64_t each = 0; each < 2; ++each)
    sizes.push_back(tensor::getMixedSize(builder, loc, source, each));
  offsets[dim] = builder.getIndexAttr(first);
  sizes[dim] = builder.getIndexAttr(count);
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] = count;
  return tensor::ExtractSliceOp::create(
      builder, loc, RankedTensorType::get(shape, type.getElementType()), source,
      offsets, sizes, strides);
}

FailureOr<SmallVector<Value>> GatedLinearOp::decompose(OpBuilder &builder) {
  int64_t rows = typeOf(getResult()).getDimSize(1);
  SmallVector<Value> halves;
  for (int64_t first : {int64_t(0), rows}) {
    Value weight = slice(builder, getLoc(), getWeight(), 0, first, rows);
    halves.push_back(LinearOp::create(builder, getLoc(), getResult().getType(),
                                      getInput(), weight, Value()));
  }
  return SmallVector<Value>{
      SwigluOp::create(builder, getLoc(), halves[0], halves[1])};
}

FailureOr<SmallVector<Value>> RopeAppendOp::decompose(OpBuilder &builder) {
  int64_t queries = typeOf(getQuery()).getDimSize(1);
  int64_t keys = getKeys().getType().getWidth();
  int64_t values = getValues().getType().getWidth();
  Value query = slice(builder, getLoc(), getInput(), 1, 0, queries);
  Value key = slice(builder, getLoc(), getInput(), 1, queries, keys);
  Value value = slice(builder, getLoc(), getInput(), 1, queries + keys, values);
  query =
      RopeOp::create(builder, getLoc(), query, getSeq(), getHeads(), getRope());
  key = RopeOp::create(builder, getLoc(), key, getSeq(),
                       getKeys().getType().getShape()[0], getRope());
  Value newKeys = AppendOp::create(builder, getLoc(), getKeys(), key, getSeq());
  Value newValues =
      AppendOp::create(builder, getLoc(), getValues(), value, getSeq());
  return SmallVector<Value>{query, newKeys, newValues};
}
