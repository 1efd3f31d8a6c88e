//===- Generation.cpp - Draws tokens one after another --------------------===//
#include "tools/dsrun/Generation.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>
#include <cstdio>

using namespace ds::tool;
using namespace ds::runtime;

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

std::string GenerationResult::summary() const {
  char text[256];
  snprintf(text, sizeof(text),
           "prompt: %lld tokens in %.3f s, %.1f tok/s\n"
           "decode: %lld tokens in %.3f s, %.1f tok/s\n",
           static_cast<long long>(promptTokens), promptSeconds,
           promptTokens / std::max(promptSeconds, 1e-9),
           static_cast<long long>(steps), decodeSeconds,
           steps / std::max(decodeSeconds, 1e-9));
  return text;
}

static bool isEnd(const Session &session, const GenerationOptions &options,
                  int32_t token) {
  auto has = [token](const std::vector<int64_t> &ends) {
    return std::find(ends.begin(), ends.end(), token) != ends.end();
  };
  return has(session.config().endTokens) || has(options.endTokens);
}

Result<GenerationResult>
ds::tool::continueSequence(Session &session, Sequence &sequence,
                           const std::vector<int32_t> &prompt,
                           const GenerationOptions &options,
                           const std::function<void(int32_t)> &emit) {
  text::SamplerOptions how = options.sampler;
  how.topK = static_cast<int32_t>(std::min<int64_t>(options.topK, INT32_MAX));
  Result<text::Sampler> sampler = text::Sampler::create(how);
  if (!sampler)
    return sampler.takeError();
  int64_t length = sequence.length() + static_cast<int64_t>(prompt.size());
  if (Status error = session.checkLength("the prompt", length))
    return *error;
  GenerationResult result;
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
    result.ended = !options.ignoreEnd && isEnd(session, options, sample->token);
    if (result.ended)
      break;
    result.tokens.push_back(sample->token);
    emit(sample->token);
    int64_t count = static_cast<int64_t>(result.tokens.size());
    if (count == options.maxTokens ||
        sequence.length() == session.config().positions)
      break;
    StepItem item{&sequence, &sample->token, 1, 0};
    item.generated = true;
    if (Status error = session.engine().step({item}))
      return *error;
    ++result.steps;
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
  return continueSequence(session, sequence, prompt, options, emit);
}
