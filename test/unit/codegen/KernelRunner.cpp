//===- KernelRunner.cpp - Compiles and runs kernels in process ------------===//
#include "KernelRunner.h"
#include "codegen/cpu/Lower.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include <atomic>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <thread>
#include <time.h>
#include <unistd.h>

using namespace ds;
using namespace ds::cpu;

//===----------------------------------------------------------------------===//
// TestSeq
//===----------------------------------------------------------------------===//

void TestSeq::addSequence(int32_t kept, int32_t rows,
                          std::vector<int32_t> table) {
  auto index = static_cast<int32_t>(past.size());
  if (rowBegin.empty())
    rowBegin.push_back(0);
  for (int32_t i = 0; i < rows; ++i) {
    position.push_back(kept + i);
    sequence.push_back(index);
    ids.push_back(0);
  }
  rowBegin.push_back(rowBegin.back() + rows);
  past.push_back(kept);
  tables.push_back(std::move(table));
  maxPages = 0;
  for (const std::vector<int32_t> &t : tables)
    maxPages = std::max(maxPages, static_cast<int64_t>(t.size()));
  pages.clear();
  for (std::vector<int32_t> t : tables) {
    t.resize(maxPages, 0x7fffffff);
    pages.insert(pages.end(), t.begin(), t.end());
  }
}

void TestSeq::makeQueryTiles(int64_t rows) {
  queryTiles.clear();
  for (size_t b = 0; b < past.size(); ++b)
    for (int32_t row = rowBegin[b]; row < rowBegin[b + 1];) {
      int32_t count = std::min(rowBegin[b + 1] - row,
                               static_cast<int32_t>(rows));
      queryTiles.insert(queryTiles.end(),
                        {static_cast<int32_t>(b), row, count});
      row += count;
    }
}

std::vector<int64_t> TestSeq::dims() const {
  return {tokens(),
          sequences(),
          static_cast<int64_t>(outRows.size()),
          static_cast<int64_t>(queryTiles.size()) / 3,
          0, 0, 0, 0};
}

void *TestSeq::abi() {
  fields[0] = ids.data();
  fields[1] = position.data();
  fields[2] = sequence.data();
  fields[3] = rowBegin.data();
  fields[4] = past.data();
  fields[5] = pages.data();
  memcpy(&fields[6], &maxPages, sizeof maxPages);
  fields[7] = outRows.data();
  fields[8] = queryTiles.data();
  return fields;
}

//===----------------------------------------------------------------------===//
// KernelRunner
//===----------------------------------------------------------------------===//

/// Emits the kernels of `source` for `isa` and makes one object of them.
static SmallVector<char, 0> compile(StringRef source, const Isa &isa,
                                    EmitKernel emit, KernelLimits &limits,
                                    bool assembly = false) {
  DialectRegistry registry;
  registerLowering(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadDialect<DsDialect, arith::ArithDialect, func::FuncDialect,
                      math::MathDialect, scf::SCFDialect,
                      vector::VectorDialect, LLVM::LLVMDialect>();
  OwningOpRef<ModuleOp> parsed =
      parseSourceString<ModuleOp>(source, ParserConfig(&context));
  EXPECT_TRUE(parsed) << source.str();
  OwningOpRef<ModuleOp> kernels = ModuleOp::create(UnknownLoc::get(&context));
  parsed->walk([&](Operation *op) {
    if (op->getName().getStringRef().starts_with("ds.kernel."))
      emit(op, *kernels, isa, limits);
  });
  EXPECT_TRUE(succeeded(lowerToLLVM(*kernels)));
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> module =
      makeLLVMIR(*kernels, isa, llvmContext);
  EXPECT_TRUE(module);
  if (const char *path = getenv("DS_TEST_ASM")) {
    std::error_code error;
    llvm::raw_fd_ostream out(path, error);
    std::unique_ptr<llvm::Module> copy = makeLLVMIR(*kernels, isa, llvmContext);
    SmallVector<char, 0> text = makeObject(*copy, isa, /*assembly=*/true);
    out.write(text.data(), text.size());
  }
  return makeObject(*module, isa, assembly);
}

std::string ds::cpu::compileToAssembly(StringRef source, Variant variant,
                                       EmitKernel emit) {
  KernelLimits limits;
  SmallVector<char, 0> text =
      compile(source, getIsa(variant), emit, limits, /*assembly=*/true);
  return std::string(text.data(), text.size());
}

/// Asks Linux for the use of tile registers by this process.
static void allowTiles() {
  constexpr long requestPermission = 0x1023, tileData = 18;
  EXPECT_EQ(0, syscall(SYS_arch_prctl, requestPermission, tileData));
}

KernelRunner::KernelRunner(StringRef source, Variant variant, EmitKernel emit,
                           int64_t queryRows)
    : isa(getIsa(variant)) {
  if (isa.tiles && !isa.emulatesTiles)
    allowTiles();
  limits.queryRows = queryRows;
  SmallVector<char, 0> object = compile(source, isa, emit, limits);
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
  llvm::cantFail(jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(
      StringRef(object.data(), object.size()))));
}

