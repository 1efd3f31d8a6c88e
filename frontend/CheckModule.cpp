//===- CheckModule.cpp - Weights, states and parts of modules -------------===//
#include "frontend/Checker.h"
#include "frontend/Lexer.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

void Checker::checkModule(const Decl &decl) {
  module = &decl;
  ModuleInfo &info = modules[decl.name.name];
  info.decl = &decl;
  Scope scope;
  bool hasConfig = false, isValid = true;
  for (const Param &param : decl.params) {
    DslType type = resolveConstType(param.type);
    isValid &= !type.isInvalid();
    if (type.kind == DslType::Record && !hasConfig) {
      addConfig(scope, *type.config);
      hasConfig = true;
    }
    declare(scope, param.name,
            makeConst(type, Dim::name(param.name.name), param.name.getLoc()));
  }
  if (decl.kind == Decl::Model && isValid &&
      (decl.params.size() != 1 || !hasConfig))
    diag.error(decl.name.getLoc(),
               "expects a model to take one config, such as '" +
                   decl.name.name + "(c: Config)'");
  checkItems(decl.body, scope);
  if (!checkFns(decl.body, scope))
    diag.error(decl.name.getLoc(),
               "expects '" + decl.name.name + "' to have a function 'forward'");
  else
    checkUnused(scope);
}

/// Checks the functions of a module, those in branches too. Returns whether
/// there are any.
bool Checker::checkFns(const ast::Block &block, Scope &scope) {
  bool any = false;
  for (const ItemPtr &item : block) {
    if (auto *fn = llvm::dyn_cast<Fn>(item.get())) {
      checkFn(*fn, scope);
      any = true;
    } else if (auto *branch = llvm::dyn_cast<If>(item.get())) {
      any |= checkFns(branch->thenBlock, scope);
      any |= checkFns(branch->elseBlock, scope);
    }
  }
  return any;
}

/// Puts the names of a config in scope, and `c.name` as well.
void Checker::addConfig(Scope &scope, const Decl &config) {
  for (const auto &entry : configs[&config].symbols) {
    Symbol symbol = entry.second;
    symbol.used = true;
    scope.symbols[entry.first()] = symbol;
  }
}

void Checker::checkItems(const ast::Block &block, Scope &scope) {
  for (const ItemPtr &item : block)
    checkItem(*item, scope);
}

void Checker::checkItem(const Item &item, Scope &scope) {
  switch (item.kind) {
  case Item::Let:
    return checkLet(llvm::cast<Let>(item), scope);
  case Item::Require:
    return checkRequire(llvm::cast<Require>(item), scope);
  case Item::Weight:
    return checkWeight(llvm::cast<Weight>(item), scope);
  case Item::Ignore:
    for (StringRef label : llvm::cast<Ignore>(item).keys)
      checkLabel(label, scope);
    return;
  case Item::State:
    return checkState(llvm::cast<State>(item), scope);
  case Item::Use:
    return checkUse(llvm::cast<Use>(item), scope);
  case Item::Input:
    return checkInput(llvm::cast<Input>(item), scope);
  case Item::Auxiliary:
    return checkAuxiliary(llvm::cast<Auxiliary>(item), scope);
  case Item::Fn:
    if (!branches.empty() && !isDraft(llvm::cast<Fn>(item)))
      diag.error(item.loc, "expects 'fn' outside 'if'");
    return;
  case Item::If: {
    const auto &branch = llvm::cast<If>(item);
    checkBool(*branch.condition, scope);
    branches.emplace_back(&branch, true);
    checkItems(branch.thenBlock, scope);
    branches.back().second = false;
    checkItems(branch.elseBlock, scope);
    branches.pop_back();
    return;
  }
  default:
    return;
  }
}

void Checker::checkUnused(Scope &scope) {
  std::vector<std::pair<const char *, StringRef>> unused;
  for (const auto &entry : scope.symbols) {
    const Symbol &symbol = entry.second;
    StringRef kind = symbol.type.kind == DslType::Weight   ? "weight"
                     : symbol.type.kind == DslType::State  ? "state"
                     : symbol.type.part                    ? "part"
                     : symbol.type.kind == DslType::Model  ? "model"
                     : symbol.type.kind == DslType::Tensor ? "input"
                                                           : "";
    if (!symbol.used && !kind.empty())
      unused.emplace_back(symbol.loc.getPointer(), kind);
  }
  llvm::sort(unused);
  for (const auto &[place, kind] : unused)
    diag.error(llvm::SMLoc::getFromPointer(place),
               "expects '" + Twine(inObjective() ? "loss" : "forward") +
                   "' to use this " + kind);
}

