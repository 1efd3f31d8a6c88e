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
  /// Guesses of the draft head for a step; 0: it is not used.
  int64_t guesses = 0;
  /// Tokens that end a text beside those of the model's configuration.
  std::vector<int64_t> endTokens;
  /// Called after every step that draws (not those of the prompt), of the draft
  /// head or of the model.
  std::function<void(bool isDraft, const runtime::StepItem &item)> onStep;

  /// Declares the options.
  void declare(CommandLine &line);
};

/// What came out, and how long it took.
struct GenerationResult {
  std::vector<int32_t> tokens; // Without the token that ended it.
  bool ended = false;          // By a token of end of text.
  int64_t promptTokens = 0, steps = 0;
  int64_t decoded = 0;               // Tokens from the logits of these steps.
  int64_t guesses = 0, accepted = 0; // Verified, and found good.
  double promptSeconds = 0, decodeSeconds = 0;

  /// Returns the share of verified guesses that were accepted.
  double acceptanceRate() const;

  /// Returns two lines with tokens per second, and one about guesses.
  std::string summary() const;
};

/// The text that is being drawn, and when it ends.
class Drawing {
public:
  Drawing(const Session &session, const GenerationOptions &options,
          const std::function<void(int32_t)> &emit, GenerationResult &result)
      : session(session), options(options), emit(emit), result(result) {}

  /// Adds a token, unless it ends the text. Returns whether to go on, the token
  /// being at `position` of the sequence.
  bool add(int32_t token, int64_t position);

private:
  const Session &session;
  const GenerationOptions &options;
  const std::function<void(int32_t)> &emit;
  GenerationResult &result;
};

/// Makes what `options` describe.
Result<text::Sampler> makeSampler(const GenerationOptions &options);

/// Appends `prompt` to `sequence` and draws tokens, each given to `emit`, until
/// a token of end of text, the most tokens, the model's limit or Ctrl-C. The
/// drawn tokens are in the sequence but for the last.
Result<GenerationResult>
continueSequence(Session &session, runtime::Sequence &sequence,
                 const std::vector<int32_t> &prompt,
                 const GenerationOptions &options,
                 const std::function<void(int32_t)> &emit);

/// The same with a new sequence and state for it, and with the draft head if
/// `options` have guesses.
Result<GenerationResult> generate(Session &session,
                                  const std::vector<int32_t> &prompt,
                                  const GenerationOptions &options,
                                  const std::function<void(int32_t)> &emit);

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_GENERATION_H
