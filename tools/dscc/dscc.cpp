//===- dscc.cpp - The compiler's command ----------------------------------===//
#include "tools/dscc/Options.h"
#include "tools/dscc/Pipeline.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"

static char anchor;

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  std::string executable =
      llvm::sys::fs::getMainExecutable(argv[0], &anchor);
  return ds::runCompiler(ds::parseOptions(argc, argv), executable);
}