//===----------------------------------------------------------------------===//
// Weights and states
//===----------------------------------------------------------------------===//

/// Resolves the dimensions of a tensor. In a function's signature unknown
/// names are dimensions that a call binds.
DslType Checker::resolveTensor(const TypeExpr &type, Scope &scope,
                               Signature *signature) {
  DslType result(DslType::Tensor);
  StringRef element = type.name.name;
  if (type.name && element != "f32" && !(signature && element == "i32")) {
    diag.error(type.name.getLoc(),
               "expects element type 'f32' or none, got '" + element + "'");
    return {};
  }
  result.isF32 = element == "f32";
  result.isI32 = element == "i32";
  if (type.dims.empty()) {
    diag.error(type.loc, "expects at least one dimension");
    return {};
  }
  bool ok = true;
  for (const ExprPtr &dim : type.dims) {
    auto *name = llvm::dyn_cast<NameExpr>(dim.get());
    bool isRows = name && (name->text == "T" || name->text == "Tout");
    if (signature && name && (isRows || !scope.find(name->text))) {
      if (!isRows || !signature->hasSeq)
        signature->free.insert(name->text);
      result.dims.push_back(Dim::name(name->text));
      continue;
    }
    unsigned before = diag.getErrorCount();
    checkInt(*dim, scope);
    ok &= before == diag.getErrorCount();
    result.dims.push_back(getDim(*dim, scope));
  }
  return ok ? result : DslType();
}

void Checker::checkWeight(const Weight &weight, Scope &scope) {
  Symbol symbol;
  if (weight.tied) {
    Symbol *other = lookup(weight.tied, scope);
    if (other && other->type.kind != DslType::Weight)
      diag.error(weight.tied.getLoc(), "expects a weight, got '" +
                                           weight.tied.name + "', which is " +
                                           other->type.str());
    else if (other)
      symbol.type = other->type;
    for (const Label &label : weight.labels)
      checkLabel(label.text, scope);
    return declare(scope, weight.name, symbol);
  }
  symbol.type = resolveTensor(weight.type, scope, nullptr);
  if (!symbol.type.isInvalid()) {
    symbol.type.kind = DslType::Weight;
    checkStack(weight, scope, symbol.type);
  }
  checkOptions(weight, scope);
  declare(scope, weight.name, symbol);
}

/// Checks the dimensions of a weight and its labels, in which a stack's index
/// is known.
void Checker::checkStack(const Weight &weight, Scope &scope,
                         const DslType &type) {
  if (!weight.index) {
    checkParts(weight, scope, type);
    if (type.dims.size() > 2)
      diag.error(weight.type.loc, "expects a weight of one or two dimensions, "
                                  "or a stack of matrices");
    return;
  }
  checkInt(*weight.first, scope);
  checkInt(*weight.last, scope);
  if (type.dims.size() != 3)
    diag.error(weight.type.loc,
               "expects a stack of matrices to have three dimensions");
  Scope inner;
  inner.parent = &scope;
  declare(inner, weight.index,
          makeConst(DslType::Int, Dim::name(weight.index.name),
                    weight.index.getLoc()));
  DslType matrix = type;
  matrix.dims.erase(matrix.dims.begin());
  checkParts(weight, inner, matrix);
}

/// Checks labels and that their rows add up.
void Checker::checkParts(const Weight &weight, Scope &scope,
                         const DslType &type) {
  Dim sum;
  size_t sized = 0;
  for (const Label &label : weight.labels) {
    checkLabel(label.text, scope);
    if (!label.rows)
      continue;
    checkInt(*label.rows, scope);
    sum = sum + getDim(*label.rows, scope);
    ++sized;
  }
  if (sized && sized != weight.labels.size())
    diag.error(weight.labels[0].getLoc(),
               "expects rows for each label of concat or for none");
  else if (sized && sum != type.dims[0])
    diag.error(weight.labels[0].getLoc(), "expects rows of all labels (" +
                                              sum.str() + ") to be " +
                                              type.dims[0].str());
}

