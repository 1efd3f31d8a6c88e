//===- KernelRunner.h - Compiles and runs kernels in process ----*- C++ -*-===//
//
// Tests of the kernel families parse a module of ds.kernel operations, emit
// them for one variant and call the code as the runtime would, tiles in a
// random order on several threads, scratch full of NaN.
//
//===----------------------------------------------------------------------===//
#ifndef DS_TEST_UNIT_CODEGEN_KERNELRUNNER_H
#define DS_TEST_UNIT_CODEGEN_KERNELRUNNER_H
#include "codegen/cpu/Kernels.h"
#include <memory>
#include <random>

namespace llvm::orc {
class LLJIT;
}

namespace ds {
namespace cpu {

/// Emits one kernel operation into a module; most tests pass a lambda that
/// calls the family's generator.
using EmitKernel = function_ref<void(Operation *, ModuleOp, const Isa &,
                                     KernelLimits &)>;

/// `ds_seq` of docs/artifact.md and the arrays that it points to.
struct TestSeq {
  std::vector<int32_t> ids, position, sequence, rowBegin, past, pages, outRows,
      queryTiles;
  int64_t maxPages = 0;

  /// Adds a sequence that keeps `past` positions and gets `rows` new ones;
  /// its pages are those of `table`.
  void addSequence(int32_t past, int32_t rows, std::vector<int32_t> table);
  /// Cuts every sequence into query tiles of at most `rows` rows.
  void makeQueryTiles(int64_t rows);
  int64_t tokens() const { return static_cast<int64_t>(position.size()); }
  int64_t sequences() const { return static_cast<int64_t>(past.size()); }
  /// dims[0..7] of a launch.
  std::vector<int64_t> dims() const;
  /// The struct of the ABI; valid while this object does not change.
  void *abi();

private:
  std::vector<std::vector<int32_t>> tables;
  void *fields[9];
};

/// A kernel's function, as docs/artifact.md says.
using KernelFn = void (*)(void *const *, const int64_t *, int64_t, void *);

class KernelRunner {
public:
  /// Parses `source`, a module whose functions hold ds.kernel operations, and
  /// compiles every kernel for `variant`. Fails the test on errors.
  /// `queryRows` is what limits.queryRows is set to before.
  KernelRunner(StringRef source, Variant variant, EmitKernel emit,
               int64_t queryRows = 1);
  ~KernelRunner();

  KernelFn getKernel(StringRef symbol);
  int64_t tiles(StringRef symbol, ArrayRef<int64_t> dims);
  /// Runs all tiles of a launch: in order on this thread, or shuffled by
  /// `seed` on `threads` threads when `threads` is not 0.
  void run(StringRef symbol, ArrayRef<void *> args, ArrayRef<int64_t> dims,
           int threads = 0, unsigned seed = 1);
  /// CPU time of the fastest of `repeats` runs on this thread, in seconds.
  double time(StringRef symbol, ArrayRef<void *> args, ArrayRef<int64_t> dims,
              int repeats);

  KernelLimits limits;

private:
  void *lookup(const Twine &name);
  const Isa &isa;
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

/// Returns the assembly of the kernels of `source` for `variant`, which need
/// not run on this machine.
std::string compileToAssembly(StringRef source, Variant variant,
                              EmitKernel emit);

/// CPU time of this thread in seconds: what others run beside it is not in it.
double getThreadSeconds();

/// Replaces every W of `text` by `width`.
std::string withWidth(std::string text, int64_t width);

/// The variants that this machine runs, the least first.
std::vector<Variant> getRunnableVariants();

/// bf16 of a value, rounded to nearest even, and back.
uint16_t toBf16(float value);
float fromBf16(uint16_t bits);

/// 64-byte aligned memory of `count` elements, filled with NaN patterns (all
/// bits set), with room of 64 bytes after it.
template <typename T> class Buffer {
public:
  explicit Buffer(size_t count)
      : count(count), memory(::operator new(count * sizeof(T) + 64,
                                            std::align_val_t(64))) {
    memset(memory.get(), 0xff, count * sizeof(T) + 64);
  }
  T *data() { return static_cast<T *>(memory.get()); }
  const T *data() const { return static_cast<const T *>(memory.get()); }
  size_t size() const { return count; }
  T &operator[](size_t i) { return data()[i]; }
  const T &operator[](size_t i) const { return data()[i]; }

private:
  struct Free {
    void operator()(void *p) const {
      ::operator delete(p, std::align_val_t(64));
    }
  };
  size_t count;
  std::unique_ptr<void, Free> memory;
};

/// Element `i` of a buffer of bf16 or f32, by its type.
inline float getElement(const Buffer<uint16_t> &buffer, size_t i) {
  return fromBf16(buffer[i]);
}
inline float getElement(const Buffer<float> &buffer, size_t i) {
  return buffer[i];
}
inline void setElement(Buffer<uint16_t> &buffer, size_t i, float value) {
  buffer[i] = toBf16(value);
}
inline void setElement(Buffer<float> &buffer, size_t i, float value) {
  buffer[i] = value;
}

/// Fills with values uniform in [-scale, scale].
template <typename T>
void fillRandom(Buffer<T> &buffer, unsigned seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-scale, scale);
  for (size_t i = 0; i < buffer.size(); ++i)
    setElement(buffer, i, values(random));
}

} // namespace cpu
} // namespace ds
#endif
