//===- Grad.cpp - dsrun grad ----------------------------------------------===//
#include "runtime/training/TrainedTensors.h"
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Terminal.h"
#include "tools/dsrun/TrainSession.h"

using namespace ds::tool;
using namespace ds::runtime;

/// Runs one packed step and writes loss, log-probabilities and gradients.
static Status writeGradients(TrainSession &session, const PromptBatch &batch,
                             const std::string &path) {
  Trainer &trainer = session.trainer();
  Result<double> loss = trainer.accumulate(batch.sequences, batch.size);
  if (!loss)
    return Error{loss.error()};
  std::vector<TensorPlan> plans = {{"loss", 1, 1, true},
                                   {"log_probs", batch.size.targets, 1, true}};
  std::vector<std::vector<float>> terms;
  for (const AuxiliaryTerm &term : trainer.terms()) {
    terms.emplace_back(term.layers.begin(), term.layers.end());
    plans.push_back({"auxiliary." + term.name,
                     static_cast<int64_t>(term.layers.size()), 1, true});
  }
  size_t gradients = plans.size();
  for (TensorPlan &plan : planTensors(trainer, "grad.", false, false))
    plans.push_back(std::move(plan));
  Result<TensorWriter> writer = TensorWriter::create(path, plans);
  if (!writer)
    return Error{writer.error()};
  float value = static_cast<float>(*loss);
  Status error = writer->write(0, 0, 1, &value);
  if (!error)
    error = writer->write(1, 0, batch.size.targets, trainer.logProbs().data());
  for (size_t i = 0; i < terms.size() && !error; ++i)
    error = writer->write(2 + i, 0, static_cast<int64_t>(terms[i].size()),
                          terms[i].data());
  if (!error)
    error = writeTensors(trainer, TrainedCopy::Gradient, false, gradients,
                         *writer);
  return error ? error : writer->finish();
}

int ds::tool::runGrad(const Words &words) {
  TrainSessionOptions options;
  std::string ids, out;
  CommandLine line("dsrun grad",
                   "ARTIFACT --weights=DIR --ids=FILE --out=FILE [options]",
                   "Writes the gradients of one packed step, f32, to a "
                   "safetensors file.");
  line.group("Input and output");
  line.option(ids, "ids", "FILE",
              "sequences, a JSON object {\"name\": [token ids]}, or\n"
              "{\"name\": {\"ids\": [..], \"mask\": [..], \"generated\": [..]}}:\n"
              "0 for tokens that are no targets, 1 for generated ones");
  line.option(out, "out", "FILE",
              "result: \"loss\", \"log_probs\" of every token but the first of\n"
              "each sequence, \"grad.NAME\" of every tensor of the model,\n"
              "\"auxiliary.NAME\" of every layer that has the term");
  options.declare(line);
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  if (ids.empty() || out.empty())
    return reportError("expects --ids=FILE and --out=FILE");
  Result<std::vector<Prompt>> prompts = readSequences(ids);
  if (!prompts)
    return reportError(prompts.error());
  PromptBatch batch(*prompts);
  if (batch.size.rows == 0)
    return reportError("expects a sequence of at least two tokens in '" + ids +
                       "'");
  auto session = TrainSession::open(options, batch.size.rows);
  if (!session)
    return reportError(session.error());
  if (Status error = writeGradients(**session, batch, out))
    return reportError(error->message);
  return exitDone;
}
