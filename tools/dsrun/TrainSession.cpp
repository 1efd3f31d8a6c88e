//===- TrainSession.cpp - An artifact that trains -------------------------===//
#include "tools/dsrun/TrainSession.h"
#include "runtime/text/Sampler.h"
#include "runtime/training/TrainedTensors.h"
#include "tools/dsrun/Session.h"

#include <algorithm>
#include <cmath>

using namespace ds::tool;
using namespace ds::runtime;

void TrainSessionOptions::declare(CommandLine &line) {
  line.positional(artifact, "ARTIFACT",
                  "the model that dscc compiled with --entry=infer,train");
  line.group("Model");
  line.option(weights, "weights", "DIR",
              "folder with model.safetensors, or its shards and index");
  line.option(variant, "variant", "NAME",
              "amx, avx512bf16, avx512 or avx2; default: the best that\n"
              "this CPU runs, or that of the environment's DS_VARIANT");
  line.group("Execution");
  line.option(threads, "threads", "N",
              "threads to use; default: one for each CPU");
}

Result<std::unique_ptr<TrainSession>>
TrainSession::open(const TrainSessionOptions &options, int64_t tokens,
                   bool fill) {
  bool random = options.init == "random";
  if (!options.init.empty() && !random)
    return failure("expects --init=random, got '", options.init, "'");
  if (random == !options.weights.empty())
    return failure("expects --weights=DIR or --init=random");
  std::unique_ptr<TrainSession> session(new TrainSession);
  auto artifact = openArtifact(options.artifact, options.variant);
  if (!artifact)
    return artifact.takeError();
  session->artifact = std::move(*artifact);
  session->pool = makePool(options.threads);
  auto trainer =
      Trainer::create(*session->artifact, *session->pool, tokens);
  if (!trainer)
    return trainer.takeError();
  session->steps = std::move(*trainer);
  if (!fill)
    return session;
  Status error = random ? session->draw(options.seed)
                        : loadTensors(session->trainer(), TrainedCopy::Master,
                                      options.weights, "");
  if (error)
    return *error;
  return session;
}

int64_t TrainSession::parameters() const {
  int64_t count = 0;
  for (const TrainedTensor &tensor : steps->tensors())
    count += tensor.rows() * tensor.columns();
  return count;
}

/// FNV-1a of a tensor's name: its stream of random numbers.
static uint64_t hashName(const std::string &name) {
  uint64_t hash = 1469598103934665603u;
  for (char c : name)
    hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211u;
  return hash;
}

/// Normal draws by Box and Muller, two for each block of the generator; a draw
/// is a function of seed, name and place alone.
static void drawNormal(uint64_t seed, const std::string &name, double deviation,
                       int64_t count, float *to) {
  uint64_t stream = hashName(name);
  for (int64_t i = 0; i < count; i += 2) {
    auto block = ds::text::philox(
        {static_cast<uint32_t>(i / 2), static_cast<uint32_t>(uint64_t(i) >> 33),
         static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
        {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    auto unit = [](uint32_t high, uint32_t low) {
      return (static_cast<double>((uint64_t(high) << 32 | low) >> 11) + 0.5) *
             0x1p-53;
    };
    double radius =
        deviation * std::sqrt(-2 * std::log(unit(block[0], block[1])));
    double angle = 2 * M_PI * unit(block[2], block[3]);
    to[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count)
      to[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

Status TrainSession::draw(uint64_t seed) {
  return steps->fill(
      TrainedCopy::Master,
      [&](const TrainedTensor &tensor, float *to) -> Status {
        const std::optional<Initializer> &init =
            manifest().weights[tensor.weight].init;
        if (!init)
          return failure("the model does not say how '", tensor.name,
                         "' begins");
        int64_t count = tensor.rows() * tensor.columns();
        if (init->kind == Initializer::Normal)
          drawNormal(seed, tensor.name, init->std, count, to);
        else
          std::fill_n(to, count, init->kind == Initializer::Ones ? 1.0f : 0.0f);
        return std::nullopt;
      });
}

PromptBatch::PromptBatch(const std::vector<Prompt> &prompts) {
  for (const Prompt &prompt : prompts) {
    masks.push_back(prompt.mask);
    masks.back().resize(prompt.ids.size(), 1);
    if (prompt.ids.size() < 2)
      continue;
    int64_t count = static_cast<int64_t>(prompt.ids.size()) - 1;
    sequences.push_back(
        {prompt.ids.data(), masks.back().data(), count,
         prompt.generated.empty() ? nullptr : prompt.generated.data()});
    size.add(sequences.back());
  }
}
