//===- AuxiliaryTerms.cpp - What a model's text adds to training ----------===//
//
// Terms of the loss that layers have of their own (`ds.auxiliary`), and the
// counts that move a router's bias.
//
//===----------------------------------------------------------------------===//
#include "passes/Differentiate.h"

using namespace ds;

void ds::seedTerm(BackwardBuilder &gradients, OpBuilder &builder,
                  AuxiliaryOp term) {
  Value rows = term.getRows();
  gradients.want(rows);
  gradients.add(rows,
                FillOp::create(builder, term.getLoc(), rows.getType(),
                               builder.getF64FloatAttr(1.0), term.getSeq(),
                               builder.getUnitAttr()));
}

SmallVector<AuxiliaryTerm> ds::takeTerms(func::FuncOp function) {
  SmallVector<AuxiliaryTerm> terms;
  for (AuxiliaryOp op :
       llvm::make_early_inc_range(function.getOps<AuxiliaryOp>())) {
    terms.push_back({op.getNameAttr(), op.getRows()});
    op.erase();
  }
  return terms;
}

void ds::returnTerm(func::FuncOp entry, StringAttr name, Value value) {
  Operation *terminator = entry.getBody().front().getTerminator();
  terminator->insertOperands(terminator->getNumOperands(), value);
  entry.setType(FunctionType::get(entry.getContext(), entry.getArgumentTypes(),
                                  terminator->getOperandTypes()));
  SmallVector<Attribute> names;
  if (auto before = entry->getAttrOfType<ArrayAttr>(kAuxiliaryAttr))
    llvm::append_range(names, before);
  names.push_back(name);
  entry->setAttr(kAuxiliaryAttr, ArrayAttr::get(entry.getContext(), names));
}

/// Returns the weight that `op` reads as its bias, if the loads of its experts
/// move it.
static WeightOp findBalanced(TopKOp op) {
  auto read = op.getBias() ? op.getBias().getDefiningOp<GetWeightOp>()
                           : GetWeightOp();
  if (!read)
    return {};
  auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(
      read, read.getWeightAttr());
  return weight && weight.getBalanceRate() ? weight : WeightOp();
}

void ds::countPicks(func::FuncOp forward) {
  SmallVector<TopKOp> choices(forward.getOps<TopKOp>());
  for (TopKOp op : choices) {
    WeightOp weight = findBalanced(op);
    if (!weight)
      continue;
    OpBuilder builder(op->getContext());
    builder.setInsertionPointAfter(op);
    Value counts = GetGradientOp::create(
        builder, op.getLoc(),
        getValueType(weight).clone(builder.getF32Type()),
        weight.getSymName());
    AccumulatePicksOp::create(builder, op.getLoc(), counts, op.getResult());
  }
}
