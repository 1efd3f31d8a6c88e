//===- Eval.cpp - dsrun eval ----------------------------------------------===//
//
// The mean negative log-likelihood of a text and its exponential, perplexity.
// The text is cut into windows of the context; within a window every token but
// the first is predicted from those before it.
//
//===----------------------------------------------------------------------===//
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Session.h"
#include "tools/dsrun/Terminal.h"

#include "runtime/File.h"
#include "runtime/text/Tokenizer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace ds::tool;
using namespace ds::runtime;

namespace {
struct EvalOptions {
  SessionOptions session;
  std::string file, tokenizer;
  int64_t context = 0;
  bool noSpecial = false;
};

/// The sum over predicted tokens.
struct Likelihood {
  double negativeLog = 0;
  int64_t tokens = 0;
};
} // namespace

/// Returns -log of the softmax of `logits` at `token`.
static double negativeLog(const float *logits, int64_t count, int32_t token) {
  float most = *std::max_element(logits, logits + count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += std::exp(logits[i] - most);
  return std::log(sum) + most - logits[token];
}

/// Adds the likelihood of the tokens of one window, ids[0] to ids[count].
static Status evaluateWindow(Session &session, const int32_t *ids,
                             int64_t count, Likelihood &total,
                             const std::function<void(int64_t)> &report) {
  Sequence sequence(session.state());
  Engine &engine = session.engine();
  int64_t vocabulary = session.config().vocabulary;
  for (int64_t done = 0; done < count;) {
    int64_t rows = std::min(session.sessionOptions().stepTokens, count - done);
    if (Status error = engine.step({{&sequence, ids + done, rows, 0}}))
      return error;
    int64_t predicted = std::min(rows, count - 1 - done);
    std::vector<double> values(rows);
    session.threadPool().forEach(predicted, [&](int64_t row, int) {
      values[row] =
          negativeLog(engine.logits(row), vocabulary, ids[done + row + 1]);
    });
    for (int64_t row = 0; row < predicted; ++row)
      total.negativeLog += values[row];
    total.tokens += predicted;
    done += rows;
    report(done);
    if (interrupted())
      return failure("interrupted");
  }
  return std::nullopt;
}

static Status evaluate(Session &session, const std::vector<int32_t> &ids,
                       int64_t context, Likelihood &total) {
  Progress progress("evaluating", "tok");
  int64_t count = static_cast<int64_t>(ids.size());
  if (Status error = session.makeState(std::min(context, count)))
    return error;
  for (int64_t begin = 0; begin + 1 < count; begin += context) {
    auto report = [&](int64_t done) { progress.update(begin + done, count); };
    if (Status error =
            evaluateWindow(session, ids.data() + begin,
                           std::min(context, count - begin), total, report))
      return error;
  }
  return std::nullopt;
}

static Result<std::vector<int32_t>> readIds(const EvalOptions &options) {
  Result<std::string> content = readWholeFile(options.file);
  if (!content)
    return content.takeError();
  auto tokenizer = ds::text::Tokenizer::load(
      options.tokenizer.empty() ? options.session.weights : options.tokenizer);
  if (!tokenizer)
    return tokenizer.takeError();
  auto ids = tokenizer->encode(*content, !options.noSpecial);
  if (ids && ids->size() < 2)
    return failure("expects '", options.file, "' to have at least 2 tokens");
  return ids;
}

int ds::tool::runEval(const Words &words) {
  EvalOptions options;
  CommandLine line("dsrun eval", "ARTIFACT --weights=DIR --file=FILE [options]",
                   "Prints the perplexity of a text.");
  line.group("Text");
  line.option(options.file, "file", "FILE", "the text");
  line.option(options.context, "context", "N",
              "tokens of a window; default: the model's limit", 2);
  line.flag(options.noSpecial, "no-special",
            "do not put the special tokens around the text that the\n"
            "tokenizer's configuration asks for");
  line.option(options.tokenizer, "tokenizer", "DIR",
              "folder with tokenizer.json; default: that of the weights");
  options.session.declare(line);
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  if (options.file.empty() || options.session.weights.empty())
    return reportError("expects --weights=DIR and --file=FILE");
  Result<std::vector<int32_t>> ids = readIds(options);
  if (!ids)
    return reportError(ids.error());
  auto session = Session::open(options.session, options.session.stepTokens);
  if (!session)
    return reportError(session.error());
  int64_t limit = (*session)->config().positions;
  int64_t context = options.context ? options.context : limit;
  if (context > limit)
    return reportError(join("expects --context (", context,
                            ") to be at most the model's limit "
                            "(max_position_embeddings), ",
                            limit));
  Likelihood total;
  if (Status error = evaluate(**session, *ids, context, total))
    return reportError(error->message);
  double mean = total.negativeLog / total.tokens;
  printf("tokens      %zu, %lld of them predicted\n", ids->size(),
         static_cast<long long>(total.tokens));
  printf("mean nll    %.6f\n", mean);
  printf("perplexity  %.4f\n", std::exp(mean));
  return exitDone;
}
