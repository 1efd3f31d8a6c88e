//===- KernelAttention.td - Attention kernels and their backward ----------===//
#ifndef DS_DIALECT_KERNELATTENTION_TD
#define DS_DIALECT_KERNELATTENTION_TD
include "dialect/Kernel.td"

def KernelAttentionOp : Ds_KernelOp<"attention", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Attention over paged state";
  let description = [{
    As `ds.attend`. `lse`, [T, heads] in f32, is the logarithm of the sum of
    the exponentials of a query's scaled scores, which the backward reads. With
    `prefix`, the values are columns of the keys, which both operands are. With
    `entries`, a tile is a token, and the state is kept in the view of values,
    where a position's row lies together.

    ```mlir
    %y, %lse = ds.kernel.attention @attend %q, %k, %v, %s heads 8 scale 0.353
        : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>)
       -> tensor<?x64xbf16>, tensor<?x8xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$query,
                       Ds_StateType:$keys, Ds_StateType:$values,
                       Ds_SeqType:$seq, Optional<Ds_PositionList>:$entries,
                       I64Attr:$heads, F64Attr:$scale,
                       OptionalAttr<I64Attr>:$prefix);
  let results = (outs Ds_Matrix:$result, Optional<Ds_Matrix>:$lse);
  let assemblyFormat = [{
    $sym_name $query `,` $keys `,` $values `,` $seq
    (`entries` $entries^ `:` type($entries))? `heads` $heads `scale` $scale
    (`prefix` $prefix^)? attr-dict `:` `(` type($query) `,` type($keys) `,` type($values) `)` `->`
    type($result) (`,` type($lse)^)?
  }];
}

def KernelAttentionDeltaOp : Ds_KernelOp<"attention_delta", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "What every query's score gradients have in common";
  let description = [{
    delta[t, h] is the sum over the head's columns of output times
    outputGradient: 16 lanes, lane j holding the columns congruent to j in
    order, then the tree of `ds.row_reduce`.
    Dao et al., arXiv 2205.14135, algorithm 4, D_i.

    ```mlir
    %d = ds.kernel.attention_delta @delta %y, %dy heads 8
        : (tensor<?x64xbf16>, tensor<?x64xbf16>) -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$output,
                       Ds_Matrix:$outputGradient, I64Attr:$heads);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $output `,` $outputGradient `heads` $heads attr-dict `:`
    functional-type(operands, results)
  }];
}

def KernelAttentionBackwardQueryOp : Ds_KernelOp<"attention_backward_query", [
    Pure, DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Gradient of attention's queries";
  let description = [{
    With P = exp(scale q k^T - lse) where a query sees a key, 0 elsewhere, and
    dS = scale P (dO v^T - delta), the result is dS k. dS is rounded to the
    element type of the keys before it meets them; the sums run in f32 over
    the positions in order. With `entries`, a query sees the positions of its
    row, and the state is kept in the view of values. arXiv 2205.14135, algorithm 4.

    ```mlir
    %dq = ds.kernel.attention_backward_query @dq %q, %k, %v, %lse, %delta, %dy, %s
        heads 8 scale 0.353
        : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>,
           tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x64xbf16>, !ds.seq)
       -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$query,
                       Ds_StateType:$keys, Ds_StateType:$values,
                       Ds_Matrix:$lse, Ds_Matrix:$delta,
                       Ds_Matrix:$outputGradient, Ds_SeqType:$seq,
                       Optional<Ds_PositionList>:$entries, I64Attr:$heads,
                       F64Attr:$scale, OptionalAttr<I64Attr>:$prefix);
  let results = (outs Ds_Matrix:$queryGradient);
  let assemblyFormat = [{
    $sym_name $query `,` $keys `,` $values `,` $lse `,` $delta `,`
    $outputGradient `,` $seq (`entries` $entries^)? `heads` $heads `scale`
    $scale (`prefix` $prefix^)? attr-dict `:` functional-type(operands, results)
  }];
}

def KernelAttentionBackwardKeysOp : Ds_KernelOp<"attention_backward_keys", [
    Pure, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Gradients of attention's keys and values";
  let description = [{
    dV = P^T dO and dK = dS^T q, P and dS as in
    `ds.kernel.attention_backward_query` and both rounded to the element type
    of the state. Rows are those of the step's tokens: what earlier steps kept
    gets no gradient. The sums run in f32 over the queries in order, the heads
    of a group in order within a token. With `prefix` there is one gradient, of
    the keys: dS^T q and, added to its first columns before both are rounded,
    P^T dO. `entries` as in `ds.kernel.attention_backward_query`, `keys` as in
    `ds.attend_backward`: its rows meet the queries of each of the sequence's
    runs in order.

    ```mlir
    %dk, %dv = ds.kernel.attention_backward_keys @dkv %q, %k, %v, %lse, %delta, %dy, %s
        heads 8 scale 0.353
        : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>,
           tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x64xbf16>, !ds.seq)
       -> (tensor<?x16xbf16>, tensor<?x16xbf16>)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$query,
                       Ds_StateType:$keys, Ds_StateType:$values,
                       Ds_Matrix:$lse, Ds_Matrix:$delta,
                       Ds_Matrix:$outputGradient, Ds_SeqType:$seq,
                       Optional<Ds_PositionList>:$entries,
                       Optional<Ds_SeqType>:$keySeq, I64Attr:$heads,
                       F64Attr:$scale, OptionalAttr<I64Attr>:$prefix);
  let results = (outs Ds_Matrix:$keyGradient,
                      Optional<Ds_Matrix>:$valueGradient);
  let assemblyFormat = [{
    $sym_name $query `,` $keys `,` $values `,` $lse `,` $delta `,`
    $outputGradient `,` $seq (`entries` $entries^)? (`keys` $keySeq^)? `heads`
    $heads `scale` $scale (`prefix` $prefix^)? attr-dict `:`
    functional-type(operands, results)
  }];
}
#endif
