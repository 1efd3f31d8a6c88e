//===- Dsa.td - Selection of tokens by an indexer -------------------------===//
//
// DeepSeek-V3.2: the tokens that attention reads are chosen by scores of small
// heads, which have keys of their own.
//
//===----------------------------------------------------------------------===//
#ifndef DS_DIALECT_DSA_TD
#define DS_DIALECT_DSA_TD
include "dialect/Mla.td"
include "dialect/Training.td"

def SelectTokensOp : Ds_Op<"select_tokens", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The positions that a token attends to";
  let description = [{
    Position s is worth I[t, s] = sum over the heads j, in order, of
    weights[t, j] relu(q[t, j] . k[s]) to the token t, in f32; every head has
    the same key. A row is the `count` best of the positions 0 to t, ties to the
    lowest, in ascending order, -1 after the last. There is no gradient.
    DeepSeek-V3.2-Exp report, eq. 1 and 2.

    ```mlir
    %p = ds.select_tokens %q, %w, %k, %s heads 8 count 24
        : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[1, 32], bf16>, !ds.seq)
       -> tensor<?x24xi32>
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_Matrix:$weights,
                       Ds_StateType:$keys, Ds_SeqType:$seq, I64Attr:$heads,
                       I64Attr:$count);
  let results = (outs Ds_PositionList:$result);
  let assemblyFormat = [{
    $query `,` $weights `,` $keys `,` $seq `heads` $heads `count` $count
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Training of the indexer
//===----------------------------------------------------------------------===//

def MlaEntryShareOp : Ds_Op<"mla_entry_share", [Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "How much of latent attention goes to each entry";
  let description = [{
    As `ds.entry_share` for the operands of `ds.mla_attend`, whose queries come
    to the latents (`ds-absorb-mla`).

    ```mlir
    %a = ds.mla_entry_share %q, %c, %w, %s entries %p : tensor<?x24xi32>
        <count = 4, nope = 16, value = 16, rank = 32, rope = 16> scale 0.1767
        : (tensor<?x128xbf16>, !ds.state<[1, 48], bf16>, tensor<128x32xbf16>)
       -> tensor<?x24xf32>
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_StateType:$latents,
                       Ds_WeightTensor:$projection, Ds_SeqType:$seq,
                       Ds_PositionList:$entries, Ds_LatentHeadsAttr:$heads,
                       F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $query `,` $latents `,` $projection `,` $seq `entries` $entries `:`
    type($entries) $heads `scale` $scale attr-dict `:` `(` type($query) `,`
    type($latents) `,` type($projection) `)` `->` type($result)
  }];
  let hasVerifier = 1;
}

def EntryShareOp : Ds_Op<"entry_share", [Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "How much of attention goes to each entry";
  let description = [{
    The mean over the heads of the probabilities of a token's entries, in f32;
    zeros after its last. It has no gradient. p of the indexer's objective,
    DeepSeek-V3.2-Exp report, eq. 3.

    ```mlir
    %a = ds.entry_share %q, %c, %s entries %p heads 4 scale 0.1767
        : (tensor<?x192xbf16>, !ds.state<[1, 48], bf16>, !ds.seq, tensor<?x24xi32>)
       -> tensor<?x24xf32>
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_StateType:$keys, Ds_SeqType:$seq,
                       Ds_PositionList:$entries, I64Attr:$heads,
                       F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $query `,` $keys `,` $seq `entries` $entries `heads` $heads `scale` $scale
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def IndexScoresOp : Ds_Op<"index_scores", [Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "What an indexer finds the entries of a token worth";
  let description = [{
    `scale` times I of `ds.select_tokens` at a token's entries, in f32; -1e30
    after the last.

    ```mlir
    %i = ds.index_scores %q, %w, %k, %s entries %p heads 8 scale 0.0625
        : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[1, 32], bf16>, !ds.seq,
           tensor<?x24xi32>) -> tensor<?x24xf32>
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_Matrix:$weights,
                       Ds_StateType:$keys, Ds_SeqType:$seq,
                       Ds_PositionList:$entries, I64Attr:$heads,
                       F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $query `,` $weights `,` $keys `,` $seq `entries` $entries `heads` $heads
    `scale` $scale attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def IndexScoresBackwardOp : Ds_Op<"index_scores_backward", [Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The gradients of what ds.index_scores takes";
  let description = [{
    Of the queries, the weights, and the keys of the step's tokens, whose sums
    run over the queries in order, the heads in order within a query. That of
    relu at 0 is 0.

    ```mlir
    %dq, %dw, %dk = ds.index_scores_backward %di, %q, %w, %k, %s entries %p heads 8 scale 0.0625
        : (tensor<?x24xf32>, tensor<?x256xbf16>, tensor<?x8xf32>,
           !ds.state<[1, 32], bf16>, !ds.seq, tensor<?x24xi32>)
       -> (tensor<?x256xbf16>, tensor<?x8xf32>, tensor<?x32xbf16>)
    ```
  }];
  let arguments = (ins Ds_Scores:$gradient, Ds_Matrix:$query,
                       Ds_Matrix:$weights, Ds_StateType:$keys, Ds_SeqType:$seq,
                       Ds_PositionList:$entries, I64Attr:$heads,
                       F64Attr:$scale);
  let results = (outs Ds_Matrix:$queryGradient, Ds_Matrix:$weightGradient,
                      Ds_Matrix:$keyGradient);
  let assemblyFormat = [{
    $gradient `,` $query `,` $weights `,` $keys `,` $seq `entries` $entries
    `heads` $heads `scale` $scale attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def KlDivergenceOp : Ds_Op<"kl_divergence", [Pure, SameTypeOperands,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The sum over columns of p log(p / q)";
  let description = [{
    In f32, the sum as that of `ds.row_reduce`; columns where p is 0 count
    nothing. The gradient is q's alone: p is a target.

    ```mlir
    %d = ds.kl_divergence %p, %q : tensor<?x24xf32> -> tensor<?x1xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$target, Ds_Scores:$share);
  let results = (outs Ds_RowValue:$result);
  let assemblyFormat = [{
    $target `,` $share attr-dict `:` type($target) `->` type($result)
  }];
}

def KlDivergenceBackwardOp : Ds_Op<"kl_divergence_backward", [Pure,
    AllTypesMatch<["target", "share", "result"]>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The gradient of q in ds.kl_divergence";
  let description = [{
    -p / q times the row's gradient; 0 where p is 0.

    ```mlir
    %dq = ds.kl_divergence_backward %p, %q, %g
        : (tensor<?x24xf32>, tensor<?x24xf32>, tensor<?x1xf32>) -> tensor<?x24xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$target, Ds_Scores:$share,
                       Ds_RowValue:$gradient);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $target `,` $share `,` $gradient attr-dict `:`
    functional-type(operands, results)
  }];
}
#endif
