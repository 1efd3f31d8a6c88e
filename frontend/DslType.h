//===- DslType.h - Types of the model language ---------------------*- C++
//-*-===//
#ifndef DS_FRONTEND_DSLTYPE_H
#define DS_FRONTEND_DSLTYPE_H
#include "frontend/Ast.h"
#include "frontend/Dim.h"

namespace ds {

/// The type of an expression. `Invalid` stands for one whose error has been
/// reported; it agrees with everything.
struct DslType {
  enum Kind {
    Invalid,
    // What config.json gives.
    Null,
    Bool,
    Int,
    Float,
    String,
    List,
    Record,
    // What a step computes with.
    Seq,
    Tensor,
    Weight,
    State,
    Routing, ///< Which experts the rows go to; dims are experts and picks.
    // A part declared by `use`, and a stack of them.
    Part,
    Stack,
    // What an objective is told: a model, and the next token of each row.
    Model,
    Targets
  };
  Kind kind = Invalid;
  bool nullable = false;
  bool isF32 = false;                ///< Tensor kept in f32 in every mode.
  bool isI32 = false;                ///< Tensor of integers.
  Kind element = Invalid;            ///< Of a list.
  std::vector<Dim> dims;             ///< Of a tensor, weight or state.
  const ast::Decl *config = nullptr; ///< Of a record.
  const ast::Use *part = nullptr;    ///< Of a part or stack.

  DslType() = default;
  DslType(Kind kind) : kind(kind) {}
  static DslType tensor(std::vector<Dim> dims, bool isF32 = false);

  bool isInvalid() const { return kind == Invalid; }
  bool isConst() const { return kind >= Null && kind <= Record; }
  bool isNumber() const { return kind == Int || kind == Float; }
  bool hasDims() const { return kind >= Tensor && kind <= Routing; }
  /// Equality of everything but nullability.
  bool operator==(const DslType &other) const;
  bool operator!=(const DslType &other) const { return !(*this == other); }

  /// Returns the type as one writes it, with "weight" or "state" in front.
  std::string str() const;
};

} // namespace ds
#endif
