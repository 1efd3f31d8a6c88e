//===- Window.td - Many rows of something wide, a window at a time --------===//
#ifndef DS_DIALECT_WINDOW_TD
#define DS_DIALECT_WINDOW_TD
include "dialect/Types.td"

def RunRowsOp : Ds_Op<"run_rows", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs a function over windows of rows";
  let description = [{
    Calls `body` for the first rows of every operand, then the next as many, and
    so on. Operands and results are matrices of R rows (rows whose logits are
    asked for), and so are the function's arguments, which say so by the
    attribute `ds.rows`. What the body makes is only as long as a window:
    logits of a training step are never all in memory.

    ```mlir
    %lp, %lse = ds.run_rows @head(%x, %t, %i)
        : (tensor<?x64xbf16>, tensor<?x1xi32>, tensor<?x1xf32>)
       -> (tensor<?x1xf32>, tensor<?x1xf32>)
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$body, Variadic<AnyRankedTensor>:$operands);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $body `(` $operands `)` attr-dict `:` functional-type($operands, $results)
  }];
}
#endif
