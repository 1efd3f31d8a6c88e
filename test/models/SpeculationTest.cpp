//===- SpeculationTest.cpp - Drawing with a draft head --------------------===//
//
//   SpeculationTest --artifact=SO [gtest options]
//
// The artifact is of a model with a small vocabulary, whose weights are drawn
// here: its head guesses right often enough by chance, and the distribution of
// a text can be worked out.
//
//===----------------------------------------------------------------------===//
#include "tools/dsrun/Speculation.h"
#include "runtime/training/TensorWriter.h"
#include "test/unit/runtime/Support.h"
#include "tools/dsrun/Generation.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iostream>
#include <map>
#include <random>

using namespace ds::runtime;
using namespace ds::tool;
namespace text = ds::text;

static std::string artifactPath, weightsPath;

using Tokens = std::vector<int32_t>;

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

/// Writes weights that make logits of a standard deviation of about 2.
static void writeWeights(const Manifest &manifest, const std::string &path) {
  std::vector<TensorPlan> plans;
  for (const WeightSpec &weight : manifest.weights)
    for (int64_t matrix = 0; matrix < weight.matrixCount(); ++matrix)
      for (size_t part = 0; part < weight.parts.size(); ++part)
        plans.push_back({weight.nameOf(part, matrix), weight.parts[part].rows,
                         weight.columns(), weight.shape.size() == 1});
  auto writer = TensorWriter::create(path + "/model.safetensors", plans);
  ASSERT_TRUE(writer) << writer.error();
  std::mt19937 random(1);
  for (size_t i = 0; i < plans.size(); ++i) {
    auto columns = static_cast<float>(plans[i].columns);
    std::normal_distribution<float> normal(0, 2 / std::sqrt(columns));
    std::vector<float> values(plans[i].rows * plans[i].columns, 1);
    if (!plans[i].isVector)
      for (float &value : values)
        value = normal(random);
    ASSERT_FALSE(writer->write(i, 0, plans[i].rows, values.data()));
  }
  ASSERT_FALSE(writer->finish());
}

static std::unique_ptr<Session> open(SessionOptions options = {}) {
  options.artifact = artifactPath;
  options.weights = weightsPath;
  options.threads = 1;
  auto session = Session::open(options, /*outputs=*/8);
  EXPECT_TRUE(session) << session.error();
  return session ? std::move(*session) : nullptr;
}

static GenerationOptions drawing(int64_t tokens, int64_t guesses,
                                 float temperature = 0) {
  GenerationOptions options;
  options.sampler.logProbabilities = false;
  options.sampler.temperature = temperature;
  options.maxTokens = tokens;
  options.guesses = guesses;
  return options;
}

static GenerationResult draw(Session &session, const Tokens &prompt,
                             const GenerationOptions &options) {
  Tokens seen;
  Result<GenerationResult> result = generate(
      session, prompt, options, [&](int32_t id) { seen.push_back(id); });
  EXPECT_TRUE(result) << result.error();
  if (!result)
    return {};
  EXPECT_EQ(seen, result->tokens);
  return *result;
}

static Tokens makePrompt(int64_t length) {
  Tokens prompt;
  for (int64_t i = 0; i < length; ++i)
    prompt.push_back(static_cast<int32_t>(i * i + length) % 6);
  return prompt;
}

//===----------------------------------------------------------------------===//
// At temperature 0
//===----------------------------------------------------------------------===//

/// Whatever the draft head guesses, the text is the same, prompts in pieces and
/// pages with garbage included.
TEST(Speculation, GreedyTextIsThatWithoutDrafts) {
  int64_t guesses = 0, accepted = 0;
  for (int64_t stepTokens : {512, 16}) {
    SessionOptions options;
    options.stepTokens = stepTokens;
    options.permutePages = options.poisonFreePages = stepTokens == 16;
    auto session = open(options);
    for (int64_t length : {1, 2, 17, 64, 70}) {
      Tokens prompt = makePrompt(length);
      Tokens plain = draw(*session, prompt, drawing(100, 0)).tokens;
      for (int64_t count : {1, 2, 3, 5}) {
        SCOPED_TRACE(join("prompt of ", length, ", guesses ", count));
        GenerationResult result = draw(*session, prompt, drawing(100, count));
        EXPECT_EQ(result.tokens, plain);
        EXPECT_EQ(result.decoded, 99);
        EXPECT_EQ(result.steps + result.accepted, 99);
        guesses += result.guesses;
        accepted += result.accepted;
      }
    }
  }
  // Both ways of a guess were taken often.
  EXPECT_GT(accepted, 50);
  EXPECT_GT(guesses - accepted, 50);
}

/// Two guesses: the second from the first and the head's own row.
using Guesses = std::array<int32_t, 2>;

