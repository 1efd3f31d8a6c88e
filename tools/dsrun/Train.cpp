//===- Train.cpp - dsrun train --------------------------------------------===//
#include "runtime/File.h"
#include "runtime/data/Loader.h"
#include "runtime/metrics/MetricsLog.h"
#include "runtime/training/RunFolder.h"
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Probe.h"
#include "tools/dsrun/Schedule.h"
#include "tools/dsrun/Terminal.h"
#include "tools/dsrun/TrainSession.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <unistd.h>

using namespace ds::tool;
using namespace ds::runtime;

namespace {
struct TrainOptions {
  TrainSessionOptions session;
  UpdateOptions update;
  std::string data, ids, out, tokenizer, schedule = "cosine", resume;
  int64_t steps = 100, batchTokens = 4096, warmup = 0, accumulate = 1;
  int64_t saveEvery = 100;
  bool decayAll = false, skipLong = false, f32 = false;

  CommandLine declare();
};

/// What one step of the optimiser learns from.
struct TrainBatch {
  std::vector<std::vector<TrainSequence>> pieces; // One for each accumulation.
  BatchSize size;
};

/// Where batches come from: a data set, or one that stays the same.
class Batches {
public:
  static Result<Batches> open(const TrainOptions &options,
                              const TrainSession &session,
                              ds::data::Cursor cursor);

  TrainBatch next(int64_t accumulate);
  double epochs() const { return loader ? loader->epochs() : 0; }
  ds::data::Cursor cursor() const {
    return loader ? loader->cursor() : ds::data::Cursor{};
  }
  uint64_t fingerprint() const { return dataset ? dataset->fingerprint() : 0; }

private:
  std::unique_ptr<ds::data::Dataset> dataset;
  std::unique_ptr<ds::data::Loader> loader;
  std::vector<Prompt> prompts;
  std::unique_ptr<PromptBatch> fixed;
};

/// A run from its first step or its last checkpoint to its end.
class TrainRun {
public:
  TrainRun(TrainOptions options, Words words)
      : options(std::move(options)), words(std::move(words)) {}
  Status run();

private:
  Status open();
  Status resume();
  Status step(int64_t number);
  Status save(int64_t number);
  void report(int64_t number, double loss, double norm, double rate,
              double seconds);
  nlohmann::json state() const;
  std::vector<std::string> sources() const {
    return {options.session.weights, options.tokenizer};
  }

  TrainOptions options;
  Words words;
  std::optional<SavedStep> saved;
  std::unique_ptr<TrainSession> session;
  std::unique_ptr<Batches> batches;
  std::unique_ptr<ds::metrics::MetricsLog> log;
  std::unique_ptr<Schedule> schedule;
  double peak = 0, begin = 0;
  int64_t first = 0, tokens = 0, lastRows = 0;
};
} // namespace

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

CommandLine TrainOptions::declare() {
  CommandLine line("dsrun train",
                   "ARTIFACT --weights=DIR --data=FILES --out=DIR [options]",
                   "Trains a model. dsrun train --resume=DIR goes on with a "
                   "run.");
  line.group("Data");
  line.option(data, "data", "FILES",
              "text or JSON Lines, with commas between files");
  line.option(ids, "ids", "FILE",
              "or one packed step, a JSON object {\"name\": [token ids]}; see\n"
              "dsrun grad --help");
  line.option(tokenizer, "tokenizer", "DIR",
              "folder with tokenizer.json; default: that of the weights");
  line.option(batchTokens, "batch-tokens", "N", "rows of a step (4096)");
  line.option(accumulate, "accumulate", "N",
              "steps whose gradients make one update (1)");
  line.flag(skipLong, "skip-long",
            "leave out examples that are longer than the context");
  line.group("Run");
  line.option(out, "out", "DIR", "folder of the run");
  line.option(steps, "steps", "N", "updates (100)");
  line.option(saveEvery, "save-every", "N",
              "updates between checkpoints (100); the last is always saved");
  line.flag(f32, "save-f32", "weights of checkpoints in f32 instead of bf16");
  line.option(session.init, "init", "random",
              "begin with random weights instead of --weights");
  line.option(session.seed, "seed", "N", "of weights and order (0)");
  line.group("Optimiser");
  line.option(update.learningRate, "lr", "X", "learning rate (1e-5)");
  line.option(schedule, "schedule", "NAME",
              "constant, cosine or multi-step (cosine)");
  line.option(warmup, "warmup", "N", "updates of linear warm-up (0)", 0);
  line.option(update.beta1, "beta1", "X", "AdamW (0.9)");
  line.option(update.beta2, "beta2", "X", "AdamW (0.95)");
  line.option(update.epsilon, "eps", "X", "AdamW (1e-8)");
  line.option(update.weightDecay, "weight-decay", "X", "AdamW (0.1)");
  line.flag(decayAll, "decay-all", "also of weights that declare no decay");
  line.option(update.clip, "clip", "X",
              "greatest global norm of the gradient; 0: no limit (1)");
  session.declare(line);
  return line;
}

