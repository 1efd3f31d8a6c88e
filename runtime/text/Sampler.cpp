//===- Sampler.cpp - Drawing a token from logits --------------------------===//
//
// Weights are exp((logit - best) / temperature). Every sum has a fixed order,
// and the exponential is written out, so that a draw does not depend on the
// processor or the C library.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace ds::text {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                               std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t(0xD2511F53u) * counter[0];
    uint64_t b = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b),
               uint32_t(a >> 32) ^ counter[3] ^ key[1], uint32_t(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

double uniform(uint64_t seed, uint64_t sequence, uint64_t position,
               RandomUse use) {
  // Positions leave the highest bits free.
  uint32_t high = uint32_t(position >> 32) | uint32_t(use) << 30;
  std::array<uint32_t, 4> block = philox(
      {uint32_t(position), high, uint32_t(sequence), uint32_t(sequence >> 32)},
      {uint32_t(seed), uint32_t(seed >> 32)});
  uint64_t bits = uint64_t(block[0]) << 32 | block[1];
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

/// Returns exp(x) for x <= 0, exactly 1 at 0 and exactly 0 below -87.
static inline float expOfNegative(float x) {
  float bounded = std::max(x, -87.0f);
  // Adding 1.5 * 2^23 rounds to a whole number.
  float shifted = bounded * 1.44269504f + 12582912.0f;
  float whole = shifted - 12582912.0f;
  // ln 2 in two parts, the first of few bits.
  float r = bounded - whole * 0.693359375f - whole * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  int32_t exponent = static_cast<int32_t>(whole) + 127;
  uint32_t bits = static_cast<uint32_t>(exponent) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  return x < -87.0f ? 0.0f : p * scale;
}

static inline float weigh(float logit, float best, float temperature) {
  return expOfNegative((logit - best) / temperature);
}

static constexpr size_t blockSize = 1024;
static constexpr size_t lanes = 16;

/// Sums the weights of `count` logits on 16 lanes, then the lanes in order.
static double sumWeights(const float *logits, size_t count, float best,
                         float temperature) {
  float sums[lanes] = {};
  size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (size_t lane = 0; lane < lanes; ++lane)
      sums[lane] += weigh(logits[i + lane], best, temperature);
  for (size_t lane = 0; i < count; ++i, ++lane)
    sums[lane] += weigh(logits[i], best, temperature);
  double sum = 0;
  for (float lane : sums)
    sum += lane;
  return sum;
}

Result<Sampler> Sampler::create(const SamplerOptions &options) {
  auto text = [](float value) {
    std::string digits = std::to_string(value);
    digits.erase(digits.find_last_not_of('0') + 1);
    return digits.back() == '.' ? digits.substr(0, digits.size() - 1) : digits;
  };
  if (!(options.temperature >= 0) || std::isinf(options.temperature))
    return Error{"expects temperature (" + text(options.temperature) +
                 ") to be 0 or more"};
  if (options.topK < 0)
    return Error{"expects top-k (" + std::to_string(options.topK) +
                 ") to be 0 or more"};
  if (!(options.topP > 0 && options.topP <= 1))
    return Error{"expects top-p (" + text(options.topP) +
                 ") to be above 0 and at most 1"};
  if (!(options.minP >= 0 && options.minP <= 1))
    return Error{"expects min-p (" + text(options.minP) +
                 ") to be between 0 and 1"};
  return Sampler(options);
}

bool Sampler::cuts() const {
  return options.topK > 0 || options.topP < 1 || options.minP > 0;
}

void Sampler::sumBlocks(const float *logits, size_t count, float best,
                        float temperature) {
  blockSums.clear();
  for (size_t i = 0; i < count; i += blockSize)
    blockSums.push_back(sumWeights(logits + i, std::min(blockSize, count - i),
                                   best, temperature));
}

double Sampler::total() const {
  double sum = 0;
  for (double block : blockSums)
    sum += block;
  return sum;
}

/// Draws by the weights of all tokens, with their block sums at hand.
size_t Sampler::drawFromAll(const float *logits, size_t count, float best,
                            double u) {
  double target = u * total(), sum = 0;
  size_t block = 0;
  while (block + 1 < blockSums.size() && sum + blockSums[block] <= target)
    sum += blockSums[block++];
  // Rounding may leave a block without reaching the target.
  size_t token = 0;
  for (size_t i = block * blockSize; i < count; ++i) {
    float weight = weigh(logits[i], best, options.temperature);
    if (weight == 0)
      continue;
    token = i;
    sum += weight;
    if (sum > target)
      break;
  }
  return token;
}

/// Returns how many of the most probable candidates reach top-p. They are
/// brought to the front, in order.
size_t Sampler::cutTopP(float best) {
  double all = 0;
  for (const Candidate &candidate : kept)
    all += weigh(candidate.logit, best, options.temperature);
  double wanted = options.topP * all, sum = 0;
  for (size_t done = 0, limit = 64; done < kept.size(); limit *= 8) {
    limit = std::min(limit, kept.size());
    std::partial_sort(kept.begin() + done, kept.begin() + limit, kept.end());
    for (; done < limit; ++done) {
      sum += weigh(kept[done].logit, best, options.temperature);
      if (sum >= wanted)
        return done + 1;
    }
  }
  return kept.size();
}

void Sampler::selectKept(const float *logits, size_t count, float best) {
  kept.clear();
  for (size_t i = 0; i < count; ++i)
    kept.push_back({logits[i], static_cast<int32_t>(i)});
  size_t topK = static_cast<size_t>(options.topK);
  if (topK > 0 && topK < kept.size()) {
    std::nth_element(kept.begin(), kept.begin() + topK, kept.end());
    kept.resize(topK);
  }
  if (options.topP < 1)
    kept.resize(cutTopP(best));
  auto isImprobable = [&](const Candidate &candidate) {
    float weight = weigh(candidate.logit, best, options.temperature);
    return weight == 0 || weight < options.minP;
  };
  kept.erase(std::remove_if(kept.begin(), kept.end(), isImprobable),
             kept.end());
  std::sort(
      kept.begin(), kept.end(),
      [](const Candidate &a, const Candidate &b) { return a.token < b.token; });
}

void Sampler::drawFromKept(float best, double u, Sample &sample) const {
  double all = 0, sum = 0;
  for (const Candidate &candidate : kept)
    all += weigh(candidate.logit, best, options.temperature);
  const Candidate *drawn = nullptr;
  for (const Candidate &candidate : kept) {
    drawn = &candidate;
    sum += weigh(candidate.logit, best, options.temperature);
    if (sum > u * all)
      break;
  }
  sample.token = drawn->token;
  sample.drawnLogProbability = static_cast<float>(
      (drawn->logit - best) / options.temperature - std::log(all));
}

int32_t Distribution::draw(double u) const {
  double target = u * total, sum = 0;
  int32_t token = -1;
  // Rounding may leave the target unreached: then the last one is drawn.
  for (size_t i = 0; i < weights.size() && sum <= target; ++i)
    if (weights[i] > 0) {
      token = static_cast<int32_t>(i);
      sum += weights[i];
    }
  return token;
}

Status Sampler::distribution(const float *logits, size_t count,
                             uint64_t position, Distribution &to) {
  Result<float> found = findBest(logits, count, position);
  if (!found)
    return found.takeError();
  float best = *found;
  to.weights.assign(count, 0);
  to.total = 0;
  if (options.temperature == 0) {
    to.weights[std::find(logits, logits + count, best) - logits] = 1;
  } else if (cuts()) {
    selectKept(logits, count, best);
    for (const Candidate &candidate : kept)
      to.weights[candidate.token] =
          weigh(candidate.logit, best, options.temperature);
  } else {
    for (size_t i = 0; i < count; ++i)
      to.weights[i] = weigh(logits[i], best, options.temperature);
  }
  for (float weight : to.weights)
    to.total += weight;
  return std::nullopt;
}

/// Returns the largest logit.
Result<float> Sampler::findBest(const float *logits, size_t count,
                                uint64_t position) {
  float best = -std::numeric_limits<float>::infinity();
  bool isNumber = true;
  for (size_t i = 0; i < count; ++i) {
    isNumber &= logits[i] == logits[i];
    best = std::max(best, logits[i]);
  }
  if (!isNumber || std::isinf(best))
    return Error{"expects the logits of position " + std::to_string(position) +
                 " to be finite"};
  return best;
}

Result<Sample> Sampler::sample(const float *logits, size_t count,
                               uint64_t sequence, uint64_t position) {
  Result<float> found = findBest(logits, count, position);
  if (!found)
    return found.takeError();
  float best = *found;
  Sample sample;
  bool greedy = options.temperature == 0;
  if (greedy)
    sample.token =
        static_cast<int32_t>(std::find(logits, logits + count, best) - logits);
  if (!greedy) {
    double u = random(sequence, position, RandomUse::Draw);
    if (!cuts() || options.logProbabilities)
      sumBlocks(logits, count, best, options.temperature);
    if (cuts()) {
      selectKept(logits, count, best);
      drawFromKept(best, u, sample);
    } else {
      sample.token = static_cast<int32_t>(drawFromAll(logits, count, best, u));
    }
  }
  if (!options.logProbabilities) {
    sample.drawnLogProbability = 0;
    return sample;
  }
  float gap = logits[sample.token] - best;
  if (!greedy) {
    sample.temperedLogProbability =
        static_cast<float>(gap / options.temperature - std::log(total()));
    if (!cuts())
      sample.drawnLogProbability = sample.temperedLogProbability;
  }
  sumBlocks(logits, count, best, 1);
  sample.rawLogProbability = static_cast<float>(gap - std::log(total()));
  return sample;
}

} // namespace ds::text
