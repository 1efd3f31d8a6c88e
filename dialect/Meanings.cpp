//===- Meanings.cpp - What products, norms and routers mean ---------------===//
#include "dialect/KernelSupport.h"
#include "dialect/Meaning.h"

using namespace ds;
using kernel::typeOf;

static int64_t columnsOf(Value value) { return typeOf(value).getDimSize(1); }

//===----------------------------------------------------------------------===//
// Rows and products
//===----------------------------------------------------------------------===//

void EmbeddingOp::buildMeaning(Meaning &m) {
  Num token = m.token(getSeq(), m.row);
  m.fill(getResult(),
         [&](Num column) { return m.at(getTable(), token, column); });
}

/// Returns the expert to which a routed row belongs.
static Num findExpert(Meaning &m, Value routing, Num row) {
  return m.count(cast<RoutingType>(routing.getType()).getExperts(), [&](Num e) {
    return m.routed(routing, Meaning::RoutingArray::Offsets, e + 1) < row + 1;
  });
}

void LinearOp::buildMeaning(Meaning &m) {
  Num row = m.row, expert;
  if (getRouting())
    expert = findExpert(m, getRouting(), m.row);
  if (getGathered())
    row = m.routed(getRouting(), Meaning::RoutingArray::Tokens, m.row);
  m.fill(getResult(), [&](Num n) {
    Num sum = m.sum(columnsOf(getInput()), [&](Num k) {
      Num weight = getRouting() ? m.at(getWeight(), {expert, n, k})
                                : m.at(getWeight(), n, k);
      return m.at(getInput(), row, k) * weight;
    });
    return getBias() ? sum + m.at(getBias(), {n}) : sum;
  });
}

void SelectRowsOp::buildMeaning(Meaning &m) {
  Num row = m.outRow(getSeq(), m.row);
  m.fill(getResult(),
         [&](Num column) { return m.at(getInput(), row, column); });
}

void ConcatColumnsOp::buildMeaning(Meaning &m) {
  int64_t first = 0;
  for (Value input : getInputs()) {
    m.forEach(columnsOf(input), [&](Num column) {
      m.put(getResult(), {m.row, column + first}, m.at(input, m.row, column));
    });
    first += columnsOf(input);
  }
}

void FillOp::buildMeaning(Meaning &m) {
  m.fill(getResult(), [&](Num) { return m.num(getValue().convertToDouble()); });
}

//===----------------------------------------------------------------------===//
// Norms and functions of elements
//===----------------------------------------------------------------------===//

void RmsNormOp::buildMeaning(Meaning &m) {
  int64_t width = columnsOf(getInput());
  auto x = [&](Num column) { return m.at(getInput(), m.row, column); };
  Num mean = m.sum(width, [&](Num j) { return x(j) * x(j); }) *
             (1.0 / static_cast<double>(width));
  Num root = m.sqrt(mean + getEps().convertToDouble());
  m.fill(getResult(),
         [&](Num j) { return x(j) / root * m.at(getWeight(), {j}); });
}

void LayerNormOp::buildMeaning(Meaning &m) {
  int64_t width = columnsOf(getInput());
  double share = 1.0 / static_cast<double>(width);
  auto x = [&](Num column) { return m.at(getInput(), m.row, column); };
  Num mean = m.sum(width, x) * share;
  Num variance = m.sum(width, [&](Num j) {
    return (x(j) - mean) * (x(j) - mean);
  }) * share;
  Num root = m.sqrt(variance + getEps().convertToDouble());
  m.fill(getResult(), [&](Num j) {
    return (x(j) - mean) / root * m.at(getWeight(), {j}) + m.at(getBias(), {j});
  });
}

void SwigluOp::buildMeaning(Meaning &m) {
  m.fill(getResult(), [&](Num j) {
    Num gate = m.at(getGate(), m.row, j);
    return gate * m.sigmoid(gate) * m.at(getUp(), m.row, j);
  });
}

void SigmoidOp::buildMeaning(Meaning &m) {
  m.fill(getResult(),
         [&](Num j) { return m.sigmoid(m.at(getInput(), m.row, j)); });
}

