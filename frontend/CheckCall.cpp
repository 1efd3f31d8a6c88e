//===- CheckCall.cpp - Calls of operations and of parts -------------------===//
#include "frontend/Checker.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

std::vector<DslType> Checker::checkCall(const CallExpr &call, Scope &scope) {
  const Expr *callee = call.callee.get();
  if (auto *index = llvm::dyn_cast<IndexExpr>(callee)) {
    callee = index->base.get();
    checkInt(*index->index, scope);
  }
  if (const MemberExpr *member = findModelMember(*callee, scope)) {
    if (member->name.name == "draft")
      return {checkModelCall(call, spell(*member->base), scope)};
    diag.error(member->name.getLoc(), "expects 'draft' after the name of a "
                                      "model, got '" +
                                          member->name.name + "'");
    return {DslType()};
  }
  auto *name = llvm::dyn_cast<NameExpr>(callee);
  bool isIndexed = callee != call.callee.get();
  if (name && !isIndexed && isConstFunction(name->text))
    return {checkConstFunction(call, scope)};
  if (name && !isIndexed)
    if (const OpInfo *op = findOp(name->text, getOpSet()))
      return {checkOp(call, *op, scope)};
  Symbol *symbol = name ? scope.find(name->text) : nullptr;
  if (!symbol) {
    std::vector<StringRef> names = getOpNames(getOpSet());
    for (Scope *each = &scope; each; each = each->parent)
      for (const auto &entry : each->symbols)
        if (entry.second.type.part || entry.second.type.kind == DslType::Model)
          names.push_back(entry.first());
    diag.error(callee->loc, "unknown operation or part '" + spell(*callee) +
                                "'" + suggest(spell(*callee), names));
    for (const Argument &arg : call.args)
      checkExpr(*arg.value, scope);
    return {DslType()};
  }
  symbol->used = true;
  if (symbol->type.isInvalid())
    return {DslType()};
  if (symbol->type.kind == DslType::Model && !isIndexed)
    return {checkModelCall(call, name->text, scope)};
  if (!symbol->type.part) {
    diag.error(callee->loc, "expects an operation or a part, got '" +
                                name->text + "', which is " +
                                symbol->type.str());
    return {DslType()};
  }
  if (isIndexed != (symbol->type.kind == DslType::Stack)) {
    diag.error(callee->loc,
               isIndexed
                   ? "expects no index, since '" + name->text + "' is one part"
                   : "expects an index, since '" + name->text +
                         "' is a stack of layers");
    return {DslType()};
  }
  return checkPart(call, *symbol->type.part, scope);
}

