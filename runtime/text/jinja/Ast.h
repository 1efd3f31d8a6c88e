//===- Ast.h - The tree of a template -------------------------------------===//

#ifndef DS_RUNTIME_TEXT_JINJA_AST_H
#define DS_RUNTIME_TEXT_JINJA_AST_H

#include "runtime/text/jinja/Value.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ds::text::jinja {

struct Expr;
struct Node;
using ExprPtr = std::unique_ptr<Expr>;
using NodePtr = std::unique_ptr<Node>;
using Body = std::vector<NodePtr>;

/// An expression. What the fields hold depends on the kind.
struct Expr {
  enum Kind {
    /// `literal`
    Literal,
    /// `name`
    Name,
    /// `args`; `name` is "tuple" or empty
    ListDisplay,
    /// `args`: key, value, key, value ..
    DictDisplay,
    /// `args`: object; `name`
    Attribute,
    /// `args`: object, index
    Index,
    /// `args`: object, begin, end, step; each of the last three may be null
    Slice,
    /// `args`: function, then arguments; `named`
    Call,
    /// `args`: value, then arguments; `named`; `name` of the filter
    Filter,
    /// The same, for a test
    Test,
    /// `args`: one or two; `name` is the operator
    Unary,
    Binary,
    /// `args`: condition, value, other value (may be null)
    Conditional,
  };
  Kind kind;
  int line;
  /// How deep the expressions inside are nested.
  int depth = 0;
  std::string name;
  Value literal;
  std::vector<ExprPtr> args;
  std::vector<std::pair<std::string, ExprPtr>> named;
};

/// A parameter of a macro.
struct Parameter {
  std::string name;
  /// Null where the parameter has no default.
  ExprPtr otherwise;
};

/// A statement. What the fields hold depends on the kind.
struct Node {
  enum Kind {
    /// `text`
    Text,
    /// `value`
    Print,
    /// `value` is the condition; `body`, `orelse`
    If,
    /// `targets`, `value`, `filter` (may be null), `body`, `orelse`
    For,
    /// `targets`, `value`, or `body` (and `value` as filter chain) as a block
    Set,
    /// `text` is the name, `parameters`, `body`
    Macro,
    /// `value` is the call whose caller() gives `body`; `parameters`
    CallBlock,
    /// `value` is a chain of filters on the name that `body` is bound to
    FilterBlock,
    /// `body` in a scope of its own
    Scope,
    Break,
    Continue,
  };
  Kind kind;
  int line;
  std::string text;
  ExprPtr value, filter;
  /// Names, or one "namespace.attribute".
  std::vector<std::string> targets;
  std::vector<Parameter> parameters;
  Body body, orelse;
};

/// The name that a block set or a filter block binds its text to.
inline constexpr const char *blockText = "%block";

} // namespace ds::text::jinja

#endif // DS_RUNTIME_TEXT_JINJA_AST_H
