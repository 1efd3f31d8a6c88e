//===- Attention.td - Rope, state and attention ---------------------------===//
#ifndef DS_DIALECT_ATTENTION_TD
#define DS_DIALECT_ATTENTION_TD
include "dialect/Types.td"

def RopeOp : Ds_Op<"rope", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure, AllTypesMatch<["input", "result"]>,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "Rotates the heads of every token by its position";
  let description = [{
    The row is `heads` heads of equal width; the first `dims` columns of each
    are rotated in f32 and rounded once. `inverse` turns them back: the
    gradient. Su et al., arXiv 2104.09864, eq. 34.

    ```mlir
    %y = ds.rope %x, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64>
        : tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_SeqType:$seq, I64Attr:$heads,
                       Ds_RopeAttr:$rope, UnitAttr:$inverse);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $seq `heads` $heads $rope (`inverse` $inverse^)? attr-dict `:`
    type($result)
  }];
  let hasVerifier = 1;
}

def AppendOp : Ds_Op<"append", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    AllTypesMatch<["state", "result"]>,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "Keeps one row for each token of the step";
  let description = [{
    The row is what the state keeps for the token, heads one after the other.

    ```mlir
    %k1 = ds.append %k, %x, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
    ```
  }];
  let arguments = (ins Ds_StateType:$state, Ds_Matrix:$input, Ds_SeqType:$seq);
  let results = (outs Ds_StateType:$result);
  let assemblyFormat = [{
    $state `,` $input `,` $seq attr-dict `:` type($state) `,` type($input)
  }];
  let hasVerifier = 1;
}

def AttendOp : Ds_Op<"attend", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Causal attention of the step's tokens over kept keys and values";
  let description = [{
    A query at position p of a sequence sees the keys at positions 0 to p.
    Query head h reads key head h / (heads / key heads). Scores are taken in
    f32 and scaled; softmax runs in splits of 512 positions, each with its own
    maximum and sum, merged from left to right; probabilities are rounded to
    the element type of the values before they meet them. The second result,
    if it is asked for, is the logarithm of the sum of the exponentials of each
    head's scores, which the gradient needs.

    With `prefix`, keys and values are the same state, of one key head, and the
    values are the first `prefix` columns of the keys. With `entries`, a query
    sees the positions of its row, in ascending order, -1 after the last, and no
    others; splits are of 512 of them. DeepSeek-V3.2's sparse attention.
    Vaswani et al., arXiv 1706.03762, eq. 1; grouped: arXiv 2305.13245.

    ```mlir
    %y = ds.attend %q, %k, %v, %s heads 8 scale 0.353
        : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>)
       -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_StateType:$keys,
                       Ds_StateType:$values, Ds_SeqType:$seq,
                       Optional<Ds_PositionList>:$entries, I64Attr:$heads,
                       F64Attr:$scale, OptionalAttr<I64Attr>:$prefix);
  let results = (outs Ds_Matrix:$result, Optional<Ds_Matrix>:$lse);
  let assemblyFormat = [{
    $query `,` $keys `,` $values `,` $seq
    (`entries` $entries^ `:` type($entries))? `heads` $heads `scale` $scale
    (`prefix` $prefix^)? attr-dict
    `:` `(` type($query) `,` type($keys) `,` type($values) `)` `->`
    type($result) (`,` type($lse)^)?
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$query,
      "::mlir::Value":$keys, "::mlir::Value":$values, "::mlir::Value":$seq,
      "::mlir::IntegerAttr":$heads, "::mlir::FloatAttr":$scale), [{
    build($_builder, $_state, result, ::mlir::Type(), query, keys, values, seq,
          ::mlir::Value(), heads, scale, ::mlir::IntegerAttr());
  }]>];
  let hasVerifier = 1;
}

def RopeAppendOp : Ds_Op<"rope_append", [
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<DecompositionInterface>,
    AllTypesMatch<["keys", "newKeys"]>, AllTypesMatch<["values", "newValues"]>]> {
  let summary = "Rotates queries and keys and keeps keys and values";
  let description = [{
    The row is the fused projection [heads queries, key heads, value heads].
    Queries and keys are rotated and rounded as `ds.rope` does.

    ```mlir
    %q, %k1, %v1 = ds.rope_append %qkv, %k, %v, %s heads 8
        <half_split, dims = 8, theta = 1.0e4 : f64>
        : (tensor<?x96xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>)
       -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_StateType:$keys,
                       Ds_StateType:$values, Ds_SeqType:$seq, I64Attr:$heads,
                       Ds_RopeAttr:$rope);
  let results = (outs Ds_Matrix:$query, Ds_StateType:$newKeys,
                      Ds_StateType:$newValues);
  let assemblyFormat = [{
    $input `,` $keys `,` $values `,` $seq `heads` $heads $rope attr-dict `:`
    `(` type($input) `,` type($keys) `,` type($values) `)` `->` type($query)
  }];
  let hasVerifier = 1;
}
#endif
