//===- Dim.h - Symbolic dimensions ------------------------------*- C++ -*-===//
//
// A dimension is a polynomial over names, so that `H * (N + V)` and
// `H * V + N * H` are one. What is no polynomial, such as `D / H`, is a name
// of its own.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_DIM_H
#define DS_FRONTEND_DIM_H
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ds {

class Dim {
public:
  Dim() = default;
  static Dim constant(int64_t value);
  static Dim name(llvm::StringRef name);

  friend Dim operator+(const Dim &a, const Dim &b);
  friend Dim operator*(const Dim &a, const Dim &b);
  Dim operator-() const;
  bool operator==(const Dim &other) const { return terms == other.terms; }
  bool operator!=(const Dim &other) const { return terms != other.terms; }

  std::optional<int64_t> getConstant() const;
  /// Returns the name if the dimension is one.
  std::optional<llvm::StringRef> getName() const;
  /// Replaces names by dimensions.
  Dim substitute(const llvm::StringMap<Dim> &values) const;
  /// Whether products of it stay of a size worth computing.
  bool isSmall() const;
  std::string str() const;

private:
  using Monomial = std::vector<std::string>; // Sorted.
  static Dim term(Monomial names, int64_t factor);
  std::map<Monomial, int64_t> terms; // Without zero factors.
};

} // namespace ds
#endif
