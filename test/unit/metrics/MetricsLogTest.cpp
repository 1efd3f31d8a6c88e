//===- MetricsLogTest.cpp - Logs of a run, and of one that is resumed -----===//
#include "runtime/metrics/MetricsLog.h"

#include "Folder.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace ds::metrics;

static void writeSteps(const std::string &folder, int64_t after, int64_t last) {
  auto log = MetricsLog::open(folder, after);
  ASSERT_TRUE(log) << log.error();
  for (int64_t step = after + 1; step <= last; ++step)
    ASSERT_FALSE(log->write(step, {{"loss", 1.0 / step}, {"epoch", 0.5}}));
}

TEST(MetricsLog, WritesLinesAndEvents) {
  Folder folder;
  auto log = MetricsLog::open(folder.path, 0);
  ASSERT_TRUE(log) << log.error();
  ASSERT_FALSE(log->write(1, {{"loss", 2.5}, {"num_tokens", 4096}}));
  ASSERT_FALSE(log->write(2, {{"loss", NAN}, {"num_tokens", 8192}}));
  EXPECT_EQ(folder.read("metrics.jsonl"),
            "{\"step\":1,\"loss\":2.5,\"num_tokens\":4096.0}\n"
            "{\"step\":2,\"loss\":null,\"num_tokens\":8192.0}\n");
  EXPECT_EQ(folder.listEvents().size(), 1u);
  auto records = readMetrics(folder.path);
  ASSERT_TRUE(records) << records.error();
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ((*records)[0].scalars,
            (Scalars{{"loss", 2.5}, {"num_tokens", 4096}}));
  EXPECT_TRUE(std::isnan((*records)[1].scalars[0].second));
}

/// A resumed run writes what one run would have written.
TEST(MetricsLog, Resumes) {
  Folder whole, resumed;
  writeSteps(whole.path, 0, 9);
  writeSteps(resumed.path, 0, 7);
  // The run was killed within a line.
  std::ofstream(resumed.path + "/metrics.jsonl", std::ios::app)
      << "{\"step\":8,\"lo";
  writeSteps(resumed.path, 4, 9);
  EXPECT_EQ(resumed.read("metrics.jsonl"), whole.read("metrics.jsonl"));
  EXPECT_EQ(resumed.listEvents().size(), 2u);
  // A run that begins anew keeps nothing.
  writeSteps(resumed.path, 0, 2);
  EXPECT_EQ(readMetrics(resumed.path)->size(), 2u);
}

TEST(MetricsLog, Errors) {
  Folder folder;
  auto log = MetricsLog::open(folder.path + "/none", 0);
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().find("metrics.jsonl"), std::string::npos);
  std::ofstream(folder.path + "/metrics.jsonl")
      << "{\"step\":1,\"loss\":2}\n{\"step\":\"x\"}\n";
  auto records = readMetrics(folder.path);
  ASSERT_FALSE(records);
  EXPECT_EQ(records.error(), folder.path + "/metrics.jsonl:2: expects an "
                                           "object with a step and numbers");
  EXPECT_FALSE(MetricsLog::open(folder.path, 1));
}