/// Runs a row of the draft head and returns its most probable token.
static int32_t guessOne(Engine &engine, const StepItem &item) {
  EXPECT_FALSE(engine.draft({item}));
  const float *logits = engine.draftLogits(0);
  return static_cast<int32_t>(std::max_element(logits, logits + 6) - logits);
}

/// Returns the guesses of every row of the draft head on `tokens`, of which
/// those from `prompt` on were drawn.
static std::vector<Guesses> guessAll(Session &session, const Tokens &tokens,
                                     int64_t prompt) {
  Engine &engine = session.engine();
  auto count = static_cast<int64_t>(tokens.size());
  EXPECT_FALSE(session.makeState(count));
  Sequence sequence(session.state());
  std::vector<char> hidden;
  engine.keepHidden(true);
  for (int64_t row = 0; row < count; ++row) {
    StepItem item{&sequence, &tokens[row], 1, 1};
    item.generated = row >= prompt;
    EXPECT_FALSE(engine.step({item}));
    const char *from = engine.hiddenRow(0);
    hidden.insert(hidden.end(), from, from + engine.hiddenBytes());
  }
  engine.keepHidden(false);
  std::vector<Guesses> guesses;
  for (int64_t row = 0; row + 1 < count; ++row) {
    StepItem item{&sequence, &tokens[row + 1], 1, 0};
    item.generated = row + 1 >= prompt;
    item.drafts = true;
    item.hidden = hidden.data() + row * engine.hiddenBytes();
    int32_t first = guessOne(engine, item);
    const char *from = engine.draftHiddenRow(0);
    std::vector<char> own(from, from + engine.hiddenBytes());
    item.tokens = &first;
    item.hidden = own.data();
    item.generated = true;
    guesses.push_back({first, guessOne(engine, item)});
    sequence.truncateDraft(row + 1);
  }
  return guesses;
}

/// Guesses are those of the draft head on the model's own rows: after any mix
/// of accepted and rejected ones its state is that of the text alone.
TEST(Speculation, GuessesAreThoseOfTheText) {
  auto session = open();
  std::array<int64_t, 2> whole = {};
  for (int64_t length : {1, 9, 20, 33, 66, 100})
    for (int64_t count : {1, 2}) {
      SCOPED_TRACE(join("prompt of ", length, ", guesses ", count));
      Tokens tokens = makePrompt(length);
      GenerationResult result = draw(*session, tokens, drawing(90, count));
      Tokens drawn = result.tokens;
      tokens.insert(tokens.end(), drawn.begin(), drawn.end());
      std::vector<Guesses> guesses = guessAll(*session, tokens, length);
      int64_t last = static_cast<int64_t>(tokens.size()) - 1;
      int64_t steps = 0, accepted = 0;
      // `at` is the last token; the row before it guesses the next ones. The
      // last token of the text is never a guess.
      for (int64_t at = length; at < last; ++at, ++steps) {
        const Guesses &own = guesses[at - 1];
        for (int64_t i = 0; i < count && at + 1 < last; ++i, ++at, ++accepted) {
          if (own[i] != tokens[at + 1])
            break;
          ++whole[i];
        }
      }
      EXPECT_EQ(result.steps, steps);
      EXPECT_EQ(result.accepted, accepted);
    }
  EXPECT_GT(whole[0], 10);
  EXPECT_GT(whole[1], 0);
}

/// A text ends where it would without guesses: by a token, in the middle of
/// what was accepted too, or by the model's limit; the sequence is as long.
TEST(Speculation, EndsWhereItShould) {
  auto session = open();
  /// What is drawn and how long the sequence is after it.
  auto drawn = [&](const Tokens &prompt, const GenerationOptions &options) {
    EXPECT_FALSE(session->makeState(200));
    Sequence sequence(session->state());
    auto draw = options.guesses ? speculate : continueSequence;
    auto result = draw(*session, sequence, prompt, options, [](int32_t) {});
    EXPECT_TRUE(result) << result.error();
    return std::pair(result ? *result : GenerationResult(), sequence.length());
  };
  bool ended = false, limited = false;
  for (int64_t length : {3, 40, 150, 199, 200})
    for (int64_t end = -1; end < 6; ++end) {
      Tokens prompt = makePrompt(length);
      GenerationOptions options = drawing(80, 0);
      if (end >= 0)
        options.endTokens = {end};
      auto [plain, plainLength] = drawn(prompt, options);
      ended |= plain.ended;
      limited |= !plain.ended && plain.tokens.size() < 80;
      for (int64_t guesses : {1, 3}) {
        SCOPED_TRACE(join("prompt of ", length, ", end ", end));
        options.guesses = guesses;
        auto [result, reached] = drawn(prompt, options);
        EXPECT_EQ(result.tokens, plain.tokens);
        EXPECT_EQ(result.ended, plain.ended);
        EXPECT_EQ(reached, plainLength);
      }
    }
  EXPECT_TRUE(ended);
  EXPECT_TRUE(limited);
}

