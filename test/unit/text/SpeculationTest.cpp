//===- SpeculationTest.cpp - Guesses that are accepted are draws ----------===//

#include "runtime/text/Speculation.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

using namespace ds::text;

static Distribution make(const std::vector<float> &weights) {
  Distribution made;
  made.weights = weights;
  for (float weight : weights)
    made.total += weight;
  return made;
}

/// Guesses and verifies `count` times; returns how often each token came, and
/// behind them how many guesses were accepted.
static std::vector<int> verify(const Distribution &target,
                               const Distribution &draft, int count) {
  std::vector<int> seen(target.weights.size() + 1);
  for (int i = 0; i < count; ++i) {
    auto random = [&](RandomUse use) { return uniform(11, 0, i, use); };
    int32_t guess = draft.draw(random(RandomUse::Guess));
    EXPECT_GT(draft.probability(guess), 0);
    Verdict verdict =
        verifyGuess(target, draft, guess, random(RandomUse::Accept),
                    random(RandomUse::Draw));
    EXPECT_TRUE(!verdict.accepted || verdict.token == guess);
    ++seen[verdict.token];
    seen.back() += verdict.accepted;
  }
  return seen;
}

/// Expects `seen` of `count` within five standard deviations.
static void expectShare(int seen, double p, int count) {
  EXPECT_NEAR(seen, count * p, 5 * std::sqrt(count * p * (1 - p)) + 1e-6);
}

static const std::vector<std::vector<float>> distributions = {
    {1, 1, 1, 1, 1},          {8, 1, 0.5f, 0.25f, 0.25f},
    {0, 0, 3, 1, 0},          {1, 2, 0, 0, 0},
    {0, 0, 0, 0, 1},          {1e-6f, 1, 1e-3f, 2, 5},
    {0.3f, 0.3f, 0.1f, 0, 9},
};

/// Leviathan et al., appendix A.1: what comes out is a draw from the target,
/// and a guess is accepted with probability sum of min(p, q).
TEST(Speculation, drawsFollowTheTarget) {
  static constexpr int count = 100000;
  for (const std::vector<float> &target : distributions)
    for (const std::vector<float> &draft : distributions) {
      Distribution p = make(target), q = make(draft);
      std::vector<int> seen = verify(p, q, count);
      double accepted = 0;
      for (int32_t token = 0; token < 5; ++token) {
        expectShare(seen[token], p.probability(token), count);
        accepted += std::min(p.probability(token), q.probability(token));
      }
      expectShare(seen.back(), std::min(accepted, 1.0), count);
    }
}

TEST(Speculation, equalDistributionsAcceptAll) {
  for (const std::vector<float> &weights : distributions)
    EXPECT_EQ(verify(make(weights), make(weights), 2000).back(), 2000);
}

/// Distributions that differ by rounding leave nothing to draw from.
TEST(Speculation, nothingLeft) {
  Distribution p = make({1, 0}), q = p;
  p.total *= 1 + 1e-9;
  Verdict verdict = verifyGuess(p, q, 0, 1 - 1e-12, 0.5);
  EXPECT_FALSE(verdict.accepted);
  EXPECT_EQ(verdict.token, 0);
}

/// At temperature 0 a guess is accepted if it is the most probable token, of
/// equals the first.
TEST(Speculation, greedy) {
  Sampler sampler = *Sampler::create({});
  Distribution target, draft;
  auto distribute = [&](const std::vector<float> &logits, Distribution &to) {
    EXPECT_FALSE(sampler.distribution(logits.data(), logits.size(), 0, to));
  };
  distribute({1, 4, 4, 0}, target);
  for (int32_t guess = 0; guess < 4; ++guess) {
    std::vector<float> logits(4);
    logits[guess] = 1;
    distribute(logits, draft);
    for (double u : {0.0, 0.5, 1 - 1e-12}) {
      EXPECT_EQ(draft.draw(u), guess);
      Verdict verdict = verifyGuess(target, draft, guess, u, u);
      EXPECT_EQ(verdict.accepted, guess == 1);
      EXPECT_EQ(verdict.token, 1);
    }
  }
}

/// The distribution is that of sample(), whatever cuts it.
TEST(Speculation, distributionIsWhatIsDrawnFrom) {
  static constexpr int count = 60000;
  std::vector<float> logits = {0, 1, -2, 3, 0.5f, -INFINITY, 2.5f};
  for (int cut = 0; cut < 5; ++cut) {
    SamplerOptions options;
    options.temperature = cut == 4 ? 0.6f : 1.3f;
    options.topK = cut == 1 ? 3 : 0;
    options.topP = cut == 2 ? 0.8f : 1;
    options.minP = cut == 3 ? 0.2f : 0;
    Sampler sampler = *Sampler::create(options);
    Distribution from;
    ASSERT_FALSE(sampler.distribution(logits.data(), logits.size(), 0, from));
    std::vector<int> seen(logits.size());
    for (int i = 0; i < count; ++i)
      ++seen[sampler.sample(logits.data(), logits.size(), 0, i)->token];
    for (size_t i = 0; i < logits.size(); ++i)
      expectShare(seen[i], from.probability(static_cast<int32_t>(i)), count);
  }
}

TEST(Speculation, badLogitsAreRefused) {
  Sampler sampler = *Sampler::create({});
  Distribution to;
  std::vector<float> logits = {1, NAN};
  Status error = sampler.distribution(logits.data(), logits.size(), 7, to);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->message, "expects the logits of position 7 to be finite");
}

/// A position has a number for each use, and draws those it always had.
TEST(Speculation, randomNumbersOfTheirOwn) {
  std::vector<double> numbers;
  for (uint64_t position : {uint64_t(0), uint64_t(1), uint64_t(1) << 32})
    for (RandomUse use : {RandomUse::Draw, RandomUse::Guess, RandomUse::Accept})
      numbers.push_back(uniform(3, 4, position, use));
  std::sort(numbers.begin(), numbers.end());
  EXPECT_EQ(std::unique(numbers.begin(), numbers.end()), numbers.end());
  auto block = philox({5, 0, 4, 0}, {3, 0});
  uint64_t bits = uint64_t(block[0]) << 32 | block[1];
  EXPECT_EQ(uniform(3, 4, 5, RandomUse::Draw), double(bits >> 11) * 0x1p-53);
}
