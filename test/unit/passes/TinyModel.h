//===- TinyModel.h - test/passes/Inputs/tiny.mlir, planned ------*- C++ -*-===//
#ifndef DS_TEST_UNIT_PASSES_TINYMODEL_H
#define DS_TEST_UNIT_PASSES_TINYMODEL_H
#include "mlir/Parser/Parser.h"
#include "passes/Manifest.h"
#include "passes/Passes.h"
#include "passes/Phases.h"
#include <gtest/gtest.h>

namespace ds::test {

/// The module after all phases, and its plan.
struct TinyModel {
  TinyModel() {
    DialectRegistry registry;
    registerToolDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    module = parseSourceFile<ModuleOp>(TINY_MODEL, &context);
    PassManager manager(&context);
    buildPipeline(manager, Phase::Schedule);
    if (!module || failed(manager.run(*module)))
      return;
    FailureOr<MemoryPlan> planned = planMemory(*module);
    if (succeeded(planned))
      plan = std::move(*planned);
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  MemoryPlan plan;
};

} // namespace ds::test
#endif
