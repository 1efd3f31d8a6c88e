//===- Logits.cpp - dsrun logits ------------------------------------------===//
//
// Writes the logits of given token ids, whole prompts or in chunks, one prompt
// after another or all in one batch. What it writes does not depend on these.
//
//===----------------------------------------------------------------------===//
#include "runtime/training/TensorWriter.h"
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Ids.h"
#include "tools/dsrun/Session.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>

using namespace ds::tool;
using namespace ds::runtime;

namespace {
struct LogitsOptions {
  SessionOptions session;
  std::string ids, out;
  int64_t chunk = 0;
  int64_t generatedFrom = -1;
  bool hidden = false, batch = false, logProbs = false, routing = false,
       mtp = false;
};

/// Runs the prompts and writes what comes out.
class LogitsRun {
public:
  LogitsRun(const LogitsOptions &options, Session &session,
            const std::vector<Prompt> &prompts)
      : options(options), session(session), prompts(prompts),
        places(options.hidden ? session.engine().hidden().size() : 0),
        routers(options.routing ? session.engine().routing().size() : 0) {}

  Status run();

private:
  /// A prompt on its way.
  struct Runner {
    size_t prompt;
    Sequence sequence;
  };

  std::vector<TensorPlan> plan() const;
  Status runTogether(size_t begin, size_t end, TensorWriter &writer);
  /// Tensors of a prompt.
  size_t tensors() const {
    return 1 + options.logProbs + places + 3 * routers + options.mtp;
  }
  Status writeRouting(size_t tensor, int64_t first, int64_t row, int64_t count,
                      TensorWriter &writer);
  Status writeDrafts(const std::vector<StepItem> &items,
                     const std::vector<Runner *> &runners,
                     TensorWriter &writer);
  Status write(const std::vector<StepItem> &items,
               const std::vector<Runner *> &runners, TensorWriter &writer);

  const LogitsOptions &options;
  Session &session;
  const std::vector<Prompt> &prompts;
  size_t places;  // Hidden states per prompt.
  size_t routers; // Written for each prompt.
};
} // namespace

std::vector<TensorPlan> LogitsRun::plan() const {
  std::vector<TensorPlan> plans;
  for (const Prompt &prompt : prompts) {
    int64_t rows = static_cast<int64_t>(prompt.ids.size());
    plans.push_back(
        {prompt.name + ".logits", rows, session.config().vocabulary});
    if (options.logProbs)
      plans.push_back({prompt.name + ".log_probs", rows - 1, 1, true});
    bool hasFinal = session.manifest().find("infer")->finalHidden.has_value();
    for (size_t place = 0; place < places; ++place) {
      bool final = hasFinal && place + 1 == places;
      plans.push_back(
          {prompt.name + ".hidden." + (final ? "final" : std::to_string(place)),
           rows, session.config().hidden});
    }
    for (size_t i = 0; i < routers; ++i) {
      const RouterRows &router = session.engine().routing()[i];
      std::string name = prompt.name + ".router." + router.gate;
      plans.push_back({name + ".scores", rows, router.experts});
      plans.push_back({name + ".picks", rows, router.perToken});
      plans.back().isInteger = true;
      plans.push_back({name + ".weights", rows, router.perToken});
    }
    if (options.mtp)
      plans.push_back({prompt.name + ".draft_logits", rows - 1,
                       session.config().vocabulary});
  }
  return plans;
}

/// Writes what the routers chose for rows of the step, of a prompt's tokens from
/// `first` on.
Status LogitsRun::writeRouting(size_t tensor, int64_t first, int64_t row,
                               int64_t count, TensorWriter &writer) {
  for (size_t i = 0; i < routers; ++i) {
    const RouterRows &rows = session.engine().routing()[i];
    int64_t pick = row * rows.perToken;
    Status error = writer.write(tensor++, first, count,
                                rows.scores.data() + row * rows.experts);
    if (!error)
      error = writer.write(tensor++, first, count, rows.picks.data() + pick);
    if (!error)
      error = writer.write(tensor++, first, count, rows.weights.data() + pick);
    if (error)
      return error;
  }
  return std::nullopt;
}

