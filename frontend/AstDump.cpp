//===- AstDump.cpp - The syntax tree, one node a line ---------------------===//
#include "frontend/Format.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

namespace {
class Dumper {
public:
  Dumper(const llvm::SourceMgr &sources, llvm::raw_ostream &os)
      : sources(sources), os(os) {}
  void dump(const Decl &decl);

private:
  void node(const Twine &text, llvm::SMLoc loc);
  void dump(const Block &block);
  void dump(const Item &item);
  void dumpDecl(const Item &item);
  void dump(const Expr &expr);
  void dumpParams(const std::vector<Param> &params);
  void child(const ExprPtr &expr) {
    if (!expr)
      return;
    ++level;
    dump(*expr);
    --level;
  }

  const llvm::SourceMgr &sources;
  llvm::raw_ostream &os;
  unsigned level = 0;
};
} // namespace

void Dumper::node(const Twine &text, llvm::SMLoc loc) {
  auto [line, column] = sources.getLineAndColumn(loc);
  os.indent(2 * level) << text << " <" << line << ":" << column << ">\n";
}

void Dumper::dump(const Block &block) {
  ++level;
  for (const ItemPtr &item : block)
    dump(*item);
  --level;
}

void Dumper::dumpParams(const std::vector<Param> &params) {
  ++level;
  for (const Param &param : params)
    node("param " + param.name.name + ": " + spell(param.type),
         param.name.getLoc());
  --level;
}

void Dumper::dump(const Decl &decl) {
  std::string serves;
  for (StringRef type : decl.serves)
    serves += (serves.empty() ? " serves " : ", ") + type.str();
  node(getWord(decl.kind) + " " + decl.name.name + serves, decl.loc);
  dumpParams(decl.params);
  dump(decl.body);
}

void Dumper::dump(const Item &item) {
  switch (item.kind) {
  case Item::Fn: {
    const auto &fn = llvm::cast<Fn>(item);
    std::string results;
    for (const TypeExpr &type : fn.results)
      results += (results.empty() ? " -> " : ", ") + spell(type);
    node("fn " + fn.name.name + results, fn.loc);
    dumpParams(fn.params);
    return dump(fn.body);
  }
  case Item::Assign: {
    const auto &assign = llvm::cast<Assign>(item);
    std::string names;
    for (const Ident &name : assign.names)
      names += " " + name.name.str();
    node("assign" + names, assign.loc);
    return child(assign.value);
  }
  case Item::Auxiliary: {
    const auto &term = llvm::cast<Auxiliary>(item);
    node("auxiliary " + term.name.name.str(), term.loc);
    return child(term.value);
  }
  case Item::Return:
    node("return", item.loc);
    for (const ExprPtr &value : llvm::cast<Return>(item).values)
      child(value);
    return;
  case Item::If: {
    const auto &branch = llvm::cast<If>(item);
    node("if", branch.loc);
    child(branch.condition);
    dump(branch.thenBlock);
    if (branch.hasElse)
      node("else", branch.elseLoc);
    return dump(branch.elseBlock);
  }
  case Item::For: {
    const auto &loop = llvm::cast<For>(item);
    node("for " + loop.index.name, loop.loc);
    child(loop.first);
    child(loop.last);
    return dump(loop.body);
  }
  default:
    return dumpDecl(item);
  }
}

void Dumper::dumpDecl(const Item &item) {
  if (auto *field = llvm::dyn_cast<Field>(&item)) {
    for (const Key &key : field->keys) {
      std::string names;
      for (const Ident &spelling : key.spellings)
        names += (names.empty() ? "" : " | ") + spelling.name.str();
      if (key.alias)
        names += " as " + key.alias.name.str();
      node("field " + names + ": " + spell(field->type),
           key.spellings[0].getLoc());
      child(field->initial);
    }
  } else if (auto *ignore = llvm::dyn_cast<Ignore>(&item)) {
    for (StringRef key : ignore->keys)
      node("ignore " + key, llvm::SMLoc::getFromPointer(key.data()));
  } else if (auto *let = llvm::dyn_cast<Let>(&item)) {
    node("let " + let->name.name, let->loc);
    child(let->value);
  } else if (auto *require = llvm::dyn_cast<Require>(&item)) {
    node("require " + require->message, require->loc);
    child(require->condition);
  } else if (auto *weight = llvm::dyn_cast<Weight>(&item)) {
    std::string type = weight->tied ? " = " + weight->tied.name.str()
                                    : ": " + spell(weight->type);
    node("weight " + weight->name.name + type, weight->loc);
    ++level;
    if (weight->index) {
      node("stack " + weight->index.name, weight->index.getLoc());
      child(weight->first);
      child(weight->last);
    }
    for (const Label &label : weight->labels) {
      node("label " + label.text, label.getLoc());
      child(label.rows);
    }
    for (const Argument &option : weight->options) {
      node("option " + option.name.name, option.name.getLoc());
      child(option.value);
    }
    --level;
  } else if (auto *state = llvm::dyn_cast<State>(&item)) {
    node("state " + state->name.name + ": " + spell(state->type), state->loc);
    if (state->stride) {
      ++level;
      child(state->stride);
      --level;
    }
  } else if (auto *input = llvm::dyn_cast<Input>(&item)) {
    node("input " + input->name.name + ": " + spell(input->type), input->loc);
  } else if (auto *use = llvm::dyn_cast<Use>(&item)) {
    std::string index = use->index ? " index " + use->index.name.str() : "";
    node("use " + use->name.name + index + " of " + use->module.name +
             (use->label.empty() ? "" : " ") + use->label,
         use->loc);
    child(use->first);
    child(use->last);
    for (const ExprPtr &arg : use->args)
      child(arg);
  }
}

void Dumper::dump(const Expr &expr) {
  if (auto *call = llvm::dyn_cast<CallExpr>(&expr)) {
    node("call", call->loc);
    child(call->callee);
    ++level;
    for (const Argument &arg : call->args) {
      if (arg.name)
        node("attribute " + arg.name.name, arg.name.getLoc());
      level += arg.name ? 1 : 0;
      dump(*arg.value);
      level -= arg.name ? 1 : 0;
    }
    --level;
  } else if (auto *binary = llvm::dyn_cast<BinaryExpr>(&expr)) {
    node("binary " + binary->op, binary->loc);
    child(binary->left);
    child(binary->right);
  } else if (auto *unary = llvm::dyn_cast<UnaryExpr>(&expr)) {
    node("unary " + unary->op, unary->loc);
    child(unary->operand);
  } else if (auto *index = llvm::dyn_cast<IndexExpr>(&expr)) {
    node("index", index->loc);
    child(index->base);
    child(index->index);
  } else if (auto *member = llvm::dyn_cast<MemberExpr>(&expr)) {
    node("member " + member->name.name, member->loc);
    child(member->base);
  } else if (auto *list = llvm::dyn_cast<ListExpr>(&expr)) {
    node("list", list->loc);
    for (const ExprPtr &element : list->elements)
      child(element);
  } else {
    node(spell(expr), expr.loc);
  }
}

void ds::dump(const File &file, const llvm::SourceMgr &sources,
              llvm::raw_ostream &os) {
  Dumper dumper(sources, os);
  for (const std::unique_ptr<Decl> &decl : file.decls)
    dumper.dump(*decl);
}
