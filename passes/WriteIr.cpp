//===- WriteIr.cpp - Writes the module to a file --------------------------===//
#include "passes/Passes.h"
#include "llvm/Support/FileSystem.h"

namespace ds {
#define GEN_PASS_DEF_WRITEIR
#include "passes/Passes.h.inc"
} // namespace ds

using namespace ds;

/// Writes under a temporary name and renames, so that a file is whole.
static llvm::Error writeModule(ModuleOp module, StringRef path) {
  return llvm::writeToOutput(path, [&](raw_ostream &stream) {
    module.print(stream);
    stream << "\n";
    return llvm::Error::success();
  });
}

namespace {
struct WriteIr : ds::impl::WriteIrBase<WriteIr> {
  using WriteIrBase::WriteIrBase;
  void runOnOperation() override {
    if (llvm::Error error = writeModule(getOperation(), path)) {
      getOperation()->emitError() << "cannot write '" << path
                                  << "': " << llvm::toString(std::move(error));
      signalPassFailure();
    }
    markAllAnalysesPreserved();
  }
};
} // namespace