void SiluOp::buildMeaning(Meaning &m) {
  m.fill(getResult(), [&](Num j) {
    Num x = m.at(getInput(), m.row, j);
    return x * m.sigmoid(x);
  });
}

void SoftmaxOp::buildMeaning(Meaning &m) {
  int64_t width = columnsOf(getInput());
  auto x = [&](Num column) { return m.at(getInput(), m.row, column); };
  Num most = m.max(width, x);
  Num sum = m.sum(width, [&](Num j) { return m.exp(x(j) - most); });
  m.fill(getResult(), [&](Num j) { return m.exp(x(j) - most) / sum; });
}

//===----------------------------------------------------------------------===//
// Routers and experts
//===----------------------------------------------------------------------===//

/// How many of `count` values come before the one at `index`: those that are
/// greater, and equal ones before it.
static Num rankOf(Meaning &m, Num count, Num index,
                  llvm::function_ref<Num(Num)> value) {
  Num own = value(index);
  return m.count(m.num(int64_t(0)), count, [&](Num i) {
    Num other = value(i);
    return own < other || (other == own && i < index);
  });
}

/// Which groups of experts have a chance: their worths by rank.
static Value markGroups(Meaning &m, TopKOp op, Value choices, int64_t members) {
  auto groups = static_cast<int64_t>(op.getGroups());
  Value worths = m.makeArray(groups), marks = m.makeArray(groups);
  Type f32 = m.builder.getF32Type();
  m.forEach(groups, [&](Num group) {
    auto choice = [&](Num i) {
      return m.arrayAt(choices, group * members + i);
    };
    Num worth = m.max(members, choice);
    if (op.getGroupScore() == GroupScore::Top2 && members > 1)
      worth = m.round(m.sum(members,
                            [&](Num i) {
                              Num isTop =
                                  rankOf(m, m.num(members), i, choice) < 2;
                              return m.select(isTop, choice(i), m.num(0.0));
                            }),
                      f32);
    m.putArray(worths, group, worth);
  });
  m.forEach(groups, [&](Num group) {
    Num rank = rankOf(m, m.num(groups), group,
                      [&](Num i) { return m.arrayAt(worths, i); });
    Num isKept = rank < static_cast<int64_t>(op.getKept());
    m.putArray(marks, group, m.select(isKept, m.num(1.0), m.num(0.0)));
  });
  return marks;
}

void TopKOp::buildMeaning(Meaning &m) {
  int64_t experts = columnsOf(getScores());
  auto groups = static_cast<int64_t>(getGroups());
  int64_t members = experts / groups;
  Value choices = m.makeArray(experts);
  m.forEach(experts, [&](Num e) {
    Num choice = m.at(getScores(), m.row, e);
    if (getBias())
      choice = m.round(choice + m.at(getBias(), {e}), m.builder.getF32Type());
    m.putArray(choices, e, choice);
  });
  if (groups > 1) {
    Value marks = markGroups(m, *this, choices, members);
    m.forEach(experts, [&](Num e) {
      Num isKept = m.num(0.0) < m.arrayAt(marks, e / members);
      m.putArray(choices, e,
                 m.select(isKept, m.arrayAt(choices, e), m.num(-INFINITY)));
    });
  }
  m.forEach(experts, [&](Num e) {
    Num rank = rankOf(m, m.num(experts), e,
                      [&](Num i) { return m.arrayAt(choices, i); });
    m.when(rank < static_cast<int64_t>(getK()), [&] {
      m.put(getResult(), {m.row, rank}, e);
    });
  });
}

void PickOp::buildMeaning(Meaning &m) {
  auto score = [&](Num slot) {
    return m.at(getScores(), m.row, m.at(getPicks(), m.row, slot));
  };
  double scale = getScale().convertToDouble();
  Num sum = m.num(1.0);
  if (getNormalise())
    sum = m.sum(columnsOf(getPicks()), score);
  m.fill(getResult(), [&](Num slot) { return score(slot) * scale / sum; });
}

