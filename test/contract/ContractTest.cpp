//===- ContractTest.cpp - Results do not depend on how they are made ------===//
//
//   ContractTest --artifact=SO --weights=DIR [--variant=NAME]
//                [--roles=prompt|mixed] [gtest options]
//
// With mixed roles the second half of every reference was generated.
//
//===----------------------------------------------------------------------===//
#include "test/contract/Harness.h"

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>

using namespace ds::contract;

static Harness *shared = nullptr;
static std::string weightsFolder;

const Harness &ds::contract::harness() { return *shared; }

static int64_t left(const Runner &runner) {
  const Reference &reference = harness().references()[runner.reference];
  return static_cast<int64_t>(reference.tokens.size()) - runner.length;
}

/// Runs a reference to its end in chunks, with logits for every token.
static void runInChunks(Server &server, Runner &runner, int64_t chunk) {
  while (int64_t count = std::min(chunk, left(runner)))
    server.step({{&runner, count, count}});
}

TEST(Contract, ReferencesAreFinite) {
  for (const Reference &reference : harness().references())
    for (float value : reference.logits)
      ASSERT_TRUE(std::isfinite(value));
}

TEST(Contract, DecodeEqualsPrefill) {
  Server server(harness(), {});
  for (size_t i = 0; i < harness().references().size(); ++i) {
    Runner runner = server.start(i);
    runInChunks(server, runner, 1);
  }
}

TEST(Contract, ChunksOfAnySize) {
  size_t longest = harness().references().size() - 1;
  for (int64_t chunk : {2, 3, 7, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100,
                        127, 129, 255, 511, 512, 513}) {
    SCOPED_TRACE("chunk " + std::to_string(chunk));
    Server server(harness(), {});
    Runner runner = server.start(longest);
    runInChunks(server, runner, chunk);
  }
}

TEST(Contract, StepsInPieces) {
  size_t longest = harness().references().size() - 1;
  for (int64_t piece : {1, 16, 24, 64, 100}) {
    SCOPED_TRACE("pieces of " + std::to_string(piece));
    ServerOptions options;
    options.maxTokens = options.maxOutputs = piece;
    Server server(harness(), options);
    Runner runner = server.start(longest);
    runInChunks(server, runner, 300);
  }
}

TEST(Contract, LogitsOfTheLastTokenOnly) {
  Server server(harness(), {});
  for (size_t i = 0; i < harness().references().size(); ++i) {
    Runner runner = server.start(i);
    int64_t count = left(runner);
    server.step({{&runner, count, 1}});
  }
}

TEST(Contract, TwoThreads) {
  ServerOptions options;
  options.threads = 2;
  Server server(harness(), options);
  for (int64_t chunk : {1, 37, 1000})
    for (size_t i = 0; i < harness().references().size(); ++i) {
      Runner runner = server.start(i);
      runInChunks(server, runner, chunk);
    }
}

TEST(Contract, BatchOfEightWithPrefillAndDecode) {
  ServerOptions options;
  options.threads = 2;
  Server server(harness(), options);
  std::vector<Runner> runners;
  for (size_t i = 0; i < 8; ++i) // The longer half of the references.
    runners.push_back(server.start(harness().references().size() - 8 + i));
  for (int64_t turn = 0;; ++turn) {
    std::vector<Server::Item> items;
    for (size_t i = 0; i < runners.size(); ++i) {
      int64_t wish = (turn + i) % 3 ? 1 : 29; // Decode two turns of three.
      if (int64_t count = std::min(wish, left(runners[i])))
        items.push_back({&runners[i], count, count});
    }
    if (items.empty())
      break;
    server.step(items);
  }
}

TEST(Contract, PermutedAndPoisonedPages) {
  ServerOptions options;
  options.stateFlags = DS_STATE_PERMUTE_PAGES | DS_STATE_POISON_FREE_PAGES;
  Server server(harness(), options);
  for (int64_t chunk : {1, 50, 1000})
    for (size_t i = 0; i < harness().references().size(); ++i) {
      Runner runner = server.start(i);
      runInChunks(server, runner, chunk);
    }
}

TEST(Contract, RollBackAndGoOn) {
  ServerOptions options;
  options.stateFlags = DS_STATE_POISON_FREE_PAGES;
  Server server(harness(), options);
  Runner runner = server.start(harness().references().size() - 1);
  server.step({{&runner, 600, 600}});
  for (int64_t length : {599, 577, 576, 575, 512, 511, 300, 64, 63, 1, 0}) {
    SCOPED_TRACE("back to " + std::to_string(length));
    server.truncate(runner, length);
    server.step({{&runner, 1, 1}});
    server.step({{&runner, std::min<int64_t>(40, left(runner)), 1}});
  }
}

TEST(Contract, ForksGoTheirOwnWays) {
  ServerOptions options;
  options.stateFlags = DS_STATE_POISON_FREE_PAGES;
  Server server(harness(), options);
  for (int64_t length : {int64_t(1), int64_t(64), int64_t(100), int64_t(128),
                         Harness::sharedTokens}) {
    SCOPED_TRACE("forked at " + std::to_string(length));
    Runner first = server.start(0);
    server.step({{&first, length, length}});
    std::vector<Runner> forks;
    for (size_t i = 1; i < Harness::family; ++i) {
      forks.push_back(server.fork(first));
      forks.back().reference = i;
    }
    runInChunks(server, first, 13);
    for (Runner &fork : forks)
      runInChunks(server, fork, 7);
  }
}

