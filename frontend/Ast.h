//===- Ast.h - Syntax tree of the model language ----------------*- C++ -*-===//
//
// Names and literals are slices of the source buffer, which outlives the tree.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_AST_H
#define DS_FRONTEND_AST_H
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Casting.h"
#include "llvm/Support/SMLoc.h"
#include <memory>
#include <vector>

namespace ds::ast {

/// A name and where it stands.
struct Ident {
  llvm::StringRef name;
  llvm::SMLoc getLoc() const {
    return llvm::SMLoc::getFromPointer(name.data());
  }
  explicit operator bool() const { return !name.empty(); }
};

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

struct Expr {
  enum Kind {
    Int,
    Float,
    String,
    Bool,
    Null,
    Name,
    Member,
    Index,
    Call,
    Unary,
    Binary,
    List
  };
  Expr(Kind kind, llvm::SMLoc loc) : kind(kind), loc(loc) {}
  virtual ~Expr() = default;
  const Kind kind;
  llvm::SMLoc loc;     ///< Where it begins; of a binary one, its operator.
  unsigned height = 1; ///< Levels of the tree below and with it.
};
using ExprPtr = std::unique_ptr<Expr>;

template <Expr::Kind K> struct ExprBase : Expr {
  explicit ExprBase(llvm::SMLoc loc) : Expr(K, loc) {}
  static bool classof(const Expr *expr) { return expr->kind == K; }
};

/// A literal as written; a string with its quotes.
template <Expr::Kind K> struct LiteralExpr : ExprBase<K> {
  explicit LiteralExpr(llvm::StringRef text)
      : ExprBase<K>(llvm::SMLoc::getFromPointer(text.data())), text(text) {}
  llvm::StringRef text;
};
using IntExpr = LiteralExpr<Expr::Int>;
using FloatExpr = LiteralExpr<Expr::Float>;
using StringExpr = LiteralExpr<Expr::String>;
using BoolExpr = LiteralExpr<Expr::Bool>;
using NullExpr = LiteralExpr<Expr::Null>;
using NameExpr = LiteralExpr<Expr::Name>;

/// `base.name`: a field of a record.
struct MemberExpr : ExprBase<Expr::Member> {
  using ExprBase::ExprBase;
  ExprPtr base;
  Ident name;
};

/// `base[index]`: one module of a stack.
struct IndexExpr : ExprBase<Expr::Index> {
  using ExprBase::ExprBase;
  ExprPtr base, index;
};

/// An argument, with a name where it is a keyword argument.
struct Argument {
  Ident name;
  ExprPtr value;
};

/// `callee(tensors, attributes = values)`: one operation or one module.
struct CallExpr : ExprBase<Expr::Call> {
  using ExprBase::ExprBase;
  ExprPtr callee;
  std::vector<Argument> args;
};

/// `-x` or `!x`.
struct UnaryExpr : ExprBase<Expr::Unary> {
  using ExprBase::ExprBase;
  llvm::StringRef op;
  ExprPtr operand;
};

struct BinaryExpr : ExprBase<Expr::Binary> {
  using ExprBase::ExprBase;
  llvm::StringRef op;
  ExprPtr left, right;
};

/// `[a, b]`.
struct ListExpr : ExprBase<Expr::List> {
  using ExprBase::ExprBase;
  std::vector<ExprPtr> elements;
};

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

/// `int`, `dim`, `float`, `bool`, `string`, `seq`, `model`, a config's name;
/// or, with brackets, a tensor `f32[T, D]` or `[T, D]` or, in a config, a list
/// `[int]`.
/// `?` after it admits null.
struct TypeExpr {
  llvm::SMLoc loc;
  Ident name; ///< Empty for a list and for a tensor of the compute type.
  bool hasBrackets = false;
  std::vector<ExprPtr> dims;
  bool nullable = false;
};

//===----------------------------------------------------------------------===//
// What stands in braces: fields, declarations, statements
//===----------------------------------------------------------------------===//

struct Item {
  enum Kind {
    Field,
    Ignore,
    Let,
    Require,
    Weight,
    State,
    Use,
    Input,
    Fn,
    Auxiliary,
    Assign,
    Return,
    If,
    For
  };
  Item(Kind kind, llvm::SMLoc loc) : kind(kind), loc(loc) {}
  virtual ~Item() = default;
  const Kind kind;
  llvm::SMLoc loc; ///< Its first character.
  llvm::SMLoc end; ///< After its last one.
};
using ItemPtr = std::unique_ptr<Item>;
using Block = std::vector<ItemPtr>;

template <Item::Kind K> struct ItemBase : Item {
  explicit ItemBase(llvm::SMLoc loc) : Item(K, loc) {}
  static bool classof(const Item *item) { return item->kind == K; }
};

/// A key of config.json: its spellings and its name in the text.
struct Key {
  std::vector<Ident> spellings; ///< Names or strings with their quotes.
  Ident alias;
};

/// `key as A, other as B : int = default`.
struct Field : ItemBase<Item::Field> {
  using ItemBase::ItemBase;
  std::vector<Key> keys;
  TypeExpr type;
  ExprPtr initial; ///< Taken where the key is missing or null; may be null.
};

/// `ignore "key", "other"`: keys that say nothing of the model; in a model,
/// beginnings of names of tensors that it does not read.
struct Ignore : ItemBase<Item::Ignore> {
  using ItemBase::ItemBase;
  std::vector<llvm::StringRef> keys; ///< With quotes.
};

/// `let name = value`.
struct Let : ItemBase<Item::Let> {
  using ItemBase::ItemBase;
  Ident name;
  ExprPtr value;
};

/// `require condition, "message"`.
struct Require : ItemBase<Item::Require> {
  using ItemBase::ItemBase;
  ExprPtr condition;
  llvm::StringRef message; ///< With quotes.
};

/// A tensor of the checkpoint, and its rows where several are concatenated.
struct Label {
  llvm::StringRef text; ///< With quotes.
  ExprPtr rows;         ///< May be null.
  llvm::SMLoc getLoc() const {
    return llvm::SMLoc::getFromPointer(text.data());
  }
};

/// `weight name : [N, K] "label"`, `... concat("a", "b")` or
/// `weight name = other`, after which the label of a copy may follow; `weight
/// name : [E, N, K] stack(e in 0..E, "a.{e}")` is a matrix for each of a range.
/// After the labels how it is trained, such as `init = normal(0.02), decay =
/// false`.
struct Weight : ItemBase<Item::Weight> {
  using ItemBase::ItemBase;
  Ident name;
  TypeExpr type;
  std::vector<Label> labels;
  Ident index; ///< Of a stack, with its range.
  ExprPtr first, last;
  std::vector<Argument> options; ///< With names.
  /// The other weight that it is; `labels` are then names of copies.
  Ident tied;
};

/// `state name : [Hk, Dh]` or `state name : [Hk, Dh] every d`.
struct State : ItemBase<Item::State> {
  using ItemBase::ItemBase;
  Ident name;
  TypeExpr type;
  ExprPtr stride; ///< Or null.
};

/// `use name = Module(args) "label"` or, for a stack of layers,
/// `use name[i in first..last] = Module(args) "label.{i}"`.
struct Use : ItemBase<Item::Use> {
  using ItemBase::ItemBase;
  Ident name;
  Ident index; ///< Of a stack.
  ExprPtr first, last;
  Ident module;
  std::vector<ExprPtr> args;
  llvm::StringRef label; ///< With quotes, or empty.
};

/// `input name : f32[Tout, 1]`: what the trainer gives an objective.
struct Input : ItemBase<Item::Input> {
  using ItemBase::ItemBase;
  Ident name;
  TypeExpr type;
};

/// `auxiliary name = value`, a statement: a term of the loss that a module adds
/// when it is trained. Without a value, in an objective: it takes in the terms
/// of the model `name`.
struct Auxiliary : ItemBase<Item::Auxiliary> {
  using ItemBase::ItemBase;
  Ident name;
  ExprPtr value;
};

struct Param {
  Ident name;
  TypeExpr type;
};

/// `fn name(x: [T, D], s: seq) -> [T, D] { ... }`.
struct Fn : ItemBase<Item::Fn> {
  using ItemBase::ItemBase;
  Ident name;
  std::vector<Param> params;
  std::vector<TypeExpr> results;
  Block body;
};

/// `a, b = value`.
struct Assign : ItemBase<Item::Assign> {
  using ItemBase::ItemBase;
  std::vector<Ident> names;
  ExprPtr value;
};

/// `return a, b`.
struct Return : ItemBase<Item::Return> {
  using ItemBase::ItemBase;
  std::vector<ExprPtr> values;
};

/// `if condition { ... } else { ... }`, around declarations or statements.
struct If : ItemBase<Item::If> {
  using ItemBase::ItemBase;
  ExprPtr condition;
  Block thenBlock, elseBlock;
  bool hasElse = false;
  llvm::SMLoc elseLoc;
};

/// `for i in first..last { ... }`, around statements.
struct For : ItemBase<Item::For> {
  using ItemBase::ItemBase;
  Ident index;
  ExprPtr first, last;
  Block body;
};

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

/// `config`, `module`, `model` or `objective`.
struct Decl {
  enum Kind { Config, Module, Model, Objective };
  Kind kind;
  llvm::SMLoc loc, end;
  Ident name;
  std::vector<Param> params;           ///< Of all but a config.
  std::vector<llvm::StringRef> serves; ///< Of a model, with quotes.
  Block body;
};

/// Returns the word that begins declarations of a kind.
inline llvm::StringRef getWord(Decl::Kind kind) {
  static const char *const words[] = {"config", "module", "model", "objective"};
  return words[kind];
}

struct File {
  std::vector<std::unique_ptr<Decl>> decls;
};

} // namespace ds::ast
#endif
