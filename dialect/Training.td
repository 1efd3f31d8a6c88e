//===- Training.td - Losses, derivatives and gradients --------------------===//
#ifndef DS_DIALECT_TRAINING_TD
#define DS_DIALECT_TRAINING_TD
include "dialect/Weights.td"

/// A matrix of one column: one value for each row.
class Ds_Column<Type element, string summary>
    : Type<And<[TensorRankOf<[element], [2]>.predicate,
                CPred<"::llvm::cast<::mlir::RankedTensorType>($_self)"
                      ".getDimSize(1) == 1">]>,
           summary, "::mlir::RankedTensorType">;
def Ds_RowValue : Ds_Column<F32, "one f32 for each row">;
def Ds_RowTarget : Ds_Column<I32, "one token for each row">;
def Ds_Gradient : TensorRankOf<[F32], [1, 2, 3]>;

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

def RowInputOp : Ds_Op<"row_input", [Pure]> {
  let summary = "A value that the data has for every row";
  let description = [{
    One for each row whose logits are asked for: "targets", the token that
    follows (i32); "token_weight", its share in a mean over the tokens of the
    batch; "sequence_weight", its share in a mean over sequences of means over
    their tokens; "inverse_temperature", 1 / temperature it was drawn at. An
    objective may declare more, all f32. With `tokens`, one for each token of
    the step: "batch_share", its share in a mean over the tokens of the batch;
    "sequence_share", its share in a mean over sequences of means over their
    tokens.

    ```mlir
    %t = ds.row_input "targets", %s : tensor<?x1xi32>
    %a = ds.row_input "batch_share", %s tokens : tensor<?x1xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, Ds_SeqType:$seq, UnitAttr:$tokens);
  let results = (outs TensorRankOf<[F32, I32], [2]>:$result);
  let assemblyFormat = [{
    $name `,` $seq (`tokens` $tokens^)? attr-dict `:` type($result)
  }];
  let hasVerifier = 1;
}

def GetGradientOp : Ds_Op<"get_gradient", [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The memory that gathers the gradient of a weight";
  let description = [{
    Of the layer that runs, in f32, rows as the packed weight has them. Zeroed
    when an optimiser step begins; every accumulation adds to it.

    ```mlir
    %g = ds.get_gradient @layer.mlp.down : tensor<64x176xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs Ds_Gradient:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def FillOp : Ds_Op<"fill", [Pure,
    DeclareOpInterfaceMethods<MeaningInterface>]> {
  let summary = "One number for every row whose logits are asked for";
  let description = [{
    With `tokens`, for every token of the step.

    ```mlir
    %y = ds.fill 1.0, %s : tensor<?x1xf32>
    ```
  }];
  let arguments = (ins F64Attr:$value, Ds_SeqType:$seq, UnitAttr:$tokens);
  let results = (outs Ds_RowValue:$result);
  let assemblyFormat = [{
    $value `,` $seq (`tokens` $tokens^)? attr-dict `:` type($result)
  }];
}

def StopGradientOp : Ds_Op<"stop_gradient", [Pure, SameOperandsAndResultType]> {
  let summary = "A value that no gradient passes";
  let description = [{
    ```mlir
    %y = ds.stop_gradient %x : tensor<?x1xf32>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def SelectLessOp : Ds_Op<"select_less", [Pure, SameOperandsAndResultType]> {
  let summary = "A value where one is less than another, zero elsewhere";
  let description = [{
    value where a < b, 0 elsewhere: how a gradient passes a minimum.

    ```mlir
    %y = ds.select_less %a, %b, %x : tensor<?x1xf32>
    ```
  }];
  let arguments = (ins Ds_Matrix:$a, Ds_Matrix:$b, Ds_Matrix:$value);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$a `,` $b `,` $value attr-dict `:` type($result)";
}

//===----------------------------------------------------------------------===//
// Log-probabilities
//===----------------------------------------------------------------------===//

def LogProbOp : Ds_Op<"log_prob", [Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Logarithm of the probability of every row's target";
  let description = [{
    log softmax(logits x inverseTemperature)[target], and lse, the logarithm
    of the sum of the exponentials. Order of the sum: docs/numerics.md.

    ```mlir
    %p, %lse = ds.log_prob %z, %t, %i
        : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>)
       -> (tensor<?x1xf32>, tensor<?x1xf32>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$logits, Ds_RowTarget:$targets,
                       Ds_RowValue:$inverseTemperature);
  let results = (outs Ds_RowValue:$logProb, Ds_RowValue:$lse);
  let assemblyFormat = [{
    $logits `,` $targets `,` $inverseTemperature attr-dict `:`
    functional-type(operands, results)
  }];
}

def LogProbBackwardOp : Ds_Op<"log_prob_backward", [Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Gradient of the logits of ds.log_prob";
  let description = [{
    inverseTemperature x gradient x (onehot(target) - softmax), rounded once to
    the element type of the result.

    ```mlir
    %d = ds.log_prob_backward %z, %t, %i, %lse, %dp
        : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>,
           tensor<?x1xf32>) -> tensor<?x301xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$logits, Ds_RowTarget:$targets,
                       Ds_RowValue:$inverseTemperature, Ds_RowValue:$lse,
                       Ds_RowValue:$gradient);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $logits `,` $targets `,` $inverseTemperature `,` $lse `,` $gradient
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LinearLogProbOp : Ds_Op<"linear_log_prob", [Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<DecompositionInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "ds.log_prob of the logits x W^T, which are never all in memory";
  let description = [{
    ```mlir
    %p, %lse = ds.linear_log_prob %x, %w, %t, %i
        : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>)
       -> (tensor<?x1xf32>, tensor<?x1xf32>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$weight,
                       Ds_RowTarget:$targets, Ds_RowValue:$inverseTemperature);
  let results = (outs Ds_RowValue:$logProb, Ds_RowValue:$lse);
  let assemblyFormat = [{
    $input `,` $weight `,` $targets `,` $inverseTemperature attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LinearLogProbBackwardOp : Ds_Op<"linear_log_prob_backward", [
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Gradients of ds.linear_log_prob";
  let description = [{
    The gradient of x; that of the weight is added to `into`, if it is trained.

    ```mlir
    %dx = ds.linear_log_prob_backward %x, %w, %t, %i, %lse, %dp into %g
        : (tensor<?x64xbf16>, tensor<301x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>,
           tensor<?x1xf32>, tensor<?x1xf32>, tensor<301x64xf32>) -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$weight,
                       Ds_RowTarget:$targets, Ds_RowValue:$inverseTemperature,
                       Ds_RowValue:$lse, Ds_RowValue:$outputGradient,
                       Optional<Ds_Gradient>:$gradient);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $weight `,` $targets `,` $inverseTemperature `,` $lse `,`
    $outputGradient (`into` $gradient^)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

def LinearTOp : Ds_Op<"linear_t", [Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "x W: the gradient of a linear's input";
  let description = [{
    x is [T, N], W is [N, K] as `ds.linear` takes it. The sum is taken in f32
    over N in order and rounded once. With `routed`, W is [experts, N, K] and x
    and the result have routed rows.

    ```mlir
    %dx = ds.linear_t %dy, %w : (tensor<?x96xbf16>, tensor<96x64xbf16>) -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$weight,
                       Optional<Ds_RoutingType>:$routing);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $weight (`routed` $routing^ `:` type($routing))? attr-dict `:`
    `(` type($input) `,` type($weight) `)` `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$input,
      "::mlir::Value":$weight), [{
    build($_builder, $_state, result, input, weight, ::mlir::Value());
  }]>];
  let hasVerifier = 1;
}

def AccumulateOuterOp : Ds_Op<"accumulate_outer", [
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "g += dy^T x: the gradient of a linear's weight";
  let description = [{
    g is [N, K], dy [T, N], x [T, K]. The sum over tokens is taken in f32 in
    their order, from zero, and added to g. With `routed`, g is [experts, N, K],
    dy and x have routed rows, and an expert's gradient is the sum over its own.
    With `heads`, each head adds a product of its own, of some columns of dy and
    x, to rows of g as they are packed (`ds.absorb_query`).

    ```mlir
    ds.accumulate_outer %g, %dy, %x : tensor<96x64xf32>, tensor<?x96xbf16>, tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Gradient:$gradient, Ds_Matrix:$outputGradient,
                       Ds_Matrix:$input, Optional<Ds_RoutingType>:$routing,
                       OptionalAttr<Ds_HeadsAttr>:$heads);
  let assemblyFormat = [{
    $gradient `,` $outputGradient `,` $input
    (`routed` $routing^ `:` type($routing))? (`heads` $heads^)? attr-dict
    `:` type($gradient) `,` type($outputGradient) `,` type($input)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$gradient,
      "::mlir::Value":$outputGradient, "::mlir::Value":$input), [{
    build($_builder, $_state, gradient, outputGradient, input, ::mlir::Value(),
          ::ds::HeadsAttr());
  }]>];
  let hasVerifier = 1;
}

def AccumulateColumnsOp : Ds_Op<"accumulate_columns", [
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "g[n] += sum of d[t, n]: the gradient of a bias";
  let description = [{
    ```mlir
    ds.accumulate_columns %g, %d : tensor<96xf32>, tensor<?x96xbf16>
    ```
  }];
  let arguments = (ins Ds_Gradient:$gradient, Ds_Matrix:$input);
  let assemblyFormat = "$gradient `,` $input attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def AccumulateEmbeddingOp : Ds_Op<"accumulate_embedding", [
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "g[token of t] += d[t]: the gradient of an embedding";
  let description = [{
    In the order of the tokens.

    ```mlir
    ds.accumulate_embedding %g, %d, %s : tensor<301x74xf32>, tensor<?x74xf32>
    ```
  }];
  let arguments = (ins Ds_Gradient:$gradient, Ds_Matrix:$input, Ds_SeqType:$seq);
  let assemblyFormat = [{
    $gradient `,` $input `,` $seq attr-dict `:` type($gradient) `,` type($input)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Rows and elements
//===----------------------------------------------------------------------===//

def RmsNormBackwardOp : Ds_Op<"rms_norm_backward", [Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Gradient of the input of ds.rms_norm";
  let description = [{
    With r = 1 / sqrt(mean(x^2) + eps) and d = g dy, the result is
    r d - x r^3 mean(x d). r is the second result, which
    `ds.accumulate_norm` takes.

    ```mlir
    %dx, %r = ds.rms_norm_backward %x, %g, %dy eps 1.0e-6
        : (tensor<?x64xf32>, tensor<64xbf16>, tensor<?x64xbf16>)
       -> (tensor<?x64xf32>, tensor<?x1xf32>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$weight,
                       Ds_Matrix:$outputGradient, F64Attr:$eps);
  let results = (outs Ds_Matrix:$result, Ds_RowValue:$rstd);
  let assemblyFormat = [{
    $input `,` $weight `,` $outputGradient `eps` $eps attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LayerNormBackwardOp : Ds_Op<"layer_norm_backward", [Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Gradient of the input of ds.layer_norm";
  let description = [{
    With n = (x - mean(x)) r, r as in `ds.layer_norm` and d = g dy, the result is
    r (d - mean(d) - n mean(d n)). The second result, dy n, is summed over the
    rows for the gradient of the gain.

    ```mlir
    %dx, %dg = ds.layer_norm_backward %x, %g, %dy eps 1.0e-6
        : (tensor<?x64xbf16>, tensor<64xbf16>, tensor<?x64xbf16>)
       -> (tensor<?x64xbf16>, tensor<?x64xf32>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$weight,
                       Ds_Matrix:$outputGradient, F64Attr:$eps);
  let results = (outs Ds_Matrix:$result, Ds_Matrix:$gain);
  let assemblyFormat = [{
    $input `,` $weight `,` $outputGradient `eps` $eps attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def AccumulateNormOp : Ds_Op<"accumulate_norm", [
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "g[n] += sum of dy x r: the gradient of a norm's gain";
  let description = [{
    ```mlir
    ds.accumulate_norm %g, %dy, %x, %r
        : tensor<64xf32>, tensor<?x64xbf16>, tensor<?x64xf32>, tensor<?x1xf32>
    ```
  }];
  let arguments = (ins Ds_Gradient:$gradient, Ds_Matrix:$outputGradient,
                       Ds_Matrix:$input, Ds_RowValue:$rstd);
  let assemblyFormat = [{
    $gradient `,` $outputGradient `,` $input `,` $rstd attr-dict `:`
    type(operands)
  }];
  let hasVerifier = 1;
}

def SwigluBackwardOp : Ds_Op<"swiglu_backward", [Pure, SameOperandsAndResultType,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Gradients of gate and up of ds.swiglu";
  let description = [{
    In f32, each rounded once.

    ```mlir
    %dg, %du = ds.swiglu_backward %g, %u, %dz : tensor<?x176xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$gate, Ds_Matrix:$up, Ds_Matrix:$outputGradient);
  let results = (outs Ds_Matrix:$gateGradient, Ds_Matrix:$upGradient);
  let assemblyFormat =
      "$gate `,` $up `,` $outputGradient attr-dict `:` type($gate)";
}

def SwigluPairsOp : Ds_Op<"swiglu_pairs", [Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "silu(gate) * up of a product in packed order";
  let description = [{
    The operand is the product with a `paired` weight in its packed order: 16
    columns of gate, the same 16 of up, and so on. With `ds.linear` on that
    weight it is `ds.gated_linear` with the product kept.

    ```mlir
    %z = ds.swiglu_pairs %gu : tensor<?x352xbf16> -> tensor<?x176xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def SwigluPairsBackwardOp : Ds_Op<"swiglu_pairs_backward", [Pure,
    AllTypesMatch<["input", "result"]>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Gradient of the product that ds.swiglu_pairs takes";
  let description = [{
    ```mlir
    %dgu = ds.swiglu_pairs_backward %gu, %dz : tensor<?x352xbf16>, tensor<?x176xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_Matrix:$outputGradient);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$input `,` $outputGradient attr-dict `:` type($input) `,` type($outputGradient)";
  let hasVerifier = 1;
}

def ConcatColumnsOp : Ds_Op<"concat_columns", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Matrices side by side";
  let description = [{
    ```mlir
    %y = ds.concat_columns %a, %b : (tensor<?x64xbf16>, tensor<?x16xbf16>) -> tensor<?x80xbf16>
    ```
  }];
  let arguments = (ins Variadic<Ds_Matrix>:$inputs);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat =
      "$inputs attr-dict `:` functional-type($inputs, $result)";
  let hasVerifier = 1;
}

def ScatterRowsOp : Ds_Op<"scatter_rows", [Pure, AllTypesMatch<["input", "result"]>,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The gradient of ds.select_rows";
  let description = [{
    Row out_rows[r] of the result is row r of the input; others are zero.

    ```mlir
    %y = ds.scatter_rows %x, %s : tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_SeqType:$seq);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$input `,` $seq attr-dict `:` type($result)";
}

def AttendBackwardOp : Ds_Op<"attend_backward", [Pure, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Gradients of ds.attend";
  let description = [{
    Of the queries, and of the keys and values of the step's tokens, token by
    token. Where the queries are those of a role, `keys` is a view that has the
    rows of the keys instead: all of the step's sequences, or the expanded
    positions. `lse` is the forward's second result. With `prefix` there is one
    gradient of what is kept, that of the keys.
    Dao et al., arXiv 2205.14135, algorithm 4.

    ```mlir
    %dq, %dk, %dv = ds.attend_backward %q, %k, %v, %y, %lse, %dy, %s heads 8 scale 0.353
        : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>,
           tensor<?x64xbf16>, tensor<?x8xf32>, tensor<?x64xbf16>, !ds.seq)
       -> (tensor<?x64xbf16>, tensor<?x16xbf16>, tensor<?x16xbf16>)
    %g = ds.view_seq %s generated
    %dp, %dc = ds.attend_backward %q, %c, %c, %y, %lse, %dy, %g keys %s heads 8
        scale 0.353 prefix 8
        : (tensor<?x64xbf16>, !ds.state<[1, 8], bf16>, !ds.state<[1, 8], bf16>,
           tensor<?x64xbf16>, tensor<?x8xf32>, tensor<?x64xbf16>, !ds.seq, !ds.seq)
       -> (tensor<?x64xbf16>, tensor<?x8xbf16>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_StateType:$keys,
                       Ds_StateType:$values, Ds_Matrix:$output,
                       Ds_Matrix:$lse, Ds_Matrix:$outputGradient,
                       Ds_SeqType:$seq, Optional<Ds_PositionList>:$entries,
                       Optional<Ds_SeqType>:$keySeq, I64Attr:$heads,
                       F64Attr:$scale, OptionalAttr<I64Attr>:$prefix);
  let results = (outs Ds_Matrix:$queryGradient, Ds_Matrix:$keyGradient,
                      Optional<Ds_Matrix>:$valueGradient);
  let assemblyFormat = [{
    $query `,` $keys `,` $values `,` $output `,` $lse `,` $outputGradient `,`
    $seq (`entries` $entries^)? (`keys` $keySeq^)? `heads` $heads `scale` $scale
    (`prefix` $prefix^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// The optimiser
//===----------------------------------------------------------------------===//

def SquareSumOp : Ds_Op<"square_sum", [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Adds the square of a weight's gradient to the norm's";
  let description = [{
    ```mlir
    ds.square_sum @layer.mlp.down
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let assemblyFormat = "$weight attr-dict";
}

def AdamwOp : Ds_Op<"adamw", [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "One step of AdamW for a weight and its packed copy";
  let description = [{
    Loshchilov and Hutter, arXiv 1711.05101. With `decay`, the weight decays.

    ```mlir
    ds.adamw @layer.mlp.down {decay}
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight, UnitAttr:$decay);
  let assemblyFormat = "$weight attr-dict";
}
#endif
