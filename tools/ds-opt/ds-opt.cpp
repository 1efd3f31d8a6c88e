//===- ds-opt.cpp - mlir-opt that knows ds --------------------------------===//
#include "dialect/Dialect.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "passes/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  ds::registerToolDialects(registry);
  mlir::registerTransformsPasses();
  ds::registerAllDsPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "ds optimiser\n", registry));
}
