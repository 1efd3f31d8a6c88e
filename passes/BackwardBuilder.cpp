//===- BackwardBuilder.cpp - Reverse mode over a block --------------------===//
#include "passes/Differentiate.h"

using namespace ds;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static Value widen(OpBuilder &builder, Location loc, Value value) {
  RankedTensorType type = typeOf(value);
  if (type.getElementType().isF32())
    return value;
  return arith::ExtFOp::create(builder, loc, type.clone(builder.getF32Type()),
                               value);
}

/// Adds in f32 in order and rounds once.
static Value addAll(OpBuilder &builder, Location loc, ArrayRef<Value> values) {
  if (values.size() == 1)
    return values.front();
  Value sum = widen(builder, loc, values.front());
  for (Value value : values.drop_front())
    sum = arith::AddFOp::create(builder, loc, sum, widen(builder, loc, value));
  if (sum.getType() == values.front().getType())
    return sum;
  return arith::TruncFOp::create(builder, loc, values.front().getType(), sum);
}

/// The reverse mode meets the uses of a value from the last to the first;
/// their gradients are added in the order of the uses.
void BackwardBuilder::add(Value value, Value gradient) {
  if (gradient && wanted.contains(value))
    gradients[value].insert(gradients[value].begin(), gradient);
}

FailureOr<Value> BackwardBuilder::find(Value value) {
  if (failed(joinSlices(value)))
    return failure();
  auto it = gradients.find(value);
  if (it == gradients.end())
    return Value();
  Value sum = addAll(builder, value.getLoc(), it->second);
  it->second = {sum};
  return sum;
}

/// Gradients of columns that make up the whole row become one of the row.
LogicalResult BackwardBuilder::joinSlices(Value value) {
  auto it = slices.find(value);
  if (it == slices.end())
    return success();
  SmallVector<Slice> parts = std::move(it->second);
  slices.erase(it);
  llvm::sort(parts, [](const Slice &a, const Slice &b) {
    return a.begin < b.begin;
  });
  int64_t end = 0;
  SmallVector<Value> values;
  for (const Slice &part : parts) {
    if (part.begin != end)
      return mlir::emitError(value.getLoc())
             << "expects column slices that make up the whole row";
    end += typeOf(part.gradient).getDimSize(1);
    values.push_back(part.gradient);
  }
  if (end != typeOf(value).getDimSize(1))
    return mlir::emitError(value.getLoc())
           << "expects column slices that make up the whole row";
  Value row = ConcatColumnsOp::create(builder, value.getLoc(), value.getType(),
                                      values);
  gradients[value].insert(gradients[value].begin(), row);
  return success();
}

/// Returns whether `read` reads a weight that is trained.
static bool isTrained(GetWeightOp read) {
  return !SymbolTable::lookupNearestSymbolFrom<WeightOp>(read,
                                                         read.getWeightAttr())
              .getFrozen();
}

/// Returns whether the body of `run` reads a weight that is trained.
static bool readsTrained(RunOp run) {
  auto body = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
      run, run.getBodyAttr());
  return body
      .walk([](GetWeightOp read) {
        return isTrained(read) ? WalkResult::interrupt()
                               : WalkResult::advance();
      })
      .wasInterrupted();
}

/// A gradient is wanted of what depends on a trained weight or on what it is
/// already wanted of.
void BackwardBuilder::propagate(Operation *op) {
  if (isa<StopGradientOp, GetGradientOp>(op))
    return;
  if (auto read = dyn_cast<GetWeightOp>(op)) {
    if (isTrained(read))
      wanted.insert(read.getResult());
    return;
  }
  bool depends = llvm::any_of(op->getOperands(), [&](Value operand) {
    return wanted.contains(operand);
  });
  auto run = dyn_cast<RunOp>(op);
  if (depends || (run && readsTrained(run)))
    for (Value result : op->getResults())
      wanted.insert(result);
}

LogicalResult BackwardBuilder::run(ArrayRef<Operation *> ops, RunRule runRule) {
  for (Operation *op : ops)
    propagate(op);
  for (Operation *op : llvm::reverse(ops))
    if (failed(build(op, runRule)))
      return failure();
  return success();
}

/// Returns whether `slice` takes adjacent columns of all rows.
static bool takesColumns(tensor::ExtractSliceOp slice) {
  return slice.getSourceType().getRank() == 2 &&
         slice.getType().getRank() == 2 && slice.getStaticOffset(0) == 0 &&
         slice.getType().isDynamicDim(0) &&
         !ShapedType::isDynamic(slice.getStaticOffset(1)) &&
         !slice.getType().isDynamicDim(1) &&
         slice.getStaticStride(0) == 1 && slice.getStaticStride(1) == 1;
}

