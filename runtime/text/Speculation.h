//===- Speculation.h - Accepting guessed tokens ---------------------------===//
//
// Speculative decoding draws guesses from a cheap distribution q and keeps each
// with a probability that makes what comes out a draw from the model's own
// distribution p: Leviathan et al., arXiv 2211.17192, algorithm 1 and appendix
// A.1; Chen et al., arXiv 2302.01318, theorem 1.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_SPECULATION_H
#define DS_RUNTIME_TEXT_SPECULATION_H

#include "runtime/text/Sampler.h"

namespace ds::text {

/// What became of a guess.
struct Verdict {
  bool accepted = false;
  int32_t token = -1; ///< The guess, or what is drawn in its stead.
};

/// Makes of `guess`, a draw from `draft`, a draw from `target`: accepts it with
/// probability min(1, p / q), else draws from max(0, p - q) normalised.
/// `accept` and `draw` are random numbers in [0, 1) that neither depend on each
/// other nor on what the guess was drawn with.
Verdict verifyGuess(const Distribution &target, const Distribution &draft,
                    int32_t guess, double accept, double draw);

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_SPECULATION_H
