//===- Ops.h - The operations that model texts call -------------*- C++ -*-===//
//
// One entry for each operation: what it takes, which type it yields and the
// ds operation that it becomes. Positional arguments are tensors, keyword
// arguments are known at compile time.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_OPS_H
#define DS_FRONTEND_OPS_H
#include "dialect/LLVM.h"
#include "frontend/ConstValue.h"
#include "frontend/Diagnostics.h"
#include "frontend/DslType.h"

namespace ds {

/// A call whose types are checked.
struct CheckCall {
  struct Keyword {
    llvm::SMLoc loc;
    DslType type;
    Dim dim; ///< Of an integer.
  };
  Diagnostics &diag;
  llvm::StringRef op;
  llvm::SMLoc loc;
  std::vector<DslType> args; ///< Absent optional ones are not in it.
  std::vector<llvm::SMLoc> argLocs;
  llvm::StringMap<Keyword> keywords;

  /// Reports argument `index` unless its type is `expected`.
  bool expectArg(size_t index, const DslType &expected);
  bool fail(size_t index, const llvm::Twine &expected);
  bool has(llvm::StringRef keyword) const { return keywords.count(keyword); }
};

/// A call whose ds operation is built.
struct BuildCall {
  Diagnostics &diag;
  llvm::SMLoc smLoc;
  mlir::OpBuilder &builder;
  mlir::Location loc;
  mlir::Type compute;            ///< bf16 or f32.
  std::vector<mlir::Value> args; ///< Null where an optional one is absent.
  llvm::StringMap<ConstValue> keywords;
  llvm::StringMap<llvm::SMLoc> keywordLocs;
  bool trains = false; ///< The module gets an entry that trains.

  /// Reports a mistake that only numbers show; returns null.
  mlir::Value fail(llvm::StringRef keyword, const llvm::Twine &message);
};

struct OpInfo {
  struct Operand {
    const char *name;
    DslType::Kind kind;
    bool optional = false;
  };
  struct Keyword {
    const char *name;
    DslType::Kind kind; ///< Invalid stands for the name of an element type.
    bool optional = false;
  };
  const char *name;
  std::vector<Operand> operands;
  std::vector<Keyword> keywords;
  DslType (*check)(CheckCall &call); ///< Kinds have been checked before.
  mlir::Value (*build)(BuildCall &call);
  bool updatesState = false; ///< The result is the first operand's successor.

  const Keyword *findKeyword(llvm::StringRef keyword) const;
};

/// The operations of modules, and those of objectives (ObjectiveOps.cpp).
enum class OpSet { Module, Objective };
const std::vector<OpInfo> &getOps(OpSet set);
const std::vector<OpInfo> &getObjectiveOps();

/// Adds routers, experts and what takes columns apart (MoeOps.cpp).
void addMoeOps(std::vector<OpInfo> &ops);
/// Adds what balances experts (BalanceOps.cpp).
void addBalanceOps(std::vector<OpInfo> &ops);
/// Adds native sparse attention (NsaOps.cpp).
void addNsaOps(std::vector<OpInfo> &ops);

/// Adds an indexer and its norm (DsaOps.cpp).
void addDsaOps(std::vector<OpInfo> &ops);

/// `f32[Tout, 1]`: one value for each row with a target.
DslType getRowType();

/// Returns the operation of `set` called `name`, or null.
const OpInfo *findOp(llvm::StringRef name, OpSet set = OpSet::Module);

/// Names of all operations of `set`.
std::vector<llvm::StringRef> getOpNames(OpSet set = OpSet::Module);

/// Builds a number for each row with a target, in an entry whose first argument
/// is the sequences.
mlir::Value buildFill(mlir::OpBuilder &builder, mlir::Location loc,
                      double value);

/// Builds `a + b`, taken in f32.
mlir::Value buildAdd(mlir::OpBuilder &builder, mlir::Location loc,
                     mlir::Value left, mlir::Value right);

} // namespace ds
#endif
