//===- Speculation.cpp - Accepting guessed tokens -------------------------===//
#include "runtime/text/Speculation.h"

#include <algorithm>

namespace ds::text {

/// What the guesses that were accepted leave of `target`.
static Distribution subtract(const Distribution &target,
                             const Distribution &draft) {
  Distribution rest;
  rest.weights.resize(target.weights.size());
  for (size_t i = 0; i < rest.weights.size(); ++i) {
    int32_t token = static_cast<int32_t>(i);
    rest.weights[i] = static_cast<float>(
        std::max(0.0, target.probability(token) - draft.probability(token)));
    rest.total += rest.weights[i];
  }
  return rest;
}

Verdict verifyGuess(const Distribution &target, const Distribution &draft,
                    int32_t guess, double accept, double draw) {
  if (accept * draft.probability(guess) < target.probability(guess))
    return {true, guess};
  Distribution rest = subtract(target, draft);
  // Nothing is left where the two are equal but for rounding.
  return {false, rest.total > 0 ? rest.draw(draw) : target.draw(draw)};
}

} // namespace ds::text
