//===- KernelNsa.td - Kernels of native sparse attention ------------------===//
#ifndef DS_DIALECT_KERNELNSA_TD
#define DS_DIALECT_KERNELNSA_TD
include "dialect/Kernel.td"
include "dialect/Nsa.td"

def KernelGatherBlocksOp : Ds_KernelOp<"gather_blocks", [Pure,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "The rows that an entry is compressed from";
  let description = [{
    As `ds.gather_blocks`; the state is kept in the view of values.

    ```mlir
    %c = ds.view_seq %s blocks
    %r = ds.kernel.gather_blocks @gather %k, %p, %c length 8 stride 4
        : (!ds.state<[2, 24], bf16>, tensor<8x24xbf16>, !ds.seq) -> tensor<?x192xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_StateType:$state,
                       Ds_WeightTensor:$positions, Ds_SeqType:$seq,
                       I64Attr:$length, I64Attr:$stride);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $state `,` $positions `,` $seq `length` $length `stride` $stride
    attr-dict `:` functional-type(operands, results)
  }];
}

def KernelGatherBlocksBackwardOp : Ds_KernelOp<"gather_blocks_backward", [Pure,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "The gradient of the rows that entries are compressed from";
  let description = [{
    As `ds.gather_blocks_backward`.

    ```mlir
    %c = ds.view_seq %s blocks
    %r = ds.kernel.gather_blocks @gather %k, %p, %c length 8 stride 4
        : (!ds.state<[2, 24], bf16>, tensor<8x24xbf16>, !ds.seq) -> tensor<?x192xbf16>
    %dk = ds.kernel.gather_blocks_backward @back %r, %s length 8 stride 4
        : (tensor<?x192xbf16>, !ds.seq) -> tensor<?x48xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$gradient,
                       Ds_SeqType:$seq, I64Attr:$length, I64Attr:$stride);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $gradient `,` $seq `length` $length `stride` $stride attr-dict `:`
    functional-type(operands, results)
  }];
}

