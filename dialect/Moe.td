//===- Moe.td - Routers and experts ----------------------------------------===//
#ifndef DS_DIALECT_MOE_TD
#define DS_DIALECT_MOE_TD
include "dialect/Types.td"

def Ds_Scores : TensorRankOf<[F32], [2]>;
def Ds_Picks : TensorRankOf<[I32], [2]>;

//===----------------------------------------------------------------------===//
// Routers
//===----------------------------------------------------------------------===//

def SoftmaxOp : Ds_Op<"softmax", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure, SameOperandsAndResultType,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "exp(x - max x) / sum of exp(x - max x) over every row";
  let description = [{
    ```mlir
    %y = ds.softmax %x : tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$input);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def SoftmaxBackwardOp : Ds_Op<"softmax_backward", [Pure,
    SameOperandsAndResultType, DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The gradient of a softmax's input";
  let description = [{
    y (dy - sum of y dy over the row), y being the softmax.

    ```mlir
    %dx = ds.softmax_backward %y, %dy : tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$output, Ds_Scores:$outputGradient);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = "$output `,` $outputGradient attr-dict `:` type($result)";
}

def SigmoidOp : Ds_Op<"sigmoid", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure, SameOperandsAndResultType,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "1 / (1 + exp(-x))";
  let description = [{
    Computed in f32, rounded once.

    ```mlir
    %y = ds.sigmoid %x : tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def Ds_GroupScore : I32EnumAttr<"GroupScore", "what a group of experts is worth", [
    I32EnumAttrCase<"Max", 0, "max">,
    I32EnumAttrCase<"Top2", 1, "top2">]> {
  let cppNamespace = "::ds";
}

def TopKOp : Ds_Op<"top_k", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The experts of every token";
  let description = [{
    The k columns of greatest choice, scores + bias, greatest first; of equal
    ones the lower comes first. Columns are `groups` equal runs, of which the
    `kept` with the greatest maximum, or sum of the two greatest (`top2`), have
    a chance, ties to the lower again. The choice has no gradient. DeepSeek-V2,
    arXiv 2405.04434, section 2.2.2; V3, arXiv 2412.19437, eq. 16.

    ```mlir
    %p = ds.top_k %s k 3 : tensor<?x16xf32> -> tensor<?x3xi32>
    %q = ds.top_k %s bias %b : tensor<16xf32> k 3 groups 4 keep 2 by top2
        : tensor<?x16xf32> -> tensor<?x3xi32>
    ```
  }];
  let arguments = (ins Ds_Scores:$scores, Optional<Ds_WeightTensor>:$bias,
                       I64Attr:$k, DefaultValuedAttr<I64Attr, "1">:$groups,
                       DefaultValuedAttr<I64Attr, "1">:$kept,
                       DefaultValuedAttr<Ds_GroupScore, "::ds::GroupScore::Max">
                           :$groupScore);
  let results = (outs Ds_Picks:$result);
  let assemblyFormat = [{
    $scores (`bias` $bias^ `:` type($bias))? `k` $k
    (`groups` $groups^ `keep` $kept `by` $groupScore)? attr-dict `:`
    type($scores) `->` type($result)
  }];
  let hasVerifier = 1;
}

def PickOp : Ds_Op<"pick", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The weights of every token's experts";
  let description = [{
    w[t, k] = scale s[t, picks[t, k]], divided by the sum of the picked scores,
    in the order of slots, with `normalise`.

    ```mlir
    %w = ds.pick %s, %p normalise scale 2.5
        : (tensor<?x16xf32>, tensor<?x3xi32>) -> tensor<?x3xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$scores, Ds_Picks:$picks, UnitAttr:$normalise,
                       F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $scores `,` $picks (`normalise` $normalise^)? `scale` $scale attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def PickBackwardOp : Ds_Op<"pick_backward", [Pure,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The gradient of the scores of picked experts";
  let description = [{
    With w as in `ds.pick`: scale dw, or with `normalise`
    scale (dw - sum of dw s / S) / S, S being the sum of the picked scores;
    zero for experts that were not picked.

    ```mlir
    %ds = ds.pick_backward %s, %p, %dw normalise scale 2.5
        : (tensor<?x16xf32>, tensor<?x3xi32>, tensor<?x3xf32>) -> tensor<?x16xf32>
    ```
  }];
  let arguments = (ins Ds_Scores:$scores, Ds_Picks:$picks, Ds_Scores:$gradient,
                       UnitAttr:$normalise, F64Attr:$scale);
  let results = (outs Ds_Scores:$result);
  let assemblyFormat = [{
    $scores `,` $picks `,` $gradient (`normalise` $normalise^)? `scale` $scale
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

def RouteOp : Ds_Op<"route", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Sorts (token, slot) pairs by expert";
  let description = [{
    Stable: within an expert, pairs stay in the order of tokens and slots.

    ```mlir
    %r = ds.route %p : tensor<?x3xi32> -> !ds.routing<experts = 16, picks = 3>
    ```
  }];
  let arguments = (ins Ds_Picks:$picks);
  let results = (outs Ds_RoutingType:$result);
  let assemblyFormat =
      "$picks attr-dict `:` type($picks) `->` type($result)";
  let hasVerifier = 1;
}

def DispatchOp : Ds_Op<"dispatch", [Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Every token's row, once for each of its experts";
  let description = [{
    Routed rows, exact. Products take rows by token without it; a backward does
    not.

    ```mlir
    %y = ds.dispatch %x, %r : (tensor<?x64xbf16>,
        !ds.routing<experts = 16, picks = 3>) -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_RoutingType:$routing);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $routing attr-dict `:` functional-type(operands, results)
  }];
}

def CombineOp : Ds_Op<"combine", [
    DeclareOpInterfaceMethods<MeaningInterface>,
    Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<DifferentiableInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "Adds what every token's experts gave";
  let description = [{
    w[t, 0] y0 + w[t, 1] y1 + ..., yk being the routed row of slot k of token t,
    in the order of slots, one FMA each after the first product; without
    weights the plain sum. Rounded once.

    ```mlir
    %z = ds.combine %y, %r weights %w : (tensor<?x64xbf16>,
        !ds.routing<experts = 16, picks = 3>, tensor<?x3xf32>) -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_RoutingType:$routing,
                       Optional<Ds_Scores>:$weights);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $routing (`weights` $weights^)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def CombineBackwardOp : Ds_Op<"combine_backward", [Pure,
    DeclareOpInterfaceMethods<RowsInterface>,
    DeclareOpInterfaceMethods<CostInterface>]> {
  let summary = "The gradients of experts' results and of their weights";
  let description = [{
    Of the routed row of slot k of token t: w[t, k] dz[t], rounded once; of
    w[t, k] the sum over columns of dz[t] and the row, on 16 lanes and the tree
    of `ds.row_reduce`.

    ```mlir
    %dy, %dw = ds.combine_backward %y, %r, %w, %dz
        : (tensor<?x64xbf16>, !ds.routing<experts = 16, picks = 3>, tensor<?x3xf32>,
           tensor<?x64xbf16>) -> (tensor<?x64xbf16>, tensor<?x3xf32>)
    ```
  }];
  let arguments = (ins Ds_Matrix:$input, Ds_RoutingType:$routing,
                       Ds_Scores:$weights, Ds_Matrix:$gradient);
  let results = (outs Ds_Matrix:$inputGradient, Ds_Scores:$weightGradient);
  let assemblyFormat = [{
    $input `,` $routing `,` $weights `,` $gradient attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}
#endif
