//===- Dim.cpp - Symbolic dimensions --------------------------------------===//
#include "frontend/Dim.h"
#include "llvm/ADT/STLExtras.h"
#include <algorithm>

using namespace ds;
using llvm::StringRef;

/// Factors wrap around: they are compared and printed, never used as sizes.
static int64_t wrap(uint64_t value) { return static_cast<int64_t>(value); }

Dim Dim::term(Monomial names, int64_t factor) {
  Dim dim;
  std::sort(names.begin(), names.end());
  if (factor)
    dim.terms[std::move(names)] = factor;
  return dim;
}

Dim Dim::constant(int64_t value) { return term({}, value); }
Dim Dim::name(StringRef name) { return term({name.str()}, 1); }

namespace ds {
Dim operator+(const Dim &a, const Dim &b) {
  Dim sum = a;
  for (const auto &[names, factor] : b.terms) {
    int64_t &entry = sum.terms[names];
    entry = wrap(static_cast<uint64_t>(entry) + static_cast<uint64_t>(factor));
    if (entry == 0)
      sum.terms.erase(names);
  }
  return sum;
}

Dim operator*(const Dim &a, const Dim &b) {
  Dim product;
  for (const auto &[left, leftFactor] : a.terms)
    for (const auto &[right, rightFactor] : b.terms) {
      Dim::Monomial names = left;
      names.insert(names.end(), right.begin(), right.end());
      product = product + Dim::term(std::move(names),
                                    wrap(static_cast<uint64_t>(leftFactor) *
                                         static_cast<uint64_t>(rightFactor)));
    }
  return product;
}
} // namespace ds

Dim Dim::operator-() const { return *this * constant(-1); }

std::optional<int64_t> Dim::getConstant() const {
  if (terms.empty())
    return 0;
  if (terms.size() == 1 && terms.begin()->first.empty())
    return terms.begin()->second;
  return std::nullopt;
}

std::optional<StringRef> Dim::getName() const {
  if (terms.size() != 1 || terms.begin()->second != 1 ||
      terms.begin()->first.size() != 1)
    return std::nullopt;
  return StringRef(terms.begin()->first.front());
}

Dim Dim::substitute(const llvm::StringMap<Dim> &values) const {
  Dim result;
  for (const auto &[names, factor] : terms) {
    Dim product = constant(factor);
    for (const std::string &atom : names) {
      auto found = values.find(atom);
      product = product * (found == values.end() ? name(atom) : found->second);
    }
    result = result + product;
  }
  return result;
}

bool Dim::isSmall() const {
  return terms.size() <= 8 && llvm::all_of(terms, [](const auto &entry) {
           return entry.first.size() <= 4;
         });
}

std::string Dim::str() const {
  std::string text;
  // A constant is the first term of the map and stands last in the text.
  auto constant = terms.find({});
  std::vector<std::pair<Monomial, int64_t>> ordered;
  for (const auto &entry : terms)
    if (!entry.first.empty())
      ordered.push_back(entry);
  if (constant != terms.end())
    ordered.push_back(*constant);
  for (const auto &[names, factor] : ordered) {
    std::string product;
    int64_t shown = factor;
    if (!text.empty()) {
      text += factor < 0 ? " - " : " + ";
      shown = factor < 0 ? -factor : factor;
    }
    if (shown != 1 || names.empty())
      product = std::to_string(shown);
    for (const std::string &atom : names)
      product += (product.empty() ? "" : " * ") + atom;
    text += product;
  }
  return text.empty() ? "0" : text;
}
