//===- CheckTraining.cpp - Objectives, and how weights are trained --------===//
#include "frontend/Checker.h"
#include "frontend/Format.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

//===----------------------------------------------------------------------===//
// Objectives
//===----------------------------------------------------------------------===//

void Checker::checkObjective(const Decl &decl) {
  module = &decl;
  objective = {};
  objective.decl = &decl;
  Scope scope;
  for (const Param &param : decl.params) {
    Symbol symbol;
    if (!param.type.hasBrackets && param.type.name.name == "model")
      symbol.type = DslType::Model;
    else
      diag.error(param.type.loc,
                 "expects 'model', got '" + spell(param.type) + "'");
    declare(scope, param.name, symbol);
  }
  if (decl.params.empty())
    diag.error(decl.name.getLoc(), "expects an objective to take a model, such "
                                   "as '" +
                                       decl.name.name + "(policy: model)'");
  checkItems(decl.body, scope);
  bool hasLoss = checkFns(decl.body, scope);
  if (objective.signature.valid)
    checkUnused(scope);
  else if (!hasLoss)
    diag.error(decl.name.getLoc(),
               "expects '" + decl.name.name + "' to have a function 'loss'");
  module = nullptr;
}

void Checker::checkInput(const Input &input, Scope &scope) {
  Symbol symbol;
  Signature rows;
  rows.hasSeq = true;
  symbol.type = resolveTensor(input.type, scope, &rows);
  if (!symbol.type.isInvalid() && symbol.type != getRowType()) {
    diag.error(input.type.loc, "expects an input of type " +
                                   getRowType().str() + ", got " +
                                   symbol.type.str());
    symbol.type = {};
  }
  declare(scope, input.name, symbol);
}

/// `auxiliary policy`: a model of the objective.
void Checker::checkAuxiliary(const Auxiliary &item, Scope &scope) {
  Symbol *symbol = lookup(item.name, scope);
  if (symbol && symbol->type.kind != DslType::Model)
    diag.error(item.name.getLoc(), "expects a model, got '" + item.name.name +
                                       "', which is " + symbol->type.str());
}

/// `auxiliary name = rows`: a term of the loss of a module.
void Checker::checkTerm(const Auxiliary &term, Scope &scope) {
  if (inObjective())
    diag.error(term.loc, "expects terms of the loss in modules; an objective's "
                         "'loss' returns what it adds");
  DslType rows = DslType::tensor({Dim::name("T"), Dim::constant(1)}, true);
  DslType type = checkExpr(*term.value, scope);
  if (!type.isInvalid() && type != rows)
    mismatch(*term.value, rows.str() + ", a value for each token", type);
}

/// The objective's function is what a training step computes.
void Checker::checkLoss(const Fn &fn, const Signature &signature) {
  bool fits = signature.params.size() == 1 &&
              signature.params[0].kind == DslType::Seq &&
              signature.results.size() == 1;
  if (fits && !signature.results[0].isInvalid())
    fits = signature.results[0] == getRowType();
  if (!fits)
    diag.error(fn.name.getLoc(), "expects the objective's function to be "
                                 "loss(s: seq) -> f32[Tout, 1]");
}

/// `policy(s)`: the logits of the rows with a target.
DslType Checker::checkModelCall(const CallExpr &call, StringRef name,
                                Scope &scope) {
  bool fits = call.args.size() == 1 && !call.args[0].name;
  for (const Argument &arg : call.args) {
    DslType type = checkExpr(*arg.value, scope);
    if (fits && type.kind != DslType::Seq)
      return mismatch(*arg.value, "seq", type);
  }
  if (!fits) {
    diag.error(call.loc, "expects (sequences) for model '" + name + "', got " +
                             countOf(call.args.size(), "argument"));
    return {};
  }
  return DslType::tensor(
      {Dim::name("Tout"), Dim::name((name + ".vocabulary").str())}, true);
}

