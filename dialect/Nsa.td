//===- Nsa.td - Native sparse attention -----------------------------------===//
//
// Yuan et al., arXiv 2502.11089: every branch has keys and values of its own;
// runs of tokens are compressed to entries (eq. 7), the scores of entries
// choose blocks of tokens (eq. 8 to 12), and the last tokens are a window.
//
//===----------------------------------------------------------------------===//
#ifndef DS_DIALECT_NSA_TD
#define DS_DIALECT_NSA_TD
include "dialect/Types.td"

def Ds_BlockList : TensorRankOf<[I32], [2]>;

def SiluOp : Ds_Op<"silu", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure, SameOperandsAndResultType,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "x / (1 + exp(-x))";
  let description = [{
    Computed in f32, rounded once.

    ```mlir
    %y = ds.silu %x : tensor<?x32xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def SiluBackwardOp : Ds_Op<"silu_backward", [Pure, SameOperandsAndResultType,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The gradient of silu's input";
  let description = [{
    dy s (1 + x (1 - s)), s being the sigmoid of x, in f32, rounded once.

    ```mlir
    %dx = ds.silu_backward %x, %dy : tensor<?x32xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_Matrix:$outputGradient);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$input `,` $outputGradient attr-dict `:` type($result)";
}

//===----------------------------------------------------------------------===//
// Compression
//===----------------------------------------------------------------------===//