/// Runs the draft head on the rows of a step that have a next token in their
/// prompt, and writes its logits. A row has the role of the token that it
/// embeds.
Status LogitsRun::writeDrafts(const std::vector<StepItem> &items,
                              const std::vector<Runner *> &runners,
                              TensorWriter &writer) {
  Engine &engine = session.engine();
  int64_t row = 0;
  for (size_t i = 0; i < items.size(); row += items[i].count, ++i) {
    Sequence &sequence = runners[i]->sequence;
    const std::vector<int32_t> &ids = prompts[runners[i]->prompt].ids;
    int64_t end = std::min<int64_t>(sequence.length(), ids.size() - 1);
    int64_t begin = sequence.length() - items[i].count;
    while (sequence.draftLength() < end) {
      int64_t at = sequence.draftLength(), from = options.generatedFrom;
      StepItem item{&sequence, ids.data() + at + 1, end - at, 0};
      item.generated = from >= 0 && at + 1 >= from;
      if (!item.generated && from > at + 1)
        item.count = std::min(item.count, from - at - 1);
      item.drafts = true;
      item.hidden = engine.hiddenRow(row + at - begin);
      if (Status error = engine.draft({item}))
        return error;
      size_t tensor = (runners[i]->prompt + 1) * tensors() - 1;
      for (int64_t j = 0; j < engine.draftOutputs(); ++j)
        if (Status error =
                writer.write(tensor, at + j, 1, engine.draftLogits(j)))
          return error;
    }
  }
  return std::nullopt;
}

/// Writes the rows of a step; called before the sequences go on.
Status LogitsRun::write(const std::vector<StepItem> &items,
                        const std::vector<Runner *> &runners,
                        TensorWriter &writer) {
  Engine &engine = session.engine();
  int64_t row = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    int64_t count = items[i].count;
    int64_t first = runners[i]->sequence.length() - count;
    size_t tensor = runners[i]->prompt * tensors();
    for (int64_t j = 0; j < count; ++j)
      if (Status error =
              writer.write(tensor, first + j, 1, engine.logits(row + j)))
        return error;
    const std::vector<int32_t> &ids = prompts[runners[i]->prompt].ids;
    if (options.logProbs) {
      ++tensor;
      for (int64_t j = 0; j < count; ++j) {
        size_t next = static_cast<size_t>(first + j + 1);
        if (next == ids.size())
          break;
        Result<float> value = engine.logProb(row + j, ids[next], 1);
        if (!value)
          return Error{value.error()};
        if (Status error = writer.write(tensor, first + j, 1, &*value))
          return error;
      }
    }
    for (size_t place = 0; place < places; ++place) {
      const HiddenRows &rows = engine.hidden()[place];
      if (Status error = writer.write(tensor + 1 + place, first, count,
                                      rows.values.data() + row * rows.columns))
        return error;
    }
    if (Status error =
            writeRouting(tensor + 1 + places, first, row, count, writer))
      return error;
    row += count;
  }
  return std::nullopt;
}

/// Runs prompts [begin, end) in one batch.
Status LogitsRun::runTogether(size_t begin, size_t end, TensorWriter &writer) {
  std::vector<Runner> runners;
  for (size_t i = begin; i < end; ++i)
    runners.push_back({i, Sequence(session.state())});
  Progress progress("running", "tok");
  int64_t done = 0, total = 0;
  for (const Runner &runner : runners)
    total += static_cast<int64_t>(prompts[runner.prompt].ids.size());
  while (done < total) {
    std::vector<StepItem> items;
    std::vector<Runner *> running;
    for (Runner &runner : runners) {
      const std::vector<int32_t> &ids = prompts[runner.prompt].ids;
      int64_t at = runner.sequence.length();
      int64_t left = static_cast<int64_t>(ids.size()) - at;
      if (left == 0)
        continue;
      int64_t count = std::min(
          left, options.chunk ? options.chunk : options.session.stepTokens);
      bool generated = options.generatedFrom >= 0 && at >= options.generatedFrom;
      if (!generated && options.generatedFrom > at)
        count = std::min(count, options.generatedFrom - at);
      items.push_back({&runner.sequence, ids.data() + at, count, 0});
      items.back().generated = generated;
      running.push_back(&runner);
      done += count;
    }
    if (Status error = session.engine().step(items))
      return error;
    if (Status error = write(items, running, writer))
      return error;
    if (options.mtp)
      if (Status error = writeDrafts(items, running, writer))
        return error;
    progress.update(done, total);
    if (interrupted())
      return failure("interrupted");
  }
  return std::nullopt;
}