/// Returns `expr` if it is `policy.name`, policy being a model, else null.
const MemberExpr *Checker::findModelMember(const Expr &expr, Scope &scope) {
  auto *member = llvm::dyn_cast<MemberExpr>(&expr);
  auto *base = member ? llvm::dyn_cast<NameExpr>(member->base.get()) : nullptr;
  Symbol *symbol = base ? scope.find(base->text) : nullptr;
  if (!symbol || symbol->type.kind != DslType::Model)
    return nullptr;
  symbol->used = true;
  return member;
}

/// Tensors of objectives are f32; numbers stand for tensors of one value.
DslType Checker::checkArithmetic(const BinaryExpr &expr, const DslType &left,
                                 const DslType &right) {
  StringRef op = expr.op;
  const DslType &tensor = left.kind == DslType::Tensor ? left : right;
  if (!StringRef("+-*/").contains(op))
    return mismatch(tensor == left ? *expr.left : *expr.right,
                    "a number beside '" + op + "'", tensor);
  auto fits = [&](const DslType &type) {
    return type == tensor || type.isNumber();
  };
  if (!fits(left))
    return mismatch(*expr.left, tensor.str() + " beside '" + op + "'", left);
  if (!fits(right))
    return mismatch(*expr.right, tensor.str() + " beside '" + op + "'", right);
  return tensor;
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// `fp8`, `init`, `decay`, `frozen` and `balance_rate`.
void Checker::checkOptions(const Weight &weight, Scope &scope) {
  llvm::StringSet<> given;
  for (const Argument &option : weight.options) {
    StringRef name = option.name.name;
    if (!given.insert(name).second)
      diag.error(option.name.getLoc(), "'" + name + "' is given twice");
    else if (name == "init")
      checkInit(*option.value, scope);
    else if (name == "decay" || name == "frozen")
      checkBool(*option.value, scope);
    else if (name == "balance_rate")
      checkRate(weight, *option.value, scope);
    else if (name == "fp8")
      checkFp8(weight, *option.value, scope);
    else
      diag.error(option.name.getLoc(),
                 "a weight has no option '" + name + "'" +
                     suggest(name, {"fp8", "init", "decay", "frozen",
                                    "balance_rate"}));
  }
}

/// Blocks that have a scale are of matrices.
void Checker::checkFp8(const Weight &weight, const Expr &value, Scope &scope) {
  checkBool(value, scope);
  if (weight.type.name.name == "f32" || weight.type.dims.size() < 2)
    diag.error(weight.type.loc, "expects a weight that may be FP8 to be a "
                                "matrix of the compute type");
}

/// A router's bias is a vector that gradients leave alone.
void Checker::checkRate(const Weight &weight, const Expr &value,
                        Scope &scope) {
  DslType type = checkExpr(value, scope);
  if (!type.isNumber())
    mismatch(value, "a number", type);
  if (weight.type.name.name != "f32" || weight.type.dims.size() != 1)
    diag.error(weight.type.loc,
               "expects a weight with a balance_rate to be a vector of f32");
  bool frozen = llvm::any_of(weight.options, [](const Argument &option) {
    return option.name.name == "frozen";
  });
  if (!frozen)
    diag.error(value.loc, "expects frozen = true beside balance_rate, as the "
                          "loads of experts move the weight and gradients do "
                          "not");
}

void Checker::checkInit(const Expr &value, Scope &scope) {
  auto *name = llvm::dyn_cast<NameExpr>(&value);
  if (name && (name->text == "zeros" || name->text == "ones"))
    return;
  auto *call = llvm::dyn_cast<CallExpr>(&value);
  auto *callee = call ? llvm::dyn_cast<NameExpr>(call->callee.get()) : nullptr;
  if (!callee || callee->text != "normal" || call->args.size() != 1 ||
      call->args[0].name) {
    diag.error(value.loc, "expects normal(deviation), zeros or ones, got '" +
                              spell(value) + "'");
    return;
  }
  DslType type = checkExpr(*call->args[0].value, scope);
  if (!type.isNumber())
    mismatch(*call->args[0].value, "a number", type);
}
