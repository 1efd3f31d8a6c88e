//===- CheckFn.cpp - Functions and their statements -----------------------===//
#include "frontend/Checker.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

void Checker::checkFn(const Fn &fn, Scope &scope) {
  ModuleInfo &info = inObjective() ? objective : modules[module->name.name];
  StringRef name = inObjective() ? "loss" : isDraft(fn) ? "draft" : "forward";
  Signature &known = isDraft(fn) ? info.draft : info.signature;
  if (fn.name.name != name) {
    diag.error(fn.name.getLoc(), "expects a function called '" + name +
                                     "', got '" + fn.name.name + "'");
    return;
  }
  if (known.valid) {
    diag.error(fn.name.getLoc(), "'" + name + "' is declared twice");
    return;
  }
  Scope inner;
  inner.parent = &scope;
  Signature own;
  checkSignature(fn, inner, own);
  if (isDraft(fn))
    checkDraft(fn, own, info.signature);
  else if (module->kind == Decl::Model)
    checkEntry(fn, own);
  if (module->kind == Decl::Objective)
    checkLoss(fn, own);
  signature = &own;
  returned = false;
  checkStatements(fn.body, inner);
  if (!returned)
    diag.error(fn.name.getLoc(),
               "expects 'return' at the end of every path of '" + name + "'");
  signature = nullptr;
  known = own;
}

void Checker::checkSignature(const Fn &fn, Scope &scope, Signature &signature) {
  signature.valid = true;
  for (const Param &param : fn.params)
    signature.hasSeq |=
        !param.type.hasBrackets && param.type.name.name == "seq";
  for (const Param &param : fn.params) {
    Symbol symbol;
    if (param.type.hasBrackets)
      symbol.type = resolveTensor(param.type, scope, &signature);
    else if (param.type.name.name == "seq")
      symbol.type = DslType::Seq;
    else
      diag.error(param.type.loc, "expects a tensor or 'seq', got '" +
                                     param.type.name.name + "'");
    signature.params.push_back(symbol.type);
    declare(scope, param.name, symbol);
  }
  llvm::StringSet<> bound = signature.free;
  for (const TypeExpr &result : fn.results) {
    if (result.hasBrackets) {
      signature.results.push_back(resolveTensor(result, scope, &signature));
      continue;
    }
    diag.error(result.loc, "expects a tensor, got '" + result.name.name + "'");
    signature.results.emplace_back();
  }
  for (const TypeExpr &result : fn.results)
    for (const ExprPtr &dim : result.dims)
      if (auto *name = llvm::dyn_cast<NameExpr>(dim.get()))
        if (signature.free.contains(name->text) && !bound.contains(name->text))
          diag.error(name->loc, "unknown name '" + name->text + "'" +
                                    suggest(name->text, getNames(scope)));
  signature.valid = true;
}

/// Whether `type` is f32[rows, vocabulary].
static bool areLogits(const DslType &type) {
  return type.isInvalid() || (type.isF32 && type.dims.size() == 2);
}

/// Whether `type` is [T, columns] in the compute type.
static bool areHidden(const DslType &type) {
  return type.isInvalid() ||
         (type.kind == DslType::Tensor && !type.isF32 && !type.isI32 &&
          type.dims.size() == 2 && type.dims[0] == Dim::name("T"));
}

/// The model's function is what the runtime calls. Its second result is what
/// the draft head takes.
void Checker::checkEntry(const Fn &fn, const Signature &signature) {
  size_t results = signature.results.size();
  bool fits = signature.params.size() == 1 &&
              signature.params[0].kind == DslType::Seq &&
              (results == 1 || results == 2) &&
              areLogits(signature.results[0]) &&
              (results == 1 || areHidden(signature.results[1]));
  if (!fits)
    diag.error(fn.name.getLoc(), "expects the model's function to be "
                                 "forward(s: seq) -> f32[Tout, vocabulary], "
                                 "with [T, columns] as a second result for a "
                                 "function 'draft'");
}

