//===- Passes.td - Passes of the compiler ---------------------------------===//
#ifndef DS_PASSES_PASSES_TD
#define DS_PASSES_PASSES_TD
include "mlir/Pass/PassBase.td"

def FuseProjections : Pass<"ds-fuse-projections", "::mlir::ModuleOp"> {
  let summary = "One product for linears of one input";
  let description = [{
    Linears that read the same value, have the same element types and the same
    layers become one product over a weight that is the concatenation of
    theirs; each result is a slice of its columns. Bit-preserving: a column of
    a product does not depend on its neighbours.
  }];
  let statistics = [Statistic<"fused", "fused", "Linears that were fused">];
}

def FuseSwiglu : Pass<"ds-fuse-swiglu", "::mlir::ModuleOp"> {
  let summary = "Gate, up and SwiGLU in one product";
  let description = [{
    `swiglu(linear(x, gate), linear(x, up))` becomes `ds.gated_linear` over a
    paired weight, in whose epilogue gate and up are rounded as before.
    Bit-preserving.
  }];
  let statistics = [Statistic<"fused", "fused", "SwiGLUs that were fused">];
}

def FuseRopeAppend : Pass<"ds-fuse-rope-append", "::mlir::ModuleOp"> {
  let summary = "Rotation and appends of one projection in one pass";
  let description = [{
    Where queries, keys and values are slices of one projection, in this
    order, and queries and keys are rotated alike, `ds.rope_append` does all
    of it. Bit-preserving.
  }];
  let statistics = [Statistic<"fused", "fused", "Attentions that were fused">];
}

def RemoveDeadWeights : Pass<"ds-remove-dead-weights", "::mlir::ModuleOp"> {
  let summary = "Drops declared weights that nothing uses";
  let statistics = [Statistic<"removed", "removed", "Weights removed">];
}

def FormKernels : Pass<"ds-form-kernels", "::mlir::ModuleOp"> {
  let summary = "Every operation becomes a kernel";
  let description = [{
    Chooses the layout of every weight and turns each ds operation into a
    member of a kernel family. A residual addition whose operand is a product
    moves into the product's epilogue. Afterwards functions hold only kernels,
    weights and runs.
  }];
  let dependentDialects = ["::mlir::math::MathDialect"];
}
#endif