/// Checks that every `{name}` of a label is an integer or a string.
void Checker::checkLabel(StringRef text, Scope &scope) {
  while (true) {
    size_t open = text.find('{');
    if (open == StringRef::npos)
      return;
    text = text.drop_front(open + 1);
    size_t close = text.find('}');
    Ident name{text.take_front(close)};
    if (close == StringRef::npos || name.name.empty()) {
      diag.error(llvm::SMLoc::getFromPointer(text.data() - 1),
                 "expects a name and '}' after '{' in a label");
      return;
    }
    Symbol *symbol = lookup(name, scope);
    if (symbol && !symbol->type.isInvalid() &&
        symbol->type.kind != DslType::Int &&
        symbol->type.kind != DslType::String)
      diag.error(name.getLoc(), "expects an int or a string in a label, got " +
                                    symbol->type.str());
    text = text.drop_front(close + 1);
  }
}

void Checker::checkState(const State &state, Scope &scope) {
  Symbol symbol;
  symbol.type = resolveTensor(state.type, scope, nullptr);
  if (symbol.type.isF32)
    diag.error(state.type.loc, "expects a state of the compute type");
  if (!symbol.type.isInvalid())
    symbol.type.kind = DslType::State;
  if (state.stride)
    checkInt(*state.stride, scope);
  declare(scope, state.name, symbol);
}

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

void Checker::checkUse(const Use &use, Scope &scope) {
  Symbol symbol;
  symbol.loc = use.name.getLoc();
  auto found = modules.find(use.module.name);
  if (found == modules.end() || found->second.decl == module) {
    std::vector<StringRef> names;
    for (const auto &entry : modules)
      names.push_back(entry.first());
    llvm::sort(names);
    if (found != modules.end())
      diag.error(use.module.getLoc(),
                 "expects a module declared before, got '" + use.module.name +
                     "' itself");
    else
      diag.error(use.module.getLoc(), "unknown module '" + use.module.name +
                                          "'" +
                                          suggest(use.module.name, names));
    return declare(scope, use.name, symbol);
  }
  Scope inner;
  inner.parent = &scope;
  if (use.index) {
    checkInt(*use.first, scope);
    checkInt(*use.last, scope);
    declare(
        inner, use.index,
        makeConst(DslType::Int, Dim::name(use.index.name), use.index.getLoc()));
    if (!StringRef(use.label).contains(("{" + use.index.name + "}").str()))
      diag.error(use.label.empty()
                     ? use.name.getLoc()
                     : llvm::SMLoc::getFromPointer(use.label.data()),
                 "expects a label with {" + use.index.name +
                     "}, so that each "
                     "layer has its own weights");
  }
  checkUseArgs(use, found->second, inner);
  checkLabel(use.label, inner);
  symbol.type.kind = use.index ? DslType::Stack : DslType::Part;
  symbol.type.part = &use;
  if (use.index)
    checkStack(use, getSignature(use));
  declare(scope, use.name, symbol);
}

void Checker::checkUseArgs(const Use &use, const ModuleInfo &info,
                           Scope &scope) {
  const std::vector<Param> &params = info.decl->params;
  Arguments &arguments = useArguments[&use];
  if (use.args.size() != params.size()) {
    diag.error(use.module.getLoc(),
               "expects " + countOf(params.size(), "argument") + " for '" +
                   use.module.name + "', got " + Twine(use.args.size()));
    diag.note(info.decl->name.getLoc(), "it is declared here");
    return;
  }
  for (size_t i = 0; i < params.size(); ++i) {
    DslType param = resolveConstType(params[i].type);
    DslType arg = checkExpr(*use.args[i], scope);
    bool fits = arg == param || arg.isInvalid() || param.isInvalid() ||
                (param.kind == DslType::Float && arg.isNumber());
    if (!fits)
      mismatch(*use.args[i], param.str(), arg);
    else if (param.kind == DslType::Int)
      arguments[params[i].name.name] = getDim(*use.args[i], scope);
  }
}

/// A stack is run by one operation, which carries one activation.
void Checker::checkStack(const Use &use, const Signature &signature) {
  if (!signature.valid)
    return;
  bool fits = signature.params.size() == 2 && signature.results.size() == 1 &&
              signature.params[0] == signature.results[0] &&
              signature.params[1].kind == DslType::Seq;
  if (fits)
    return;
  diag.error(use.module.getLoc(), "expects layers with a forward(x, s: seq) "
                                  "whose result has the type of x");
}
