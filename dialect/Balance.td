//===- Balance.td - Losses and updates that balance experts ---------------===//
#ifndef DS_DIALECT_BALANCE_TD
#define DS_DIALECT_BALANCE_TD
include "dialect/Moe.td"
include "dialect/KernelMoe.td"
include "dialect/Training.td"

//===----------------------------------------------------------------------===//
// Terms of the loss
//===----------------------------------------------------------------------===//

def AuxiliaryOp : Ds_Op<"auxiliary", []> {
  let summary = "Adds a term to the loss of a training step";
  let description = [{
    The sum over the rows, of every layer that runs, is added to the loss and
    reported by its name. `ds-differentiate` begins with its gradient, 1, and
    removes the operation; entries that serve never have it.

    ```mlir
    ds.auxiliary "balance", %x, %s : tensor<?x1xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, Ds_RowValue:$rows, Ds_SeqType:$seq);
  let assemblyFormat = "$name `,` $rows `,` $seq attr-dict `:` type($rows)";
}

def ExpertLoadOp : Ds_Op<"expert_load", [Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "How much of their share experts get, 1 being an even load";
  let description = [{
    Row t has the load of every expert among the tokens of the step, or with
    `per_sequence` among those of t's sequence: groups / (expected T) n, T being
    these tokens and n the picks of the expert's group, of `groups` equal runs
    of experts. With `distinct`, n counts a token once for a group. It has no
    gradient. f_i of DeepSeekMoE, arXiv 2401.06066, eq. 13 (groups of one
    expert, `expected` picks a token) and eq. 16 (groups by device); f''_i of
    DeepSeek-V2, arXiv 2405.04434, eq. 30 (`distinct`, `expected` devices a
    token).

    ```mlir
    %f = ds.expert_load %p, %s groups 4 expected 2 distinct per_sequence
        : tensor<?x3xi32> -> tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Ds_Picks:$picks, Ds_SeqType:$seq, I64Attr:$groups,
                       I64Attr:$expected, UnitAttr:$distinct,
                       UnitAttr:$per_sequence);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $picks `,` $seq `groups` $groups `expected` $expected
    (`distinct` $distinct^)? (`per_sequence` $per_sequence^)? attr-dict `:`
    type($picks) `->` type($result)
  }];
  let hasVerifier = 1;
}

def DotColumnsOp : Ds_Op<"dot_columns", [Pure, SameTypeOperands,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The sum over columns of a b, times a number";
  let description = [{
    In f32, the sum as that of `ds.row_reduce`.

    ```mlir
    %y = ds.dot_columns %a, %b scale 1.0e-3 : tensor<?x16xf32> -> tensor<?x1xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$left, Ds_Scores:$right, F64Attr:$scale);
  let results = (outs Ds_RowValue:$result);
  let assemblyFormat = [{
    $left `,` $right `scale` $scale attr-dict `:` type($left) `->` type($result)
  }];
}

def ScaleColumnsOp : Ds_Op<"scale_columns", [Pure,
    AllTypesMatch<["input", "result"]>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Every row times its own number and a number for all";
  let description = [{
    ```mlir
    %y = ds.scale_columns %x, %g scale 1.0e-3
        : (tensor<?x16xf32>, tensor<?x1xf32>) -> tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$input, Ds_RowValue:$factor, F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $input `,` $factor `scale` $scale attr-dict `:`
    functional-type(operands, results)
  }];
}

def NormaliseOp : Ds_Op<"normalise", [Pure, SameOperandsAndResultType,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "x / sum of x over every row";
  let description = [{
    ```mlir
    %y = ds.normalise %x : tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$input);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def NormaliseBackwardOp : Ds_Op<"normalise_backward", [Pure,
    SameOperandsAndResultType, DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The gradient of what ds.normalise takes";
  let description = [{
    (dy - sum of dy y) / S with y = x / S, S being the sum of x.

    ```mlir
    %dx = ds.normalise_backward %x, %dy : tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$input, Ds_Scores:$outputGradient);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = "$input `,` $outputGradient attr-dict `:` type($result)";
}

//===----------------------------------------------------------------------===//
// The update of a router's bias
//===----------------------------------------------------------------------===//

def AccumulatePicksOp : Ds_Op<"accumulate_picks", [
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Adds to how often every expert was picked";
  let description = [{
    The counts of a batch are kept where the gradient of the router's bias would
    be, exact up to 2^24 picks of an expert.

    ```mlir
    ds.accumulate_picks %g, %p : tensor<16xf32>, tensor<?x3xi32>
    ```
  }];
  let arguments = (ins Ds_Gradient:$counts, Ds_Picks:$picks);
  let assemblyFormat = "$counts `,` $picks attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def BalanceStepOp : Ds_Op<"balance_step", [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Moves a router's bias towards an even load";
  let description = [{
    b += rate sign(mean load - load), the loads being the counts of the batch.
    DeepSeek-V3, arXiv 2412.19437, section 2.1.2; Wang et al., arXiv 2408.15664,
    algorithm 1.

    ```mlir
    ds.balance_step @layer.experts.bias rate 1.0e-3
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight, F64Attr:$rate);
  let assemblyFormat = "$weight `rate` $rate attr-dict";
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

def KernelExpertLoadOp : Ds_KernelOp<"expert_load", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "How much of their share experts get";
  let description = [{
    As `ds.expert_load`. A tile is the step, or with `per_sequence` a sequence.

    ```mlir
    %f = ds.kernel.expert_load @expert_load %p, %s groups 16 expected 3
        : tensor<?x3xi32> -> tensor<?x16xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Picks:$picks,
                       Ds_SeqType:$seq, I64Attr:$groups, I64Attr:$expected,
                       UnitAttr:$distinct, UnitAttr:$per_sequence);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $sym_name $picks `,` $seq `groups` $groups `expected` $expected
    (`distinct` $distinct^)? (`per_sequence` $per_sequence^)? attr-dict `:`
    type($picks) `->` type($result)
  }];
}

def KernelAccumulatePicksOp : Ds_KernelOp<"accumulate_picks", [
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Adds to how often every expert was picked";
  let description = [{
    As `ds.accumulate_picks`; one tile.

    ```mlir
    ds.kernel.accumulate_picks @accumulate_picks %p into %g
        : tensor<?x3xi32> -> tensor<16xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Picks:$picks,
                       TensorRankOf<[F32], [1]>:$counts);
  let assemblyFormat = [{
    $sym_name $picks `into` $counts attr-dict `:` type($picks) `->`
    type($counts)
  }];
}

def KernelBalanceStepOp : Ds_KernelOp<"balance_step", [
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Moves a router's bias towards an even load";
  let description = [{
    As `ds.balance_step`, in f32: the mean is the sum of the counts, on 16 lanes
    and one tree, divided by their number. One tile. The new bias is stored to
    `master` and to the packed weight.

    ```mlir
    ds.kernel.balance_step @balance_step %b, %g, %w rate 1.0e-3
        : tensor<16xf32>, tensor<16xf32>, tensor<16xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       TensorRankOf<[F32], [1]>:$master,
                       TensorRankOf<[F32], [1]>:$counts,
                       TensorRankOf<[F32], [1]>:$packed, F64Attr:$rate);
  let assemblyFormat = [{
    $sym_name $master `,` $counts `,` $packed `rate` $rate attr-dict `:`
    type(operands)
  }];
}
#endif
