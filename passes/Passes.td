//===- Passes.td - Passes of the ds dialect -------------------------------===//
#ifndef DS_PASSES_PASSES_TD
#define DS_PASSES_PASSES_TD
include "mlir/Pass/PassBase.td"

class Ds_Pass<string flag> : Pass<flag, "::mlir::ModuleOp"> {
  let dependentDialects = ["::ds::DsDialect"];
}

//===----------------------------------------------------------------------===//
// simplify
//===----------------------------------------------------------------------===//

def NameValues : Ds_Pass<"ds-name-values"> {
  let summary = "Gives every value of the graph a name";
  let description = [{
    Locations of operations that make activations, routings or versions of
    states become names, "layer/ds.linear@12:3" for the line and column of the
    text, the second at a place with "#2". Kernels made of such operations carry them, and
    the manifest says which of its buffers and states hold what, so that `dsrun
    verify` can compare two artifacts of one text.
  }];
  let statistics = [Statistic<"named", "named", "Operations named">];
}

def RemoveDeadWeights : Ds_Pass<"ds-remove-dead-weights"> {
  let summary = "Removes weights that nothing reads";
  let description = [{
    A `ds.get_weight` without uses goes first, then every `ds.weight` that no
    `ds.get_weight` names. Bit-preserving.
  }];
  let statistics = [Statistic<"removed", "removed", "Weights removed">];
}

//===----------------------------------------------------------------------===//
// numerics
//===----------------------------------------------------------------------===//

def AbsorbMla : Ds_Pass<"ds-absorb-mla"> {
  let summary = "Gives latent attention its forms, by a token's role";
  let description = [{
    A `ds.mla_attend` becomes two attentions. Of prompt tokens, keys and values
    of all positions are expanded by the projection into state of the step
    alone, over which every head attends. Queries of generated tokens are
    multiplied by the projection's key rows instead and attend to what is kept,
    one key head for all, whose first columns are the values; the results are
    multiplied by the value rows. Meaning-changing: the forms round at
    different places. Where a head's rows are not whole panels, the projection
    gets `row_groups`.

    DeepSeek-V2, arXiv 2405.04434, appendix C.
  }];
  let statistics = [Statistic<"absorbed", "absorbed", "Attentions rewritten">];
}

//===----------------------------------------------------------------------===//
// optimise
//===----------------------------------------------------------------------===//

def FuseSwiglu : Ds_Pass<"ds-fuse-swiglu"> {
  let summary = "Makes one product of gate, up and SwiGLU";
  let description = [{
    Two `ds.linear` of one input without bias that only a `ds.swiglu` uses
    become a `ds.gated_linear` on a weight that holds both, `paired`.
    Bit-preserving: the gated product rounds as the two did.

    ```mlir
    %g = ds.linear %x, %wg : (tensor<?x64xbf16>, tensor<176x64xbf16>) -> tensor<?x176xbf16>
    %u = ds.linear %x, %wu : (tensor<?x64xbf16>, tensor<176x64xbf16>) -> tensor<?x176xbf16>
    %y = ds.swiglu %g, %u : tensor<?x176xbf16>
    // becomes
    %z = ds.gated_linear %x, %w : (tensor<?x64xbf16>, tensor<352x64xbf16>) -> tensor<?x176xbf16>
    ```
    It runs before `ds-fuse-projections`, which would fuse less.
  }];
  let statistics = [Statistic<"fused", "fused", "SwiGLUs fused">];
}

def FuseProjections : Ds_Pass<"ds-fuse-projections"> {
  let summary = "Makes one product of projections of one input";
  let description = [{
    `ds.linear`s of one input, all with or all without a bias, become one on a
    weight that concatenates theirs; their results become slices of its
    columns. Only those are taken whose results go to operations that read
    columns of a wider row at no cost: rope and append. Bit-preserving.

    ```mlir
    %q = ds.linear %x, %wq : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xbf16>
    %k = ds.linear %x, %wk : (tensor<?x64xbf16>, tensor<16x64xbf16>) -> tensor<?x16xbf16>
    // becomes
    %qk = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<80x64xbf16>) -> tensor<?x80xbf16>
    ```
  }];
  let statistics = [Statistic<"fused", "fused", "Projections fused">];
}

def FuseRopeAppend : Ds_Pass<"ds-fuse-rope-append"> {
  let summary = "Rotates queries and keys and appends keys and values at once";
  let description = [{
    Three slices of one projection, of which the first is rotated, the second
    rotated and appended and the third appended, become `ds.rope_append`.
    Bit-preserving.
  }];
  let statistics = [Statistic<"fused", "fused", "Groups fused">];
}

def DecomposeOps : Ds_Pass<"ds-decompose"> {
  let summary = "Replaces fused operations by smaller ones that mean the same";
  let description = [{
    Every operation with a DecompositionInterface becomes what the interface
    builds: the reverse of the fusions, and equal to the bit.
  }];
}

//===----------------------------------------------------------------------===//
// differentiate
//===----------------------------------------------------------------------===//

def FuseLoss : Ds_Pass<"ds-fuse-loss"> {
  let summary = "Makes one operation of the head's product and log_prob";
  let description = [{
    In the entry "train", a `ds.linear` without bias that only a `ds.log_prob`
    reads becomes `ds.linear_log_prob` with it, forward and backward of which
    run over windows of rows: no [R, vocabulary] is ever in memory.
    Bit-preserving.

    ```mlir
    %z = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<301x64xbf16>) -> tensor<?x301xf32>
    %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
    // becomes
    %p, %lse = ds.linear_log_prob %x, %w, %t, %i : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
    ```
  }];
  let statistics = [Statistic<"fused", "fused", "Heads fused">];
}

