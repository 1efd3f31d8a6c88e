//===- Generation.h - Draws tokens one after another ----------------------===//
#ifndef DS_TOOLS_DSRUN_GENERATION_H
#define DS_TOOLS_DSRUN_GENERATION_H

#include "runtime/text/Sampler.h"
#include "runtime/text/Tokenizer.h"
#include "tools/dsrun/Session.h"

#include <functional>

namespace ds::tool {

/// How to draw and when to stop.
struct GenerationOptions {
  text::SamplerOptions sampler;
  int64_t maxTokens = 128, topK = 0;
  bool ignoreEnd = false;
  /// Tokens that end a text beside those of the model's configuration.
  std::vector<int64_t> endTokens;

  /// Declares the options.
  void declare(CommandLine &line);
};

/// What came out, and how long it took.
struct GenerationResult {
  std::vector<int32_t> tokens; // Without the token that ended it.
  bool ended = false;          // By a token of end of text.
  int64_t promptTokens = 0, steps = 0;
  double promptSeconds = 0, decodeSeconds = 0;

  /// Returns two lines with tokens per second.
  std::string summary() const;
};

/// Appends `prompt` to `sequence` and draws tokens, each given to `emit`, until
/// a token of end of text, the most tokens, the model's limit or Ctrl-C. The
/// drawn tokens are in the sequence but for the last.
Result<GenerationResult>
continueSequence(Session &session, runtime::Sequence &sequence,
                 const std::vector<int32_t> &prompt,
                 const GenerationOptions &options,
                 const std::function<void(int32_t)> &emit);

/// The same with a new sequence and state for it.
Result<GenerationResult> generate(Session &session,
                                  const std::vector<int32_t> &prompt,
                                  const GenerationOptions &options,
                                  const std::function<void(int32_t)> &emit);

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_GENERATION_H