Status LogitsRun::run() {
  int64_t pages = 0, most = 0;
  for (const Prompt &prompt : prompts) {
    int64_t tokens = static_cast<int64_t>(prompt.ids.size());
    if (Status error =
            session.checkLength("prompt '" + prompt.name + "'", tokens))
      return error;
    int64_t own =
        (tokens + Manifest::pagePositions - 1) / Manifest::pagePositions;
    pages += own;
    most = std::max(most, own);
  }
  if (Status error = session.makePages(options.batch ? pages : most))
    return error;
  session.engine().recordHidden(options.hidden);
  session.engine().recordRouting(options.routing);
  session.engine().keepHidden(options.mtp);
  if (options.mtp && !session.engine().hasDraft())
    return failure("--mtp: the artifact has no draft head; models with "
                   "num_nextn_predict_layers have one");
  if (options.routing && routers == 0)
    return failure("--routing: the artifact has no routers, or was compiled "
                   "before they were recorded");
  Result<TensorWriter> writer = TensorWriter::create(options.out, plan());
  if (!writer)
    return writer.takeError();
  size_t together = options.batch ? prompts.size() : 1;
  for (size_t begin = 0; begin < prompts.size(); begin += together)
    if (Status error = runTogether(begin, begin + together, *writer))
      return error;
  return writer->finish();
}

int ds::tool::runLogits(const Words &words) {
  LogitsOptions options;
  CommandLine line("dsrun logits",
                   "ARTIFACT --weights=DIR --ids=FILE --out=FILE [options]",
                   "Writes the logits of every token of the prompts, f32, to a "
                   "safetensors file.");
  line.group("Input and output");
  line.option(options.ids, "ids", "FILE",
              "prompts, a JSON object {\"name\": [token ids]}");
  line.option(options.out, "out", "FILE",
              "result: \"name.logits\" [T, V] for every prompt");
  line.flag(options.hidden, "hidden",
            "also \"name.hidden.I\" [T, D]: 0 is the embedding, I what\n"
            "layer I - 1 gives, \"final\" what the last norm gives");
  line.flag(options.logProbs, "log-probs",
            "also \"name.log_probs\" [T - 1]: the logarithm of each token's\n"
            "probability after those before it, as training has it");
  line.flag(options.routing, "routing",
            "also what routers choose, \"name.router.GATE\" with .scores [T, E],\n"
            ".picks [T, K], i32, and .weights [T, K]; GATE is the name of the\n"
            "router's tensor without .weight");
  line.flag(options.mtp, "mtp",
            "also \"name.draft_logits\" [T - 1, V] of the draft head: row i\n"
            "guesses token i + 2 from the tokens up to i + 1");
  line.group("Steps");
  line.option(options.chunk, "chunk", "N",
              "run prompts in chunks of N tokens; 1 is decoding");
  line.flag(options.batch, "batch", "run all prompts in one batch");
  line.option(options.generatedFrom, "generated-from", "N",
              "tokens from the N-th on, counted from 0, have the role of\n"
              "generated ones; by default all are prompts");
  options.session.declare(line);
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  if (options.ids.empty() || options.out.empty())
    return reportError("expects --ids=FILE and --out=FILE");
  Result<std::vector<Prompt>> prompts = readPrompts(options.ids);
  if (!prompts)
    return reportError(prompts.error());
  auto session = Session::open(options.session, options.session.stepTokens);
  if (!session)
    return reportError(session.error());
  if (Status error = LogitsRun(options, **session, *prompts).run())
    return reportError(error->message);
  return exitDone;
}
