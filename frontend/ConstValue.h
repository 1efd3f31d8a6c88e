//===- ConstValue.h - Values that are known at compile time ----------*- C++
//-*-===//
//
// What config.json gives and what the text computes from it.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_CONSTVALUE_H
#define DS_FRONTEND_CONSTVALUE_H
#include "frontend/Ast.h"
#include "frontend/Diagnostics.h"
#include "llvm/ADT/StringMap.h"
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ds {
struct Record;

/// A value, or `Poison` where its error has been reported.
struct ConstValue {
  enum Kind { Poison, Null, Bool, Int, Float, String, List, Object };
  Kind kind = Poison;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0; ///< Also set for Int.
  std::string string;
  std::vector<ConstValue> elements;
  std::shared_ptr<const Record> record;
  llvm::SMLoc origin; ///< Where config.json says it, if it does.

  static ConstValue null();
  static ConstValue of(bool value);
  static ConstValue of(int64_t value);
  static ConstValue of(double value);
  static ConstValue of(llvm::StringRef value);

  bool isPoison() const { return kind == Poison; }
  bool isNull() const { return kind == Null; }
  bool isNumber() const { return kind == Int || kind == Float; }
  bool operator==(const ConstValue &other) const;
  /// Returns the value as one writes it in the text.
  std::string str() const;
};

/// A config bound to an object of config.json.
struct Record {
  struct Entry {
    std::string key;  ///< As config.json spells it first.
    std::string name; ///< As the text calls it.
    ConstValue value;
  };
  const ast::Decl *config = nullptr;
  std::vector<Entry> entries;        ///< Fields in the order of the text.
  llvm::StringMap<ConstValue> names; ///< Fields, by both names, and lets.
};

/// Names and their values; names of `parent` are seen through.
struct ConstScope {
  const ConstScope *parent = nullptr;
  const Record *record = nullptr; ///< Its names are seen too.
  llvm::StringMap<ConstValue> values;
  const ConstValue *find(llvm::StringRef name) const;
};

/// Whether `name` is a function of numbers of the configuration.
bool isConstFunction(llvm::StringRef name);

/// Evaluates expressions without tensors. Mistakes that the numbers of
/// config.json cause are reported in the text, with notes at the numbers.
class Evaluator {
public:
  explicit Evaluator(Diagnostics &diag) : diag(diag) {}
  ConstValue eval(const ast::Expr &expr, const ConstScope &scope);
  std::optional<int64_t> evalInt(const ast::Expr &expr,
                                 const ConstScope &scope);
  std::optional<bool> evalBool(const ast::Expr &expr, const ConstScope &scope);

  /// Adds a note for each value of config.json that `expr` uses.
  void noteOrigins(const ast::Expr &expr, const ConstScope &scope);

  /// A name that `expr` uses, and its value.
  using Use = std::pair<std::string, const ConstValue *>;
  void collectUses(const ast::Expr &expr, const ConstScope &scope,
                   std::vector<Use> &uses);

private:
  ConstValue evalCall(const ast::CallExpr &expr, const ConstScope &scope);
  ConstValue evalExtreme(const ast::Expr &argument, const ConstScope &scope,
                         const ConstValue &list, bool isMost);
  ConstValue evalUnary(const ast::UnaryExpr &expr, const ConstScope &scope);
  ConstValue evalBinary(const ast::BinaryExpr &expr, const ConstScope &scope);
  ConstValue evalInts(const ast::BinaryExpr &expr, const ConstScope &scope,
                      int64_t left, int64_t right);
  ConstValue fail(const ast::Expr &expr, const ConstScope &scope,
                  const llvm::Twine &message);

  Diagnostics &diag;
};

/// Returns how an expression reads (Format.h).
std::string spell(const ast::Expr &expr);

} // namespace ds
#endif
