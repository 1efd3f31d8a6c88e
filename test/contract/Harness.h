//===- Harness.h - Runs an artifact through the C interface -----*- C++ -*-===//
//
// The contract: the logits of a token are a function of the tokens before it
// in its sequence, to the bit. A Harness holds sequences of tokens and their
// logits, taken alone, in one step, on one thread; a Server does the same work
// in some other way and compares every row.
//
//===----------------------------------------------------------------------===//
#ifndef DS_TEST_CONTRACT_HARNESS_H
#define DS_TEST_CONTRACT_HARNESS_H

#include "runtime/ds_runtime.h"

#include <memory>
#include <string>
#include <vector>

namespace ds::contract {

struct Free {
  void operator()(ds_artifact *p) const { ds_artifact_free(p); }
  void operator()(ds_pool *p) const { ds_pool_free(p); }
  void operator()(ds_weights *p) const { ds_weights_free(p); }
  void operator()(ds_engine *p) const { ds_engine_free(p); }
  void operator()(ds_state *p) const { ds_state_free(p); }
  void operator()(ds_sequence *p) const { ds_sequence_free(p); }
};
template <typename T> using Handle = std::unique_ptr<T, Free>;

/// Tokens and, for each, its row of logits. Those from `prompt` on have the role
/// of generated ones.
struct Reference {
  std::vector<int32_t> tokens;
  int64_t prompt;
  std::vector<float> logits; // [tokens, vocabulary]
  std::vector<float> drafts; // [tokens - 1, vocabulary], of a draft head.
};

/// An artifact with weights and the references. One for the process.
class Harness {
public:
  /// Loads the artifact; `variant` may be empty. With `generated`, references
  /// are prompts to their half only. Exits with a message if that fails.
  Harness(const std::string &artifact, const std::string &weights,
          const std::string &variant, bool generated);

  ds_artifact *artifact() const { return artifactHandle.get(); }
  ds_weights *weights() const { return weightsHandle.get(); }
  int64_t vocabulary() const { return ds_artifact_vocabulary(artifact()); }

  /// The references. The first `family` share their first `sharedTokens`.
  const std::vector<Reference> &references() const { return all; }
  static constexpr size_t family = 4;
  static constexpr int64_t sharedTokens = 150;

  /// The longest reference.
  int64_t longest() const;

private:
  std::vector<int32_t> randomTokens(size_t count);
  void addReference(std::vector<int32_t> tokens, int64_t prompt);
  void addDrafts(Reference &reference, ds_engine *engine, ds_sequence *sequence,
                 const std::vector<char> &hidden);

  Handle<ds_artifact> artifactHandle;
  Handle<ds_pool> pool;
  Handle<ds_weights> weightsHandle;
  std::vector<Reference> all;
  uint64_t random = 1;
};

/// How a Server is set up.
struct ServerOptions {
  int threads = 1;
  uint32_t stateFlags = 0;
  int64_t maxTokens = 1024; ///< Of a step in one piece.
  int64_t maxOutputs = 1024;
  int64_t pages = 128;
};

/// A sequence that follows a reference.
struct Runner {
  Handle<ds_sequence> sequence;
  size_t reference = 0;
  int64_t length = 0; ///< Tokens appended so far.
  std::vector<char> hidden; ///< Of these, if there is a draft head.
};

/// An engine and a state.
class Server {
public:
  Server(const Harness &harness, const ServerOptions &options);

  Runner start(size_t reference);
  Runner fork(const Runner &runner);
  void truncate(Runner &runner, int64_t length);

  /// Work of one step: the next `count` tokens of a runner, with logits for
  /// the last `outputs` of them.
  struct Item {
    Runner *runner;
    int64_t count, outputs;
  };
  /// Runs a step and expects every row of logits to equal the reference. Items
  /// that go past their prompt take a second step for what they generate.
  void step(const std::vector<Item> &items);

  /// Appends one token that need not be a reference's and returns its logits.
  const float *append(Runner &runner, int32_t token, bool generated);

  ds_state *state() const { return stateHandle.get(); }

private:
  void stepOfRoles(const std::vector<Item> &items);
  void compare(const Item &item, int64_t firstRow);
  void draft(const std::vector<Item> &items);

  const Harness &harness;
  Handle<ds_pool> pool;
  Handle<ds_engine> engine;
  Handle<ds_state> stateHandle;
};

/// Ends the process: without what failed there is nothing to compare.
[[noreturn]] void giveUp(const char *what, char *error);

/// Compares a row of logits with the expected one; `what` and the position say
/// where they differ.
void compareRow(const float *found, const float *expected, int64_t width,
                const Runner &runner, int64_t position, const char *what);

/// The rows of a draft head that a sequence can have next, all of one role.
/// Empty where its last token is the last of the reference or has no row yet.
ds_draft_item nextDrafts(const Reference &reference, ds_sequence *sequence,
                         const std::vector<char> &hidden, int64_t rowBytes);

/// The harness of this process.
const Harness &harness();

} // namespace ds::contract
#endif
