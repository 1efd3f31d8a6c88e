//===- Session.cpp - An artifact with weights, ready to run ---------------===//
#include "tools/dsrun/Session.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>
#include <cstdlib>

using namespace ds::tool;
using namespace ds::runtime;

void SessionOptions::declare(CommandLine &line) {
  line.positional(artifact, "ARTIFACT", "the model that dscc compiled");
  line.group("Model");
  line.option(weights, "weights", "DIR",
              "folder with model.safetensors, or its shards and index");
  line.option(variant, "variant", "NAME",
              "amx, avx512bf16, avx512 or avx2; default: the best that\n"
              "this CPU runs, or that of the environment's DS_VARIANT");
  line.group("Execution");
  line.option(threads, "threads", "N",
              "threads to use; default: one for each CPU");
  line.option(stepTokens, "step-tokens", "N",
              "run longer prompts in steps of this many tokens (512)");
  line.flag(largePages, "large-pages",
            "move the weights to large pages after loading: a later\n"
            "start, faster decoding (dsrun bench always does)");
  line.group("Debugging");
  line.flag(permutePages, "permute-pages",
            "use pages of state in random order");
  line.flag(poisonFreePages, "poison-free-pages",
            "fill pages of state that are free with NaN");
}

Result<std::unique_ptr<Artifact>>
ds::tool::openArtifact(const std::string &path, const std::string &variant) {
  ArtifactOptions how;
  how.variant = variant;
  const char *fromEnvironment = getenv("DS_VARIANT");
  if (how.variant.empty() && fromEnvironment)
    how.variant = fromEnvironment;
  return Artifact::open(path, how);
}

std::unique_ptr<ThreadPool> ds::tool::makePool(int64_t threads) {
  int count = static_cast<int>(std::min<int64_t>(threads, 1024));
  return std::make_unique<ThreadPool>(count ? count : countCpus());
}

Result<std::unique_ptr<Session>> Session::open(const SessionOptions &options,
                                               int64_t outputs) {
  if (options.weights.empty())
    return failure("expects --weights=DIR, the folder of the model");
  std::unique_ptr<Session> session(new Session);
  session->options = options;
  auto artifact = openArtifact(options.artifact, options.variant);
  if (!artifact)
    return artifact.takeError();
  session->artifact = std::move(*artifact);
  session->pool = makePool(options.threads);
  Progress progress("loading", "GB");
  auto weights = Weights::load(session->manifest(), options.weights,
                               *session->pool, [&](int64_t done, int64_t all) {
                                 progress.update(done * 1e-9, all * 1e-9);
                                 return !interrupted();
                               });
  if (!weights)
    return weights.takeError();
  session->weights = std::move(*weights);
  if (options.largePages)
    session->weights.moveToLargePages();
  auto engine = Engine::create(*session->artifact, session->weights,
                               *session->pool, {options.stepTokens, outputs});
  if (!engine)
    return engine.takeError();
  session->stepEngine = std::move(*engine);
  return session;
}

Status Session::makeState(int64_t positions, int64_t sequences) {
  int64_t limited =
      std::max<int64_t>(1, std::min(positions, config().positions));
  return makePages(sequences * roundUp(limited, Manifest::pagePositions) /
                   Manifest::pagePositions);
}

Status Session::makePages(int64_t count) {
  StateOptions how;
  how.pages = count;
  how.permutePages = options.permutePages;
  how.poisonFreePages = options.poisonFreePages;
  auto made = StatePool::create(manifest(), how);
  if (!made)
    return made.takeError();
  pages = std::move(*made);
  return std::nullopt;
}

Status Session::checkLength(const std::string &what, int64_t tokens) const {
  if (tokens == 0)
    return failure(what, " is empty");
  if (tokens <= config().positions)
    return std::nullopt;
  return failure(what, " has ", tokens,
                 " tokens, and the model's limit "
                 "(max_position_embeddings) is ",
                 config().positions);
}

/// Drafts the rows of the step that began at token `begin` of `ids`.
Status Session::draftPrompt(Sequence &sequence, const std::vector<int32_t> &ids,
                            int64_t begin) {
  int64_t end = std::min<int64_t>(sequence.length(),
                                  static_cast<int64_t>(ids.size()) - 1);
  int64_t count = end - begin;
  if (count <= 0)
    return std::nullopt;
  StepItem item{&sequence, ids.data() + begin + 1, count, count};
  item.drafts = true;
  item.hidden = stepEngine->hiddenRow(0);
  return stepEngine->draft({item});
}

Status Session::prefill(Sequence &sequence, const std::vector<int32_t> &ids,
                        bool drafts) {
  Progress progress("reading the prompt", "tok");
  int64_t total = static_cast<int64_t>(ids.size());
  for (int64_t done = 0; done < total;) {
    int64_t count = std::min(options.stepTokens, total - done);
    bool last = done + count == total;
    StepItem item{&sequence, ids.data() + done, count,
                  last ? count - 1 : count};
    if (Status error = stepEngine->step({item}))
      return error;
    if (drafts)
      if (Status error = draftPrompt(sequence, ids, done))
        return error;
    done += count;
    progress.update(done, total);
    if (interrupted())
      return failure("interrupted");
  }
  return std::nullopt;
}
