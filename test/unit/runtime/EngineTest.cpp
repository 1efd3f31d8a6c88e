//===- EngineTest.cpp - Steps of the tiny model ---------------------------===//
#include "test/unit/runtime/FakeModel.h"

#include <map>
#include <random>

using namespace ds::runtime;
using namespace ds::test;
using LogitRows = std::vector<std::vector<float>>;

TEST(Engine, PrefillGivesTheLogitsOfEveryToken) {
  FakeSession session;
  std::vector<int32_t> ids = randomIds(150, 1);
  Sequence sequence(*session.state);
  LogitRows rows;
  session.append(sequence, ids, rows);
  EXPECT_EQ(sequence.length(), 150);
  EXPECT_EQ(rows, session.model.run(ids).logits);
}

TEST(Engine, DecodingGivesTheSameBits) {
  FakeSession session;
  std::vector<int32_t> ids = randomIds(140, 2);
  Sequence sequence(*session.state);
  LogitRows rows;
  for (int32_t id : ids)
    session.append(sequence, {id}, rows);
  EXPECT_EQ(rows, session.model.run(ids).logits);
}

TEST(Engine, ChunksOfAnySizeGiveTheSameBits) {
  FakeSession session(2);
  std::vector<int32_t> ids = randomIds(130, 3);
  LogitRows expected = session.model.run(ids).logits;
  for (size_t chunk : {2, 7, 31, 63, 64, 65, 128}) {
    Sequence sequence(*session.state);
    LogitRows rows;
    for (size_t at = 0; at < ids.size(); at += chunk)
      session.append(
          sequence,
          std::vector<int32_t>(ids.begin() + at,
                               ids.begin() + std::min(ids.size(), at + chunk)),
          rows);
    EXPECT_EQ(rows, expected) << "chunks of " << chunk;
  }
  EXPECT_EQ(session.state->freePages(), session.state->pages());
}

TEST(Engine, OnlyTheLogitsThatAreAskedForAreGiven) {
  FakeSession session;
  std::vector<int32_t> ids = randomIds(20, 4);
  LogitRows expected = session.model.run(ids).logits;
  Sequence a(*session.state), b(*session.state);
  ASSERT_FALSE(session.engine->step({{&a, ids.data(), 20, 20}}));
  EXPECT_EQ(session.engine->outputs(), 0);
  ASSERT_FALSE(session.engine->step({{&b, ids.data(), 20, 18}}));
  ASSERT_EQ(session.engine->outputs(), 2);
  EXPECT_EQ(session.row(0), expected[18]);
  EXPECT_EQ(session.row(1), expected[19]);
}

TEST(Engine, StepsAboveTheLimitsRunInPieces) {
  EngineOptions limits;
  limits.maxTokens = 16;
  limits.maxOutputs = 5;
  FakeSession session(1, 64, limits);
  std::vector<int32_t> first = randomIds(50, 5), second = randomIds(37, 6);
  Sequence a(*session.state), b(*session.state);
  ASSERT_FALSE(session.engine->step(
      {{&a, first.data(), 50, 40}, {&b, second.data(), 37, 0}}));
  ASSERT_EQ(session.engine->outputs(), 10 + 37);
  LogitRows expected = session.model.run(first).logits;
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(session.row(i), expected[40 + i]);
  expected = session.model.run(second).logits;
  for (int i = 0; i < 37; ++i)
    EXPECT_EQ(session.row(10 + i), expected[i]);
}

TEST(Engine, HiddenStatesAreRecordedInAnyPieces) {
  for (int64_t maxTokens : {512, 7}) {
    EngineOptions limits;
    limits.maxTokens = maxTokens;
    FakeSession session(1, 64, limits);
    session.engine->recordHidden(true);
    std::vector<int32_t> ids = randomIds(33, 7);
    Sequence sequence(*session.state);
    ASSERT_FALSE(session.engine->step({{&sequence, ids.data(), 33, 33}}));
    FakeResult expected = session.model.run(ids);
    ASSERT_EQ(session.engine->hidden().size(), expected.hidden.size());
    for (size_t place = 0; place < expected.hidden.size(); ++place) {
      EXPECT_EQ(session.engine->hidden()[place].columns, 12);
      EXPECT_EQ(session.engine->hidden()[place].values, expected.hidden[place])
          << "place " << place;
    }
  }
}

