//===- Regions.cpp - Builds the scalar regions of kernels -----------------===//
#include "passes/Regions.h"

using namespace ds;

Type ds::getElement(Value tensor) {
  return cast<RankedTensorType>(tensor.getType()).getElementType();
}

RegionBuilder::RegionBuilder(Region &region, ArrayRef<Type> arguments,
                             Location loc)
    : builder(region.getContext()), loc(loc) {
  SmallVector<Location> locations(arguments.size(), loc);
  block = builder.createBlock(&region, region.end(), arguments, locations);
}

Value RegionBuilder::constant(double value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getF32FloatAttr(value));
}

Value RegionBuilder::add(Value a, Value b) {
  return arith::AddFOp::create(builder, loc, a, b);
}

Value RegionBuilder::sub(Value a, Value b) {
  return arith::SubFOp::create(builder, loc, a, b);
}

Value RegionBuilder::mul(Value a, Value b) {
  return arith::MulFOp::create(builder, loc, a, b);
}

Value RegionBuilder::div(Value a, Value b) {
  return arith::DivFOp::create(builder, loc, a, b);
}

Value RegionBuilder::sqrt(Value value) {
  return math::SqrtOp::create(builder, loc, value);
}

Value RegionBuilder::exp(Value value) {
  return math::ExpOp::create(builder, loc, value);
}

Value RegionBuilder::neg(Value value) {
  return arith::NegFOp::create(builder, loc, value);
}

Value RegionBuilder::reduce(Value value) {
  return RowReduceOp::create(builder, loc, value);
}

Value RegionBuilder::max(Value value) {
  return RowMaxOp::create(builder, loc, value);
}

Value RegionBuilder::apply(Operation *op, ValueRange arguments, Type element) {
  OperationState state(loc, op->getName());
  state.addOperands(arguments);
  state.addTypes(element);
  state.addAttributes(op->getAttrs());
  return builder.create(state)->getResult(0);
}

Value RegionBuilder::inlineRegion(Region &other, ValueRange arguments) {
  IRMapping map;
  map.map(other.getArguments(), arguments);
  for (Operation &op : other.front().without_terminator())
    builder.clone(op, map);
  return map.lookupOrDefault(other.front().getTerminator()->getOperand(0));
}

Value RegionBuilder::widen(Value value) {
  if (value.getType().isF32())
    return value;
  return arith::ExtFOp::create(builder, loc, builder.getF32Type(), value);
}

Value RegionBuilder::round(Value value, Type element) {
  if (value.getType() == element)
    return value;
  return arith::TruncFOp::create(builder, loc, element, value);
}

Value RegionBuilder::sigmoid(Value value) {
  return div(constant(1.0), add(constant(1.0), exp(neg(value))));
}

Value RegionBuilder::swiglu(Value gate, Value up) {
  Value silu = div(gate, add(constant(1.0), exp(neg(gate))));
  return mul(silu, up);
}

void RegionBuilder::yield(ValueRange values) {
  YieldOp::create(builder, loc, values);
}
