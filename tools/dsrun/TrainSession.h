//===- TrainSession.h - An artifact that trains ---------------------------===//
#ifndef DS_TOOLS_DSRUN_TRAINSESSION_H
#define DS_TOOLS_DSRUN_TRAINSESSION_H

#include "runtime/training/Trainer.h"
#include "tools/dsrun/CommandLine.h"
#include "tools/dsrun/Ids.h"

#include <memory>
#include <string>

namespace ds::tool {

/// The options that all commands that train share.
struct TrainSessionOptions {
  std::string artifact, weights, init, variant;
  int64_t threads = 0;
  uint64_t seed = 0;

  /// Declares the options.
  void declare(CommandLine &line);
};

/// An open artifact with threads and a trainer.
class TrainSession {
public:
  /// Opens the artifact; steps have up to `tokens` rows. The weights are those
  /// of the folder, or drawn with the seed, unless `fill` is off.
  static Result<std::unique_ptr<TrainSession>>
  open(const TrainSessionOptions &options, int64_t tokens, bool fill = true);

  const runtime::Manifest &manifest() const { return artifact->manifest(); }
  const runtime::Entry &entry() const { return *manifest().find("train"); }
  const std::string &variant() const { return artifact->variant(); }
  runtime::Trainer &trainer() { return *steps; }
  int threads() const { return pool->threads(); }
  /// Trained and frozen parameters.
  int64_t parameters() const;

private:
  TrainSession() = default;
  Status draw(uint64_t seed);

  std::unique_ptr<runtime::Artifact> artifact;
  std::unique_ptr<runtime::ThreadPool> pool;
  std::unique_ptr<runtime::Trainer> steps;
};

/// Packed sequences made of prompts, every token but the first a target.
struct PromptBatch {
  explicit PromptBatch(const std::vector<Prompt> &prompts);
  std::vector<std::vector<uint8_t>> masks;
  std::vector<runtime::TrainSequence> sequences;
  runtime::BatchSize size;
};

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_TRAINSESSION_H
