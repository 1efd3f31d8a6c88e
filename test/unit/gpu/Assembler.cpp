//===- Assembler.cpp - Assembles PTX and looks at the code ----------------===//
#include "test/unit/gpu/Assembler.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Object/ELF.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <regex>

using namespace ds::gpu;

bool ds::gpu::haveAssembler() {
  return *DS_PTXAS && llvm::sys::fs::can_execute(DS_PTXAS);
}

/// Counts the operations of a cubin: every instruction is 16 bytes long.
static std::map<int, int> countOperations(llvm::StringRef cubin) {
  std::map<int, int> counts;
  auto file = llvm::object::ELF64LEFile::create(cubin);
  if (!file)
    return llvm::consumeError(file.takeError()), counts;
  auto sections = file->sections();
  if (!sections)
    return llvm::consumeError(sections.takeError()), counts;
  for (const auto &section : *sections) {
    auto name = file->getSectionName(section);
    auto bytes = file->getSectionContents(section);
    if (!name || !bytes) {
      llvm::consumeError(name.takeError());
      llvm::consumeError(bytes.takeError());
      continue;
    }
    if (!name->starts_with(".text."))
      continue;
    for (size_t i = 0; i + 16 <= bytes->size(); i += 16)
      ++counts[(*bytes)[i] | ((*bytes)[i + 1] & 15) << 8];
  }
  return counts;
}

/// Returns the number that `pattern` captures in `text`, or -1.
static int findNumber(const std::string &text, const char *pattern) {
  std::smatch match;
  if (!std::regex_search(text, match, std::regex(pattern)))
    return -1;
  return std::stoi(match[1]);
}

static std::string readFile(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().str() : std::string();
}

Assembled ds::gpu::assemble(const std::string &ptx, const std::string &chip) {
  llvm::SmallString<128> source, object, log;
  llvm::sys::fs::createTemporaryFile("ds", "ptx", source);
  llvm::sys::fs::createTemporaryFile("ds", "cubin", object);
  llvm::sys::fs::createTemporaryFile("ds", "log", log);
  llvm::scope_exit remove([&] {
    for (llvm::StringRef path : {source, object, log})
      llvm::sys::fs::remove(path);
  });
  std::error_code error;
  llvm::raw_fd_ostream(source, error) << ptx;
  std::optional<llvm::StringRef> redirects[] = {std::nullopt, log, log};
  Assembled result;
  result.good = !llvm::sys::ExecuteAndWait(
      DS_PTXAS, {DS_PTXAS, "-arch", chip, "-O3", "-v", source, "-o", object},
      std::nullopt, redirects);
  result.log = readFile(log);
  result.registers = findNumber(result.log, "Used ([0-9]+) registers");
  result.spilledBytes = findNumber(result.log, "([0-9]+) bytes spill stores");
  result.operations = countOperations(readFile(object));
  return result;
}