TEST(Contract, PagesComeBack) {
  ServerOptions options;
  options.pages = 16;
  Server server(harness(), options);
  for (int turn = 0; turn < 4; ++turn) {
    Runner runner = server.start(harness().references().size() - 1);
    runInChunks(server, runner, 200);
    Runner fork = server.fork(runner);
    runner.sequence.reset();
    server.truncate(fork, 10);
  }
  EXPECT_EQ(ds_state_free_pages(server.state()), 16);
}

/// Does whatever a server might: starts, steps, forks, rolls back, drops.
class RandomPlan : public testing::TestWithParam<int> {
protected:
  RandomPlan() : random(GetParam()), server(harness(), options()) {}

  int64_t pick(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  }
  ServerOptions options() {
    ServerOptions options;
    options.threads = pick(1, 2);
    options.stateFlags = pick(0, 3);
    options.maxTokens = int64_t(1) << pick(4, 10);
    options.maxOutputs = int64_t(1) << pick(3, 10);
    return options;
  }
  void startOrDrop() {
    if (runners.size() < 8)
      runners.push_back(
          server.start(pick(0, harness().references().size() - 1)));
    else
      runners.erase(runners.begin() + pick(0, runners.size() - 1));
  }
  void fork() {
    if (runners.empty() || runners.size() >= 8)
      return;
    Runner copy = server.fork(runners[pick(0, runners.size() - 1)]);
    bool sameTokens = copy.reference < Harness::family &&
                      copy.length <= Harness::sharedTokens;
    if (sameTokens)
      copy.reference = pick(0, Harness::family - 1);
    runners.push_back(std::move(copy));
  }
  void rollBack() {
    if (runners.empty())
      return;
    Runner &runner = runners[pick(0, runners.size() - 1)];
    server.truncate(runner, pick(0, runner.length));
  }
  void step() {
    std::vector<Server::Item> items;
    for (Runner &runner : runners) {
      int64_t most = left(runner);
      if (!most || pick(0, 3) == 0)
        continue;
      int64_t count = pick(0, 1) ? 1 : pick(1, std::min<int64_t>(most, 200));
      items.push_back({&runner, count, pick(0, count)});
    }
    std::shuffle(items.begin(), items.end(), random);
    if (!items.empty())
      server.step(items);
  }

  std::mt19937_64 random;
  Server server;
  std::vector<Runner> runners;
};

TEST_P(RandomPlan, GivesTheSameBits) {
  for (int turn = 0; turn < 60 && !HasFailure(); ++turn) {
    SCOPED_TRACE("turn " + std::to_string(turn));
    switch (pick(0, 9)) {
    case 0:
    case 1:
      startOrDrop();
      break;
    case 2:
      fork();
      break;
    case 3:
      rollBack();
      break;
    default:
      step();
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomPlan, testing::Range(1, 25));

/// The reference's greedy tokens, one step at a time, each fed back; but for
/// prompts where activations of bf16 are known to decide otherwise.
TEST(Golden, GreedyTokens) {
  std::ifstream file(weightsFolder + "/golden.json");
  ASSERT_TRUE(file) << "expects golden.json in " << weightsFolder;
  nlohmann::json golden = nlohmann::json::parse(file);
  for (const auto &[name, prompt] : golden["prompts"].items()) {
    if (!prompt.value("bf16_decides_alike", true))
      continue;
    Server server(harness(), {});
    Runner runner = server.start(0);
    const float *logits = nullptr;
    for (int32_t token : prompt["ids"].get<std::vector<int32_t>>())
      logits = server.append(runner, token, /*generated=*/false);
    std::vector<int32_t> found,
        expected = prompt["greedy"].get<std::vector<int32_t>>();
    while (found.size() < expected.size()) {
      found.push_back(
          std::max_element(logits, logits + harness().vocabulary()) - logits);
      logits = server.append(runner, found.back(), /*generated=*/true);
    }
    EXPECT_EQ(found, expected) << name;
  }
}

/// Takes `--name=value` out of the words and returns the value.
static std::string takeOption(int &argc, char **argv, const std::string &name) {
  std::string prefix = "--" + name + "=", value;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word.compare(0, prefix.size(), prefix) == 0)
      value = word.substr(prefix.size());
    else
      argv[kept++] = argv[i];
  }
  argc = kept;
  return value;
}

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  std::string artifact = takeOption(argc, argv, "artifact");
  weightsFolder = takeOption(argc, argv, "weights");
  std::string variant = takeOption(argc, argv, "variant");
  std::string roles = takeOption(argc, argv, "roles");
  bool known = roles.empty() || roles == "prompt" || roles == "mixed";
  if (artifact.empty() || weightsFolder.empty() || !known || argc > 1) {
    std::cerr << "expects --artifact=SO, --weights=DIR and roles that are "
                 "prompt or mixed\n";
    return 2;
  }
  Harness harness(artifact, weightsFolder, variant, roles == "mixed");
  shared = &harness;
  return RUN_ALL_TESTS();
}
