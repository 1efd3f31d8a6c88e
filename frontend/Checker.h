//===- Checker.h - Names, types and dimensions of a text --------*- C++ -*-===//
//
// Checks a text without any config.json: every name is declared, every call
// fits its operation or module, dimensions agree as polynomials over names,
// whatever branches a configuration takes.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_CHECKER_H
#define DS_FRONTEND_CHECKER_H
#include "frontend/Ops.h"
#include "llvm/ADT/StringSet.h"

namespace ds {

class Checker {
public:
  Checker(const ast::File &file, Diagnostics &diag) : file(file), diag(diag) {}

  /// Checks the whole file. Returns its model or objective, or null after an
  /// error.
  const ast::Decl *check();

private:
  /// What a name stands for.
  struct Symbol {
    DslType type;
    Dim dim; ///< Of an integer.
    llvm::SMLoc loc;
    bool used = false;
    /// The branches it is declared in.
    std::vector<std::pair<const ast::If *, bool>> branches;
    /// Set where only some branches assign it: the `if` or `for`.
    llvm::SMLoc partial;
  };
  struct Scope {
    Scope *parent = nullptr;
    llvm::StringMap<Symbol> symbols;
    Symbol *find(llvm::StringRef name);
  };
  struct Signature {
    bool valid = false;
    bool hasSeq = false;
    std::vector<DslType> params, results;
    llvm::StringSet<> free; ///< Dimensions that a call binds.
  };
  struct ModuleInfo {
    const ast::Decl *decl = nullptr;
    Signature signature;
    Signature draft; ///< Of a model's function 'draft'.
  };
  /// What a `use` gives a module's integer parameters.
  using Arguments = llvm::StringMap<Dim>;

  // Checker.cpp: declarations of the file, names.
  const ast::Decl *findSubject();
  bool declareDecl(const ast::Decl &decl);
  void declare(Scope &scope, const ast::Ident &name, Symbol symbol);
  bool isExclusive(const Symbol &a, const Symbol &b) const;
  void redeclare(Symbol &first, const ast::Ident &name, const Symbol &second);
  bool isFree(const ast::Ident &name);
  Symbol makeConst(DslType type, const Dim &dim, llvm::SMLoc loc);

  // CheckConfig.cpp.
  void checkConfig(const ast::Decl &config);
  void checkField(const ast::Field &field, Scope &scope);
  DslType resolveConstType(const ast::TypeExpr &type);
  void checkLet(const ast::Let &let, Scope &scope);
  void checkRequire(const ast::Require &require, Scope &scope);

  // CheckModule.cpp: items of modules.
  void checkModule(const ast::Decl &module);
  void addConfig(Scope &scope, const ast::Decl &config);
  void checkItems(const ast::Block &block, Scope &scope);
  void checkItem(const ast::Item &item, Scope &scope);
  void checkWeight(const ast::Weight &weight, Scope &scope);
  void checkStack(const ast::Weight &weight, Scope &scope,
                  const DslType &type);
  void checkParts(const ast::Weight &weight, Scope &scope, const DslType &type);
  void checkLabel(llvm::StringRef text, Scope &scope);
  void checkState(const ast::State &state, Scope &scope);
  void checkUse(const ast::Use &use, Scope &scope);
  void checkUseArgs(const ast::Use &use, const ModuleInfo &info, Scope &scope);
  void checkStack(const ast::Use &use, const Signature &signature);
  void checkUnused(Scope &scope);
  DslType resolveTensor(const ast::TypeExpr &type, Scope &scope,
                        Signature *signature);
  void checkSignature(const ast::Fn &fn, Scope &scope, Signature &signature);
  bool checkFns(const ast::Block &block, Scope &scope);
  void checkEntry(const ast::Fn &fn, const Signature &signature);
  void checkDraft(const ast::Fn &fn, const Signature &signature,
                  const Signature &forward);
  /// Whether `fn` is the draft head of the model that is being checked.
  bool isDraft(const ast::Fn &fn) const {
    return module->kind == ast::Decl::Model && fn.name.name == "draft";
  }