//===----------------------------------------------------------------------===//
// Batches
//===----------------------------------------------------------------------===//

static std::vector<std::string> splitNames(const std::string &list) {
  std::vector<std::string> names;
  for (size_t at = 0; at <= list.size();) {
    size_t comma = std::min(list.find(',', at), list.size());
    if (comma > at)
      names.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return names;
}

Result<Batches> Batches::open(const TrainOptions &options,
                              const TrainSession &session,
                              ds::data::Cursor cursor) {
  Batches batches;
  if (!options.ids.empty()) {
    Result<std::vector<Prompt>> prompts = readSequences(options.ids);
    if (!prompts)
      return prompts.takeError();
    batches.prompts = std::move(*prompts);
    batches.fixed = std::make_unique<PromptBatch>(batches.prompts);
    if (batches.fixed->size.rows > options.batchTokens)
      return failure("'", options.ids, "' has ", batches.fixed->size.rows,
                     " rows, more than --batch-tokens (", options.batchTokens,
                     ")");
    return batches;
  }
  const std::string &folder = options.tokenizer.empty()
                                  ? options.session.weights
                                  : options.tokenizer;
  if (folder.empty())
    return failure("expects --tokenizer=DIR with --init=random");
  auto tokenizer = ds::text::Tokenizer::load(folder);
  if (!tokenizer)
    return failure(tokenizer.error());
  ds::data::DatasetOptions how;
  how.contextLength = session.manifest().config.positions;
  how.cutLength = std::min(options.batchTokens, how.contextLength);
  how.skipLong = options.skipLong;
  how.allTargets = session.entry().allTargets;
  auto dataset =
      ds::data::Dataset::load(splitNames(options.data), *tokenizer, how);
  if (!dataset)
    return failure(dataset.error());
  batches.dataset = std::make_unique<ds::data::Dataset>(std::move(*dataset));
  ds::data::LoaderOptions order;
  order.seed = options.session.seed;
  order.batchTokens = options.batchTokens;
  auto loader = ds::data::Loader::create(*batches.dataset, order, cursor);
  if (!loader)
    return failure(loader.error());
  batches.loader = std::make_unique<ds::data::Loader>(std::move(*loader));
  return batches;
}

TrainBatch Batches::next(int64_t accumulate) {
  TrainBatch batch;
  for (int64_t i = 0; i < accumulate; ++i) {
    std::vector<TrainSequence> piece;
    if (fixed) {
      piece = fixed->sequences;
    } else {
      for (const ds::data::Example *example : loader->next().examples)
        piece.push_back(
            {example->tokens.data(), example->mask.data(), example->rows()});
    }
    for (const TrainSequence &sequence : piece)
      batch.size.add(sequence);
    batch.pieces.push_back(std::move(piece));
  }
  return batch;
}

//===----------------------------------------------------------------------===//
// The run
//===----------------------------------------------------------------------===//

nlohmann::json TrainRun::state() const {
  ds::data::Cursor cursor = batches->cursor();
  return {{"command", words},
          {"variant", session->variant()},
          {"model", session->manifest().model},
          {"compute", session->manifest().compute},
          {"cursor", {cursor.epoch, cursor.index}},
          {"data", batches->fingerprint()},
          {"num_tokens", tokens}};
}

/// Checks that the checkpoint is of this artifact and this data.
Status TrainRun::resume() {
  const nlohmann::json &state = saved->state;
  auto differs = [&](const char *key, const nlohmann::json &now) -> Status {
    if (state.value(key, nlohmann::json()) == now)
      return std::nullopt;
    return failure("'", saved->path, "' was written with ", key, " ",
                   state.value(key, nlohmann::json()).dump(), ", now it is ",
                   now.dump(), ": results would differ");
  };
  for (auto [key, now] :
       {std::pair<const char *, nlohmann::json>{"variant", session->variant()},
        {"model", session->manifest().model},
        {"compute", session->manifest().compute},
        {"data", batches->fingerprint()}})
    if (Status error = differs(key, now))
      return error;
  first = saved->step;
  tokens = state.value("num_tokens", int64_t(0));
  return loadStep(session->trainer(), *saved);
}

Status TrainRun::open() {
  if (options.data.empty() == options.ids.empty())
    return failure("expects --data=FILES or --ids=FILE");
  if (options.out.empty() && options.ids.empty())
    return failure("expects --out=DIR, the folder of the run");
  auto made = Schedule::create(options.schedule, options.update.learningRate,
                               options.steps, options.warmup);
  if (!made)
    return Error{made.error()};
  schedule = std::make_unique<Schedule>(*made);
  auto opened =
      TrainSession::open(options.session, options.batchTokens, !saved);
  if (!opened)
    return Error{opened.error()};
  session = std::move(*opened);
  ds::data::Cursor cursor;
  if (saved && saved->state.contains("cursor"))
    cursor = {saved->state["cursor"][0], saved->state["cursor"][1]};
  auto source = Batches::open(options, *session, cursor);
  if (!source)
    return Error{source.error()};
  batches = std::make_unique<Batches>(std::move(*source));
  if (saved)
    if (Status error = resume())
      return error;
  if (options.out.empty())
    return std::nullopt;
  std::error_code code;
  std::filesystem::create_directories(options.out, code);
  if (code)
    return failure("cannot create '", options.out, "': ", code.message());
  nlohmann::json command = {{"command", words}};
  if (Status error =
          writeDurably(options.out + "/run.json", command.dump(1) + "\n"))
    return error;
  auto lines = ds::metrics::MetricsLog::open(options.out, first);
  if (!lines)
    return failure(lines.error());
  log = std::make_unique<ds::metrics::MetricsLog>(std::move(*lines));
  return std::nullopt;
}

Status TrainRun::save(int64_t number) {
  if (options.out.empty())
    return std::nullopt;
  return saveStep(options.out, number, session->trainer(), state(), sources(),
                  options.f32 || session->manifest().compute == "f32");
}

void TrainRun::report(int64_t number, double loss, double norm, double rate,
                      double seconds) {
  double speed = static_cast<double>(lastRows) / seconds;
  double work = 6.0 * static_cast<double>(session->parameters()) * speed;
  double left = (now() - begin) / static_cast<double>(number - first) *
                static_cast<double>(options.steps - number);
  bool terminal = isatty(STDERR_FILENO);
  fprintf(stderr,
          "%sstep %lld/%lld  loss %.4f  lr %.3g  grad norm %.3f  %.0f tok/s  "
          "MFU %.1f%%  ETA %lld:%02lld%s",
          terminal ? "\r\033[K" : "", static_cast<long long>(number),
          static_cast<long long>(options.steps), loss, rate, norm, speed,
          peak > 0 ? 100 * work / (peak * 1e9) : 0,
          static_cast<long long>(left) / 60, static_cast<long long>(left) % 60,
          terminal && number < options.steps ? "" : "\n");
  fflush(stderr);
}

Status TrainRun::step(int64_t number) {
  double start = now();
  Trainer &trainer = session->trainer();
  TrainBatch batch = batches->next(options.accumulate);
  double loss = 0;
  std::map<std::string, double> terms;
  for (const std::vector<TrainSequence> &piece : batch.pieces) {
    Result<double> part = trainer.accumulate(piece, batch.size);
    if (!part)
      return Error{part.error()};
    loss += *part;
    for (const AuxiliaryTerm &term : trainer.terms())
      terms[term.name + "_loss"] += term.sum();
  }
  UpdateOptions update = options.update;
  update.decayAll = options.decayAll;
  update.learningRate = static_cast<float>(schedule->at(number));
  Result<double> norm = trainer.update(update);
  if (!norm)
    return Error{norm.error()};
  lastRows = batch.size.rows;
  tokens += lastRows;
  double seconds = now() - start;
  if (log) {
    ds::metrics::Scalars scalars = {
        {"loss", loss},
        {"grad_norm", *norm},
        {"learning_rate", update.learningRate},
        {"num_tokens", static_cast<double>(tokens)},
        {"epoch", batches->epochs()},
        {"tokens_per_second", static_cast<double>(lastRows) / seconds}};
    scalars.insert(scalars.end(), terms.begin(), terms.end());
    if (ds::text::Status error = log->write(number, scalars))
      return failure(error->message);
  }
  // In a pipe only runs without a folder say what they do.
  if (isatty(STDERR_FILENO))
    report(number, loss, *norm, update.learningRate, seconds);
  if (!log) {
    printf("step %lld loss %.9g grad_norm %.9g learning_rate %.9g",
           static_cast<long long>(number), loss, *norm, update.learningRate);
    for (const auto &[name, value] : terms)
      printf(" %s %.9g", name.c_str(), value);
    printf(" tokens_per_second %.1f\n",
           static_cast<double>(lastRows) / seconds);
  }
  return std::nullopt;
}

Status TrainRun::run() {
  if (!options.out.empty() && std::filesystem::exists(options.out)) {
    Result<std::optional<SavedStep>> last = findLastStep(options.out);
    if (!last)
      return Error{last.error()};
    saved = std::move(*last);
    if (saved && options.resume.empty())
      return failure("'", options.out, "' has a checkpoint already: go on with "
                     "dsrun train --resume=", options.out,
                     ", or choose another folder");
  }
  if (Status error = open())
    return error;
  if (isatty(STDERR_FILENO)) {
    ThreadPool pool(session->threads());
    bool bf16 = session->manifest().compute == "bf16";
    peak = measureProducts(pool, session->variant(), bf16, 50);
  }
  begin = now();
  for (int64_t number = first + 1; number <= options.steps; ++number) {
    if (Status error = step(number))
      return error;
    bool stop = interrupted();
    if (number == options.steps || number % options.saveEvery == 0 || stop)
      if (Status error = save(number))
        return error;
    if (stop)
      return failure("interrupted after step ", number);
  }
  return std::nullopt;
}

/// The words of the command that began the run in `folder`.
static Result<Words> readCommand(const std::string &folder) {
  std::string path = folder + "/run.json";
  Result<std::string> text = readWholeFile(path);
  if (!text)
    return text.takeError();
  nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object() || !json.contains("command") ||
      !json["command"].is_array())
    return failure("'", path, "' does not say how the run began");
  return json["command"].get<Words>();
}

int ds::tool::runTrain(const Words &given) {
  Words words = given;
  std::string resumed;
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i].rfind("--resume=", 0) == 0)
      resumed = given[i].substr(9);
    else if (given[i] == "--resume" && i + 1 < given.size())
      resumed = given[i + 1];
  }
  if (!resumed.empty()) {
    if (given.size() > (given[0] == "--resume" ? 2 : 1))
      return reportError("expects no other option beside --resume: the run has "
                         "its own");
    Result<Words> command = readCommand(resumed);
    if (!command)
      return reportError(command.error());
    words = *command;
  }
  TrainOptions options;
  CommandLine line = options.declare();
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  options.resume = resumed;
  if (!resumed.empty())
    options.out = resumed;
  catchInterrupts();
  if (Status error = TrainRun(std::move(options), words).run())
    return reportError(error->message);
  return exitDone;
}
