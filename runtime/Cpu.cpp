//===- Cpu.cpp - What this CPU runs ---------------------------------------===//
#include "runtime/Cpu.h"

#include <algorithm>
#include <cpuid.h>
#include <cstdint>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>

using namespace ds::runtime;

static const char *const preference[] = {"amx", "avx512bf16", "avx512", "avx2"};

namespace {
/// The four registers that one CPUID leaf returns.
struct Leaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  Leaf(unsigned leaf, unsigned subleaf) {
    __get_cpuid_count(leaf, subleaf, &eax, &ebx, &ecx, &edx);
  }
};
} // namespace

static bool bit(unsigned word, unsigned index) { return word >> index & 1; }

/// Returns XCR0: which register states the operating system keeps.
static uint64_t readXcr0() {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

/// Asks the kernel for the state of AMX's tiles.
static bool requestTiles() {
  constexpr int requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

CpuFeatures CpuFeatures::ofHost() {
  CpuFeatures cpu;
  Leaf basic(1, 0), extended(7, 0), more(7, 1), amd(0x80000001, 0);
  bool osxsave = bit(basic.ecx, 27);
  uint64_t xcr0 = osxsave ? readXcr0() : 0;
  bool ymm = (xcr0 & 0x6) == 0x6, zmm = (xcr0 & 0xe6) == 0xe6;
  bool tiles = (xcr0 & 0x60000) == 0x60000;
  cpu.avx2 = ymm && bit(basic.ecx, 12) && bit(basic.ecx, 22) &&
             bit(basic.ecx, 29) && bit(extended.ebx, 3) &&
             bit(extended.ebx, 5) && bit(extended.ebx, 8) && bit(amd.ecx, 5);
  cpu.avx512 = cpu.avx2 && zmm && bit(extended.ebx, 16) &&
               bit(extended.ebx, 17) && bit(extended.ebx, 28) &&
               bit(extended.ebx, 30) && bit(extended.ebx, 31);
  bool vbmi = bit(extended.ecx, 1);
  cpu.avx512bf16 = cpu.avx512 && vbmi && bit(more.eax, 5);
  cpu.amx = cpu.avx512bf16 && tiles && bit(extended.edx, 22) &&
            bit(extended.edx, 24) && requestTiles();
  return cpu;
}

bool CpuFeatures::supports(const std::string &variant) const {
  return (variant == "avx2" && avx2) || (variant == "avx512" && avx512) ||
         (variant == "avx512bf16" && avx512bf16) || (variant == "amx" && amx);
}

static std::string list(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

std::string CpuFeatures::describe() const {
  std::vector<std::string> names;
  for (const char *name : preference)
    if (supports(name))
      names.insert(names.begin(), name);
  return list(names);
}

Result<std::string>
ds::runtime::chooseVariant(const std::vector<std::string> &available,
                           const CpuFeatures &cpu, const std::string &forced) {
  auto has = [&](const std::string &name) {
    return std::find(available.begin(), available.end(), name) !=
           available.end();
  };
  if (!forced.empty() && !has(forced))
    return failure("the artifact has no variant '", forced, "'; it has ",
                   list(available));
  if (!forced.empty() && !cpu.supports(forced))
    return failure("this CPU does not run the variant '", forced, "'; it runs ",
                   cpu.describe());
  if (!forced.empty())
    return forced;
  for (const char *name : preference)
    if (has(name) && cpu.supports(name))
      return std::string(name);
  return failure("no variant of the artifact runs on this CPU: the artifact "
                 "has ",
                 list(available), ", the CPU runs ", cpu.describe());
}

FloatState::FloatState() : saved(_mm_getcsr()) {
  constexpr unsigned roundToNearestNoTraps = 0x1f80;
  _mm_setcsr(roundToNearestNoTraps);
}

FloatState::~FloatState() { _mm_setcsr(saved); }

int ds::runtime::countCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0)
    return 1;
  return std::max(1, CPU_COUNT(&set));
}
