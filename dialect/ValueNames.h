//===- ValueNames.h - Names of values, in locations -------------*- C++ -*-===//
//
// `ds-name-values` gives every value of a model's graph a name, which its
// operation's location carries through all passes, so that two compilations of
// a text can be compared value by value. A kernel whose location is a name
// makes that value; of one fused from several operations, the last is what it
// makes, unless it has as many results as operations: then it makes all of
// them. Whoever makes values on the way to another has to take the name away.
//
//===----------------------------------------------------------------------===//
#ifndef DS_DIALECT_VALUENAMES_H
#define DS_DIALECT_VALUENAMES_H
#include "dialect/Dialect.h"

namespace ds {

/// What is known of a value of the graph that the text says.
struct ValueName {
  std::string name;  ///< Unique in the module.
  std::string place; ///< "file.ds:12:3", or empty.
};

/// Returns `loc` with a name.
Location nameLocation(Location loc, const Twine &name);

/// Returns `loc` without names.
Location getPlace(Location loc);

/// Returns the name of what `result` is, or none.
std::optional<ValueName> findValueName(OpResult result);

} // namespace ds
#endif
