//===- KernelDsa.td - Kernels of an indexer -------------------------------===//
#ifndef DS_DIALECT_KERNELDSA_TD
#define DS_DIALECT_KERNELDSA_TD
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
#endif