//===----------------------------------------------------------------------===//
// The distribution
//===----------------------------------------------------------------------===//

/// Returns what the token after `prompt` and `drawn` is drawn from, without a
/// draft head.
static text::Distribution nextToken(Session &session, text::Sampler &sampler,
                                    const Tokens &prompt, const Tokens &drawn) {
  EXPECT_FALSE(session.makeState(64));
  Sequence sequence(session.state());
  EXPECT_FALSE(session.prefill(sequence, prompt));
  for (const int32_t &token : drawn) {
    StepItem item{&sequence, &token, 1, 0};
    item.generated = true;
    EXPECT_FALSE(session.engine().step({item}));
  }
  text::Distribution next;
  EXPECT_FALSE(sampler.distribution(session.engine().logits(0), 6, 0, next));
  return next;
}

/// Adds to `joint` the probability of every text of `left` more tokens.
static void addTexts(Session &session, text::Sampler &sampler,
                     const Tokens &prompt, const Tokens &drawn, int64_t left,
                     double probability, std::map<Tokens, double> &joint) {
  if (left == 0) {
    joint[drawn] += probability;
    return;
  }
  text::Distribution next = nextToken(session, sampler, prompt, drawn);
  for (int32_t token = 0; token < 6; ++token) {
    if (next.weights[token] == 0)
      continue;
    Tokens more = drawn;
    more.push_back(token);
    addTexts(session, sampler, prompt, more, left - 1,
             probability * next.probability(token), joint);
  }
}

/// Compares counts with what is expected of `total` draws: Pearson's statistic
/// within six standard deviations of its mean, rare outcomes taken together.
static void expectCounts(const std::map<Tokens, int> &counts,
                         const std::map<Tokens, double> &joint, int total) {
  double statistic = 0, rare = 0;
  int cells = 0, rareSeen = 0, seen = 0;
  auto add = [&](double expected, int found) {
    statistic += (found - expected) * (found - expected) / expected;
    ++cells;
  };
  for (const auto &[tokens, probability] : joint) {
    auto found = counts.find(tokens);
    int count = found == counts.end() ? 0 : found->second;
    seen += count;
    if (probability * total >= 5)
      add(probability * total, count);
    else
      rare += probability * total, rareSeen += count;
  }
  EXPECT_EQ(seen, total) << "texts that cannot be drawn";
  if (rare > 0)
    add(rare, rareSeen);
  double freedom = cells - 1;
  EXPECT_GT(cells, 8);
  EXPECT_LT(statistic, freedom + 6 * std::sqrt(2 * freedom))
      << cells << " outcomes";
}

/// Texts of four tokens come with the probability that they have without a
/// draft head. The first token is drawn from the prompt's logits, the others
/// are guesses or what stands for them.
TEST(Speculation, TextsComeWithTheirProbability) {
  static constexpr int total = 6000;
  auto session = open();
  Tokens prompt = makePrompt(5);
  for (auto [temperature, topK] : {std::pair(1.0f, 0), std::pair(0.8f, 3)}) {
    GenerationOptions options = drawing(4, 0, temperature);
    options.topK = topK;
    Result<text::Sampler> sampler = makeSampler(options);
    ASSERT_TRUE(sampler);
    std::map<Tokens, double> joint;
    addTexts(*session, *sampler, prompt, {}, 4, 1, joint);
    for (int64_t guesses : {0, 1, 3}) {
      SCOPED_TRACE(join("temperature ", temperature, ", guesses ", guesses));
      std::map<Tokens, int> counts;
      int64_t accepted = 0, verified = 0;
      options.guesses = guesses;
      for (int seed = 0; seed < total; ++seed) {
        options.sampler.seed = static_cast<uint64_t>(seed);
        GenerationResult result = draw(*session, prompt, options);
        ++counts[result.tokens];
        accepted += result.accepted, verified += result.guesses;
      }
      expectCounts(counts, joint, total);
      if (guesses > 0) {
        EXPECT_GT(accepted, verified / 10);
        EXPECT_LT(accepted, verified * 9 / 10);
      }
    }
  }
}

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string option = argc == 2 ? argv[1] : "";
  if (option.rfind("--artifact=", 0) != 0) {
    std::cerr << "expects --artifact=SO\n";
    return 2;
  }
  artifactPath = option.substr(strlen("--artifact="));
  auto artifact = openArtifact(artifactPath, "");
  if (!artifact) {
    std::cerr << artifact.error() << "\n";
    return 2;
  }
  ds::test::TempFolder folder;
  weightsPath = folder.path();
  writeWeights((*artifact)->manifest(), weightsPath);
  return testing::Test::HasFailure() ? 1 : RUN_ALL_TESTS();
}
