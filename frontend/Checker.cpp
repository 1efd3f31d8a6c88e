//===- Checker.cpp - Declarations of a file and their names ---------------===//
#include "frontend/Checker.h"
#include "frontend/Lexer.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

const Decl *Checker::check() {
  for (const std::unique_ptr<Decl> &decl : file.decls) {
    if (!declareDecl(*decl))
      continue;
    if (decl->kind == Decl::Config)
      checkConfig(*decl);
    else if (decl->kind == Decl::Objective)
      checkObjective(*decl);
    else
      checkModule(*decl);
  }
  const Decl *subject = findSubject();
  return diag.hasErrors() ? nullptr : subject;
}

const Decl *Checker::findSubject() {
  const Decl *subject = nullptr;
  for (const std::unique_ptr<Decl> &decl : file.decls) {
    if (decl->kind != Decl::Model && decl->kind != Decl::Objective)
      continue;
    if (!subject) {
      subject = decl.get();
      continue;
    }
    diag.error(decl->loc, "expects one model or objective in a file");
    diag.note(subject->loc, "the first one is here");
  }
  if (!subject && !diag.hasErrors())
    diag.error("expects a model in the file, such as "
               "'model Llama(c: Llama) serves \"llama\" {...}', or an "
               "objective");
  return subject;
}

bool Checker::declareDecl(const Decl &decl) {
  const Decl *&entry = decls[decl.name.name];
  if (entry) {
    diag.error(decl.name.getLoc(),
               "'" + decl.name.name + "' is declared twice");
    diag.note(entry->name.getLoc(), "it is declared first here");
    return false;
  }
  entry = &decl;
  return true;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

Checker::Symbol *Checker::Scope::find(StringRef name) {
  auto found = symbols.find(name);
  if (found != symbols.end())
    return &found->second;
  return parent ? parent->find(name) : nullptr;
}

Checker::Symbol Checker::makeConst(DslType type, const Dim &dim,
                                   llvm::SMLoc loc) {
  Symbol symbol;
  symbol.type = std::move(type);
  symbol.dim = dim;
  symbol.loc = loc;
  return symbol;
}

/// Whether `name` is not taken by the language.
bool Checker::isFree(const Ident &name) {
  if (name.name == "T" || name.name == "Tout") {
    diag.error(name.getLoc(),
               "expects another name than '" + name.name + "', which counts " +
                   (name.name == "T" ? "the tokens of a step"
                                     : "the rows whose logits are asked for"));
    return false;
  }
  if (findOp(name.name, getOpSet())) {
    diag.error(name.getLoc(), "expects another name than '" + name.name +
                                  "', which is an operation");
    return false;
  }
  return true;
}

/// Two declarations of which a configuration takes only one.
bool Checker::isExclusive(const Symbol &a, const Symbol &b) const {
  for (const auto &[branch, isThen] : a.branches)
    for (const auto &[other, otherIsThen] : b.branches)
      if (branch == other && isThen != otherIsThen)
        return true;
  return false;
}

void Checker::declare(Scope &scope, const Ident &name, Symbol symbol) {
  if (!isFree(name))
    return;
  symbol.loc = name.getLoc();
  symbol.branches = branches;
  auto found = scope.symbols.find(name.name);
  if (found == scope.symbols.end()) {
    if (Symbol *outer = scope.find(name.name)) {
      diag.error(name.getLoc(), "'" + name.name + "' is declared twice");
      diag.note(outer->loc, "it is declared first here");
    }
    scope.symbols[name.name] = std::move(symbol);
    return;
  }
  redeclare(found->second, name, symbol);
}

void Checker::redeclare(Symbol &first, const Ident &name,
                        const Symbol &second) {
  if (!isExclusive(first, second)) {
    diag.error(name.getLoc(), "'" + name.name + "' is declared twice");
    diag.note(first.loc, "it is declared first here");
    return;
  }
  bool same = first.type == second.type && first.dim == second.dim;
  if (first.type.kind == DslType::Part && second.type.kind == DslType::Part) {
    Signature a = getSignature(*first.type.part);
    Signature b = getSignature(*second.type.part);
    same = !a.valid || !b.valid ||
           (a.params == b.params && a.results == b.results);
  }
  if (same || first.type.isInvalid() || second.type.isInvalid())
    return;
  bool isPart = first.type.kind == DslType::Part;
  diag.error(
      name.getLoc(),
      "expects '" + name.name + "' to have one type, got " +
          (isPart ? "a part with another forward" : Twine(second.type.str())));
  diag.note(first.loc,
            isPart ? Twine("the other branch declares it here")
                   : "the other branch declares it " + Twine(first.type.str()));
}

std::vector<StringRef> Checker::getNames(Scope &scope) {
  std::vector<StringRef> names;
  for (Scope *each = &scope; each; each = each->parent)
    for (const auto &entry : each->symbols)
      names.push_back(entry.first());
  llvm::sort(names);
  return names;
}

/// Finds a name that an expression uses, or reports it.
Checker::Symbol *Checker::lookup(const Ident &name, Scope &scope) {
  Symbol *symbol = scope.find(name.name);
  if (!symbol) {
    diag.error(name.getLoc(), "unknown name '" + name.name + "'" +
                                  suggest(name.name, getNames(scope)));
    return nullptr;
  }
  symbol->used = true;
  if (symbol->partial.isValid()) {
    diag.error(name.getLoc(), "expects '" + name.name +
                                  "' to be assigned whatever the "
                                  "configuration is");
    diag.note(symbol->partial, "only a part of this assigns it");
    return nullptr;
  }
  return symbol;
}