/// Gradients go through a run from activation to activation alone.
LogicalResult BackwardBuilder::checkRun(RunOp run, ArrayRef<Value> results) {
  if (!results[0] || llvm::any_of(results.drop_front(),
                                  [](Value value) { return bool(value); }))
    return run.emitOpError() << "has no derivative of the states that it "
                             << "leaves";
  for (Value operand : run.getOperands().drop_front())
    if (wanted.contains(operand))
      return run.emitOpError() << "has no derivative by a value that all "
                               << "layers share";
  return success();
}

LogicalResult BackwardBuilder::build(Operation *op, RunRule runRule) {
  SmallVector<Value> results;
  for (Value result : op->getResults()) {
    FailureOr<Value> gradient = find(result);
    if (failed(gradient))
      return failure();
    results.push_back(wanted.contains(result) ? *gradient : Value());
  }
  if (llvm::none_of(results, [](Value value) { return bool(value); }))
    return success();
  if (auto runOp = dyn_cast<RunOp>(op)) {
    if (failed(checkRun(runOp, results)))
      return failure();
    FailureOr<Value> gradient = runRule(runOp, results[0]);
    if (failed(gradient))
      return failure();
    add(runOp.getOperand(0), *gradient);
    return success();
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    if (!takesColumns(slice))
      return op->emitOpError() << "has no derivative but of whole columns";
    if (wanted.contains(slice.getSource()))
      slices[slice.getSource()].push_back(
          {slice.getStaticOffset(1), results[0]});
    return success();
  }
  if (auto differentiable = dyn_cast<DifferentiableInterface>(op)) {
    FailureOr<SmallVector<Value>> operands =
        differentiable.buildBackward(builder, results);
    if (failed(operands))
      return failure();
    for (auto [operand, gradient] : llvm::zip(op->getOperands(), *operands))
      add(operand, gradient);
    return success();
  }
  return buildArith(op, results[0]);
}

static bool isOne(Value value) {
  auto fill = value.getDefiningOp<FillOp>();
  return fill && fill.getValue().isExactlyValue(1.0);
}

Value BackwardBuilder::multiply(Location loc, Value a, Value b) {
  if (isOne(a))
    return b;
  return arith::MulFOp::create(builder, loc, a, b);
}

LogicalResult BackwardBuilder::buildArith(Operation *op, Value g) {
  Location loc = op->getLoc();
  auto at = [&](unsigned index) { return op->getOperand(index); };
  auto negate = [&](Value value) -> Value {
    return arith::NegFOp::create(builder, loc, value);
  };
  auto divide = [&](Value a, Value b) -> Value {
    return arith::DivFOp::create(builder, loc, a, b);
  };
  if (isa<arith::AddFOp>(op)) {
    add(at(1), g);
    add(at(0), g);
  } else if (isa<arith::SubFOp>(op)) {
    if (wanted.contains(at(1)))
      add(at(1), negate(g));
    add(at(0), g);
  } else if (isa<arith::NegFOp>(op)) {
    add(at(0), negate(g));
  } else if (isa<arith::MulFOp>(op)) {
    if (wanted.contains(at(1)))
      add(at(1), multiply(loc, g, at(0)));
    if (wanted.contains(at(0)))
      add(at(0), multiply(loc, g, at(1)));
  } else if (isa<arith::DivFOp>(op)) {
    Value quotient = divide(g, at(1));
    if (wanted.contains(at(1)))
      add(at(1), negate(multiply(loc, quotient, op->getResult(0))));
    add(at(0), quotient);
  } else if (isa<arith::ExtFOp>(op)) {
    add(at(0), arith::TruncFOp::create(builder, loc, at(0).getType(), g));
  } else if (isa<arith::TruncFOp>(op)) {
    add(at(0), arith::ExtFOp::create(builder, loc, at(0).getType(), g));
  } else if (isa<arith::MinimumFOp, arith::MaximumFOp>(op)) {
    // Where both are equal, the gradient goes to the second.
    bool least = isa<arith::MinimumFOp>(op);
    Value first = SelectLessOp::create(builder, loc, g.getType(),
                                       at(least ? 0 : 1), at(least ? 1 : 0), g);
    if (wanted.contains(at(1)))
      add(at(1), arith::SubFOp::create(builder, loc, g, first));
    add(at(0), first);
  } else if (isa<math::ExpOp>(op)) {
    add(at(0), multiply(loc, g, op->getResult(0)));
  } else if (isa<math::LogOp>(op)) {
    add(at(0), divide(g, at(0)));
  } else {
    return op->emitOpError() << "has no derivative";
  }
  return success();
}
