//===- Session.h - An artifact with weights, ready to run -----------------===//
#ifndef DS_TOOLS_DSRUN_SESSION_H
#define DS_TOOLS_DSRUN_SESSION_H

#include "runtime/Engine.h"
#include "tools/dsrun/CommandLine.h"

#include <memory>
#include <string>

namespace ds::tool {

/// The options that all commands that run a model share.
struct SessionOptions {
  std::string artifact, weights, variant;
  int64_t threads = 0, stepTokens = 512;
  bool permutePages = false, poisonFreePages = false, largePages = false;

  /// Declares the options.
  void declare(CommandLine &line);
};

/// Opens the artifact at `path` with `variant`, or that of the environment's
/// DS_VARIANT, or the best that this CPU runs.
Result<std::unique_ptr<runtime::Artifact>>
openArtifact(const std::string &path, const std::string &variant);

/// Returns a pool of `threads` threads; 0: one for each CPU.
std::unique_ptr<runtime::ThreadPool> makePool(int64_t threads);

/// An open artifact, its weights, threads, engine and state.
class Session {
public:
  /// Opens what `options` name. `outputs` is how many rows of logits a step may
  /// give in one piece.
  static Result<std::unique_ptr<Session>> open(const SessionOptions &options,
                                               int64_t outputs);

  /// Makes state for `positions` tokens in `sequences` sequences of as many.
  Status makeState(int64_t positions, int64_t sequences = 1);

  /// Makes state of `pages` pages.
  Status makePages(int64_t pages);

  const runtime::Manifest &manifest() const { return artifact->manifest(); }
  const runtime::ModelConfig &config() const { return manifest().config; }
  const std::string &variant() const { return artifact->variant(); }
  runtime::ThreadPool &threadPool() { return *pool; }
  const runtime::Weights &modelWeights() const { return weights; }
  runtime::Engine &engine() { return *stepEngine; }
  runtime::StatePool &state() { return *pages; }
  const SessionOptions &sessionOptions() const { return options; }

  /// Appends `ids` to `sequence` in steps that can be interrupted; the last
  /// gives logits of the last token. With `drafts` the draft head runs all rows
  /// of `ids` but the last, which goes with the next token; `sequence` has to
  /// be new, and the engine to keep hidden rows.
  Status prefill(runtime::Sequence &sequence, const std::vector<int32_t> &ids,
                 bool drafts = false);

  /// Checks that a prompt of `tokens` tokens is within the model's limit.
  /// `what` names it in the error.
  Status checkLength(const std::string &what, int64_t tokens) const;

private:
  Session() = default;
  Status draftPrompt(runtime::Sequence &sequence,
                     const std::vector<int32_t> &ids, int64_t begin);

  SessionOptions options;
  std::unique_ptr<runtime::Artifact> artifact;
  std::unique_ptr<runtime::ThreadPool> pool;
  runtime::Weights weights;
  std::unique_ptr<runtime::Engine> stepEngine;
  std::unique_ptr<runtime::StatePool> pages;
};

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_SESSION_H