KernelRunner::~KernelRunner() = default;

void *KernelRunner::lookup(const Twine &name) {
  llvm::Expected<llvm::orc::ExecutorAddr> address = jit->lookup(name.str());
  if (!address) {
    ADD_FAILURE() << llvm::toString(address.takeError());
    return nullptr;
  }
  return address->toPtr<void *>();
}

int64_t KernelRunner::tiles(StringRef symbol, ArrayRef<int64_t> dims) {
  auto function = reinterpret_cast<int64_t (*)(const int64_t *)>(
      lookup(symbol + "." + isa.name + ".tiles"));
  return function(dims.data());
}

KernelFn KernelRunner::getKernel(StringRef symbol) {
  return reinterpret_cast<KernelFn>(lookup(symbol + "." + isa.name));
}

/// Runs tiles from `next` on, scratch poisoned before and checked after each.
static void runTiles(KernelFn kernel, ArrayRef<void *> args,
                     ArrayRef<int64_t> dims, ArrayRef<int64_t> order,
                     std::atomic<size_t> &next, size_t scratchBytes) {
  Buffer<uint8_t> scratch(scratchBytes + 64);
  for (size_t i; (i = next++) < order.size();) {
    memset(scratch.data(), 0xff, scratch.size());
    kernel(args.data(), dims.data(), order[i], scratch.data());
    for (size_t j = scratchBytes; j < scratch.size(); ++j)
      ASSERT_EQ(scratch[j], 0xff) << "write beyond the scratch";
  }
}

void KernelRunner::run(StringRef symbol, ArrayRef<void *> args,
                       ArrayRef<int64_t> dims, int threads, unsigned seed) {
  KernelFn kernel = getKernel(symbol);
  std::vector<int64_t> order(tiles(symbol, dims));
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = static_cast<int64_t>(i);
  if (threads)
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  std::atomic<size_t> next(0);
  std::vector<std::thread> pool;
  for (int i = 1; i < threads; ++i)
    pool.emplace_back([&] {
      runTiles(kernel, args, dims, order, next, limits.scratchBytes);
    });
  runTiles(kernel, args, dims, order, next, limits.scratchBytes);
  for (std::thread &thread : pool)
    thread.join();
}

double KernelRunner::time(StringRef symbol, ArrayRef<void *> args,
                          ArrayRef<int64_t> dims, int repeats) {
  KernelFn kernel = getKernel(symbol);
  int64_t count = tiles(symbol, dims);
  Buffer<uint8_t> scratch(limits.scratchBytes + 64);
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    double start = getThreadSeconds();
    for (int64_t tile = 0; tile < count; ++tile)
      kernel(args.data(), dims.data(), tile, scratch.data());
    best = std::min(best, getThreadSeconds() - start);
  }
  return best;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

double ds::cpu::getThreadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) * 1e-9;
}

std::string ds::cpu::withWidth(std::string text, int64_t width) {
  size_t at;
  while ((at = text.find('W')) != std::string::npos)
    text.replace(at, 1, std::to_string(width));
  return text;
}

std::vector<Variant> ds::cpu::getRunnableVariants() {
  std::vector<Variant> result;
  for (int i = 0; i <= static_cast<int>(getHostVariant()); ++i)
    result.push_back(static_cast<Variant>(i));
  if (getHostVariant() >= Variant::Avx512Bf16)
    result.push_back(Variant::AmxEmulated);
  return result;
}

uint16_t ds::cpu::toBf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float ds::cpu::fromBf16(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}
