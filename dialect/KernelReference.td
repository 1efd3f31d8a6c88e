//===- KernelReference.td - Operations as they mean -----------------------===//
#ifndef DS_DIALECT_KERNELREFERENCE_TD
#define DS_DIALECT_KERNELREFERENCE_TD
include "dialect/Kernel.td"

def KernelReferenceOp : Ds_KernelOp<"reference", [IsolatedFromAbove,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "One operation, as it means";
  let description = [{
    The region holds the operation, on arguments that stand for the operands,
    and yields its results; other operations there name sizes only. A launch has
    a row of the results in each tile. Weights are `raw`.

    ```mlir
    %y = ds.kernel.reference @swiglu(%a, %b) rows "T"
        : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32> {
    ^bb0(%g: tensor<?x64xf32>, %u: tensor<?x64xf32>):
      %z = ds.swiglu %g, %u : tensor<?x64xf32>
      ds.yield %z : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Variadic<AnyType>:$inputs,
                       StrAttr:$rows);
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `(` $inputs `)` `rows` $rows attr-dict `:`
    functional-type($inputs, $outputs) $body
  }];
  let extraClassDeclaration = [{
    /// Returns the operation whose results the region yields.
    ::mlir::Operation *getMeant();
  }];
}
#endif
