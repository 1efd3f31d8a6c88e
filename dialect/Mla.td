//===- Mla.td - Multi-head latent attention -------------------------------===//
#ifndef DS_DIALECT_MLA_TD
#define DS_DIALECT_MLA_TD
include "dialect/Types.td"

def Ds_LatentHeadsAttr : Ds_Attr<"LatentHeads", "latent_heads"> {
  let summary = "The heads that a latent expands to";
  let description = [{
    `count` heads with `nope` key columns without position and `value` value
    columns, from `rank` latent columns; `rope` key columns with position are
    the same for all heads. A head's rows of the projection are `nope` rows,
    then `value` rows, each padded to a multiple of 32 where the weight has
    groups of rows.
  }];
  let parameters = (ins "int64_t":$count, "int64_t":$nope, "int64_t":$value,
                        "int64_t":$rank, "int64_t":$rope);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Rows of the projection from one head to the next, padded or not, for a
    /// projection of `rows` rows.
    int64_t getHeadRows(int64_t rows) const { return rows / getCount(); }
    /// Rows of a head before those of its values.
    int64_t getKeyRows(int64_t rows) const;
  }];
}

def MlaAttendOp : Ds_Op<"mla_attend", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Causal attention over kept latents";
  let description = [{
    Every token keeps a row [latent, rotated key]; a head's keys are
    [W_UK latent, rotated key] and its values W_UV latent, W_UK and W_UV being
    rows of `projection`. A head's query is [nope, rotated] columns. What is
    computed depends on a token's role: of prompt tokens, keys and values are
    expanded; queries of generated tokens are brought to the latents instead,
    and so are their results back (`ds-absorb-mla`). With `entries`, a token sees
    the positions of its row alone (`ds.attend`), and all tokens are computed as
    generated ones are. DeepSeek-V2, arXiv 2405.04434, eq. 9-19 and appendix C.

    ```mlir
    %y = ds.mla_attend %q, %c, %w, %s
        <count = 4, nope = 16, value = 16, rank = 32, rope = 16> scale 0.1767
        : (tensor<?x128xbf16>, !ds.state<[1, 48], bf16>, tensor<128x32xbf16>)
       -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_StateType:$latents,
                       Ds_WeightTensor:$projection, Ds_SeqType:$seq,
                       Optional<Ds_PositionList>:$entries,
                       Ds_LatentHeadsAttr:$heads, F64Attr:$scale);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $query `,` $latents `,` $projection `,` $seq
    (`entries` $entries^ `:` type($entries))? $heads `scale` $scale attr-dict
    `:` `(` type($query) `,` type($latents) `,` type($projection) `)` `->`
    type($result)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Rows of views
//===----------------------------------------------------------------------===//

def TakeRowsOp : Ds_Op<"take_rows", [Pure, AllTypesMatch<["input", "result"]>,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "The rows that a view of the sequences has";
  let description = [{
    ```mlir
    %p = ds.view_seq %s prompt
    %y = ds.take_rows %x, %p : tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_SeqType:$view);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$input `,` $view attr-dict `:` type($result)";
}

def MergeRowsOp : Ds_Op<"merge_rows", [Pure, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "Rows of prompt and of generated tokens, in the step's order";
  let description = [{
    Rows of tokens whose role has no operand are zeros.

    ```mlir
    %y = ds.merge_rows %s prompt %a : tensor<?x64xbf16>
        generated %b : tensor<?x64xbf16> -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Optional<Ds_Matrix>:$prompt,
                       Optional<Ds_Matrix>:$generated, Ds_SeqType:$seq);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $seq (`prompt` $prompt^ `:` type($prompt))?
    (`generated` $generated^ `:` type($generated))? attr-dict `->` type($result)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Prompt tokens: keys and values are expanded
//===----------------------------------------------------------------------===//

def ReadLatentsOp : Ds_Op<"read_latents", [Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "What is kept, as rows of expanded positions";
  let description = [{
    The latent and the rotated key of each position; zeros in the padding.

    ```mlir
    %e = ds.view_seq %s expanded
    %c, %k = ds.read_latents %st, %e
        : !ds.state<[1, 48], bf16> -> tensor<?x32xbf16>, tensor<?x16xbf16>
    ```
  }];
  let arguments = (ins Ds_StateType:$latents, Ds_SeqType:$view);
  let results = (outs Ds_Matrix:$latent, Ds_Matrix:$key);
  let assemblyFormat = [{
    $latents `,` $view attr-dict `:` type($latents) `->` type($latent) `,`
    type($key)
  }];
  let hasVerifier = 1;
}

def ReadLatentsBackwardOp : Ds_Op<"read_latents_backward", [Pure,
    DeclareOpInterfaceMethods<RowsInterface>]> {
  let summary = "The gradient of what the step's tokens keep";
  let description = [{
    Row t is [latent, key] of the expanded position of token t, zeros if it has
    none.

    ```mlir
    %d = ds.read_latents_backward %dc, %dk, %s
        : (tensor<?x32xbf16>, tensor<?x16xbf16>) -> tensor<?x48xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$latentGradient, Ds_Matrix:$keyGradient,
                       Ds_SeqType:$seq);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $latentGradient `,` $keyGradient `,` $seq attr-dict `:`
    `(` type($latentGradient) `,` type($keyGradient) `)` `->` type($result)
  }];
}

