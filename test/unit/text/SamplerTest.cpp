//===- SamplerTest.cpp - Draws and their distribution ---------------------===//

#include "runtime/text/Sampler.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

using namespace ds::text;

static const float infinity = std::numeric_limits<float>::infinity();

static Sampler make(const SamplerOptions &options) {
  Result<Sampler> sampler = Sampler::create(options);
  EXPECT_TRUE(sampler) << sampler.error();
  return *sampler;
}

static SamplerOptions withTemperature(float temperature) {
  SamplerOptions options;
  options.temperature = temperature;
  return options;
}

static Sample draw(Sampler &sampler, const std::vector<float> &logits,
                   uint64_t position = 0, uint64_t sequence = 0) {
  Result<Sample> sample =
      sampler.sample(logits.data(), logits.size(), sequence, position);
  EXPECT_TRUE(sample) << sample.error();
  return sample ? *sample : Sample();
}

static std::vector<float> randomLogits(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(count);
  for (float &logit : logits)
    logit = normal(random);
  return logits;
}

// The known answers published with the Random123 library.
TEST(Philox, knownAnswers) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                   {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Sampler, greedyTakesTheFirstOfEquals) {
  Sampler sampler = make({});
  EXPECT_EQ(draw(sampler, {1, 5, 2, 5, 5}).token, 1);
  EXPECT_EQ(draw(sampler, {-infinity, -3}).token, 1);
  EXPECT_EQ(draw(sampler, {7}).token, 0);
}

/// Returns log softmax(logits / temperature)[token] in double.
static double logSoftmax(const std::vector<float> &logits, size_t token,
                         double temperature) {
  double best = -infinity, sum = 0;
  for (float logit : logits)
    best = std::max(best, double(logit));
  for (float logit : logits)
    sum += std::exp((logit - best) / temperature);
  return (logits[token] - best) / temperature - std::log(sum);
}

TEST(Sampler, logProbabilities) {
  for (size_t count : {1u, 15u, 16u, 1000u, 1024u, 1025u, 49152u}) {
    std::vector<float> logits = randomLogits(count, 5);
    Sampler greedy = make({});
    Sample sample = draw(greedy, logits);
    EXPECT_NEAR(sample.rawLogProbability, logSoftmax(logits, sample.token, 1),
                2e-6);
    EXPECT_EQ(sample.temperedLogProbability, 0);
    Sampler warm = make(withTemperature(0.7f));
    sample = draw(warm, logits);
    EXPECT_NEAR(sample.rawLogProbability, logSoftmax(logits, sample.token, 1),
                4e-6);
    EXPECT_NEAR(sample.temperedLogProbability,
                logSoftmax(logits, sample.token, 0.7f), 4e-6);
    EXPECT_EQ(sample.drawnLogProbability, sample.temperedLogProbability);
  }
}

TEST(Sampler, logProbabilityOfACutDistribution) {
  SamplerOptions options = withTemperature(1);
  options.topK = 2;
  Sampler sampler = make(options);
  for (uint64_t position = 0; position < 20; ++position) {
    Sample sample = draw(sampler, {0, 1, 2}, position);
    EXPECT_GE(sample.token, 1);
    EXPECT_NEAR(sample.drawnLogProbability,
                logSoftmax({1, 2}, sample.token - 1, 1), 1e-6);
    EXPECT_NEAR(sample.temperedLogProbability,
                logSoftmax({0, 1, 2}, sample.token, 1), 1e-6);
  }
}

/// Draws at `count` positions and returns how often each token came.
static std::vector<int> histogram(Sampler sampler,
                                  const std::vector<float> &logits, int count) {
  std::vector<int> seen(logits.size());
  for (int position = 0; position < count; ++position)
    ++seen[draw(sampler, logits, position).token];
  return seen;
}