def Differentiate : Ds_Pass<"ds-differentiate"> {
  let summary = "Adds the backward to the entry \"train\"";
  let description = [{
    Reverse mode from the first result of the entry, the losses of the rows,
    whose sum is the loss. Every operation says by its
    DifferentiableInterface how gradients pass; gradients of weights are added
    to the memory that `ds.get_gradient` names. A layer body becomes
    `.forward` and `.backward`; the backward recomputes what it needs from the
    layer's input, which the forward run keeps as a `!ds.stack`, and reads the
    state that the forward has left. Adds the entry "update": a
    `ds.square_sum` and a `ds.adamw` for every weight that is trained.

    Terms of the loss that the entry or its bodies have (`ds.auxiliary`) are
    differentiated with it, and become results of the entry; entries that serve
    lose them. A body whose router has a bias with a `balance_rate` counts the
    picks in its forward, and "update" has a `ds.balance_step` for it.

    It comes after the fusions, so that a fused projection has one product for
    its input's gradient and one for its weight's. Operations without a
    derivative are errors at their place in the model's text.
  }];
}

def CheckpointActivations : Ds_Pass<"ds-checkpoint-activations"> {
  let summary = "Keeps activations for the backward within a budget";
  let description = [{
    Products and attention that the backward would recompute are kept, those
    first that save most FLOPs for their bytes, while `budget` lasts. Norms,
    SwiGLU and additions are recomputed. Bit-preserving.
  }];
  let options = [Option<"budget", "budget", "int64_t", /*default=*/"-1",
                        "Bytes per token that may be kept; -1: all that saves "
                        "a product or attention">];
  let statistics = [Statistic<"kept", "kept", "Values kept">];
}

//===----------------------------------------------------------------------===//
// schedule
//===----------------------------------------------------------------------===//

def AssignLayouts : Ds_Pass<"ds-assign-layouts"> {
  let summary = "Decides how weights lie in memory";
  let description = [{
    Weights of products are packed in panels of the product's type, vectors
    become f32, and an embedding table stays raw unless it is also the weight
    of a product: tied embeddings share the packed copy. Types of
    `ds.get_weight` follow.
  }];
}

def FormKernels : Ds_Pass<"ds-form-kernels"> {
  let summary = "Turns operations into kernels of the families";
  let description = [{
    One kernel for each operation, with the operation's rounding points in its
    region. Angles of rope are computed once at the start of the entry and
    passed to the bodies as one more tensor after the sequences.
  }];
}

def FormReference : Ds_Pass<"ds-form-reference"> {
  let summary = "Turns operations into kernels that are what they mean";
  let description = [{
    Every operation becomes a `ds.kernel.reference` that holds it; weights are
    `raw`. It takes the place of `ds-assign-layouts` and `ds-form-kernels` in
    `dscc --reference`, and nothing is fused before it.

    ```mlir
    %y = ds.swiglu %g, %u : tensor<?x176xbf16>
    // becomes
    %z = ds.kernel.reference @swiglu(%g, %u) rows "T"
        : (tensor<?x176xbf16>, tensor<?x176xbf16>) -> tensor<?x176xbf16> {
    ^bb0(%a: tensor<?x176xbf16>, %b: tensor<?x176xbf16>):
      %s = ds.swiglu %a, %b : tensor<?x176xbf16>
      ds.yield %s : tensor<?x176xbf16>
    }
    ```
  }];
  let statistics = [Statistic<"formed", "formed", "Kernels formed">];
}

def FuseEpilogues : Ds_Pass<"ds-fuse-epilogues"> {
  let summary = "Moves elementwise kernels into the kernels before them";
  let description = [{
    An elementwise kernel whose operand is used by nothing else joins the
    elementwise kernel or the matmul that makes the operand; its other operands
    become the matmul's extras. So is a residual addition done by the product
    before it. Bit-preserving: the regions are put one after the other,
    roundings included.
  }];
  let statistics = [Statistic<"fused", "fused", "Kernels moved">];
}

def NameKernels : Ds_Pass<"ds-name-kernels"> {
  let summary = "Gives equal kernels one name and others different ones";
  let description = [{
    Kernels are equal if they are the same function of their arguments:
    family, types, attributes and region. The names are `<family>_<stem>`.
  }];
  let statistics = [Statistic<"kernels", "kernels", "Distinct kernels">];
}

def PlanMemory : Ds_Pass<"ds-plan-memory"> {
  let summary = "Places every tensor in the arena";
  let description = [{
    Buffers are shared in place where a kernel allows it and the operand dies;
    then every buffer gets an offset by best fit over lifetimes, the largest
    first. Offsets are linear in T and R, and `ds.arena` is the exact peak.
    Bodies of different runs share the space. What a body returns lies in the
    buffer of its activation, if need be through a copy.
  }];
  let statistics = [
    Statistic<"buffers", "buffers", "Buffers placed">,
    Statistic<"copies", "copies", "Copies inserted">];
}

//===----------------------------------------------------------------------===//
// tools
//===----------------------------------------------------------------------===//

def WriteIr : Ds_Pass<"ds-write-ir"> {
  let summary = "Writes the module to a file";
  let options = [Option<"path", "path", "std::string", /*default=*/"",
                        "File to write">];
}
#endif
