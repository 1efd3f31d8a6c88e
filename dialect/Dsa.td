//===- Dsa.td - Selection of tokens by an indexer -------------------------===//
//
// DeepSeek-V3.2: the tokens that attention reads are chosen by scores of small
// heads, which have keys of their own.
//
//===----------------------------------------------------------------------===//
#ifndef DS_DIALECT_DSA_TD
#define DS_DIALECT_DSA_TD
include "dialect/Types.td"

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
#endif
