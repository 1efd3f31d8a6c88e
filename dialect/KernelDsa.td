//===- KernelDsa.td - Kernels of an indexer -------------------------------===//
#ifndef DS_DIALECT_KERNELDSA_TD
#define DS_DIALECT_KERNELDSA_TD
include "dialect/Dsa.td"
include "dialect/Kernel.td"

def KernelSelectTokensOp : Ds_KernelOp<"select_tokens", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "The positions that a token attends to";
  let description = [{
    As `ds.select_tokens`; keys are kept in the view of keys.

    ```mlir
    %p = ds.kernel.select_tokens @select %q, %w, %k, %s heads 8 count 24
        : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[1, 32], bf16>, !ds.seq)
       -> tensor<?x24xi32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$query,
                       Ds_Matrix:$weights, Ds_StateType:$keys, Ds_SeqType:$seq,
                       I64Attr:$heads, I64Attr:$count);
  let results = (outs Ds_PositionList:$result);
  let assemblyFormat = [{
    $sym_name $query `,` $weights `,` $keys `,` $seq `heads` $heads `count`
    $count attr-dict `:` functional-type(operands, results)
  }];
}

def KernelEntryShareOp : Ds_KernelOp<"entry_share", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "How much of attention goes to each entry";
  let description = [{
    As `ds.entry_share`; keys are kept in the view of values.

    ```mlir
    %a = ds.kernel.entry_share @share %q, %c, %s entries %p heads 4 scale 0.1767
        : (tensor<?x192xbf16>, !ds.state<[1, 48], bf16>, !ds.seq, tensor<?x24xi32>)
       -> tensor<?x24xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$query,
                       Ds_StateType:$keys, Ds_SeqType:$seq,
                       Ds_PositionList:$entries, I64Attr:$heads,
                       F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $sym_name $query `,` $keys `,` $seq `entries` $entries `heads` $heads `scale`
    $scale attr-dict `:` functional-type(operands, results)
  }];
}

def KernelIndexScoresOp : Ds_KernelOp<"index_scores", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "What an indexer finds the entries of a token worth";
  let description = [{
    As `ds.index_scores`; keys are kept in the view of keys.

    ```mlir
    %i = ds.kernel.index_scores @scores %q, %w, %k, %s entries %p heads 8 scale 0.0625
        : (tensor<?x256xbf16>, tensor<?x8xf32>, !ds.state<[1, 32], bf16>, !ds.seq,
           tensor<?x24xi32>) -> tensor<?x24xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$query,
                       Ds_Matrix:$weights, Ds_StateType:$keys, Ds_SeqType:$seq,
                       Ds_PositionList:$entries, I64Attr:$heads,
                       F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $sym_name $query `,` $weights `,` $keys `,` $seq `entries` $entries `heads`
    $heads `scale` $scale attr-dict `:` functional-type(operands, results)
  }];
}

def KernelIndexBackwardQueryOp : Ds_KernelOp<"index_backward_query", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Gradients of an indexer's queries and weights";
  let description = [{
    As `ds.index_scores_backward`.

    ```mlir
    %dq, %dw = ds.kernel.index_backward_query @back %di, %q, %w, %k, %s
        entries %p heads 8 scale 0.0625
        : (tensor<?x24xf32>, tensor<?x256xbf16>, tensor<?x8xf32>,
           !ds.state<[1, 32], bf16>, !ds.seq, tensor<?x24xi32>)
       -> (tensor<?x256xbf16>, tensor<?x8xf32>)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Scores:$gradient,
                       Ds_Matrix:$query, Ds_Matrix:$weights, Ds_StateType:$keys,
                       Ds_SeqType:$seq, Ds_PositionList:$entries,
                       I64Attr:$heads,
                       F64Attr:$scale);
  let results = (outs Ds_Matrix:$queryGradient, Ds_Matrix:$weightGradient);
  let assemblyFormat = [{
    $sym_name $gradient `,` $query `,` $weights `,` $keys `,` $seq `entries`
    $entries `heads` $heads `scale` $scale attr-dict `:` functional-type(operands, results)
  }];
}

def KernelIndexBackwardKeysOp : Ds_KernelOp<"index_backward_keys", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Gradient of an indexer's keys";
  let description = [{
    As `ds.index_scores_backward`. A tile is a token of the step.

    ```mlir
    %dk = ds.kernel.index_backward_keys @back %di, %q, %w, %k, %s
        entries %p heads 8 scale 0.0625
        : (tensor<?x24xf32>, tensor<?x256xbf16>, tensor<?x8xf32>,
           !ds.state<[1, 32], bf16>, !ds.seq, tensor<?x24xi32>)
       -> tensor<?x32xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Scores:$gradient,
                       Ds_Matrix:$query, Ds_Matrix:$weights, Ds_StateType:$keys,
                       Ds_SeqType:$seq, Ds_PositionList:$entries,
                       I64Attr:$heads,
                       F64Attr:$scale);
  let results = (outs Ds_Matrix:$keyGradient);
  let assemblyFormat = [{
    $sym_name $gradient `,` $query `,` $weights `,` $keys `,` $seq `entries`
    $entries `heads` $heads `scale` $scale attr-dict `:` functional-type(operands, results)
  }];
}
#endif
