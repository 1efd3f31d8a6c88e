//===- Interfaces.td - What an operation tells the passes -----------------===//
#ifndef DS_DIALECT_INTERFACES_TD
#define DS_DIALECT_INTERFACES_TD
include "mlir/IR/OpBase.td"

def DecompositionInterface : OpInterface<"DecompositionInterface"> {
  let cppNamespace = "::ds";
  let description = [{
    The meaning of an operation in smaller operations. The result is equal to
    the bit, rounding points included.
  }];
  let methods = [InterfaceMethod<
    "Builds the smaller operations before this one and returns one value for "
    "each result.",
    "::llvm::FailureOr<::llvm::SmallVector<::mlir::Value>>", "decompose",
    (ins "::mlir::OpBuilder &":$builder)>];
}

def MeaningInterface : OpInterface<"MeaningInterface"> {
  let cppNamespace = "::ds";
  let description = [{
    What an operation computes, in scalar loops without regard to speed. `dscc
    --reference` makes its artifact of these, and `dsrun verify` compares what
    other artifacts compute with it.
  }];
  let methods = [InterfaceMethod<
    "Builds what becomes of one row of the results.", "void", "buildMeaning",
    (ins "::ds::Meaning &":$meaning)>];
}

def CostInterface : OpInterface<"CostInterface"> {
  let cppNamespace = "::ds";
  let description = [{
    What one execution costs, for a step of `tokens` tokens whose sequences
    hold `cached` positions each (this step included).
  }];
  let methods = [InterfaceMethod<
    "Returns FLOPs, bytes of weights, of activations and of state moved.",
    "::ds::Cost", "getCost", (ins "::ds::StepShape":$step)>];
}

def DifferentiableInterface : OpInterface<"DifferentiableInterface"> {
  let cppNamespace = "::ds";
  let description = [{
    The derivative. Given the gradients of the results, builds the gradients
    of the operands (null where none flows) out of ds operations.
  }];
  let methods = [InterfaceMethod<
    "Builds the backward operations and returns one value for each operand.",
    "::llvm::FailureOr<::llvm::SmallVector<::mlir::Value>>", "buildBackward",
    (ins "::mlir::OpBuilder &":$builder,
         "::mlir::ValueRange":$resultGradients)>];
}

def RowsInterface : OpInterface<"RowsInterface"> {
  let cppNamespace = "::ds";
  let description = [{
    An operation whose matrix results have other rows than its first matrix
    operand, or than its sequences where it has none.
  }];
  let methods = [InterfaceMethod<
    "Returns the symbol of the rows of result `index`, as "
    "KernelInterface::getRowSymbol does.",
    "::llvm::StringRef", "getResultRows", (ins "unsigned":$index)>];
}

def KernelInterface : OpInterface<"KernelInterface"> {
  let cppNamespace = "::ds";
  let description = [{
    A kernel: one member of a kernel family. Its launch passes one pointer for
    every operand in order, then one for every tensor result in order. State
    results live in their operand's memory.
  }];
  let methods = [
    InterfaceMethod<"Returns the name of the kernel's symbol.",
      "::llvm::StringRef", "getKernelName", (ins), [{
        return $_op.getSymName();
      }]>,
    InterfaceMethod<"Returns the symbol of rows that the tensor result has: "
      "\"T\" tokens, \"R\" rows whose logits are asked for, \"P\" prompt "
      "tokens, \"G\" generated tokens, \"E\" expanded positions, or a "
      "multiple, \"T*6\". A launch has as many rows.",
      "::llvm::StringRef", "getRowSymbol", (ins), [{}], [{
        return ::ds::findRowSymbol($_op);
      }]>,
    InterfaceMethod<"Returns whether result `i` may share operand `j`'s "
      "memory when that operand dies here.",
      "bool", "canReuseOperand",
      (ins "unsigned":$operand, "unsigned":$result), [{}],
      [{ return false; }]>];
}
#endif
