//===- Speculation.cpp - Draws tokens with the help of a draft head -------===//
#include "tools/dsrun/Speculation.h"
#include "runtime/text/Speculation.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>

using namespace ds::tool;
using namespace ds::runtime;
namespace text = ds::text;

namespace {
/// A text that is drawn in steps of a guess, or several, and a verification.
/// Before a step all tokens but the last, `tokens[0]`, are in the sequence, and
/// the draft head lacks the rows whose next tokens are `fresh`.
class Speculator {
public:
  Speculator(Session &session, Sequence &sequence, text::Sampler &sampler,
             const GenerationOptions &options,
             const std::function<void(int32_t)> &emit, GenerationResult &result)
      : session(session), sequence(sequence), sampler(sampler),
        options(options), result(result),
        drawing(session, options, emit, result) {}

  /// Draws until the text ends. The engine's last step was that of the prompt.
  Status run();

private:
  /// Draws the token at `position` from a row of the model's logits.
  Result<int32_t> draw(int64_t row, int64_t position);
  int64_t guessesOfStep() const;
  Status guess(int64_t count);
  Status guessFrom(const StepItem &item);
  Status step();
  Result<bool> verify();

  Session &session;
  Sequence &sequence;
  text::Sampler &sampler;
  const GenerationOptions &options;
  GenerationResult &result;
  Drawing drawing;

  std::vector<int32_t> fresh;   // Tokens that the draft head has not seen.
  const char *hidden = nullptr; // Rows of the tokens before these.
  std::vector<int32_t> tokens;  // Of the step: the last one and guesses.
  std::vector<text::Distribution> drafts; // That the guesses were drawn from.
  text::Distribution target;
};
} // namespace

static constexpr uint64_t theSequence = 0;

Result<int32_t> Speculator::draw(int64_t row, int64_t position) {
  Result<text::Sample> sample =
      sampler.sample(session.engine().logits(row), session.config().vocabulary,
                     theSequence, position);
  if (!sample)
    return sample.takeError();
  return sample->token;
}

/// As many guesses as were asked for, if the text may become so long: a step
/// draws a token more than it verifies.
int64_t Speculator::guessesOfStep() const {
  int64_t wanted =
      options.maxTokens - static_cast<int64_t>(result.tokens.size()) - 1;
  int64_t possible = session.config().positions - sequence.length() - 1;
  return std::max<int64_t>(0, std::min({options.guesses, wanted, possible}));
}

/// Runs rows of the draft head and draws a guess from the last one.
Status Speculator::guessFrom(const StepItem &item) {
  Engine &engine = session.engine();
  if (Status error = engine.draft({item}))
    return error;
  if (options.onStep)
    options.onStep(/*isDraft=*/true, item);
  // The guess is the token after the last that the head has seen.
  int64_t position = sequence.draftLength() + 1;
  drafts.emplace_back();
  if (text::Status error = sampler.distribution(engine.draftLogits(0),
                                                session.config().vocabulary,
                                                position, drafts.back()))
    return failure(error->message);
  tokens.push_back(drafts.back().draw(
      sampler.random(theSequence, position, text::RandomUse::Guess)));
  return std::nullopt;
}

/// Makes the draft head see the fresh tokens and guess `count` of those that
/// follow.
Status Speculator::guess(int64_t count) {
  drafts.clear();
  int64_t rows = static_cast<int64_t>(fresh.size());
  StepItem item{&sequence, fresh.data(), rows, rows - 1};
  item.drafts = item.generated = true;
  item.hidden = hidden;
  int64_t length = sequence.draftLength() + rows;
  if (Status error = guessFrom(item))
    return error;
  // Further rows take the head's own guess and hidden row for the model's, and
  // are forgotten.
  std::vector<char> last(session.engine().hiddenBytes());
  for (int64_t i = 1; i < count; ++i) {
    int64_t row = item.count - 1;
    const char *from = session.engine().draftHiddenRow(row);
    std::copy(from, from + last.size(), last.begin());
    item.tokens = &tokens[i];
    item.hidden = last.data();
    item.count = 1;
    item.firstOutput = 0;
    if (Status error = guessFrom(item))
      return error;
  }
  sequence.truncateDraft(length);
  return std::nullopt;
}

/// Runs the last token and the guesses behind it.
Status Speculator::step() {
  StepItem item{&sequence, tokens.data(), static_cast<int64_t>(tokens.size()),
                0};
  item.generated = true;
  if (Status error = session.engine().step({item}))
    return error;
  ++result.steps;
  if (options.onStep)
    options.onStep(/*isDraft=*/false, item);
  return std::nullopt;
}

/// Draws tokens with the guesses of the step that has run, takes back what was
/// not accepted, and returns whether the text goes on.
Result<bool> Speculator::verify() {
  int64_t guesses = static_cast<int64_t>(tokens.size()) - 1;
  int64_t position = sequence.length() - guesses;
  fresh.clear();
  hidden = session.engine().hiddenRow(0);
  bool goesOn = true, accepted = true;
  for (int64_t row = 0; row <= guesses && accepted && goesOn;
       ++row, ++position) {
    int32_t token = -1;
    if (row < guesses) {
      if (text::Status error = sampler.distribution(
              session.engine().logits(row), session.config().vocabulary,
              position, target))
        return failure(error->message);
      text::Verdict verdict = text::verifyGuess(
          target, drafts[row], tokens[row + 1],
          sampler.random(theSequence, position, text::RandomUse::Accept),
          sampler.random(theSequence, position, text::RandomUse::Draw));
      token = verdict.token;
      accepted = verdict.accepted;
      ++result.guesses;
      result.accepted += accepted;
    } else {
      Result<int32_t> drawn = draw(row, position);
      if (!drawn)
        return drawn.takeError();
      token = *drawn;
    }
    ++result.decoded;
    fresh.push_back(token);
    goesOn = drawing.add(token, position);
  }
  // All tokens but the last that was drawn.
  sequence.truncate(position - 1);
  tokens = {fresh.back()};
  return goesOn;
}

Status Speculator::run() {
  Result<int32_t> first = draw(0, sequence.length());
  if (!first)
    return first.takeError();
  tokens = fresh = {*first};
  hidden = session.engine().hiddenRow(session.engine().hiddenCount() - 1);
  bool goesOn = drawing.add(*first, sequence.length());
  while (goesOn && !interrupted()) {
    if (int64_t count = guessesOfStep())
      if (Status error = guess(count))
        return error;
    if (Status error = step())
      return error;
    Result<bool> next = verify();
    if (!next)
      return next.takeError();
    goesOn = *next;
  }
  return std::nullopt;
}

Result<GenerationResult>
ds::tool::speculate(Session &session, Sequence &sequence,
                    const std::vector<int32_t> &prompt,
                    const GenerationOptions &options,
                    const std::function<void(int32_t)> &emit) {
  if (!session.engine().hasDraft())
    return failure(noDraftHead);
  Result<text::Sampler> sampler = makeSampler(options);
  if (!sampler)
    return sampler.takeError();
  GenerationResult result;
  result.promptTokens = static_cast<int64_t>(prompt.size());
  double begin = now();
  session.engine().keepHidden(true);
  if (Status error = session.prefill(sequence, prompt, /*drafts=*/true))
    return *error;
  result.promptSeconds = now() - begin;
  begin = now();
  Speculator speculator(session, sequence, *sampler, options, emit, result);
  if (Status error = speculator.run())
    return *error;
  result.decodeSeconds = now() - begin;
  session.engine().keepHidden(false);
  return result;
}
