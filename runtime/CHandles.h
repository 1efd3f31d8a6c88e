//===- CHandles.h - What the handles of the C interface hold --------------===//
//
// C++ objects; what they throw (memory that cannot be had) becomes an error
// message.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_CHANDLES_H
#define DS_RUNTIME_CHANDLES_H

#include "runtime/Engine.h"
#include "runtime/ds_runtime.h"

#include <cstring>
#include <exception>

struct ds_artifact {
  std::unique_ptr<ds::runtime::Artifact> artifact;
};
struct ds_pool {
  explicit ds_pool(int threads) : pool(threads) {}
  ds::runtime::ThreadPool pool;
};
struct ds_weights {
  ds::runtime::Weights weights;
};
struct ds_state {
  std::unique_ptr<ds::runtime::StatePool> pool;
};
struct ds_sequence {
  ds::runtime::Sequence sequence;
};
struct ds_engine {
  std::unique_ptr<ds::runtime::Engine> engine;
};

namespace ds::runtime {

/// Hands out a message, if it is wanted.
inline void setError(char **error, const std::string &message) {
  if (error)
    *error = strdup(message.c_str());
}

/// Runs `make`, which returns a handle or sets the error and returns `failed`.
template <typename Make, typename T>
T guard(char **error, T failed, Make make) {
  try {
    return make();
  } catch (const std::exception &exception) {
    setError(error, join("the runtime failed: ", exception.what()));
    return failed;
  }
}

/// Puts the value of `result` into a new `Handle`.
template <typename Handle, typename T>
Handle *wrap(Result<T> result, char **error) {
  if (result)
    return new Handle{std::move(*result)};
  setError(error, result.error());
  return nullptr;
}

} // namespace ds::runtime

#endif // DS_RUNTIME_CHANDLES_H
