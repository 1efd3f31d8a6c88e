//===- LoaderTest.cpp - Order and packing of examples ---------------------===//
#include "runtime/data/Loader.h"

#include "Support.h"

#include <gtest/gtest.h>
#include <map>
#include <set>

using namespace ds::data;

/// 50 examples of different lengths.
static const Dataset &getData() {
  static const Loaded loaded = [] {
    std::string lines;
    for (int i = 0; i < 50; ++i)
      lines += "{\"text\": \"" + std::string(1 + i % 7, 'a' + i % 26) +
               std::to_string(i) + "\"}\n";
    return Loaded("a.jsonl", lines);
  }();
  return loaded.data;
}

static Loader make(LoaderOptions options, Cursor cursor = {}) {
  auto loader = Loader::create(getData(), options, cursor);
  if (!loader)
    ADD_FAILURE() << loader.error();
  return *loader;
}

TEST(Loader, PacksUpToTheBatch) {
  Loader loader = make({1, 40, true});
  std::multiset<const Example *> seen;
  while (loader.cursor().epoch == 0) {
    Batch batch = loader.next();
    int64_t rows = 0, targets = 0;
    for (const Example *example : batch.examples) {
      rows += example->rows();
      targets += example->targets();
      seen.insert(example);
    }
    EXPECT_EQ(batch.rows, rows);
    EXPECT_EQ(batch.targets, targets);
    EXPECT_LE(rows, 40);
    EXPECT_EQ(batch.end, loader.cursor());
    // It is full but for the next example, or the epoch ends.
    if (batch.end.epoch == 0) {
      Loader peek = make({1, 40, true}, batch.end);
      EXPECT_GT(rows + peek.next().examples[0]->rows(), 40);
    }
  }
  EXPECT_EQ(seen.size(), 50u);
  EXPECT_EQ(std::set<const Example *>(seen.begin(), seen.end()).size(), 50u);
  EXPECT_EQ(loader.cursor(), (Cursor{1, 0}));
  EXPECT_EQ(loader.epochs(), 1.0);
}

static std::vector<const Example *> getEpoch(Loader &loader) {
  std::vector<const Example *> order;
  for (uint64_t epoch = loader.cursor().epoch;
       loader.cursor().epoch == epoch;) {
    Batch batch = loader.next();
    order.insert(order.end(), batch.examples.begin(), batch.examples.end());
  }
  return order;
}

TEST(Loader, OrderFollowsSeedAndEpoch) {
  Loader loader = make({7, 40, true});
  auto first = getEpoch(loader), second = getEpoch(loader);
  EXPECT_NE(first, second);
  Loader again = make({7, 25, true});
  EXPECT_EQ(getEpoch(again), first); // Whatever the batch is.
  Loader later = make({7, 40, true}, {1, 0});
  EXPECT_EQ(getEpoch(later), second);
  Loader other = make({8, 40, true});
  EXPECT_NE(getEpoch(other), first);
  Loader plain = make({7, 40, false});
  for (int round = 0; round < 2; ++round) {
    auto order = getEpoch(plain);
    for (int64_t i = 0; i < getData().size(); ++i)
      EXPECT_EQ(order[i], &getData()[i]);
  }
}

/// Which data comes first must not change between releases: runs are resumed.
TEST(Loader, OrderIsRecorded) {
  Loader loader = make({42, 1000, true});
  std::vector<int64_t> lines;
  for (const Example *example : getEpoch(loader))
    lines.push_back(example->line);
  lines.resize(8);
  EXPECT_EQ(lines, (std::vector<int64_t>{1, 23, 31, 33, 11, 26, 46, 41}));
}

TEST(Loader, ResumesAnywhere) {
  Loader loader = make({3, 30, true});
  std::vector<Batch> batches;
  for (int i = 0; i < 60; ++i)
    batches.push_back(loader.next());
  EXPECT_GT(batches.back().begin.epoch, 2u);
  for (int i = 0; i < 60; i += 7) {
    Loader resumed = make({3, 30, true}, batches[i].begin);
    for (int j = i; j < 60; ++j) {
      Batch batch = resumed.next();
      ASSERT_EQ(batch.examples, batches[j].examples);
      ASSERT_EQ(batch.end, batches[j].end);
    }
  }
}

/// Every place of an epoch gets every example about equally often.
TEST(Loader, OrderIsUniform) {
  std::map<const Example *, int> first;
  for (uint64_t epoch = 0; epoch < 5000; ++epoch)
    ++first[make({5, 40, true}, {epoch, 0}).next().examples[0]];
  EXPECT_EQ(first.size(), 50u);
  for (const auto &[example, count] : first) {
    EXPECT_GT(count, 60);
    EXPECT_LT(count, 140);
  }
}

TEST(Loader, Errors) {
  auto loader = Loader::create(getData(), {0, 3, true});
  ASSERT_FALSE(loader);
  EXPECT_NE(loader.error().find(":2: the example takes "), std::string::npos)
      << loader.error();
  EXPECT_NE(loader.error().find("expects at most --batch-tokens (3)"),
            std::string::npos);
  loader = Loader::create(getData(), {0, 40, true}, {0, 50});
  ASSERT_FALSE(loader);
  EXPECT_EQ(loader.error(),
            "expects a place among the 50 examples of the data, got 50");
}