/// Expects counts within five standard deviations of softmax(logits / t).
static void expectDistribution(const std::vector<int> &seen,
                               const std::vector<float> &logits,
                               double temperature, int count) {
  for (size_t i = 0; i < logits.size(); ++i) {
    double p = std::exp(logSoftmax(logits, i, temperature));
    EXPECT_NEAR(seen[i], count * p, 5 * std::sqrt(count * p * (1 - p)) + 1)
        << "token " << i;
  }
}

TEST(Sampler, drawsFollowTheDistribution) {
  static constexpr int count = 200000;
  std::vector<float> logits = {0, 1, -2, 3, 0.5f, -infinity, 2.5f};
  for (float temperature : {0.5f, 1.0f, 2.0f}) {
    SamplerOptions options = withTemperature(temperature);
    options.logProbabilities = false;
    expectDistribution(histogram(make(options), logits, count), logits,
                       temperature, count);
    // The same when all candidates are kept by a cut.
    options.topK = 7;
    expectDistribution(histogram(make(options), logits, count), logits,
                       temperature, count);
  }
}

TEST(Sampler, drawsFollowTheDistributionOverBlocks) {
  static constexpr int count = 30000;
  // Three blocks of the vocabulary, a few tokens of weight in each.
  std::vector<float> logits(3000, -infinity);
  std::vector<size_t> live = {0, 5, 1023, 1024, 1500, 2048, 2999};
  std::vector<float> short_ = {1, 0, 2, 1.5f, -1, 0.5f, 1};
  for (size_t i = 0; i < live.size(); ++i)
    logits[live[i]] = short_[i];
  std::vector<int> seen = histogram(make(withTemperature(1)), logits, count),
                   some;
  for (size_t token : live)
    some.push_back(seen[token]);
  expectDistribution(some, short_, 1, count);
}

static std::vector<int> support(const SamplerOptions &options,
                                const std::vector<float> &logits) {
  std::vector<int> seen = histogram(make(options), logits, 3000), tokens;
  for (size_t i = 0; i < seen.size(); ++i)
    if (seen[i])
      tokens.push_back(static_cast<int>(i));
  return tokens;
}

TEST(Sampler, cutsKeepWhatTheyShould) {
  // Probabilities 0.1, 0.4, 0.2, 0.2, 0.1.
  std::vector<float> logits = {std::log(1.f), std::log(4.f), std::log(2.f),
                               std::log(2.f), std::log(1.f)};
  using Tokens = std::vector<int>;
  SamplerOptions options = withTemperature(1);
  options.topK = 1;
  EXPECT_EQ(support(options, logits), (Tokens{1}));
  options.topK = 2; // The tie of 2 and 3 goes to 2.
  EXPECT_EQ(support(options, logits), (Tokens{1, 2}));
  options.topK = 3;
  EXPECT_EQ(support(options, logits), (Tokens{1, 2, 3}));
  options.topK = 100;
  EXPECT_EQ(support(options, logits), (Tokens{0, 1, 2, 3, 4}));
  options.topK = 0;
  options.topP = 0.39f;
  EXPECT_EQ(support(options, logits), (Tokens{1}));
  options.topP = 0.5f;
  EXPECT_EQ(support(options, logits), (Tokens{1, 2}));
  options.topP = 0.85f;
  EXPECT_EQ(support(options, logits), (Tokens{0, 1, 2, 3}));
  options.topP = 1;
  options.minP = 0.3f;
  EXPECT_EQ(support(options, logits), (Tokens{1, 2, 3}));
  options.minP = 1;
  EXPECT_EQ(support(options, logits), (Tokens{1}));
  // Top-p counts within what top-k left: 0.4 of 0.6 is enough for 0.66.
  options.minP = 0;
  options.topK = 2;
  options.topP = 0.66f;
  EXPECT_EQ(support(options, logits), (Tokens{1}));
  options.topP = 0.67f;
  EXPECT_EQ(support(options, logits), (Tokens{1, 2}));
}

