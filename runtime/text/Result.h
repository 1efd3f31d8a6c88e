//===- Result.h - A value or a message ------------------------------------===//
//
// What functions of the text room return when the user can make them fail: a
// value, or one line that says what was expected, what was found and where.
// No exception leaves the room.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_RESULT_H
#define DS_RUNTIME_TEXT_RESULT_H

#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace ds::text {

/// Says what went wrong, lower case and without a full stop.
struct Error {
  std::string message;
};

/// Holds a `T`, or the message of the error that prevented it.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : value(std::move(value)) {}
  Result(Error error) : failure(std::move(error.message)) {}

  explicit operator bool() const { return value.has_value(); }
  T &operator*() {
    assert(value && "asked a failure for its value");
    return *value;
  }
  const T &operator*() const {
    assert(value && "asked a failure for its value");
    return *value;
  }
  T *operator->() { return &**this; }
  const T *operator->() const { return &**this; }

  /// Returns the message of a failure.
  const std::string &error() const { return failure; }
  /// Returns the failure in the form that another `Result` is made of.
  Error takeError() { return Error{std::move(failure)}; }

private:
  std::optional<T> value;
  std::string failure;
};

/// The result of a step that yields nothing: empty, or the error.
using Status = std::optional<Error>;

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_RESULT_H
