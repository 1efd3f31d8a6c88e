//===- ThreadPool.h - Fork and join over tiles ----------------------------===//
//
// Runs the tiles of a launch on a few threads, the caller among them. Tiles are
// taken one by one, so that a thread that lost its core delays nothing but the
// tile it holds, and waiting is bounded: a thread spins for some microseconds
// and then sleeps, so that a busy neighbour gets the core.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_THREADPOOL_H
#define DS_RUNTIME_THREADPOOL_H

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace ds::runtime {

/// A pool of threads for one caller at a time. With one thread there is no
/// pool: the caller runs every tile.
class ThreadPool {
public:
  /// What runs a tile; `thread` is 0 (the caller) to threads() - 1.
  using Function = void (*)(void *context, int64_t tile, int thread);

  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return static_cast<int>(workers.size()) + 1; }

  /// Runs `function` for tiles 0 to count - 1 and returns when all are done.
  void run(int64_t count, Function function, void *context);

  /// Runs `body(tile, thread)` for tiles 0 to count - 1.
  template <typename Body> void forEach(int64_t count, Body &&body) {
    run(
        count,
        [](void *context, int64_t tile, int thread) {
          (*static_cast<std::remove_reference_t<Body> *>(context))(tile,
                                                                   thread);
        },
        &body);
  }

private:
  struct Job {
    Function function = nullptr;
    void *context = nullptr;
    uint32_t count = 0;
  };

  void work(int thread);
  bool takeTile(int thread);
  uint64_t waitForWork(uint64_t seen);
  void waitForTiles();

  std::vector<std::thread> workers;

  // High half: number of the job; low half: its tiles that nobody has taken. A
  // tile is taken by lowering the word, so whoever succeeds holds a tile of the
  // job of that number, and the job cannot end, nor `job` change, before.
  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<uint32_t> unfinished{0};
  alignas(64) Job job;
  alignas(64) std::atomic<uint32_t> wakeups{0}; // Workers sleep on it.
  std::atomic<uint32_t> sleepers{0};
  std::atomic<uint32_t> callerSleeps{0};
  std::atomic<bool> stopping{false};
};

} // namespace ds::runtime

#endif // DS_RUNTIME_THREADPOOL_H