def KernelAccumulatePositionsOp : Ds_KernelOp<"accumulate_positions", [
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Adds to the gradient of the positions within a block";
  let description = [{
    As `ds.accumulate_positions`.

    ```mlir
    ds.weight @p {labels = ["p"], rows = array<i64: 8>} : tensor<8x24xbf16>
    func.func @f(%r: tensor<?x192xbf16>) {
      %g = ds.get_gradient @p : tensor<8x24xf32>
      ds.kernel.accumulate_positions @add %g, %r : tensor<8x24xf32>, tensor<?x192xbf16>
      return
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_WeightTensor:$gradient,
                       Ds_Matrix:$input);
  let assemblyFormat = [{
    $sym_name $gradient `,` $input attr-dict `:` type($gradient) `,`
    type($input)
  }];
}

def KernelAppendBlocksOp : Ds_KernelOp<"append_blocks", [
    AllTypesMatch<["state", "result"]>,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Keeps the entries that the step completes";
  let description = [{
    As `ds.append_blocks`, in the view of keys or of values.

    ```mlir
    %c = ds.view_seq %s blocks
    %r = ds.kernel.gather_blocks @gather %k, %p, %c length 8 stride 4
        : (!ds.state<[2, 24], bf16>, tensor<8x24xbf16>, !ds.seq) -> tensor<?x192xbf16>
    %x = ds.linear %r, %w : (tensor<?x192xbf16>, tensor<24x192xbf16>) -> tensor<?x24xbf16>
    %e1 = ds.kernel.append_blocks @append %e, %x, %c keys
        : !ds.state<[2, 24], bf16 every 4>, tensor<?x24xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_StateType:$state,
                       Ds_Matrix:$input, Ds_SeqType:$seq, UnitAttr:$keys);
  let results = (outs Ds_StateType:$result);
  let assemblyFormat = [{
    $sym_name $state `,` $input `,` $seq (`keys` $keys^)? attr-dict `:`
    type($state) `,` type($input)
  }];
}

def KernelSparseAttentionOp : Ds_KernelOp<"sparse_attention", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Attention over some of the kept keys and values";
  let description = [{
    As `ds.sparse_attend`. Operand order of the launch: query, keys, values,
    seq, blocks.

    ```mlir
    %y, %l = ds.kernel.sparse_attention @window %q, %k, %v, %s heads 8 scale 0.2
        from window 24
        : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16>, !ds.state<[2, 16], bf16>, !ds.seq)
       -> (tensor<?x128xbf16>, tensor<?x8xf32>)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$query,
                       Ds_StateType:$keys, Ds_StateType:$values,
                       Ds_SeqType:$seq, Optional<Ds_BlockList>:$blocks,
                       I64Attr:$heads, F64Attr:$scale, Ds_KeySource:$source,
                       I64Attr:$size);
  let results = (outs Ds_Matrix:$result, Ds_Matrix:$lse);
  let assemblyFormat = [{
    $sym_name $query `,` $keys `,` $values `,` $seq (`,` $blocks^)? `heads`
    $heads `scale` $scale `from` $source $size attr-dict `:`
    functional-type(operands, results)
  }];
}

class Ds_SparseBackwardOp<string mnemonic, list<Trait> traits>
    : Ds_KernelOp<mnemonic, !listconcat([Pure], traits)> {
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$query,
                       Ds_StateType:$keys, Ds_StateType:$values,
                       Ds_Matrix:$lse, Ds_Matrix:$delta,
                       Ds_Matrix:$outputGradient, Ds_SeqType:$seq,
                       Optional<Ds_BlockList>:$blocks, I64Attr:$heads,
                       F64Attr:$scale, Ds_KeySource:$source, I64Attr:$size);
  let assemblyFormat = [{
    $sym_name $query `,` $keys `,` $values `,` $lse `,` $delta `,`
    $outputGradient `,` $seq (`,` $blocks^)? `heads` $heads `scale` $scale
    `from` $source $size attr-dict `:` functional-type(operands, results)
  }];
}

def KernelSparseBackwardQueryOp : Ds_SparseBackwardOp<"sparse_backward_query", [
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Gradient of sparse attention's queries";
  let description = [{
    dS is rounded to the element type of the keys, and dq adds dS k over the
    positions in order, in f32. `delta` is `ds.kernel.attention_delta`'s.

    ```mlir
    %dq = ds.kernel.sparse_backward_query @dq %q, %k, %v, %l, %d, %dy, %s heads 8
        scale 0.2 from window 24
        : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16>, !ds.state<[2, 16], bf16>,
           tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x128xbf16>, !ds.seq)
       -> tensor<?x192xbf16>
    ```
  }];
  let results = (outs Ds_Matrix:$queryGradient);
}

def KernelSparseBackwardKeysOp : Ds_SparseBackwardOp<"sparse_backward_keys", [
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Gradients of sparse attention's keys and values";
  let description = [{
    Every key of the step, or entry that it completes, adds over the queries
    that see it in order, the heads of the group in order within a token.

    ```mlir
    %dk, %dv = ds.kernel.sparse_backward_keys @dkv %q, %k, %v, %l, %d, %dy, %s heads 8
        scale 0.2 from window 24
        : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16>, !ds.state<[2, 16], bf16>,
           tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x128xbf16>, !ds.seq)
       -> (tensor<?x48xbf16>, tensor<?x32xbf16>)
    ```
  }];
  let results = (outs Ds_Matrix:$keyGradient, Ds_Matrix:$valueGradient);
}

def KernelSelectBlocksOp : Ds_KernelOp<"select_blocks", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "The blocks of tokens that a query attends to";
  let description = [{
    As `ds.select_blocks`.

    ```mlir
    %b = ds.kernel.select_blocks @select %q, %k, %l, %s heads 8 scale 0.2 length 8
        block 16 count 5 initial 1 local 2
        : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16 every 4>, tensor<?x8xf32>, !ds.seq)
       -> tensor<?x10xi32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$query,
                       Ds_StateType:$keys, Ds_Matrix:$lse, Ds_SeqType:$seq,
                       I64Attr:$heads, F64Attr:$scale, I64Attr:$length,
                       I64Attr:$block, I64Attr:$count, I64Attr:$initial,
                       I64Attr:$local);
  let results = (outs Ds_BlockList:$result);
  let assemblyFormat = [{
    $sym_name $query `,` $keys `,` $lse `,` $seq `heads` $heads `scale` $scale
    `length` $length `block` $block `count` $count `initial` $initial `local`
    $local attr-dict `:` functional-type(operands, results)
  }];
}

def KernelMixBranchesOp : Ds_KernelOp<"mix_branches", [Pure,
    AllTypesMatch<["first", "second", "third", "result"]>,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "The sum of three branches of attention, each times its gate";
  let description = [{
    As `ds.mix_branches`.

    ```mlir
    %y = ds.kernel.mix_branches @mix %g, %a, %b, %c heads 8
        : (tensor<?x24xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>)
       -> tensor<?x128xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$gates,
                       Ds_Matrix:$first, Ds_Matrix:$second, Ds_Matrix:$third,
                       I64Attr:$heads);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $gates `,` $first `,` $second `,` $third `heads` $heads attr-dict
    `:` functional-type(operands, results)
  }];
}

def KernelMixBranchesBackwardOp : Ds_KernelOp<"mix_branches_backward", [Pure,
    AllTypesMatch<["first", "second", "third", "outputGradient",
                   "firstGradient", "secondGradient", "thirdGradient"]>,
    AllTypesMatch<["gates", "gateGradient"]>,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Gradients of gates and of the branches they weigh";
  let description = [{
    As `ds.mix_branches_backward`.

    ```mlir
    %dg, %da, %db, %dc = ds.kernel.mix_branches_backward @mix %g, %a, %b, %c, %dy heads 8
        : (tensor<?x24xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>)
       -> (tensor<?x24xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$gates,
                       Ds_Matrix:$first, Ds_Matrix:$second, Ds_Matrix:$third,
                       Ds_Matrix:$outputGradient, I64Attr:$heads);
  let results = (outs Ds_Matrix:$gateGradient, Ds_Matrix:$firstGradient,
                      Ds_Matrix:$secondGradient, Ds_Matrix:$thirdGradient);
  let assemblyFormat = [{
    $sym_name $gates `,` $first `,` $second `,` $third `,` $outputGradient
    `heads` $heads attr-dict `:` functional-type(operands, results)
  }];
}
#endif