TEST(Sampler, topPOfALargeFlatVocabulary) {
  std::vector<float> logits(20000, 0.0f);
  SamplerOptions options = withTemperature(1);
  options.topP = 0.5f;
  Sampler sampler = make(options);
  for (uint64_t position = 0; position < 40; ++position)
    EXPECT_LT(draw(sampler, logits, position).token, 10000);
}

TEST(Sampler, cutThatKeepsAllDrawsTheSame) {
  std::vector<float> logits = randomLogits(500, 2);
  SamplerOptions plain = withTemperature(0.9f), kept = plain;
  kept.topK = 500;
  Sampler a = make(plain), b = make(kept);
  for (uint64_t position = 0; position < 500; ++position)
    EXPECT_EQ(draw(a, logits, position).token, draw(b, logits, position).token);
}

TEST(Sampler, drawDependsOnSeedSequenceAndPositionAlone) {
  std::vector<float> logits(1000, 0.0f);
  SamplerOptions options = withTemperature(1);
  options.seed = 11;
  Sampler forward = make(options), backward = make(options);
  std::vector<int32_t> first;
  for (uint64_t i = 0; i < 100; ++i)
    first.push_back(draw(forward, logits, i, i % 3).token);
  for (uint64_t i = 100; i-- > 0;)
    EXPECT_EQ(draw(backward, logits, i, i % 3).token, first[i]);
  options.seed = 12;
  Sampler other = make(options);
  int same = 0;
  for (uint64_t i = 0; i < 100; ++i)
    same += draw(other, logits, i, i % 3).token == first[i];
  EXPECT_LT(same, 5);
  // High words of position and sequence count too.
  EXPECT_NE(draw(forward, logits, 1ull << 32).token,
            draw(forward, logits, 0).token);
  EXPECT_NE(draw(forward, logits, 0, 1ull << 32).token,
            draw(forward, logits, 0).token);
}

TEST(Sampler, tinyTemperatureIsGreedy) {
  Sampler sampler = make(withTemperature(1e-38f));
  EXPECT_EQ(draw(sampler, {1, 2, 1.5f}).token, 1);
}

TEST(Sampler, badLogitsAreRefused) {
  Sampler sampler = make(withTemperature(1));
  auto errorOf = [&](std::vector<float> logits) {
    Result<Sample> sample = sampler.sample(logits.data(), logits.size(), 0, 9);
    return sample ? "" : sample.error();
  };
  const char *message = "expects the logits of position 9 to be finite";
  EXPECT_EQ(errorOf({1, NAN, 2}), message);
  EXPECT_EQ(errorOf({-infinity, -infinity}), message);
  EXPECT_EQ(errorOf({infinity, 0}), message);
  EXPECT_EQ(errorOf({}), message);
}

TEST(Sampler, optionsAreChecked) {
  auto errorOf = [](auto change) {
    SamplerOptions options;
    change(options);
    Result<Sampler> sampler = Sampler::create(options);
    return sampler ? "" : sampler.error();
  };
  EXPECT_EQ(errorOf([](SamplerOptions &o) { o.temperature = -1; }),
            "expects temperature (-1) to be 0 or more");
  EXPECT_EQ(errorOf([](SamplerOptions &o) { o.temperature = NAN; }),
            "expects temperature (nan) to be 0 or more");
  EXPECT_EQ(errorOf([](SamplerOptions &o) { o.topK = -2; }),
            "expects top-k (-2) to be 0 or more");
  EXPECT_EQ(errorOf([](SamplerOptions &o) { o.topP = 0; }),
            "expects top-p (0) to be above 0 and at most 1");
  EXPECT_EQ(errorOf([](SamplerOptions &o) { o.topP = 1.5f; }),
            "expects top-p (1.5) to be above 0 and at most 1");
  EXPECT_EQ(errorOf([](SamplerOptions &o) { o.minP = 2; }),
            "expects min-p (2) to be between 0 and 1");
}
