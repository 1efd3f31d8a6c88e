//===- Generation.cpp - Draws tokens one after another --------------------===//
#include "tools/dsrun/Generation.h"
#include "tools/dsrun/Speculation.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>
#include <cstdio>

using namespace ds::tool;
using namespace ds::runtime;
namespace text = ds::text;

void GenerationOptions::declare(CommandLine &line) {
  sampler.logProbabilities = false;
  line.group("Drawing");
  line.option(maxTokens, "max-tokens", "N",
              join("stop after N tokens (", maxTokens, ")"));
  line.option(sampler.temperature, "temperature", "X",
              "divides the logits; 0 takes the most probable token (0)");
  line.option(topK, "top-k", "N", "draw from the N most probable tokens", 0);
  line.option(sampler.topP, "top-p", "X",
              "draw from the fewest tokens that sum to X (1)");
  line.option(sampler.minP, "min-p", "X",
              "draw from tokens at least X times as probable as the best (0)");
  line.option(sampler.seed, "seed", "N", "seed of the random numbers (0)");
  line.flag(ignoreEnd, "ignore-eos", "go on after a token of end of text");
}

double GenerationResult::acceptanceRate() const {
  return guesses ? static_cast<double>(accepted) / static_cast<double>(guesses)
                 : 0;
}

std::string GenerationResult::summary() const {
  char text[384];
  int length = snprintf(text, sizeof(text),
                        "prompt: %lld tokens in %.3f s, %.1f tok/s\n"
                        "decode: %lld tokens in %.3f s, %.1f tok/s\n",
                        static_cast<long long>(promptTokens), promptSeconds,
                        promptTokens / std::max(promptSeconds, 1e-9),
                        static_cast<long long>(decoded), decodeSeconds,
                        decoded / std::max(decodeSeconds, 1e-9));
  if (guesses > 0)
    snprintf(text + length, sizeof(text) - length,
             "drafts: %lld of %lld guesses accepted (%.3f), %.2f tokens a "
             "step\n",
             static_cast<long long>(accepted), static_cast<long long>(guesses),
             acceptanceRate(),
             static_cast<double>(decoded) / static_cast<double>(steps));
  return text;
}

bool Drawing::add(int32_t token, int64_t position) {
  auto has = [token](const std::vector<int64_t> &ends) {
    return std::find(ends.begin(), ends.end(), token) != ends.end();
  };
  result.ended = !options.ignoreEnd &&
                 (has(session.config().endTokens) || has(options.endTokens));
  if (result.ended)
    return false;
  result.tokens.push_back(token);
  emit(token);
  return static_cast<int64_t>(result.tokens.size()) < options.maxTokens &&
         position < session.config().positions;
}

Result<text::Sampler> ds::tool::makeSampler(const GenerationOptions &options) {
  text::SamplerOptions how = options.sampler;
  how.topK = static_cast<int32_t>(std::min<int64_t>(options.topK, INT32_MAX));
  return text::Sampler::create(how);
}

Result<GenerationResult>
ds::tool::continueSequence(Session &session, Sequence &sequence,
                           const std::vector<int32_t> &prompt,
                           const GenerationOptions &options,
                           const std::function<void(int32_t)> &emit) {
  Result<text::Sampler> sampler = makeSampler(options);
  if (!sampler)
    return sampler.takeError();
  int64_t length = sequence.length() + static_cast<int64_t>(prompt.size());
  if (Status error = session.checkLength("the prompt", length))
    return *error;
  GenerationResult result;
  Drawing drawing(session, options, emit, result);
  result.promptTokens = static_cast<int64_t>(prompt.size());
  double begin = now();
  if (Status error = session.prefill(sequence, prompt))
    return *error;
  result.promptSeconds = now() - begin;
  begin = now();
  while (!interrupted()) {
    Result<text::Sample> sample =
        sampler->sample(session.engine().logits(0), session.config().vocabulary,
                        /*sequence=*/0, sequence.length());
    if (!sample)
      return sample.takeError();
    result.decoded += result.steps > 0;
    if (!drawing.add(sample->token, sequence.length()))
      break;
    StepItem item{&sequence, &sample->token, 1, 0};
    item.generated = true;
    if (Status error = session.engine().step({item}))
      return *error;
    ++result.steps;
    if (options.onStep)
      options.onStep(/*isDraft=*/false, item);
  }
  result.decodeSeconds = now() - begin;
  return result;
}

Result<GenerationResult>
ds::tool::generate(Session &session, const std::vector<int32_t> &prompt,
                   const GenerationOptions &options,
                   const std::function<void(int32_t)> &emit) {
  int64_t tokens = static_cast<int64_t>(prompt.size());
  if (Status error = session.checkLength("the prompt", tokens))
    return *error;
  if (Status error = session.makeState(tokens + options.maxTokens))
    return *error;
  Sequence sequence(session.state());
  if (options.guesses > 0)
    return speculate(session, sequence, prompt, options, emit);
  return continueSequence(session, sequence, prompt, options, emit);
}
