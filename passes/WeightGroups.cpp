//===- WeightGroups.cpp - Weights made of others --------------------------===//
#include "passes/WeightGroups.h"

using namespace ds;

static WeightOp weightOf(Value value, SymbolTable &symbols) {
  auto get = value.getDefiningOp<GetWeightOp>();
  return get ? symbols.lookup<WeightOp>(get.getWeight()) : WeightOp();
}

bool ds::canConcatenate(ValueRange values, SymbolTable &symbols) {
  WeightOp first = weightOf(values.front(), symbols);
  if (!first)
    return false;
  auto type = cast<RankedTensorType>(first.getType());
  for (Value value : values) {
    WeightOp weight = weightOf(value, symbols);
    if (!weight || weight.getPaired() || weight.getLayout() ||
        weight.getLayers() != first.getLayers())
      return false;
    auto other = cast<RankedTensorType>(weight.getType());
    if (other.getElementType() != type.getElementType() ||
        other.getShape().drop_front() != type.getShape().drop_front())
      return false;
  }
  return true;
}

/// "layer.attention." of "layer.attention.q", followed by `stem`.
static std::string siblingName(StringRef symbol, StringRef stem) {
  size_t dot = symbol.rfind('.');
  StringRef prefix =
      dot == StringRef::npos ? StringRef() : symbol.take_front(dot + 1);
  return (prefix + stem).str();
}

Value ds::concatenate(OpBuilder &builder, Location loc, ValueRange values,
                      StringRef stem, bool paired, SymbolTable &symbols) {
  WeightOp first = weightOf(values.front(), symbols);
  SmallVector<Attribute> labels;
  SmallVector<int64_t> rows;
  int64_t total = 0;
  for (Value value : values) {
    WeightOp weight = weightOf(value, symbols);
    llvm::append_range(labels, weight.getLabels());
    llvm::append_range(rows, weight.getRows());
    total += cast<RankedTensorType>(weight.getType()).getDimSize(0);
  }
  auto type = cast<RankedTensorType>(first.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = total;
  type = type.clone(shape);
  OpBuilder declare(first);
  auto weight = WeightOp::create(
      declare, loc, siblingName(first.getSymName(), stem),
      declare.getArrayAttr(labels), rows, type, first.getLayersAttr(), paired,
      WeightLayoutAttr());
  symbols.insert(weight, Block::iterator(first));
  return GetWeightOp::create(builder, loc, type, weight.getSymName());
}
