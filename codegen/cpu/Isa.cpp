//===- Isa.cpp - Variants of CPU code -------------------------------------===//
#include "codegen/cpu/Isa.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

using namespace ds::cpu;

// All variants: LLVM's name of a masked CPU model cannot be trusted, so the
// target follows from features alone.
static const Isa kIsas[] = {
    {Variant::Avx2, "avx2", "x86-64-v3", "", false, false, false, false},
    {Variant::Avx512, "avx512", "x86-64-v4", "", true, false, false, false},
    {Variant::Avx512Bf16, "avx512bf16", "x86-64-v4", "+avx512bf16,+avx512vbmi",
     true, true, true, false},
    {Variant::Amx, "amx", "x86-64-v4",
     "+avx512bf16,+avx512vbmi,+amx-tile,+amx-bf16,+amx-int8", true, true, true,
     true},
};

static const Isa kEmulated = {Variant::AmxEmulated,
                              "amx_emulated",
                              "x86-64-v4",
                              "+avx512bf16,+avx512vbmi",
                              true,
                              true,
                              true,
                              true,
                              true};

const Isa &ds::cpu::getIsa(Variant variant) {
  if (variant == Variant::AmxEmulated)
    return kEmulated;
  return kIsas[static_cast<int>(variant)];
}

Variant ds::cpu::getHostVariant() {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  auto has = [&](llvm::StringRef name) { return features.lookup(name); };
  bool v4 = has("avx512f") && has("avx512bw") && has("avx512dq") &&
            has("avx512vl") && has("avx512cd");
  if (!v4)
    return Variant::Avx2;
  if (!has("avx512bf16") || !has("avx512vbmi"))
    return Variant::Avx512;
  return has("amx-tile") && has("amx-bf16") ? Variant::Amx
                                            : Variant::Avx512Bf16;
}

llvm::Expected<llvm::SmallVector<Variant>>
ds::cpu::parseVariants(llvm::StringRef list) {
  bool chosen[std::size(kIsas)] = {};
  llvm::SmallVector<llvm::StringRef> names;
  list.split(names, ',');
  for (llvm::StringRef name : names) {
    if (name == "native") {
      chosen[static_cast<int>(getHostVariant())] = true;
      continue;
    }
    bool known = name == "all";
    for (const Isa &isa : kIsas)
      if (name == "all" || name == isa.name)
        known = chosen[static_cast<int>(isa.variant)] = true;
    if (!known)
      return llvm::createStringError(
          "unknown CPU variant '" + name +
          "'; expects native, all or a list of avx2, avx512, avx512bf16, amx");
  }
  llvm::SmallVector<Variant> result;
  for (const Isa &isa : llvm::reverse(kIsas))
    if (chosen[static_cast<int>(isa.variant)])
      result.push_back(isa.variant);
  return result;
}
