//===- CheckConfig.cpp - Fields and requirements of configs ---------------===//
#include "frontend/Checker.h"
#include "frontend/Lexer.h"
#include "llvm/ADT/StringSwitch.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;

void Checker::checkConfig(const Decl &config) {
  Scope scope;
  for (const ItemPtr &item : config.body) {
    if (auto *field = llvm::dyn_cast<Field>(item.get()))
      checkField(*field, scope);
    else if (auto *let = llvm::dyn_cast<Let>(item.get()))
      checkLet(*let, scope);
    else if (auto *require = llvm::dyn_cast<Require>(item.get()))
      checkRequire(*require, scope);
  }
  configs[&config] = std::move(scope);
}

static DslType::Kind getScalarKind(StringRef name) {
  return llvm::StringSwitch<DslType::Kind>(name)
      .Cases({"int", "dim"}, DslType::Int)
      .Case("float", DslType::Float)
      .Case("bool", DslType::Bool)
      .Case("string", DslType::String)
      .Default(DslType::Invalid);
}

DslType Checker::resolveConstType(const TypeExpr &type) {
  DslType result;
  result.nullable = type.nullable;
  if (type.hasBrackets) {
    auto *element = type.dims.size() == 1
                        ? llvm::dyn_cast<NameExpr>(type.dims[0].get())
                        : nullptr;
    result.kind = DslType::List;
    result.element = element ? getScalarKind(element->text) : DslType::Invalid;
    if (!type.name && result.element != DslType::Invalid)
      return result;
    diag.error(type.loc, "expects a list such as [int]");
    return {};
  }
  result.kind = getScalarKind(type.name.name);
  if (!result.isInvalid())
    return result;
  auto found = decls.find(type.name.name);
  if (found != decls.end() && found->second->kind == Decl::Config &&
      configs.count(found->second)) {
    result.kind = DslType::Record;
    result.config = found->second;
    return result;
  }
  std::vector<StringRef> names = {"int", "dim", "float", "bool", "string"};
  for (const auto &entry : configs)
    names.push_back(entry.first->name.name);
  diag.error(type.loc, "unknown type '" + type.name.name + "'" +
                           suggest(type.name.name, names));
  return {};
}

void Checker::checkField(const Field &field, Scope &scope) {
  DslType type = resolveConstType(field.type);
  if (field.initial) {
    DslType initial = checkExpr(*field.initial, scope);
    bool fits = initial == type || initial.isInvalid() || type.isInvalid() ||
                (type.kind == DslType::Float && initial.isNumber()) ||
                (type.nullable && initial.kind == DslType::Null);
    if (!fits)
      mismatch(*field.initial, type.str(), initial);
    type.nullable = type.nullable && initial.nullable;
  }
  for (const Key &key : field.keys) {
    Ident name = key.alias ? key.alias : key.spellings[0];
    Symbol symbol = makeConst(type, Dim::name(name.name), name.getLoc());
    declare(scope, name, symbol);
    if (key.alias && !key.spellings[0].name.starts_with("\"") &&
        key.spellings[0].name != key.alias.name)
      declare(scope, key.spellings[0], symbol);
  }
}

void Checker::checkLet(const Let &let, Scope &scope) {
  DslType type = checkExpr(*let.value, scope);
  if (!type.isConst() && !type.isInvalid())
    type = mismatch(*let.value, "a value of the configuration", type);
  Dim dim;
  if (type.kind == DslType::Int)
    dim = getDim(*let.value, scope);
  // What is no polynomial is known by the name that it gets here.
  if (dim.getName() && *dim.getName() == spell(*let.value) &&
      !llvm::isa<NameExpr>(*let.value))
    dim = Dim::name(let.name.name);
  declare(scope, let.name, makeConst(type, dim, let.name.getLoc()));
}

void Checker::checkRequire(const Require &require, Scope &scope) {
  checkBool(*require.condition, scope);
}