def ExpandKeysOp : Ds_Op<"expand_keys", [Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "Keys and values of all heads, as state of the step alone";
  let description = [{
    The row of a position is a product with the projection; a head's key is its
    first `nope` columns there and the rotated key, which all heads share.

    ```mlir
    %e = ds.view_seq %s expanded
    %k, %v = ds.expand_keys %kv, %kr, %e
        <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
        : (tensor<?x128xbf16>, tensor<?x16xbf16>)
       -> (!ds.state<[4, 32], bf16>, !ds.state<[4, 16], bf16>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$expanded, Ds_Matrix:$key, Ds_SeqType:$view,
                       Ds_LatentHeadsAttr:$heads);
  let results = (outs Ds_StateType:$keys, Ds_StateType:$values);
  let assemblyFormat = [{
    $expanded `,` $key `,` $view $heads attr-dict `:`
    `(` type($expanded) `,` type($key) `)` `->` `(` type($keys) `,`
    type($values) `)`
  }];
  let hasVerifier = 1;
}

def ExpandKeysBackwardOp : Ds_Op<"expand_keys_backward", [Pure]> {
  let summary = "The gradient of expanded rows from that of keys and values";
  let description = [{
    Row by row of the expanded positions. The gradient of the rotated key is the
    sum over the heads in order, in f32, rounded once.

    ```mlir
    %dkv, %dkr = ds.expand_keys_backward %dk, %dv
        <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
        : (tensor<?x128xbf16>, tensor<?x64xbf16>)
       -> (tensor<?x128xbf16>, tensor<?x16xbf16>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$keyGradient, Ds_Matrix:$valueGradient,
                       Ds_LatentHeadsAttr:$heads);
  let results = (outs Ds_Matrix:$expandedGradient, Ds_Matrix:$sharedGradient);
  let assemblyFormat = [{
    $keyGradient `,` $valueGradient $heads attr-dict `:`
    `(` type($keyGradient) `,` type($valueGradient) `)` `->`
    `(` type($expandedGradient) `,` type($sharedGradient) `)`
  }];
}

//===----------------------------------------------------------------------===//
// Generated tokens: queries come to the latents
//===----------------------------------------------------------------------===//

def AbsorbQueryOp : Ds_Op<"absorb_query", [Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "Queries that meet latents";
  let description = [{
    A head's query [nope, rope] becomes [W_UK^T nope, rope], the product rounded
    to the element type: as wide as what is kept.

    ```mlir
    %y = ds.absorb_query %q, %w <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
        : (tensor<?x128xbf16>, tensor<128x32xbf16>) -> tensor<?x192xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_WeightTensor:$projection,
                       Ds_LatentHeadsAttr:$heads);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $query `,` $projection $heads attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def AbsorbQueryBackwardOp : Ds_Op<"absorb_query_backward", [Pure]> {
  let summary = "The gradient of queries from that of those that meet latents";
  let description = [{
    Of a head's gradient [latent, rope]: [W_UK latent, rope], the product rounded
    once. The gradient of the projection is `ds.accumulate_outer` with heads.

    ```mlir
    %dq = ds.absorb_query_backward %dy, %w <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
        : (tensor<?x192xbf16>, tensor<128x32xbf16>) -> tensor<?x128xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$gradient, Ds_WeightTensor:$projection,
                       Ds_LatentHeadsAttr:$heads);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $gradient `,` $projection $heads attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def AbsorbValueOp : Ds_Op<"absorb_value", [Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "Values of what was attended to among latents";
  let description = [{
    A head's row of `rank` columns becomes W_UV times it.

    ```mlir
    %y = ds.absorb_value %o, %w <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
        : (tensor<?x128xbf16>, tensor<128x32xbf16>) -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_WeightTensor:$projection,
                       Ds_LatentHeadsAttr:$heads);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $projection $heads attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def AbsorbValueBackwardOp : Ds_Op<"absorb_value_backward", [Pure]> {
  let summary = "The gradient of what ds.absorb_value takes";
  let description = [{
    W_UV^T times a head's gradient, rounded once.

    ```mlir
    %do = ds.absorb_value_backward %dy, %w <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
        : (tensor<?x64xbf16>, tensor<128x32xbf16>) -> tensor<?x128xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$gradient, Ds_WeightTensor:$projection,
                       Ds_LatentHeadsAttr:$heads);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $gradient `,` $projection $heads attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}
#endif
