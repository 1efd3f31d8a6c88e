//===- Values.h - Values of a step, read and written ----------------------===//
//
// Where the elements of an activation, of a state's kept rows and of a routing
// lie (docs/artifact.md), for looking at them one by one.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_VALUES_H
#define DS_RUNTIME_VALUES_H

#include "runtime/Interpreter.h"

namespace ds::runtime {

/// The elements of a value in memory.
struct ValueElements {
  int64_t rows = 0, columns = 0;
  std::optional<Element> element; ///< None of integers.
  std::vector<char *> addresses;  ///< [rows, columns]
};

/// Finds the elements of a value for the step that `interpreter` runs.
ValueElements findElements(const Manifest &manifest, const Entry &entry,
                           const Interpreter &interpreter, StepInput &input,
                           const StatePool &state, const ValuePlace &place);

/// Reads them as f32, bf16 and integers below 2^24 exact.
std::vector<float> readElements(const ValueElements &elements);

/// Writes values that such elements can have.
void writeElements(const ValueElements &elements,
                   const std::vector<float> &values);

} // namespace ds::runtime

#endif // DS_RUNTIME_VALUES_H
