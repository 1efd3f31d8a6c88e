//===- BenchSpeculation.cpp - dsrun bench --speculate ---------------------===//
//
// Draws the same number of tokens with and without the draft head, in turns.
// The prediction beside it takes the acceptance rate as measured and says that
// time goes with the bytes of weights and state that the steps read, of experts
// those that their tokens chose.
//
//===----------------------------------------------------------------------===//
#include "tools/dsrun/Bench.h"
#include "tools/dsrun/Generation.h"
#include "tools/dsrun/Ids.h"
#include "tools/dsrun/Speculation.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>
#include <cstdio>

using namespace ds::tool;
using namespace ds::runtime;

double SpeculationResult::ratio() const {
  std::vector<double> ratios;
  for (size_t i = 0; i < plain.size(); ++i)
    ratios.push_back(drafted[i] / plain[i]);
  return median(ratios);
}

/// Bytes that the last step of the model, or of its draft head, read.
static double bytesOf(Session &session, bool isDraft, const StepItem &item) {
  Engine &engine = session.engine();
  int64_t past = item.past() - item.count;
  StepShape shape = StepShape::of(
      1, static_cast<double>(past), static_cast<double>(item.count),
      static_cast<double>(item.count - item.firstOutput), item.generated);
  return bytesOfStep(session.manifest(),
                     *session.manifest().find(isDraft ? "draft" : "infer"),
                     shape, countExperts(isDraft ? engine.draftRouting()
                                                 : engine.routing()));
}

/// Draws once with what is read added up.
static Status countBytes(Session &session, const std::vector<int32_t> &prompt,
                         GenerationOptions options, double &model,
                         double &drafts) {
  double modelBytes = 0, draftBytes = 0;
  options.onStep = [&](bool isDraft, const StepItem &item) {
    (isDraft ? draftBytes : modelBytes) += bytesOf(session, isDraft, item);
  };
  session.engine().recordRouting(true);
  Result<GenerationResult> drawn =
      generate(session, prompt, options, [](int32_t) {});
  session.engine().recordRouting(false);
  if (!drawn)
    return drawn.takeError();
  if (drawn->steps == 0)
    return failure("--speculate: expects at least two tokens");
  model = modelBytes / static_cast<double>(drawn->steps);
  drafts = draftBytes / static_cast<double>(drawn->steps);
  return std::nullopt;
}

static Result<std::vector<int32_t>> readPrompt(const Session &session,
                                               const BenchOptions &options) {
  if (!options.ids.empty())
    return parseIds(options.ids);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < 16; ++i)
    ids.push_back(
        static_cast<int32_t>((i * 7919 + 13) % session.config().vocabulary));
  return ids;
}

Result<SpeculationResult>
ds::tool::benchSpeculation(Session &session, const BenchOptions &options) {
  if (!session.engine().hasDraft())
    return failure(noDraftHead);
  Result<std::vector<int32_t>> prompt = readPrompt(session, options);
  if (!prompt)
    return prompt.takeError();
  GenerationOptions plain;
  plain.sampler.logProbabilities = false;
  plain.sampler.temperature = options.temperature;
  plain.maxTokens = options.speculate;
  plain.ignoreEnd = true;
  GenerationOptions drafted = plain;
  drafted.guesses = options.guesses;
  SpeculationResult result;
  double none = 0;
  if (Status error =
          countBytes(session, *prompt, plain, result.plainBytes, none))
    return *error;
  if (Status error = countBytes(session, *prompt, drafted, result.stepBytes,
                                result.draftBytes))
    return *error;
  CpuWatch watch;
  Progress progress("speculation", "pairs");
  int64_t guesses = 0, accepted = 0, decoded = 0, steps = 0;
  for (int64_t i = 0; i < options.repeat; ++i) {
    plain.sampler.seed = drafted.sampler.seed = static_cast<uint64_t>(i);
    for (const GenerationOptions *how : {&plain, &drafted}) {
      Result<GenerationResult> drawn =
          generate(session, *prompt, *how, [](int32_t) {});
      if (!drawn)
        return drawn.takeError();
      if (interrupted())
        return failure("interrupted");
      (how == &plain ? result.plain : result.drafted)
          .push_back(static_cast<double>(drawn->decoded) /
                     drawn->decodeSeconds);
      guesses += drawn->guesses;
      accepted += drawn->accepted;
      if (how == &drafted)
        decoded += drawn->decoded, steps += drawn->steps;
    }
    progress.update(i + 1, options.repeat);
  }
  result.others = watch.others();
  result.acceptanceRate =
      static_cast<double>(accepted) / std::max<double>(1, guesses);
  result.tokensPerStep =
      static_cast<double>(decoded) / static_cast<double>(steps);
  return result;
}

void ds::tool::printSpeculation(const BenchOptions &options,
                                const SpeculationResult &result) {
  printf("\nspeculation: %lld tokens, %lld guess%s a step, temperature %g\n\n",
         static_cast<long long>(options.speculate),
         static_cast<long long>(options.guesses),
         options.guesses == 1 ? "" : "es", options.temperature);
  printf("| %11s | %13s | %6s | %8s | %13s | %9s | %12s |\n", "plain tok/s",
         "drafted tok/s", "ratio", "accepted", "tokens a step", "predicted",
         "of predicted");
  printf("|------------:|--------------:|-------:|---------:|--------------:|"
         "----------:|-------------:|\n");
  printf("| %11.2f | %13.2f | %6.3f | %8.3f | %13.3f | %9.3f | %12.3f |\n",
         median(result.plain), median(result.drafted), result.ratio(),
         result.acceptanceRate, result.tokensPerStep, result.predicted(),
         result.ratio() / result.predicted());
  printf(
      "\nbytes: %.3f MB a token without drafts; with them %.3f MB a step and "
      "%.3f MB for its guesses\n",
      result.plainBytes * 1e-6, result.stepBytes * 1e-6,
      result.draftBytes * 1e-6);
  fflush(stdout);
}

nlohmann::ordered_json ds::tool::toJson(Session &session,
                                        const BenchOptions &options,
                                        const SpeculationResult &result) {
  return {{"test", "speculate"},
          {"model", session.manifest().model},
          {"compute", session.manifest().compute},
          {"variant", session.variant()},
          {"threads", session.threadPool().threads()},
          {"tokens", options.speculate},
          {"guesses", options.guesses},
          {"temperature", options.temperature},
          {"plain_tokens_per_second", result.plain},
          {"drafted_tokens_per_second", result.drafted},
          {"ratio", result.ratio()},
          {"acceptance_rate", result.acceptanceRate},
          {"tokens_per_step", result.tokensPerStep},
          {"plain_bytes", result.plainBytes},
          {"step_bytes", result.stepBytes},
          {"draft_bytes", result.draftBytes},
          {"predicted_ratio", result.predicted()},
          {"others", result.others}};
}
