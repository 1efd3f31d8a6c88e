//===- MatmulBench.cpp - Times the matmul family ---------------------------===//
//
// A C interface for a driver that times kernels and peers in one process:
// compiles a kernel from a description, gives it weights (several copies, so
// that they come from memory) and runs it on one or more threads.
//
//===----------------------------------------------------------------------===//
#include "BenchProbes.h"
#include "codegen/cpu/E4m3.h"
#include "codegen/cpu/Matmul.h"
#include "test/unit/codegen/KernelRunner.h"
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

using namespace ds;
using namespace ds::cpu;

namespace {
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Threads that spin until they are given work.
class Pool {
public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; ++i)
      workers.emplace_back([this, i] { work(i); });
  }
  ~Pool() {
    stop = true;
    ++epoch;
    for (std::thread &worker : workers)
      worker.join();
  }
  /// Runs `body(thread)` on all threads.
  void run(const std::function<void(int)> &body) {
    task = &body;
    left = static_cast<int>(workers.size());
    ++epoch;
    body(0);
    while (left)
      __builtin_ia32_pause();
  }

private:
  std::vector<std::thread> workers;
  std::atomic<int> epoch{0}, left{0};
  std::atomic<bool> stop{false};
  const std::function<void(int)> *task = nullptr;

  void work(int index) {
    for (int seen = 0;;) {
      while (epoch == seen)
        __builtin_ia32_pause();
      seen = epoch;
      if (stop)
        return;
      (*task)(index);
      --left;
    }
  }
};

/// What is multiplied.
struct Bench {
  MatmulDesc desc;
  std::unique_ptr<KernelRunner> runner;
  size_t weightBytes = 0;
  int copies = 1;
  std::unique_ptr<Buffer<uint8_t>> weights, left, result, scratch;
  int64_t most = 0;
};
} // namespace

/// Changes the description of a linear layer into that of `form`.
static void applyForm(MatmulDesc &desc, StringRef form) {
  if (form == "fp8")
    desc.right = RightOperand::PanelE4m3;
  if (form == "dx") {
    desc.right = RightOperand::Transposed;
    std::swap(desc.columns, desc.depth);
    desc.leftColumns = desc.depth;
  }
  if (form == "dw") {
    desc.left = LeftOperand::Columns;
    desc.right = RightOperand::Rows;
    desc.rows = desc.leftColumns = desc.columns;
    desc.columns = desc.rightColumns = desc.depth;
    desc.depth = MatmulDesc::kDynamic;
    desc.accumulates = true;
    desc.resultElement = Float32Type::get(desc.leftElement.getContext());
  }
}

static std::string makeSource(int64_t n, int64_t k, StringRef element) {
  std::string a = "tensor<?x" + std::to_string(k) + "x" + element.str() + ">";
  std::string w = "tensor<" + std::to_string(n) + "x" + std::to_string(k) +
                  "x" + element.str() + ">";
  std::string r = "tensor<?x" + std::to_string(n) + "x" + element.str() + ">";
  std::string round =
      element == "bf16" ? "%r = arith.truncf %s : f32 to bf16\n" : "";
  return "func.func @f(%a: " + a + ", %w: " + w +
         ") {\n%y = ds.kernel.matmul @matmul %a, %w : (" + a + ", " + w +
         ") -> " + r + " {\n^bb0(%s: f32):\n" + round + "ds.yield %" +
         (element == "bf16" ? "r" : "s") + " : " + element.str() +
         "\n}\nreturn\n}\n";
}

