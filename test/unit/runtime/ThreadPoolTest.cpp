//===- ThreadPoolTest.cpp - Fork and join ---------------------------------===//
#include "runtime/ThreadPool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <xmmintrin.h>

using namespace ds::runtime;

class ThreadPoolTest : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, EveryTileRunsOnce) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  for (int64_t count : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<std::atomic<int>> runs(count);
    pool.forEach(count, [&](int64_t tile, int thread) {
      ASSERT_LT(thread, GetParam());
      ++runs[tile];
    });
    for (std::atomic<int> &run : runs)
      EXPECT_EQ(run, 1);
  }
}

TEST_P(ThreadPoolTest, ManySmallLaunches) {
  ThreadPool pool(GetParam());
  int64_t sums[3] = {};
  for (int64_t launch = 0; launch < 20000; ++launch) {
    // Plain stores: the join has to make them visible.
    int64_t values[3] = {};
    pool.forEach(3, [&](int64_t tile, int) { values[tile] = launch; });
    for (int i = 0; i < 3; ++i)
      sums[i] += values[i];
  }
  for (int64_t sum : sums)
    EXPECT_EQ(sum, 20000 * 19999 / 2);
}

TEST_P(ThreadPoolTest, LaunchesAfterSleep) {
  ThreadPool pool(GetParam());
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int64_t> sum{0};
    pool.forEach(100, [&](int64_t tile, int) { sum += tile; });
    EXPECT_EQ(sum, 4950);
  }
}

TEST_P(ThreadPoolTest, ThreadsKeepDenormalsAndRoundToNearest) {
  ThreadPool pool(GetParam());
  std::atomic<int> wrong{0};
  pool.forEach(1000, [&](int64_t, int thread) {
    if (thread > 0 && (_mm_getcsr() & 0xffc0) != 0x1f80)
      ++wrong;
  });
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 5));

TEST(ThreadPool, WorkIsShared) {
  ThreadPool pool(2);
  std::atomic<bool> started{false};
  // Tile 0 waits until another thread has begun tile 1.
  int ran[2] = {-1, -1};
  pool.forEach(2, [&](int64_t tile, int thread) {
    ran[tile] = thread;
    if (tile == 1)
      started = true;
    while (!started)
      std::this_thread::yield();
  });
  EXPECT_NE(ran[0], ran[1]);
}
