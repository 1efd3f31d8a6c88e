//===- Harness.cpp - Runs an artifact through the C interface -------------===//
#include "test/contract/Harness.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace ds::contract;

void ds::contract::giveUp(const char *what, char *error) {
  std::fprintf(stderr, "%s: %s\n", what, error ? error : "no message");
  std::exit(2);
}

/// Returns the next number of a xorshift generator.
static uint64_t next(uint64_t &state) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

Harness::Harness(const std::string &artifact, const std::string &weights,
                 const std::string &variant, bool generated) {
  char *error = nullptr;
  artifactHandle.reset(ds_artifact_open(
      artifact.c_str(), variant.empty() ? nullptr : variant.c_str(), &error));
  if (!artifactHandle)
    giveUp("artifact", error);
  pool.reset(ds_pool_create(1, &error));
  if (!pool)
    giveUp("pool", error);
  weightsHandle.reset(
      ds_weights_load(this->artifact(), weights.c_str(), pool.get(), &error));
  if (!weightsHandle)
    giveUp("weights", error);
  random = 0x9E3779B97F4A7C15u;
  std::vector<int32_t> shared = randomTokens(sharedTokens);
  for (size_t tail : {70, 1, 33, 390}) {
    std::vector<int32_t> tokens = shared;
    for (int32_t token : randomTokens(tail))
      tokens.push_back(token);
    addReference(std::move(tokens), generated ? sharedTokens / 2 : tokens.size());
  }
  // Lengths around pages (64), blocks (32), query tiles (16) and splits (512).
  for (size_t length : {1, 2, 15, 16, 17, 31, 64, 65, 128, 513, 700})
    addReference(randomTokens(length), generated ? length / 2 : length);
}

std::vector<int32_t> Harness::randomTokens(size_t count) {
  std::vector<int32_t> tokens(count);
  for (int32_t &token : tokens)
    token = next(random) % vocabulary();
  return tokens;
}

/// Runs the prompt in one step and the generated tokens in another.
void Harness::addReference(std::vector<int32_t> tokens, int64_t prompt) {
  char *error = nullptr;
  int64_t count = tokens.size();
  ds_engine_options options = {count, count};
  Handle<ds_engine> engine(
      ds_engine_create(artifact(), weights(), pool.get(), &options, &error));
  if (!engine)
    giveUp("engine", error);
  Handle<ds_state> state(
      ds_state_create(artifact(), count / 64 + 1, 0, &error));
  if (!state)
    giveUp("state", error);
  Handle<ds_sequence> sequence(ds_sequence_create(state.get()));
  Reference reference;
  std::vector<char> hidden;
  int64_t rowBytes = ds_engine_hidden_row_bytes(engine.get());
  ds_engine_keep_hidden(engine.get(), 1);
  for (bool generated : {false, true}) {
    int64_t rows = generated ? count - prompt : prompt;
    if (rows == 0)
      continue;
    ds_step_item item = {sequence.get(),
                         tokens.data() + (generated ? prompt : 0), rows, 0,
                         generated};
    if (ds_engine_step(engine.get(), &item, 1, &error))
      giveUp("step", error);
    for (int64_t row = 0; row < rows; ++row) {
      const float *logits = ds_engine_logits(engine.get(), row);
      reference.logits.insert(reference.logits.end(), logits,
                              logits + vocabulary());
      auto *from =
          static_cast<const char *>(ds_engine_hidden_row(engine.get(), row));
      hidden.insert(hidden.end(), from, from + rowBytes);
    }
  }
  reference.tokens = std::move(tokens);
  reference.prompt = prompt;
  addDrafts(reference, engine.get(), sequence.get(), hidden);
  all.push_back(std::move(reference));
}

int64_t Harness::longest() const {
  size_t most = 0;
  for (const Reference &reference : all)
    most = std::max(most, reference.tokens.size());
  return most;
}