extern "C" {

/// Compiles a product of `form`: linear, fp8, dx or dw, of a weight [n, k].
/// `rows` is the largest M; `copies` of the weight are made.
void *ds_bench_create(const char *form, const char *element, int64_t n,
                      int64_t k, int64_t rows, int copies, int variant) {
  auto bench = std::make_unique<Bench>();
  auto emit = [&](Operation *op, ModuleOp module, const Isa &isa,
                  KernelLimits &limits) {
    bench->desc = describeMatmul(cast<KernelMatmulOp>(op));
    applyForm(bench->desc, form);
    if (StringRef(form) != "linear" && StringRef(form) != "fp8")
      bench->desc.epilogue = nullptr;
    for (bool small : {true, false})
      emitMatmul(bench->desc, small, module, isa, limits);
  };
  Variant chosen =
      variant < 0 ? getHostVariant() : static_cast<Variant>(variant);
  bench->runner = std::make_unique<KernelRunner>(makeSource(n, k, element),
                                                 chosen, emit);
  int64_t np = llvm::alignTo(n, 32), kp = llvm::alignTo(k, 32);
  bool isF32 = StringRef(element) == "f32", isFp8 = StringRef(form) == "fp8";
  bench->weightBytes =
      isFp8 ? np / 32 * getE4m3PanelBytes(k) : np * kp * (isF32 ? 4 : 2);
  bool isDw = StringRef(form) == "dw";
  if (isDw)
    bench->weightBytes = rows * k * 2;
  bench->copies = copies;
  bench->most = rows;
  auto make = [&](size_t bytes, uint8_t value) {
    auto buffer = std::make_unique<Buffer<uint8_t>>(bytes);
    memset(buffer->data(), value, bytes);
    return buffer;
  };
  bench->weights = make(bench->weightBytes * copies, 0x3c);
  bench->left = make(rows * std::max(n, k) * 4, 0x3c);
  bench->result = make(isDw ? np * kp * 4 : rows * std::max(n, k) * 4, 0);
  return bench.release();
}

void ds_bench_destroy(void *handle) { delete static_cast<Bench *>(handle); }

/// Runs the product once and returns its seconds: of this thread's CPU time
/// with one thread, of the clock otherwise.
double ds_bench_run(void *handle, void *poolHandle, int64_t rows, int copy,
                    int threads) {
  auto *bench = static_cast<Bench *>(handle);
  SmallVector<void *> args = {bench->left->data(),
                              bench->weights->data() +
                                  bench->weightBytes * (copy % bench->copies)};
  args.push_back(bench->result->data());
  int64_t dims[8] = {rows, 1, rows};
  bool small = rows <= kSmallRows && bench->desc.rows == MatmulDesc::kDynamic;
  StringRef symbol = small ? "matmul_m16" : "matmul";
  auto kernel = bench->runner->getKernel(symbol);
  int64_t tiles = bench->runner->tiles(symbol, dims);
  size_t scratchBytes = llvm::alignTo(bench->runner->limits.scratchBytes, 4096);
  if (!bench->scratch)
    bench->scratch = std::make_unique<Buffer<uint8_t>>(scratchBytes * 8);
  std::atomic<int64_t> next(0);
  auto body = [&](int thread) {
    for (int64_t tile; (tile = next++) < tiles;)
      kernel(args.data(), dims, tile,
             bench->scratch->data() + thread * scratchBytes);
  };
  Clock::time_point start = Clock::now();
  double cpu = getThreadSeconds();
  if (threads == 1)
    body(0);
  else
    static_cast<Pool *>(poolHandle)->run(body);
  return threads == 1 ? getThreadSeconds() - cpu : since(start);
}

void *ds_bench_pool(int threads) { return new Pool(threads); }
void ds_bench_pool_destroy(void *pool) { delete static_cast<Pool *>(pool); }

/// Reads `bytes` on `threads` threads; returns seconds as ds_bench_run does.
double ds_bench_read(void *pool, const char *memory, size_t bytes,
                     int threads) {
  size_t piece = 256 << 10, pieces = bytes / piece;
  std::atomic<size_t> next(0);
  auto body = [&](int) {
    for (size_t i; (i = next++) < pieces;)
      bench::readMemory(memory + i * piece, piece);
  };
  Clock::time_point start = Clock::now();
  double cpu = getThreadSeconds();
  if (threads == 1)
    body(0);
  else
    static_cast<Pool *>(pool)->run(body);
  return threads == 1 ? getThreadSeconds() - cpu : since(start);
}

/// FLOPs a second in registers, of bf16 pairs or f32.
double ds_bench_peak(void *pool, int pairs, int threads) {
  constexpr size_t rounds = 200000;
  std::atomic<double> flops(0);
  auto body = [&](int) {
    double done = pairs ? bench::multiplyPairs(rounds)
                        : bench::multiplyFloats(rounds);
    double seen = flops;
    while (!flops.compare_exchange_weak(seen, seen + done)) {
    }
  };
  Clock::time_point start = Clock::now();
  double cpu = getThreadSeconds();
  if (threads == 1)
    body(0);
  else
    static_cast<Pool *>(pool)->run(body);
  double seconds = threads == 1 ? getThreadSeconds() - cpu : since(start);
  return flops / seconds;
}

const char *ds_bench_weights(void *handle) {
  return reinterpret_cast<const char *>(
      static_cast<Bench *>(handle)->weights->data());
}
size_t ds_bench_weight_bytes(void *handle) {
  return static_cast<Bench *>(handle)->weightBytes;
}
}
