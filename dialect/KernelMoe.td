//===- KernelMoe.td - Kernels of routers and experts -----------------------===//
#ifndef DS_DIALECT_KERNELMOE_TD
#define DS_DIALECT_KERNELMOE_TD
include "dialect/Kernel.td"
include "dialect/Moe.td"

def RowMaxOp : Ds_Op<"row_max", [Pure, SameOperandsAndResultType]> {
  let summary = "The greatest value of all columns of the row";
  let description = [{
    As `ds.row_reduce`; no value may be NaN.

    ```mlir
    %y = ds.kernel.row @below(%a) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
    ^bb0(%x: f32):
      %m = ds.row_max %x : f32
      %d = arith.subf %x, %m : f32
      ds.yield %d : f32
    }
    ```
  }];
  let arguments = (ins F32:$input);
  let results = (outs F32:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def KernelTopKOp : Ds_KernelOp<"top_k", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "The experts of every token";
  let description = [{
    As `ds.top_k`.

    ```mlir
    %p = ds.kernel.top_k @top_k %s k 3 groups 1 keep 1 by max
        : tensor<?x16xf32> -> tensor<?x3xi32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Scores:$scores,
                       Optional<Ds_WeightTensor>:$bias, I64Attr:$k,
                       I64Attr:$groups, I64Attr:$kept,
                       Ds_GroupScore:$groupScore);
  let results = (outs Ds_Picks:$result);
  let assemblyFormat = [{
    $sym_name $scores (`bias` $bias^ `:` type($bias))? `k` $k `groups` $groups
    `keep` $kept `by` $groupScore attr-dict `:` type($scores) `->` type($result)
  }];
}

def KernelPickOp : Ds_KernelOp<"pick", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "The weights of every token's experts";
  let description = [{
    As `ds.pick`.

    ```mlir
    %w = ds.kernel.pick @pick %s, %p scale 1.0
        : (tensor<?x16xf32>, tensor<?x3xi32>) -> tensor<?x3xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Scores:$scores,
                       Ds_Picks:$picks, UnitAttr:$normalise, F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $sym_name $scores `,` $picks (`normalise` $normalise^)? `scale` $scale
    attr-dict `:` functional-type(operands, results)
  }];
}

def KernelPickBackwardOp : Ds_KernelOp<"pick_backward", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "The gradient of the scores of picked experts";
  let description = [{
    As `ds.pick_backward`.

    ```mlir
    %ds = ds.kernel.pick_backward @pick_backward %s, %p, %dw scale 1.0
        : (tensor<?x16xf32>, tensor<?x3xi32>, tensor<?x3xf32>) -> tensor<?x16xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Scores:$scores,
                       Ds_Picks:$picks, Ds_Scores:$gradient,
                       UnitAttr:$normalise, F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $sym_name $scores `,` $picks `,` $gradient (`normalise` $normalise^)?
    `scale` $scale attr-dict `:` functional-type(operands, results)
  }];
}

def KernelRouteOp : Ds_KernelOp<"route", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Sorts (token, slot) pairs by expert";
  let description = [{
    As `ds.route`; the result's memory is in docs/artifact.md.

    ```mlir
    %r = ds.kernel.route @route %p
        : tensor<?x3xi32> -> !ds.routing<experts = 16, picks = 3>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Picks:$picks);
  let results = (outs Ds_RoutingType:$result);
  let assemblyFormat =
      "$sym_name $picks attr-dict `:` type($picks) `->` type($result)";
}

def KernelDispatchOp : Ds_KernelOp<"dispatch", [Pure,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Every token's row, once for each of its experts";
  let description = [{
    As `ds.dispatch`.

    ```mlir
    %y = ds.kernel.dispatch @dispatch %x, %r : (tensor<?x64xbf16>,
        !ds.routing<experts = 16, picks = 3>) -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$input,
                       Ds_RoutingType:$routing);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $input `,` $routing attr-dict `:`
    functional-type(operands, results)
  }];
}

def KernelCombineOp : Ds_KernelOp<"combine", [Pure, AttrSizedOperandSegments,
    IsolatedFromAbove,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol", "canReuseOperand"]>]> {
  let summary = "Adds what every token's experts gave";
  let description = [{
    As `ds.combine`; the region is an epilogue as that of `ds.kernel.matmul`.
    Operand order of the launch: input, routing, weights, extras; then the
    result.

    ```mlir
    %z = ds.kernel.combine @combine %y, %r weights %w : tensor<?x3xf32>
        : tensor<?x64xbf16>, !ds.routing<experts = 16, picks = 3> -> tensor<?x64xbf16> {
    ^bb0(%sum: f32):
      %b = arith.truncf %sum : f32 to bf16
      ds.yield %b : bf16
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$input,
                       Ds_RoutingType:$routing, Optional<Ds_Scores>:$weights,
                       Variadic<AnyRankedTensor>:$extras);
  let results = (outs Ds_Matrix:$result);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    $sym_name $input `,` $routing (`weights` $weights^ `:` type($weights))?
    (`extras` `(` $extras^ `:` type($extras) `)`)? attr-dict `:` type($input)
    `,` type($routing) `->` type($result) $epilogue
  }];
}

def KernelCombineBackwardOp : Ds_KernelOp<"combine_backward", [Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "The gradients of experts' results and of their weights";
  let description = [{
    As `ds.combine_backward`.

    ```mlir
    %dy, %dw = ds.kernel.combine_backward @back %y, %r, %w, %dz
        : (tensor<?x64xbf16>, !ds.routing<experts = 16, picks = 3>, tensor<?x3xf32>,
           tensor<?x64xbf16>) -> (tensor<?x64xbf16>, tensor<?x3xf32>)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$input,
                       Ds_RoutingType:$routing, Ds_Scores:$weights,
                       Ds_Matrix:$gradient);
  let results = (outs Ds_Matrix:$inputGradient, Ds_Scores:$weightGradient);
  let assemblyFormat = [{
    $sym_name $input `,` $routing `,` $weights `,` $gradient attr-dict `:`
    functional-type(operands, results)
  }];
}
#endif
