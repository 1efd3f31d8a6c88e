//===- Sampler.h - Drawing a token from logits ----------------------------===//
//
// Draws the next token. The random numbers come from Philox4x32-10 (Salmon et
// al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) keyed by the
// seed and counted by sequence and position, so a draw is a function of these
// and the logits alone, whatever was drawn before or beside it.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_SAMPLER_H
#define DS_RUNTIME_TEXT_SAMPLER_H

#include "runtime/text/Result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ds::text {

/// Returns the Philox4x32-10 block of `counter` under `key`.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                               std::array<uint32_t, 2> key);

/// How to draw. The cuts apply in the order of the fields, each to what the
/// one before has left.
struct SamplerOptions {
  /// Divides the logits; 0 takes the most probable token.
  float temperature = 0;
  /// Keeps the K most probable tokens; 0 keeps all.
  int32_t topK = 0;
  /// Keeps the fewest most probable tokens that sum to this; 1 keeps all.
  float topP = 1;
  /// Keeps tokens at least this share as probable as the best; 0 keeps all.
  float minP = 0;
  uint64_t seed = 0;
  /// Also works out log-probabilities; a greedy draw is faster without.
  bool logProbabilities = true;
};

/// What a random number is for. Each use at a position has one of its own.
enum class RandomUse : uint32_t { Draw, Guess, Accept };

/// Returns a number in [0, 1) with 53 bits, a function of its arguments.
double uniform(uint64_t seed, uint64_t sequence, uint64_t position,
               RandomUse use);

/// What a token is drawn from, after all cuts.
struct Distribution {
  std::vector<float> weights; ///< Of every token; probabilities times `total`.
  double total = 0;

  double probability(int32_t token) const { return weights[token] / total; }

  /// Returns the token at which the probabilities, summed in order, exceed `u`
  /// in [0, 1).
  int32_t draw(double u) const;
};

/// A drawn token. The log-probabilities are zero where they were not asked
/// for.
struct Sample {
  int32_t token = -1;
  /// Of softmax(logits).
  float rawLogProbability = 0;
  /// Of softmax(logits / temperature), before any cut; 0 when greedy.
  float temperedLogProbability = 0;
  /// Of the distribution drawn from, after the cuts; 0 when greedy.
  float drawnLogProbability = 0;
};

/// Draws tokens. Ties go to the lowest index. Not for use by several threads
/// at once: it keeps scratch memory.
class Sampler {
public:
  /// Checks that each field of `options` is in its range.
  static Result<Sampler> create(const SamplerOptions &options);

  /// Draws from `count` logits for `position` (of the token to be drawn) of
  /// `sequence`. Fails if a logit is NaN or none is finite.
  Result<Sample> sample(const float *logits, size_t count, uint64_t sequence,
                        uint64_t position);

  /// Puts what sample() draws from into `to`. Fails as it does.
  Status distribution(const float *logits, size_t count, uint64_t position,
                      Distribution &to);

  /// Returns the random number for a use at `position` of `sequence`.
  double random(uint64_t sequence, uint64_t position, RandomUse use) const {
    return uniform(options.seed, sequence, position, use);
  }

private:
  struct Candidate {
    float logit;
    int32_t token;
    bool operator<(const Candidate &other) const {
      return logit != other.logit ? logit > other.logit : token < other.token;
    }
  };
  explicit Sampler(const SamplerOptions &options) : options(options) {}
  bool cuts() const;
  static Result<float> findBest(const float *logits, size_t count,
                                uint64_t position);
  void sumBlocks(const float *logits, size_t count, float best,
                 float temperature);
  double total() const;
  size_t drawFromAll(const float *logits, size_t count, float best, double u);
  void selectKept(const float *logits, size_t count, float best);
  size_t cutTopP(float best);
  void drawFromKept(float best, double u, Sample &sample) const;

  SamplerOptions options;
  /// Candidates left by the cuts.
  std::vector<Candidate> kept;
  /// Sums of the weights of blocks of the vocabulary.
  std::vector<double> blockSums;
};

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_SAMPLER_H