Server::Server(const Harness &harness, const ServerOptions &options)
    : harness(harness) {
  char *error = nullptr;
  pool.reset(ds_pool_create(options.threads, &error));
  if (!pool)
    giveUp("pool", error);
  ds_engine_options limits = {options.maxTokens, options.maxOutputs};
  engine.reset(ds_engine_create(harness.artifact(), harness.weights(),
                                pool.get(), &limits, &error));
  if (!engine)
    giveUp("engine", error);
  ds_engine_keep_hidden(engine.get(), 1);
  stateHandle.reset(ds_state_create(harness.artifact(), options.pages,
                                    options.stateFlags, &error));
  if (!stateHandle)
    giveUp("state", error);
}

Runner Server::start(size_t reference) {
  return {Handle<ds_sequence>(ds_sequence_create(state())), reference, 0, {}};
}

Runner Server::fork(const Runner &runner) {
  return {Handle<ds_sequence>(ds_sequence_fork(runner.sequence.get())),
          runner.reference, runner.length, runner.hidden};
}

void Server::truncate(Runner &runner, int64_t length) {
  char *error = nullptr;
  if (ds_sequence_truncate(runner.sequence.get(), length, &error))
    giveUp("truncate", error);
  runner.length = length;
  runner.hidden.resize(length * ds_engine_hidden_row_bytes(engine.get()));
}

void Server::step(const std::vector<Item> &items) {
  std::vector<Item> first, second;
  for (const Item &item : items) {
    int64_t prompt = harness.references()[item.runner->reference].prompt;
    int64_t left = prompt - item.runner->length;
    if (left <= 0 || left >= item.count) {
      first.push_back(item);
      continue;
    }
    int64_t generated = item.count - left;
    second.push_back(
        {item.runner, generated, std::min(generated, item.outputs)});
    first.push_back({item.runner, left, item.outputs - second.back().outputs});
  }
  stepOfRoles(first);
  if (!second.empty())
    stepOfRoles(second);
}

/// Runs items whose tokens have one role each.
void Server::stepOfRoles(const std::vector<Item> &items) {
  std::vector<ds_step_item> work;
  for (const Item &item : items) {
    const Reference &reference = harness.references()[item.runner->reference];
    int64_t at = item.runner->length;
    work.push_back({item.runner->sequence.get(), reference.tokens.data() + at,
                    item.count, item.count - item.outputs,
                    at >= reference.prompt});
  }
  char *error = nullptr;
  if (ds_engine_step(engine.get(), work.data(), work.size(), &error))
    giveUp("step", error);
  int64_t row = 0;
  for (const Item &item : items) {
    item.runner->length += item.count;
    compare(item, row);
    row += item.outputs;
  }
  EXPECT_EQ(ds_engine_outputs(engine.get()), row);
  if (ds_artifact_drafts(harness.artifact()))
    draft(items);
}

const float *Server::append(Runner &runner, int32_t token, bool generated) {
  ds_step_item item = {runner.sequence.get(), &token, 1, 0, generated};
  char *error = nullptr;
  if (ds_engine_step(engine.get(), &item, 1, &error))
    giveUp("step", error);
  ++runner.length;
  return ds_engine_logits(engine.get(), 0);
}

/// Compares the rows of logits that `item` got, the first being `firstRow`.
void Server::compare(const Item &item, int64_t firstRow) {
  const Reference &reference = harness.references()[item.runner->reference];
  int64_t width = harness.vocabulary();
  for (int64_t i = 0; i < item.outputs; ++i) {
    int64_t position = item.runner->length - item.outputs + i;
    const float *expected = reference.logits.data() + position * width;
    const float *found = ds_engine_logits(engine.get(), firstRow + i);
    compareRow(found, expected, width, *item.runner, position, "logits");
  }
}

void ds::contract::compareRow(const float *found, const float *expected,
                              int64_t width, const Runner &runner,
                              int64_t position, const char *what) {
  if (!std::memcmp(found, expected, width * sizeof(float)))
    return;
  float most = 0;
  for (int64_t j = 0; j < width; ++j)
    most = std::fmax(most, std::isnan(found[j])
                               ? INFINITY
                               : std::fabs(found[j] - expected[j]));
  ADD_FAILURE() << what << " differ from those of the whole prompt alone: "
                << "reference " << runner.reference << " of "
                << harness().references()[runner.reference].tokens.size()
                << " tokens, position " << position << ", by up to " << most;
}