  // CheckTraining.cpp: objectives, and how weights are trained.
  void checkObjective(const ast::Decl &objective);
  void checkInput(const ast::Input &input, Scope &scope);
  void checkAuxiliary(const ast::Auxiliary &item, Scope &scope);
  void checkTerm(const ast::Auxiliary &term, Scope &scope);
  void checkOptions(const ast::Weight &weight, Scope &scope);
  void checkInit(const ast::Expr &value, Scope &scope);
  void checkRate(const ast::Weight &weight, const ast::Expr &value,
                 Scope &scope);
  void checkFp8(const ast::Weight &weight, const ast::Expr &value,
                Scope &scope);
  void checkLoss(const ast::Fn &fn, const Signature &signature);
  DslType checkModelCall(const ast::CallExpr &call, llvm::StringRef name,
                         Scope &scope);
  const ast::MemberExpr *findModelMember(const ast::Expr &expr, Scope &scope);
  DslType checkArithmetic(const ast::BinaryExpr &expr, const DslType &left,
                          const DslType &right);
  bool inObjective() const {
    return module && module->kind == ast::Decl::Objective;
  }
  OpSet getOpSet() const {
    return inObjective() ? OpSet::Objective : OpSet::Module;
  }

  // CheckFn.cpp: statements.
  void checkFn(const ast::Fn &fn, Scope &scope);
  void checkStatements(const ast::Block &block, Scope &scope);
  void checkAssign(const ast::Assign &assign, Scope &scope);
  void assign(const ast::Ident &name, Scope &scope, Symbol symbol);
  void checkReturn(const ast::Return &statement, Scope &scope);
  void checkIf(const ast::If &statement, Scope &scope);
  void mergeBranches(const ast::If &statement, Scope &scope, Scope &left,
                     Scope &right);
  void checkFor(const ast::For &statement, Scope &scope);

  // CheckExpr.cpp.
  DslType checkExpr(const ast::Expr &expr, Scope &scope);
  DslType checkName(const ast::NameExpr &expr, Scope &scope);
  DslType checkMember(const ast::MemberExpr &expr, Scope &scope);
  DslType checkUnary(const ast::UnaryExpr &expr, Scope &scope);
  DslType checkBinary(const ast::BinaryExpr &expr, Scope &scope);
  DslType checkSum(const ast::BinaryExpr &expr, const DslType &left,
                   const DslType &right);
  DslType checkList(const ast::ListExpr &expr, Scope &scope);
  void checkBool(const ast::Expr &expr, Scope &scope);
  void checkInt(const ast::Expr &expr, Scope &scope);
  DslType mismatch(const ast::Expr &expr, const llvm::Twine &expected,
                   const DslType &got);
  Dim getDim(const ast::Expr &expr, Scope &scope);
  Symbol *lookup(const ast::Ident &name, Scope &scope);
  std::vector<llvm::StringRef> getNames(Scope &scope);

  // CheckCall.cpp.
  std::vector<DslType> checkCall(const ast::CallExpr &call, Scope &scope);
  DslType checkConstFunction(const ast::CallExpr &call, Scope &scope);
  DslType checkOp(const ast::CallExpr &call, const OpInfo &op, Scope &scope);
  bool checkOperands(const ast::CallExpr &call, const OpInfo &op, Scope &scope,
                     CheckCall &checked);
  bool checkKeywords(const ast::CallExpr &call, const OpInfo &op, Scope &scope,
                     CheckCall &checked);
  bool checkKeyword(const ast::Argument &arg, const OpInfo::Keyword &keyword,
                    Scope &scope, CheckCall &checked);
  std::vector<DslType> checkPart(const ast::CallExpr &call, const ast::Use &use,
                                 Scope &scope);
  bool unify(const DslType &param, const DslType &arg,
             const Signature &signature, llvm::StringMap<Dim> &bindings);
  Signature getSignature(const ast::Use &use) const;

  const ast::File &file;
  Diagnostics &diag;
  llvm::StringMap<const ast::Decl *> decls;
  llvm::StringMap<ModuleInfo> modules;
  ModuleInfo objective; // The one being checked.
  std::map<const ast::Decl *, Scope> configs;
  std::map<const ast::Use *, Arguments> useArguments;
  std::vector<std::pair<const ast::If *, bool>> branches;
  const ast::Decl *module = nullptr;    // Being checked.
  const Signature *signature = nullptr; // Of the function being checked.
  bool returned = false;
  unsigned loops = 0;
};

} // namespace ds
#endif