/// The activation after the last norm, rows of 12, and what two layers keep.
TEST(Engine, ValuesAreWatchedAndReplaced) {
  FakeSession session;
  std::vector<int32_t> ids = randomIds(60, 9);
  std::map<std::string, std::vector<StepValue>> seen;
  session.engine->watchValues([&](StepValue &value) {
    seen[value.name].push_back(value);
    return false;
  });
  Sequence whole(*session.state);
  LogitRows rows;
  session.append(whole, ids, rows);
  FakeResult expected = session.model.run(ids);
  EXPECT_EQ(rows, expected.logits);
  ASSERT_EQ(seen["norm"].size(), 1u);
  EXPECT_EQ(seen["norm"][0].place, "fake.ds:3:4");
  EXPECT_EQ(seen["norm"][0].layer, -1);
  EXPECT_EQ(seen["norm"][0].rows, 60);
  EXPECT_EQ(seen["norm"][0].columns, 12);
  EXPECT_EQ(seen["norm"][0].values, expected.hidden.back());
  ASSERT_EQ(seen["keys"].size(), 2u);
  EXPECT_EQ(seen["keys"][1].layer, 1);
  EXPECT_EQ(seen["keys"][1].rows, 60);
  EXPECT_EQ(seen["keys"][0].values, expected.hidden[0]);

  // Other rows take their place: token 0 is given the logits of token 7.
  session.engine->watchValues([&](StepValue &value) {
    if (value.name != "norm")
      return false;
    for (int i = 0; i < 12; ++i)
      value.values[i] = seen["norm"][0].values[7 * 12 + i];
    return true;
  });
  Sequence again(*session.state);
  LogitRows changed;
  session.append(again, ids, changed);
  EXPECT_EQ(changed[0], expected.logits[7]);
  EXPECT_EQ(changed[1], expected.logits[1]);

  session.engine->watchValues({});
  Sequence last(*session.state);
  changed.clear();
  session.append(last, ids, changed);
  EXPECT_EQ(changed, expected.logits);
}

TEST(Engine, ForkedSequencesGoTheirOwnWays) {
  FakeSession session(1, 64, {}, /*adverse=*/true);
  std::vector<int32_t> prompt = randomIds(100, 8);
  Sequence original(*session.state);
  LogitRows rows;
  session.append(original, prompt, rows);
  Sequence twin = original.fork();
  std::vector<int32_t> left = prompt, right = prompt;
  for (int i = 0; i < 40; ++i) {
    for (auto [sequence, ids] :
         {std::pair(&original, &left), {&twin, &right}}) {
      ids->push_back(static_cast<int32_t>((i * 7 + (ids == &left)) % 40));
      LogitRows row;
      session.append(*sequence, {ids->back()}, row);
      EXPECT_EQ(row.back(), session.model.run(*ids).logits.back());
    }
  }
}

TEST(Engine, TruncatedSequencesGoOnFromThere) {
  FakeSession session(1, 64, {}, /*adverse=*/true);
  std::vector<int32_t> ids = randomIds(170, 9);
  Sequence sequence(*session.state);
  LogitRows rows;
  session.append(sequence, ids, rows);
  for (int64_t length : {130, 128, 65, 64, 3, 0}) {
    sequence.truncate(length);
    std::vector<int32_t> other(ids.begin(), ids.begin() + length);
    std::vector<int32_t> more = randomIds(70, length);
    other.insert(other.end(), more.begin(), more.end());
    LogitRows expected = session.model.run(other).logits;
    rows.clear();
    session.append(sequence, more, rows);
    EXPECT_EQ(rows, LogitRows(expected.begin() + length, expected.end()));
    sequence.truncate(length);
  }
}