def GatherBlocksOp : Ds_Op<"gather_blocks", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The rows that an entry is compressed from";
  let description = [{
    For every entry that the step completes and every head of the state, the
    kept rows of the `length` tokens that end with the entry's last one, in
    order, `positions` added to them in f32 and rounded once. Rows before the
    first token are zeros, without positions. An entry ends at the last token of
    every `stride` tokens. arXiv 2502.11089, eq. 7.

    ```mlir
    %c = ds.view_seq %s blocks
    %r = ds.gather_blocks %k, %p, %c length 8 stride 4
        : (!ds.state<[2, 24], bf16>, tensor<8x24xbf16>, !ds.seq) -> tensor<?x192xbf16>
    ```
  }];
  let arguments = (ins Ds_StateType:$state, Ds_WeightTensor:$positions,
                       Ds_SeqType:$seq, I64Attr:$length, I64Attr:$stride);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $state `,` $positions `,` $seq `length` $length `stride` $stride attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def GatherBlocksBackwardOp : Ds_Op<"gather_blocks_backward", [Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The gradient of the rows that entries are compressed from";
  let description = [{
    A token's row adds what it has in the entries of the step that it is part
    of, in order, in f32, and is rounded once.

    ```mlir
    %c = ds.view_seq %s blocks
    %r = ds.gather_blocks %k, %p, %c length 8 stride 4
        : (!ds.state<[2, 24], bf16>, tensor<8x24xbf16>, !ds.seq) -> tensor<?x192xbf16>
    %dk = ds.gather_blocks_backward %r, %s length 8 stride 4
        : (tensor<?x192xbf16>, !ds.seq) -> tensor<?x48xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$gradient, Ds_SeqType:$seq, I64Attr:$length,
                       I64Attr:$stride);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $gradient `,` $seq `length` $length `stride` $stride attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def AccumulatePositionsOp : Ds_Op<"accumulate_positions", [
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Adds to the gradient of the positions within a block";
  let description = [{
    gradient[i, c] adds the sum over all rows of input[row, i x columns + c],
    rows in order, in f32.

    ```mlir
    ds.weight @p {labels = ["p"], rows = array<i64: 8>} : tensor<8x24xbf16>
    func.func @f(%r: tensor<?x192xbf16>) {
      %g = ds.get_gradient @p : tensor<8x24xf32>
      ds.accumulate_positions %g, %r : tensor<8x24xf32>, tensor<?x192xbf16>
      return
    }
    ```
  }];
  let arguments = (ins Ds_WeightTensor:$gradient, Ds_Matrix:$input);
  let assemblyFormat =
      "$gradient `,` $input attr-dict `:` type($gradient) `,` type($input)";
  let hasVerifier = 1;
}

def AppendBlocksOp : Ds_Op<"append_blocks", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    AllTypesMatch<["state", "result"]>,
    DeclareOpInterfaceMethods<DifferentiableInterface>]> {
  let summary = "Keeps the entries that the step completes";
  let description = [{
    A row for every completed entry and head of the state, which keeps an entry
    for every stride of tokens.

    ```mlir
    %c = ds.view_seq %s blocks
    %r = ds.gather_blocks %k, %p, %c length 8 stride 4
        : (!ds.state<[2, 24], bf16>, tensor<8x24xbf16>, !ds.seq) -> tensor<?x192xbf16>
    %x = ds.linear %r, %w : (tensor<?x192xbf16>, tensor<24x192xbf16>) -> tensor<?x24xbf16>
    %e1 = ds.append_blocks %e, %x, %c
        : !ds.state<[2, 24], bf16 every 4>, tensor<?x24xbf16>
    ```
  }];
  let arguments = (ins Ds_StateType:$state, Ds_Matrix:$input, Ds_SeqType:$seq);
  let results = (outs Ds_StateType:$result);
  let assemblyFormat = [{
    $state `,` $input `,` $seq attr-dict `:` type($state) `,` type($input)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

def Ds_KeySource : I32EnumAttr<"KeySource", "which keys a query sees", [
    I32EnumAttrCase<"Window", 0, "window">,
    I32EnumAttrCase<"Blocks", 1, "blocks">,
    I32EnumAttrCase<"Entries", 2, "entries">]> {
  let cppNamespace = "::ds";
}

def SparseAttendOp : Ds_Op<"sparse_attend", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Attention over some of the kept keys and values";
  let description = [{
    As `ds.attend`, but a query at position t sees
    - from `window` n: positions t - n + 1 to t;
    - from `blocks` n: of the blocks of n positions in its list (one for each
      key head, in ascending order, -1 after the last) positions up to t;
    - from `entries` n: the entries of the states, each of n tokens, whose last
      token is at most t. A query that sees none gets zero and an lse of
      -infinity.

    ```mlir
    %y, %l = ds.sparse_attend %q, %k, %v, %s heads 8 scale 0.2 from window 24
        : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16>, !ds.state<[2, 16], bf16>, !ds.seq)
       -> (tensor<?x128xbf16>, tensor<?x8xf32>)
    %z, %m = ds.sparse_attend %q, %k, %v, %s, %b heads 8 scale 0.2 from blocks 16
        : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16>, !ds.state<[2, 16], bf16>, !ds.seq, tensor<?x10xi32>)
       -> (tensor<?x128xbf16>, tensor<?x8xf32>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_StateType:$keys,
                       Ds_StateType:$values, Ds_SeqType:$seq,
                       Optional<Ds_BlockList>:$blocks, I64Attr:$heads,
                       F64Attr:$scale, Ds_KeySource:$source, I64Attr:$size);
  let results = (outs Ds_Matrix:$result, Ds_Matrix:$lse);
  let assemblyFormat = [{
    $query `,` $keys `,` $values `,` $seq (`,` $blocks^)? `heads` $heads `scale`
    $scale `from` $source $size attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def SparseAttendBackwardOp : Ds_Op<"sparse_attend_backward", [Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Gradients of sparse attention's queries, keys and values";
  let description = [{
    With P = exp(scale q k^T - lse) where a query sees a key, 0 elsewhere, and
    dS = scale P (dO v^T - sum of O dO): dq = dS k, dk = dS^T q, dv = P^T dO.
    Keys and values of earlier steps get no gradient; those of entries have a
    row for every completed entry and head. The choice of blocks has none.

    ```mlir
    %dq, %dk, %dv = ds.sparse_attend_backward %q, %k, %v, %y, %l, %dy, %s heads 8
        scale 0.2 from window 24
        : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16>, !ds.state<[2, 16], bf16>,
           tensor<?x128xbf16>, tensor<?x8xf32>, tensor<?x128xbf16>, !ds.seq)
       -> (tensor<?x192xbf16>, tensor<?x48xbf16>, tensor<?x32xbf16>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_StateType:$keys,
                       Ds_StateType:$values, Ds_Matrix:$output, Ds_Matrix:$lse,
                       Ds_Matrix:$outputGradient, Ds_SeqType:$seq,
                       Optional<Ds_BlockList>:$blocks, I64Attr:$heads,
                       F64Attr:$scale, Ds_KeySource:$source, I64Attr:$size);
  let results = (outs Ds_Matrix:$queryGradient, Ds_Matrix:$keyGradient,
                      Ds_Matrix:$valueGradient);
  let assemblyFormat = [{
    $query `,` $keys `,` $values `,` $output `,` $lse `,` $outputGradient `,`
    $seq (`,` $blocks^)? `heads` $heads `scale` $scale `from` $source $size
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def SelectBlocksOp : Ds_Op<"select_blocks", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The blocks of tokens that a query attends to";
  let description = [{
    A block of `block` positions is worth the sum over the heads of the group
    and the entries of P = exp(scale q k^T - lse), times the number of strides
    that the entry, of `length` tokens, and the block share. Every key head of a
    token takes the first `initial` blocks, the `local` last ones up to its own,
    and the best of the others, ties to the lower, until it has `count`, in
    ascending order, -1 after the last. There is no gradient.
    arXiv 2502.11089, eq. 8 to 12.

    ```mlir
    %b = ds.select_blocks %q, %k, %l, %s heads 8 scale 0.2 length 8 block 16 count 5
        initial 1 local 2
        : (tensor<?x192xbf16>, !ds.state<[2, 24], bf16 every 4>, tensor<?x8xf32>, !ds.seq)
       -> tensor<?x10xi32>
    ```
  }];
  let arguments = (ins Ds_Matrix:$query, Ds_StateType:$keys, Ds_Matrix:$lse,
                       Ds_SeqType:$seq, I64Attr:$heads, F64Attr:$scale,
                       I64Attr:$length, I64Attr:$block, I64Attr:$count,
                       I64Attr:$initial, I64Attr:$local);
  let results = (outs Ds_BlockList:$result);
  let assemblyFormat = [{
    $query `,` $keys `,` $lse `,` $seq `heads` $heads `scale` $scale `length`
    $length `block` $block `count` $count `initial` $initial `local` $local
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def MixBranchesOp : Ds_Op<"mix_branches", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    AllTypesMatch<["first", "second", "third", "result"]>,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The sum of three branches of attention, each times its gate";
  let description = [{
    Head h is gates[3 h] first + gates[3 h + 1] second + gates[3 h + 2] third: a
    product and two FMAs in f32, rounded once. arXiv 2502.11089, eq. 5.

    ```mlir
    %y = ds.mix_branches %g, %a, %b, %c heads 8
        : (tensor<?x24xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>)
       -> tensor<?x128xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$gates, Ds_Matrix:$first, Ds_Matrix:$second,
                       Ds_Matrix:$third, I64Attr:$heads);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $gates `,` $first `,` $second `,` $third `heads` $heads attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def MixBranchesBackwardOp : Ds_Op<"mix_branches_backward", [Pure,
    AllTypesMatch<["first", "second", "third", "outputGradient",
                   "firstGradient", "secondGradient", "thirdGradient"]>,
    AllTypesMatch<["gates", "gateGradient"]>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Gradients of gates and of the branches they weigh";
  let description = [{
    A branch gets gate times dy, a gate the sum over its head's columns of
    branch times dy: 16 lanes and the tree of `ds.row_reduce`; all in f32 and
    rounded once.

    ```mlir
    %dg, %da, %db, %dc = ds.mix_branches_backward %g, %a, %b, %c, %dy heads 8
        : (tensor<?x24xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>)
       -> (tensor<?x24xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$gates, Ds_Matrix:$first, Ds_Matrix:$second,
                       Ds_Matrix:$third, Ds_Matrix:$outputGradient,
                       I64Attr:$heads);
  let results = (outs Ds_Matrix:$gateGradient, Ds_Matrix:$firstGradient,
                      Ds_Matrix:$secondGradient, Ds_Matrix:$thirdGradient);
  let assemblyFormat = [{
    $gates `,` $first `,` $second `,` $third `,` $outputGradient `heads` $heads
    attr-dict `:` functional-type(operands, results)
  }];
}
#endif
