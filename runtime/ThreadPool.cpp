//===- ThreadPool.cpp - Fork and join over tiles --------------------------===//
#include "runtime/ThreadPool.h"
#include "runtime/Cpu.h"

#include <algorithm>
#include <climits>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

using namespace ds::runtime;

// About 50 us of a 2 to 4 GHz time stamp counter: longer than the gaps between
// launches of a step, far shorter than a time slice.
static constexpr uint64_t spinCycles = 150'000;

static long futex(std::atomic<uint32_t> &word, int operation, uint32_t value) {
  return syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), operation,
                 value, nullptr, nullptr, 0);
}

/// Spins until `done` returns true or the time is over.
template <typename Done> static bool spinUntil(Done done) {
  uint64_t begin = __rdtsc();
  do {
    for (int i = 0; i < 16; ++i) {
      if (done())
        return true;
      _mm_pause();
    }
  } while (__rdtsc() - begin < spinCycles);
  return false;
}

ThreadPool::ThreadPool(int threads) {
  for (int thread = 1; thread < threads; ++thread)
    workers.emplace_back([this, thread] { work(thread); });
}

ThreadPool::~ThreadPool() {
  stopping = true;
  wakeups.fetch_add(1);
  futex(wakeups, FUTEX_WAKE_PRIVATE, INT_MAX);
  for (std::thread &worker : workers)
    worker.join();
}

bool ThreadPool::takeTile(int thread) {
  uint64_t word = ticket.load(std::memory_order_acquire);
  do {
    if (static_cast<uint32_t>(word) == 0)
      return false;
  } while (
      !ticket.compare_exchange_weak(word, word - 1, std::memory_order_acq_rel));
  job.function(job.context, job.count - static_cast<uint32_t>(word), thread);
  if (unfinished.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
      callerSleeps.load(std::memory_order_seq_cst))
    futex(unfinished, FUTEX_WAKE_PRIVATE, 1);
  return true;
}

/// Waits until the ticket differs from `seen` or the pool stops; returns the
/// ticket.
uint64_t ThreadPool::waitForWork(uint64_t seen) {
  auto changed = [&] {
    return ticket.load(std::memory_order_acquire) != seen ||
           stopping.load(std::memory_order_relaxed);
  };
  while (!spinUntil(changed)) {
    uint32_t before = wakeups.load(std::memory_order_seq_cst);
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    if (!changed())
      futex(wakeups, FUTEX_WAIT_PRIVATE, before);
    sleepers.fetch_sub(1, std::memory_order_seq_cst);
  }
  return ticket.load(std::memory_order_acquire);
}

void ThreadPool::work(int thread) {
  FloatState state;
  uint64_t seen = ticket.load(std::memory_order_acquire);
  while (!stopping.load(std::memory_order_relaxed)) {
    while (takeTile(thread)) {
    }
    seen = ticket.load(std::memory_order_acquire);
    if (static_cast<uint32_t>(seen) == 0)
      waitForWork(seen);
  }
}

void ThreadPool::waitForTiles() {
  auto done = [&] { return unfinished.load(std::memory_order_acquire) == 0; };
  while (!spinUntil(done)) {
    callerSleeps.store(1, std::memory_order_seq_cst);
    uint32_t left = unfinished.load(std::memory_order_seq_cst);
    if (left != 0)
      futex(unfinished, FUTEX_WAIT_PRIVATE, left);
    callerSleeps.store(0, std::memory_order_relaxed);
  }
}

void ThreadPool::run(int64_t count, Function function, void *context) {
  if (workers.empty() || count <= 1) {
    for (int64_t tile = 0; tile < count; ++tile)
      function(context, tile, 0);
    return;
  }
  job = {function, context, static_cast<uint32_t>(count)};
  unfinished.store(job.count, std::memory_order_relaxed);
  uint64_t number = (ticket.load(std::memory_order_relaxed) >> 32) + 1;
  ticket.store(number << 32 | job.count, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) != 0) {
    wakeups.fetch_add(1, std::memory_order_seq_cst);
    futex(wakeups, FUTEX_WAKE_PRIVATE, static_cast<uint32_t>(workers.size()));
  }
  while (takeTile(0)) {
  }
  waitForTiles();
}
