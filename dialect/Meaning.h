//===- Meaning.h - Scalar loops that say what operations mean ---*- C++ -*-===//
//
// An operation with a MeaningInterface describes one row of its results: loops,
// sums in f64 in order, one rounding where a value is stored. What a kernel
// does for speed (tiles, packing, fusion, other forms) has no place here.
//
//===----------------------------------------------------------------------===//
#ifndef DS_DIALECT_MEANING_H
#define DS_DIALECT_MEANING_H
#include "dialect/Dialect.h"
#include <functional>

namespace ds {

/// An i64, an f64 or a condition (i1) of the loops.
struct Num {
  Meaning *meaning = nullptr;
  Value value;
};

Num operator+(Num a, Num b);
Num operator-(Num a, Num b);
Num operator*(Num a, Num b);
/// Of integers that are not negative the quotient rounded down.
Num operator/(Num a, Num b);
Num operator%(Num a, Num b);
Num operator<(Num a, Num b);
Num operator==(Num a, Num b);
Num operator&&(Num a, Num b);
Num operator||(Num a, Num b);
/// A number of the type that `like` has.
Num makeLike(Num like, double value);
template <typename T>
using IfNumber = std::enable_if_t<std::is_arithmetic_v<T>, Num>;
template <typename T> IfNumber<T> operator+(Num a, T b) {
  return a + makeLike(a, static_cast<double>(b));
}
template <typename T> IfNumber<T> operator-(Num a, T b) {
  return a - makeLike(a, static_cast<double>(b));
}
template <typename T> IfNumber<T> operator*(Num a, T b) {
  return a * makeLike(a, static_cast<double>(b));
}
template <typename T> IfNumber<T> operator/(Num a, T b) {
  return a / makeLike(a, static_cast<double>(b));
}
template <typename T> IfNumber<T> operator%(Num a, T b) {
  return a % makeLike(a, static_cast<double>(b));
}
template <typename T> IfNumber<T> operator<(Num a, T b) {
  return a < makeLike(a, static_cast<double>(b));
}
template <typename T> IfNumber<T> operator==(Num a, T b) {
  return a == makeLike(a, static_cast<double>(b));
}
inline Num operator>(Num a, Num b) { return b < a; }

/// Builds loops at a place of a function. What memory is, a target says.
class Meaning {
public:
  using Function = llvm::function_ref<Num(Num)>;
  using Action = llvm::function_ref<void(Num)>;

  Meaning(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}
  virtual ~Meaning() = default;

  OpBuilder &builder;
  Location loc;

  /// The row of the results, counted from 0.
  Num row;
  /// The most positions that a sequence can have.
  int64_t positions = 0;

  Num num(int64_t value);
  Num num(double value);
  Num num(Value value) { return {this, value}; }

  // Loops over lower, lower + 1, .. below upper.
  void forEach(Num lower, Num upper, Action body);
  void forEach(int64_t upper, Action body);
  /// Adds f64 in order.
  Num sum(Num lower, Num upper, Function term);
  Num sum(int64_t upper, Function term);
  /// The greatest f64, -infinity of none.
  Num max(Num lower, Num upper, Function term);
  Num max(int64_t upper, Function term);
  /// How often a condition holds.
  Num count(Num lower, Num upper, Function condition);
  Num count(int64_t upper, Function condition);
  /// The integer that `next` makes of `first` and every index in order.
  Num fold(Num first, Num lower, Num upper,
           llvm::function_ref<Num(Num index, Num before)> next);

  void when(Num condition, llvm::function_ref<void()> then);
  /// Evaluates one of two.
  Num choose(Num condition, llvm::function_ref<Num()> then,
             llvm::function_ref<Num()> otherwise);
  Num select(Num condition, Num a, Num b);
  Num isTrue(bool value);
  Num negate(Num condition);

  // f64. Errors are below 1e-15 of the result.
  Num exp(Num x);
  Num log(Num x); ///< Of what is above zero.
  Num sqrt(Num x);
  Num cos(Num x);
  Num sin(Num x);
  Num sigmoid(Num x);
  Num toNumber(Num integer);

  /// `x` as `element` (f32 or bf16) has it.
  virtual Num round(Num x, Type element) = 0;

  // Memory. Elements are f64, or i64 of i32.
  virtual Num at(Value tensor, llvm::ArrayRef<Num> index) = 0;
  /// Rounds once and stores.
  virtual void put(Value tensor, llvm::ArrayRef<Num> index, Num value) = 0;
  Num at(Value tensor, Num row, Num column) {
    return at(tensor, {row, column});
  }
  /// Fills the row of a result, column by column.
  void fill(Value result, Function value);

  /// An array of f64 of this row alone.
  virtual Value makeArray(int64_t count) = 0;
  virtual Num arrayAt(Value array, Num index) = 0;
  virtual void putArray(Value array, Num index, Num value) = 0;

  /// What a state keeps of a position, or of an entry, of a sequence.
  virtual Num kept(Value state, Value seq, Num sequence, Num position, Num head,
                   Num column) = 0;
  virtual void keep(Value state, Value seq, Num sequence, Num position,
                    Num head, Num column, Num value) = 0;

  /// Arrays of ds_seq, for a row of it; the row that is the `index`-th output.
  virtual Num token(Value seq, Num index) = 0;
  virtual Num position(Value seq, Num index) = 0;
  virtual Num sequence(Value seq, Num index) = 0;
  virtual Num outRow(Value seq, Num index) = 0;

  /// Arrays of a routing (docs/artifact.md).
  enum class RoutingArray { Offsets, Tokens, Inverse };
  virtual Num routed(Value routing, RoutingArray array, Num index) = 0;
  virtual void putRouted(Value routing, RoutingArray array, Num index,
                         Num value) = 0;
  /// Rows of the tokens of the step, of a launch with a row for each.
  virtual Num rows() = 0;

private:
  Num polynomial(Num x, llvm::ArrayRef<double> coefficients);
  std::pair<Num, Num> turn(Num x);
};

/// Attention of one query head.
struct MeantHead {
  Num count;                     ///< Candidates: positions or entries.
  std::function<Num(Num)> sees;  ///< Whether the query sees one.
  std::function<Num(Num)> query; ///< A column.
  std::function<Num(Num, Num)> key, value; ///< Of a candidate, a column.
  int64_t keyColumns, valueColumns;
  double scale;
  Type element; ///< To which probabilities are rounded.
};

/// softmax(scale q k^T) v over what the query sees, and its log-sum-exp; zero
/// and -infinity where it sees nothing. `scores` has room for every candidate.
void meanHead(Meaning &m, const MeantHead &head, Value scores,
              llvm::function_ref<void(Num column, Num value)> put,
              llvm::function_ref<void(Num lse)> putLse);

/// Whether `op` says what it means: those of ds that serve, columns of a matrix
/// and arithmetic on elements.
bool hasMeaning(Operation *op);
/// Builds what becomes of one row of the results of `op`, which has a meaning.
void buildMeaning(Meaning &m, Operation *op);

} // namespace ds
#endif