/// A function of one number, or of a list of integers, of the configuration.
DslType Checker::checkConstFunction(const CallExpr &call, Scope &scope) {
  bool isLn = llvm::cast<NameExpr>(*call.callee).text == "ln";
  StringRef wanted = isLn ? "number" : "list of integers";
  if (call.args.size() != 1 || call.args[0].name) {
    diag.error(call.loc,
               "expects one " + wanted + " for '" + spell(*call.callee) + "'");
    return {};
  }
  const Expr &argument = *call.args[0].value;
  DslType type = checkExpr(argument, scope);
  if (!isLn && type.kind == DslType::List && type.element == DslType::Int)
    return DslType(DslType::Int);
  if (!isLn)
    return mismatch(argument, "a list of integers", type);
  return type.isNumber() ? DslType(DslType::Float)
                         : mismatch(argument, "a number", type);
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

static std::string describe(DslType::Kind kind) {
  switch (kind) {
  case DslType::Tensor:
    return "a tensor";
  case DslType::Weight:
    return "a weight";
  case DslType::State:
    return "a state";
  case DslType::Routing:
    return "a routing";
  case DslType::Seq:
    return "seq";
  default:
    return DslType(kind).str();
  }
}

DslType Checker::checkOp(const CallExpr &call, const OpInfo &op, Scope &scope) {
  CheckCall checked{diag, op.name, call.loc, {}, {}, {}};
  bool ok = checkOperands(call, op, scope, checked);
  ok &= checkKeywords(call, op, scope, checked);
  return ok ? op.check(checked) : DslType();
}

bool Checker::checkOperands(const CallExpr &call, const OpInfo &op,
                            Scope &scope, CheckCall &checked) {
  bool ok = true;
  for (const Argument &arg : call.args) {
    if (arg.name)
      continue;
    size_t index = checked.args.size();
    DslType type = checkExpr(*arg.value, scope);
    checked.args.push_back(type);
    checked.argLocs.push_back(arg.value->loc);
    ok &= !type.isInvalid();
    if (index >= op.operands.size() || type.isInvalid() ||
        type.kind == op.operands[index].kind)
      continue;
    ok = checked.fail(index, describe(op.operands[index].kind) + " as its " +
                                 op.operands[index].name);
  }
  size_t most = op.operands.size();
  size_t least = most;
  while (least && op.operands[least - 1].optional)
    --least;
  size_t count = checked.args.size();
  if (count >= least && count <= most)
    return ok;
  std::string names;
  for (const OpInfo::Operand &operand : op.operands)
    names += std::string(names.empty() ? "" : ", ") + operand.name +
             (operand.optional ? "?" : "");
  diag.error(call.loc, Twine(op.name) + " expects (" + names + "), got " +
                           countOf(count, "argument"));
  return false;
}

bool Checker::checkKeywords(const CallExpr &call, const OpInfo &op,
                            Scope &scope, CheckCall &checked) {
  bool ok = true;
  for (const Argument &arg : call.args) {
    if (!arg.name)
      continue;
    if (const OpInfo::Keyword *keyword = op.findKeyword(arg.name.name)) {
      ok &= checkKeyword(arg, *keyword, scope, checked);
      continue;
    }
    std::vector<StringRef> names;
    for (const OpInfo::Keyword &each : op.keywords)
      names.push_back(each.name);
    diag.error(arg.name.getLoc(), Twine(op.name) + " has no attribute '" +
                                      arg.name.name + "'" +
                                      suggest(arg.name.name, names));
    ok = false;
  }
  for (const OpInfo::Keyword &keyword : op.keywords) {
    if (keyword.optional || checked.has(keyword.name))
      continue;
    bool given = llvm::any_of(call.args, [&](const Argument &arg) {
      return arg.name.name == keyword.name;
    });
    if (!given)
      diag.error(call.loc,
                 Twine(op.name) + " expects attribute '" + keyword.name + "'");
    ok = false;
  }
  return ok;
}

bool Checker::checkKeyword(const Argument &arg, const OpInfo::Keyword &keyword,
                           Scope &scope, CheckCall &checked) {
  if (checked.has(keyword.name)) {
    diag.error(arg.name.getLoc(), "'" + arg.name.name + "' is given twice");
    return false;
  }
  CheckCall::Keyword entry;
  entry.loc = arg.value->loc;
  if (keyword.kind == DslType::Invalid) {
    auto *name = llvm::dyn_cast<NameExpr>(arg.value.get());
    if (!name || name->text != "f32") {
      diag.error(arg.value->loc,
                 "expects element type 'f32', got '" + spell(*arg.value) + "'");
      return false;
    }
    checked.keywords[keyword.name] = entry;
    return true;
  }
  entry.type = checkExpr(*arg.value, scope);
  bool fits = entry.type.kind == keyword.kind ||
              (keyword.kind == DslType::Float && entry.type.isNumber());
  if (!fits) {
    mismatch(*arg.value,
             DslType(keyword.kind).str() + " for '" + keyword.name + "'",
             entry.type);
    return false;
  }
  if (entry.type.kind == DslType::Int)
    entry.dim = getDim(*arg.value, scope);
  checked.keywords[keyword.name] = entry;
  return true;
}

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

/// The signature of a part's function with the arguments that `use` gives.
Checker::Signature Checker::getSignature(const Use &use) const {
  auto info = modules.find(use.module.name);
  auto arguments = useArguments.find(&use);
  if (info == modules.end() || arguments == useArguments.end())
    return {};
  Signature signature = info->second.signature;
  for (std::vector<DslType> *list : {&signature.params, &signature.results})
    for (DslType &type : *list)
      for (Dim &dim : type.dims)
        dim = dim.substitute(arguments->second);
  return signature;
}

/// Whether `arg` fits `param` when the dimensions that a call binds are bound
/// as `bindings` says, to which new ones are added.
bool Checker::unify(const DslType &param, const DslType &arg,
                    const Signature &signature,
                    llvm::StringMap<Dim> &bindings) {
  if (param.isInvalid() || arg.isInvalid())
    return true;
  if (param.kind != arg.kind || param.isF32 != arg.isF32 || param.isI32 != arg.isI32 ||
      param.dims.size() != arg.dims.size())
    return false;
  for (size_t i = 0; i < param.dims.size(); ++i) {
    std::optional<StringRef> name = param.dims[i].getName();
    if (name && signature.free.contains(*name) && !bindings.count(*name))
      bindings[*name] = arg.dims[i];
    if (param.dims[i].substitute(bindings) != arg.dims[i])
      return false;
  }
  return true;
}

std::vector<DslType> Checker::checkPart(const CallExpr &call, const Use &use,
                                        Scope &scope) {
  Signature signature = getSignature(use);
  if (!signature.valid)
    return {DslType()};
  if (call.args.size() != signature.params.size()) {
    diag.error(call.loc, "expects " +
                             countOf(signature.params.size(), "argument") +
                             " for part '" + use.name.name + "', got " +
                             Twine(call.args.size()));
    diag.note(use.name.getLoc(), "it is declared here");
    return signature.results;
  }
  llvm::StringMap<Dim> bindings;
  for (size_t i = 0; i < call.args.size(); ++i) {
    const Argument &arg = call.args[i];
    if (arg.name)
      diag.error(arg.name.getLoc(), "expects no attribute for a part");
    DslType type = checkExpr(*arg.value, scope);
    if (unify(signature.params[i], type, signature, bindings))
      continue;
    DslType expected = signature.params[i];
    for (Dim &dim : expected.dims)
      dim = dim.substitute(bindings);
    mismatch(*arg.value, expected.str(), type);
  }
  for (DslType &type : signature.results)
    for (Dim &dim : type.dims)
      dim = dim.substitute(bindings);
  return signature.results;
}
