//===- Core.td - Embedding, linear, norms, SwiGLU -------------------------===//
#ifndef DS_DIALECT_CORE_TD
#define DS_DIALECT_CORE_TD
include "dialect/Types.td"

def EmbeddingOp : Ds_Op<"embedding", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The embedding of every token of the step";
  let description = [{
    Rows of the table by token, exact.

    ```mlir
    %x = ds.embedding %table, %s : tensor<301x74xbf16> -> tensor<?x74xf32>
    ```
  }];
  let arguments = (ins Ds_WeightTensor:$table, Ds_SeqType:$seq);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat =
      "$table `,` $seq attr-dict `:` type($table) `->` type($result)";
  let hasVerifier = 1;
}

def LinearOp : Ds_Op<"linear", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "x W^T + b";
  let description = [{
    x is [T, K], W is [N, K] as checkpoints store it, b is [N]. The sum is
    taken in f32 over K in order, the bias added in f32, and the result
    rounded once to its element type.

    With `routed`, W is [experts, N, K] and the result has routed rows, each the
    product with its expert's matrix. x has routed rows or, with `gathered`, a
    row for each token, which its picks share. DeepSeekMoE, arXiv 2401.06066,
    eq. 3.

    ```mlir
    %y = ds.linear %x, %w : (tensor<?x64xbf16>, tensor<96x64xbf16>) -> tensor<?x96xbf16>
    %z = ds.linear %x, %we routed %r : !ds.routing<experts = 16, picks = 3> gathered
        : (tensor<?x64xbf16>, tensor<16x32x64xbf16>) -> tensor<?x32xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$weight,
                       Optional<Ds_WeightTensor>:$bias,
                       Optional<Ds_RoutingType>:$routing, UnitAttr:$gathered);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)?
    (`routed` $routing^ `:` type($routing) (`gathered` $gathered^)?)? attr-dict
    `:` `(` type($input) `,` type($weight) (`,` type($bias)^)? `)` `->`
    type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$input,
      "::mlir::Value":$weight, CArg<"::mlir::Value", "{}">:$bias), [{
    build($_builder, $_state, result, input, weight, bias, ::mlir::Value(),
          false);
  }]>];
  let hasVerifier = 1;
}

def GatedLinearOp : Ds_Op<"gated_linear", [Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<DecompositionInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "silu(x Wg^T) * (x Wu^T) in one product";
  let description = [{
    The weight holds gate rows, then up rows, and is declared `paired`. Both
    products are rounded to the result's element type before SwiGLU, as the
    separate operations would. `routed` is as in `ds.linear`.

    ```mlir
    %y = ds.gated_linear %x, %w : (tensor<?x64xbf16>, tensor<352x64xbf16>) -> tensor<?x176xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$weight,
                       Optional<Ds_RoutingType>:$routing, UnitAttr:$gathered);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $weight
    (`routed` $routing^ `:` type($routing) (`gathered` $gathered^)?)? attr-dict
    `:` `(` type($input) `,` type($weight) `)` `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$input,
      "::mlir::Value":$weight), [{
    build($_builder, $_state, result, input, weight, ::mlir::Value(), false);
  }]>];
  let hasVerifier = 1;
}

def RmsNormOp : Ds_Op<"rms_norm", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "g x / sqrt(mean(x^2) + eps)";
  let description = [{
    The mean is taken in f32 on 16 lanes, lane j holding columns congruent to
    j, which are added as one tree. Zhang and Sennrich, arXiv 1910.07467.

    ```mlir
    %y = ds.rms_norm %x, %g eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$weight, F64Attr:$eps);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $weight `eps` $eps attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LayerNormOp : Ds_Op<"layer_norm", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "g (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) + b";
  let description = [{
    Both means are taken as that of `ds.rms_norm`; rounded once. Ba et al.,
    arXiv 1607.06450.

    ```mlir
    %y = ds.layer_norm %x, %g, %b eps 1.0e-6
        : (tensor<?x64xbf16>, tensor<64xbf16>, tensor<64xbf16>) -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$weight,
                       Ds_WeightTensor:$bias, F64Attr:$eps);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $weight `,` $bias `eps` $eps attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def SwigluOp : Ds_Op<"swiglu", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure, SameOperandsAndResultType,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "silu(gate) * up";
  let description = [{
    Computed in f32, rounded once. silu(x) = x / (1 + exp(-x)).

    ```mlir
    %y = ds.swiglu %gate, %up : tensor<?x176xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$gate, Ds_Matrix:$up);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type($result)";
}

def SelectRowsOp : Ds_Op<"select_rows", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure, AllTypesMatch<["input", "result"]>,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "The rows whose logits are asked for";
  let description = [{
    Row r of the result is row out_rows[r] of the input.

    ```mlir
    %y = ds.select_rows %x, %s : tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_SeqType:$seq);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$input `,` $seq attr-dict `:` type($result)";
}
#endif
