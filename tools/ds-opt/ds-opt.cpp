//===- ds-opt.cpp - mlir-opt that knows ds --------------------------------===//
#include "dialect/Dialect.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "passes/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<ds::DsDialect, mlir::arith::ArithDialect,
                  mlir::func::FuncDialect, mlir::math::MathDialect,
                  mlir::scf::SCFDialect, mlir::tensor::TensorDialect,
                  mlir::vector::VectorDialect, mlir::LLVM::LLVMDialect>();
  mlir::registerTransformsPasses();
  ds::registerAllDsPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "ds optimiser\n", registry));
}
