//===- Assembler.h - Assembles PTX and looks at the code --------*- C++ -*-===//
#ifndef DS_TEST_UNIT_GPU_ASSEMBLER_H
#define DS_TEST_UNIT_GPU_ASSEMBLER_H
#include <map>
#include <string>

namespace ds::gpu {

/// What ptxas made of a kernel.
struct Assembled {
  bool good = false;
  std::string log;
  int registers = -1, spilledBytes = -1;
  /// How often each operation is in the machine code, by the low 12 bits of
  /// its instructions.
  std::map<int, int> operations;
};

/// Operations of sm_90a, as in Assembled.
constexpr int kWgmma = 0x9f0, kTmaLoad = 0x5b4, kSetRegisters = 0x9c8;

/// Tells whether there is an assembler.
bool haveAssembler();

/// Assembles `ptx` for `chip`.
Assembled assemble(const std::string &ptx, const std::string &chip);

} // namespace ds::gpu
#endif