/// A pair's row is how many pairs come before it.
void RouteOp::buildMeaning(Meaning &m) {
  auto type = cast<RoutingType>(getResult().getType());
  int64_t picks = type.getPicks();
  Num first = m.num(int64_t(0)), pairs = m.rows() * picks;
  auto expertOf = [&](Num pair) {
    return m.at(getPicks(), pair / picks, pair % picks);
  };
  using Array = Meaning::RoutingArray;
  m.when(m.row == 0, [&] {
    m.forEach(type.getExperts() + 1, [&](Num e) {
      Num before =
          m.count(first, pairs, [&](Num pair) { return expertOf(pair) < e; });
      m.putRouted(getResult(), Array::Offsets, e, before);
    });
  });
  m.forEach(picks, [&](Num slot) {
    Num pair = m.row * picks + slot, expert = expertOf(pair);
    Num row = m.count(first, pairs, [&](Num other) {
      Num its = expertOf(other);
      return its < expert || (its == expert && other < pair);
    });
    m.putRouted(getResult(), Array::Tokens, row, m.row);
    m.putRouted(getResult(), Array::Inverse, pair, row);
  });
}

void CombineOp::buildMeaning(Meaning &m) {
  int64_t picks = cast<RoutingType>(getRouting().getType()).getPicks();
  m.fill(getResult(), [&](Num column) {
    return m.sum(picks, [&](Num slot) {
      Num row = m.routed(getRouting(), Meaning::RoutingArray::Inverse,
                         m.row * picks + slot);
      Num y = m.at(getInput(), row, column);
      return getWeights() ? y * m.at(getWeights(), m.row, slot) : y;
    });
  });
}

//===----------------------------------------------------------------------===//
// Operations of other dialects
//===----------------------------------------------------------------------===//

/// Columns of a matrix.
static void meanSlice(Meaning &m, tensor::ExtractSliceOp slice) {
  m.fill(slice.getResult(), [&](Num column) {
    return m.at(slice.getSource(), m.row, column + slice.getStaticOffset(1));
  });
}

/// Arithmetic on f64: exact products, and one rounding of what is stored.
static Num apply(Meaning &m, Operation *op, ArrayRef<Num> x) {
  return llvm::TypeSwitch<Operation *, Num>(op)
      .Case([&](arith::AddFOp) { return x[0] + x[1]; })
      .Case([&](arith::SubFOp) { return x[0] - x[1]; })
      .Case([&](arith::MulFOp) { return x[0] * x[1]; })
      .Case([&](arith::DivFOp) { return x[0] / x[1]; })
      .Case([&](arith::NegFOp) { return m.num(0.0) - x[0]; })
      .Case([&](math::ExpOp) { return m.exp(x[0]); })
      .Case([&](math::LogOp) { return m.log(x[0]); })
      .Case([&](math::SqrtOp) { return m.sqrt(x[0]); })
      .Case<arith::ExtFOp, arith::TruncFOp>([&](auto) { return x[0]; });
}

/// Whether all rows are taken, and columns one after the other.
static bool takesColumns(tensor::ExtractSliceOp slice) {
  auto type = slice.getType();
  return type.getRank() == 2 && type.isDynamicDim(0) && !type.isDynamicDim(1) &&
         slice.getStaticOffset(0) == 0 && !slice.isDynamicOffset(1) &&
         slice.hasUnitStride();
}

bool ds::hasMeaning(Operation *op) {
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return takesColumns(slice);
  auto matrix = op->getNumResults() == 1
                    ? dyn_cast<RankedTensorType>(op->getResult(0).getType())
                    : RankedTensorType();
  bool isElements =
      isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp,
          arith::NegFOp, arith::ExtFOp, arith::TruncFOp, math::ExpOp,
          math::LogOp, math::SqrtOp>(op);
  return isa<MeaningInterface>(op) ||
         (isElements && matrix && matrix.getRank() == 2);
}

void ds::buildMeaning(Meaning &m, Operation *op) {
  if (auto known = dyn_cast<MeaningInterface>(op))
    return known.buildMeaning(m);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return meanSlice(m, slice);
  m.fill(op->getResult(0), [&](Num column) {
    SmallVector<Num> operands;
    for (Value operand : op->getOperands())
      operands.push_back(m.at(operand, m.row, column));
    return apply(m, op, operands);
  });
}
