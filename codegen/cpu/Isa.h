//===- Isa.h - Variants of CPU code -----------------------------*- C++ -*-===//
//
// What a variant of the generated code may use. Every kernel is emitted once
// for each variant of the artifact; the runtime picks one when it loads.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_ISA_H
#define DS_CODEGEN_CPU_ISA_H
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>

namespace ds {
namespace cpu {

/// A variant of the code, in order of preference from the last to the first.
/// `AmxEmulated` is for tests: the code of `Amx` where there are no tiles.
enum class Variant { Avx2, Avx512, Avx512Bf16, Amx, AmxEmulated };

/// What the generators may use and what LLVM is told.
struct Isa {
  Variant variant;
  llvm::StringRef name;     ///< "avx2", "avx512", "avx512bf16", "amx".
  llvm::StringRef cpu;      ///< LLVM's -mcpu.
  llvm::StringRef features; ///< LLVM's -mattr on top.
  bool wide;                ///< 512-bit registers: 16 f32 in one, 32 of them.
  bool bf16Dot;             ///< vdpbf16ps.
  bool bytePermute;         ///< vpermi2b.
  bool tiles;               ///< tdpbf16ps.
  bool emulatesTiles = false; ///< Tiles are memory, see Tiles.h.

  /// Registers of 16 f32 that code may keep busy.
  int64_t registers() const { return wide ? 32 : 8; }
};

/// Returns the description of `variant`.
const Isa &getIsa(Variant variant);

/// Returns the best variant that this machine runs.
Variant getHostVariant();

/// Parses a comma-separated list of variant names; "native" is this machine's
/// best, "all" every variant. The result is in order of preference, without
/// duplicates.
llvm::Expected<llvm::SmallVector<Variant>> parseVariants(llvm::StringRef list);

} // namespace cpu
} // namespace ds
#endif
