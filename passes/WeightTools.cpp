//===- WeightTools.cpp - Reading and combining weights --------------------===//
#include "passes/WeightTools.h"
#include "llvm/ADT/StringSet.h"
#include <numeric>

using namespace ds;

WeightTable::WeightTable(ModuleOp module) : symbols(module) {
  module.walk([&](GetWeightOp op) { readers[op.getWeight()].push_back(op); });
}

WeightOp WeightTable::find(Value value) {
  auto read = value.getDefiningOp<GetWeightOp>();
  return read ? symbols.lookup<WeightOp>(read.getWeight()) : WeightOp();
}

ArrayRef<GetWeightOp> WeightTable::getReaders(WeightOp weight) {
  return readers[weight.getSymName()];
}

WeightOp WeightTable::findSole(Value value) {
  WeightOp weight = find(value);
  if (!weight || !value.hasOneUse() || getReaders(weight).size() != 1 ||
      weight.getLayout() || weight.getPaired())
    return {};
  return weight;
}

bool ds::areTrainedAlike(WeightOp a, WeightOp b) {
  return a.getInitAttr() == b.getInitAttr() && a.getDecay() == b.getDecay() &&
         a.getFrozen() == b.getFrozen();
}

StringRef ds::getKernelStem(Value weight, StringRef family) {
  auto read = weight.getDefiningOp<GetWeightOp>();
  return read ? getWeightStem(read.getWeight()) : family;
}

StringRef ds::getWeightStem(StringRef name) {
  size_t dot = name.rfind('.');
  return dot == StringRef::npos ? name : name.drop_front(dot + 1);
}

/// "layer.attention.q", "layer.attention.k" give "layer.attention.qk"; stems
/// of several letters are joined by "_".
static std::string joinNames(ArrayRef<WeightOp> parts) {
  WeightOp leader = parts[0];
  StringRef first = leader.getSymName();
  std::string name = first.drop_back(getWeightStem(first).size()).str();
  bool letters = llvm::all_of(parts, [](WeightOp part) {
    return getWeightStem(part.getSymName()).size() == 1;
  });
  for (WeightOp part : parts) {
    if (part != leader && !letters)
      name += "_";
    name += getWeightStem(part.getSymName());
  }
  return name;
}

/// Returns the one of `parts` that comes last in the module.
static WeightOp findLast(ArrayRef<WeightOp> parts) {
  WeightOp last = parts[0];
  for (WeightOp part : parts)
    if (last->isBeforeInBlock(part))
      last = part;
  return last;
}

WeightOp WeightTable::concatenate(ArrayRef<WeightOp> parts, bool paired) {
  SmallVector<Attribute> labels;
  SmallVector<int64_t> rows;
  SmallVector<Location> locs;
  for (WeightOp part : parts) {
    llvm::append_range(labels, part.getLabels());
    llvm::append_range(rows, part.getRows());
    locs.push_back(part.getLoc());
  }
  WeightOp first = parts[0];
  auto type = cast<RankedTensorType>(first.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[type.getRank() == 3] =
      std::accumulate(rows.begin(), rows.end(), int64_t(0));
  WeightOp last = findLast(parts);
  OpBuilder builder(last->getContext());
  builder.setInsertionPointAfter(last);
  auto weight = WeightOp::create(
      builder, builder.getFusedLoc(locs), joinNames(parts),
      builder.getArrayAttr(labels), rows,
      RankedTensorType::get(shape, type.getElementType()),
      first.getLayersAttr(), paired, first.getStackAttr(), DenseI64ArrayAttr(),
      WeightLayoutAttr(), first.getInitAttr(), first.getDecay(),
      first.getFrozen(), FloatAttr(), ArrayAttr());
  symbols.insert(weight);
  return weight;
}

Value WeightTable::readConcatenated(OpBuilder &builder, Location loc,
                                    ArrayRef<Value> values, bool paired) {
  SmallVector<WeightOp> parts;
  for (Value value : values)
    parts.push_back(find(value));
  WeightOp weight = concatenate(parts, paired);
  return GetWeightOp::create(builder, loc, weight.getType(),
                             weight.getSymName());
}

unsigned ds::removeDeadWeights(ModuleOp module) {
  llvm::StringSet<> used;
  module.walk([&](GetWeightOp op) {
    if (op->use_empty())
      op->erase();
    else
      used.insert(op.getWeight());
  });
  unsigned dropped = 0;
  for (WeightOp weight :
       llvm::make_early_inc_range(module.getOps<WeightOp>())) {
    if (used.contains(weight.getSymName()))
      continue;
    weight.erase();
    ++dropped;
  }
  return dropped;
}