TEST(Engine, RandomPlansGiveTheSameBits) {
  FakeSession session(2, 128, {}, /*adverse=*/true);
  std::mt19937_64 random(10);
  struct Run {
    Sequence sequence;
    std::vector<int32_t> ids;
  };
  std::vector<Run> runs;
  for (int step = 0; step < 120; ++step) {
    if (runs.size() < 6)
      runs.push_back({Sequence(*session.state), {}});
    if (random() % 4 == 0 && runs.size() < 9) {
      Run &from = runs[random() % runs.size()];
      Run twin{from.sequence.fork(), from.ids};
      runs.push_back(std::move(twin));
    }
    std::vector<StepItem> items;
    std::vector<Run *> taken;
    for (Run &run : runs) {
      if (random() % 3 == 0)
        continue;
      int64_t past = run.sequence.length();
      if (past > 0 && random() % 5 == 0)
        run.sequence.truncate(past = random() % past);
      run.ids.resize(past);
      size_t count = random() % 2 ? 1 : 1 + random() % 40;
      std::vector<int32_t> more = randomIds(count, random());
      run.ids.insert(run.ids.end(), more.begin(), more.end());
      taken.push_back(&run);
    }
    for (Run *run : taken) {
      int64_t past = run->sequence.length();
      items.push_back({&run->sequence, run->ids.data() + past,
                       static_cast<int64_t>(run->ids.size()) - past, 0});
    }
    if (items.empty())
      continue;
    Status error = session.engine->step(items);
    ASSERT_FALSE(error) << error->message;
    int64_t row = 0;
    for (size_t i = 0; i < taken.size(); ++i) {
      LogitRows expected = session.model.run(taken[i]->ids).logits;
      size_t first = taken[i]->ids.size() - items[i].count;
      for (size_t t = first; t < expected.size(); ++t)
        ASSERT_EQ(session.row(row++), expected[t]) << "step " << step;
    }
    for (size_t i = 0; i < runs.size();)
      if (runs[i].ids.size() > 200)
        runs.erase(runs.begin() + i);
      else
        ++i;
  }
  runs.clear();
  EXPECT_EQ(session.state->freePages(), session.state->pages());
}

TEST(Engine, LaunchesAreMeasured) {
  FakeSession session;
  session.engine->profile(true);
  std::vector<int32_t> ids = randomIds(9, 11);
  Sequence sequence(*session.state);
  ASSERT_FALSE(session.engine->step({{&sequence, ids.data(), 9, 7}}));
  const std::vector<LaunchTime> &times = session.engine->launchTimes();
  ASSERT_EQ(times.size(), 1u + 2 * 3 + 2);
  EXPECT_EQ(times[2].kernel, 2);
  EXPECT_EQ(times[2].layer, 0);
  EXPECT_EQ(times[2].rows, 9);
  EXPECT_EQ(times[2].tiles, 2);
  EXPECT_EQ(times[2].bucket, 1u);
  EXPECT_EQ(times.back().rows, 2);
  EXPECT_EQ(times.back().layer, -1);
}

TEST(Engine, MistakesInAStepAreErrorsThatChangeNothing) {
  FakeSession session(1, 2);
  std::vector<int32_t> ids = randomIds(400, 12);
  Sequence a(*session.state), b(*session.state);
  auto message = [&](std::vector<StepItem> items) {
    Status error = session.engine->step(items);
    return error ? error->message : "no error";
  };
  std::vector<int32_t> wrong = {3, 40};
  EXPECT_EQ(message({}), "expects a step to have at least one sequence");
  EXPECT_EQ(message({{&a, ids.data(), 0, 0}}),
            "expects every sequence of a step to have a token");
  EXPECT_EQ(message({{&a, ids.data(), 3, 4}}),
            "expects the first output (4) to be between 0 and 3");
  EXPECT_EQ(message({{&a, ids.data(), 3, 3}, {&a, ids.data(), 3, 3}}),
            "a sequence is in the step twice");
  EXPECT_EQ(message({{&a, wrong.data(), 2, 2}}),
            "expects token ids from 0 to 39, found 40");
  EXPECT_EQ(message({{&a, ids.data(), 301, 301}}),
            "the sequence would have 301 tokens, and the model's limit "
            "(max_position_embeddings) is 300");
  EXPECT_EQ(message({{&a, ids.data(), 65, 65}, {&b, ids.data(), 1, 1}}),
            "the step needs 3 free pages of state, and 2 of 2 are free");
  EXPECT_EQ(a.length(), 0);
  EXPECT_EQ(session.state->freePages(), 2);
}