/// The draft head goes on from what 'forward' returns beside the logits, and
/// returns the same.
void Checker::checkDraft(const Fn &fn, const Signature &signature,
                         const Signature &forward) {
  bool fits = signature.params.size() == 2 && signature.results.size() == 2 &&
              signature.params[1].kind == DslType::Seq;
  if (!fits) {
    diag.error(fn.name.getLoc(),
               "expects the draft head to be draft(hidden: [T, columns], s: "
               "seq) -> f32[Tout, vocabulary], [T, columns]");
    return;
  }
  if (!forward.valid || forward.results.size() != 2) {
    diag.error(fn.name.getLoc(),
               "expects 'forward', before 'draft', to return what 'draft' "
               "takes as a second result");
    return;
  }
  auto check = [&](const DslType &type, const DslType &expected, Twine what) {
    if (!type.isInvalid() && !expected.isInvalid() && type != expected)
      diag.error(fn.name.getLoc(),
                 "expects " + what + " of 'draft' to be " + expected.str() +
                     " as 'forward' returns, got " + type.str());
  };
  check(signature.params[0], forward.results[1], "the first argument");
  check(signature.results[0], forward.results[0], "the first result");
  check(signature.results[1], forward.results[1], "the second result");
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

void Checker::checkStatements(const ast::Block &block, Scope &scope) {
  for (const ItemPtr &item : block) {
    if (returned) {
      diag.error(item->loc, "expects no statement after 'return'");
      return;
    }
    if (auto *assign = llvm::dyn_cast<Assign>(item.get()))
      checkAssign(*assign, scope);
    else if (auto *statement = llvm::dyn_cast<Return>(item.get()))
      checkReturn(*statement, scope);
    else if (auto *term = llvm::dyn_cast<Auxiliary>(item.get()))
      checkTerm(*term, scope);
    else if (auto *branch = llvm::dyn_cast<If>(item.get()))
      checkIf(*branch, scope);
    else if (auto *loop = llvm::dyn_cast<For>(item.get()))
      checkFor(*loop, scope);
  }
}

void Checker::checkAssign(const Assign &statement, Scope &scope) {
  std::vector<DslType> types;
  if (auto *call = llvm::dyn_cast<CallExpr>(statement.value.get()))
    types = checkCall(*call, scope);
  else
    types = {checkExpr(*statement.value, scope)};
  bool known = llvm::none_of(types, [](auto &t) { return t.isInvalid(); });
  if (types.size() != statement.names.size() && known && !types.empty())
    diag.error(statement.loc, "expects " + countOf(types.size(), "name") +
                                  " for the results, got " +
                                  Twine(statement.names.size()));
  types.resize(statement.names.size());
  for (size_t i = 0; i < types.size(); ++i) {
    Dim dim;
    if (types[i].kind == DslType::Int)
      dim = getDim(*statement.value, scope);
    assign(statement.names[i], scope,
           makeConst(types[i], dim, statement.names[i].getLoc()));
  }
}

/// Names of a function may be assigned anew, names of its module may not.
void Checker::assign(const Ident &name, Scope &scope, Symbol symbol) {
  if (!isFree(name))
    return;
  Symbol *first = scope.find(name.name);
  if (first && !scope.symbols.count(name.name)) {
    diag.error(name.getLoc(), "expects a new name, got '" + name.name +
                                  "', which the module declares");
    diag.note(first->loc, "it is declared here");
    return;
  }
  scope.symbols[name.name] = std::move(symbol);
}

void Checker::checkReturn(const Return &statement, Scope &scope) {
  returned = true;
  if (loops)
    diag.error(statement.loc, "expects no 'return' inside 'for'");
  if (statement.values.size() != signature->results.size())
    diag.error(statement.loc, "expects " +
                                  countOf(signature->results.size(), "value") +
                                  ", got " + Twine(statement.values.size()));
  for (size_t i = 0; i < statement.values.size(); ++i) {
    DslType type = checkExpr(*statement.values[i], scope);
    if (i >= signature->results.size() || type.isInvalid() ||
        signature->results[i].isInvalid() || type == signature->results[i])
      continue;
    mismatch(*statement.values[i], signature->results[i].str(), type);
  }
}

void Checker::checkIf(const If &statement, Scope &scope) {
  checkBool(*statement.condition, scope);
  Scope left = scope, right = scope;
  checkStatements(statement.thenBlock, left);
  bool leftReturned = std::exchange(returned, false);
  checkStatements(statement.elseBlock, right);
  bool rightReturned = std::exchange(returned, false);
  returned = leftReturned && rightReturned;
  if (leftReturned)
    scope = std::move(right);
  else if (rightReturned)
    scope = std::move(left);
  else
    mergeBranches(statement, scope, left, right);
}

/// Keeps what both branches assign with one type.
void Checker::mergeBranches(const If &statement, Scope &scope, Scope &left,
                            Scope &right) {
  scope.symbols.clear();
  for (auto &entry : left.symbols) {
    Symbol symbol = entry.second;
    auto other = right.symbols.find(entry.first());
    if (other == right.symbols.end()) {
      symbol.partial = statement.loc;
    } else if (symbol.type.isInvalid() || other->second.type.isInvalid()) {
      symbol.type = {};
    } else if (symbol.type != other->second.type) {
      diag.error(other->second.loc, "expects '" + entry.first() +
                                        "' to have one type, got " +
                                        other->second.type.str());
      diag.note(symbol.loc, "the other branch assigns it " + symbol.type.str());
      symbol.type = {};
    } else {
      if (symbol.dim != other->second.dim)
        symbol.dim = Dim::name(entry.first());
      if (other->second.partial.isValid())
        symbol.partial = other->second.partial;
    }
    scope.symbols[entry.first()] = symbol;
  }
  for (auto &entry : right.symbols)
    if (!left.symbols.count(entry.first())) {
      scope.symbols[entry.first()] = entry.second;
      scope.symbols[entry.first()].partial = statement.loc;
    }
}

void Checker::checkFor(const For &statement, Scope &scope) {
  checkInt(*statement.first, scope);
  checkInt(*statement.last, scope);
  Scope inner = scope;
  declare(inner, statement.index,
          makeConst(DslType::Int, Dim::name(statement.index.name),
                    statement.index.getLoc()));
  ++loops;
  checkStatements(statement.body, inner);
  --loops;
  returned = false;
  for (auto &entry : scope.symbols) {
    Symbol &before = entry.second;
    Symbol &after = inner.symbols[entry.first()];
    bool same = before.type == after.type && before.dim == after.dim;
    if (same || before.type.isInvalid() || after.type.isInvalid())
      continue;
    diag.error(after.loc, "expects '" + entry.first() + "' to keep its type " +
                              before.type.str() + " in 'for', got " +
                              after.type.str());
    diag.note(before.loc, "it is assigned before the loop here");
  }
  for (auto &entry : inner.symbols)
    if (entry.first() != statement.index.name &&
        !scope.symbols.count(entry.first())) {
      scope.symbols[entry.first()] = entry.second;
      scope.symbols[entry.first()].partial = statement.loc;
    }
}
