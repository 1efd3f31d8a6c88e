//===- KernelTraining.td - Kernels that only training has -----------------===//
#ifndef DS_DIALECT_KERNELTRAINING_TD
#define DS_DIALECT_KERNELTRAINING_TD
include "dialect/Kernel.td"

//===----------------------------------------------------------------------===//
// Sums over rows
//===----------------------------------------------------------------------===//

def KernelColumnsOp : Ds_KernelOp<"columns", [IsolatedFromAbove,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Adds a region's value over all rows, column by column";
  let description = [{
    gradient[n] += v[0, n], then v[1, n], and so on in the order of the rows:
    the gradient of a bias or of a norm's gain. The region receives one scalar
    per operand, as that of `ds.kernel.row`, and yields v, an f32.

    ```mlir
    ds.kernel.columns @bias(%d) into %g
        : (tensor<?x64xbf16>) -> tensor<64xf32> {
    ^bb0(%x: bf16):
      %w = arith.extf %x : bf16 to f32
      ds.yield %w : f32
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       Variadic<AnyRankedTensor>:$inputs,
                       TensorRankOf<[F32], [1]>:$gradient);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `(` $inputs `)` `into` $gradient attr-dict `:`
    `(` type($inputs) `)` `->` type($gradient) $body
  }];
  let extraClassDeclaration = [{
    int64_t getWidth();
  }];
}

def KernelScatterEmbeddingOp : Ds_KernelOp<"scatter_embedding", [
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Adds rows to the rows of a table that the tokens name";
  let description = [{
    gradient[ids[t]] += input[t] in the order of t.

    ```mlir
    ds.kernel.scatter_embedding @embed %d, %s into %g
        : tensor<?x74xf32> -> tensor<301x74xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       TensorRankOf<[F32], [2]>:$gradient, Ds_Matrix:$input,
                       Ds_SeqType:$seq);
  let assemblyFormat = [{
    $sym_name $input `,` $seq `into` $gradient attr-dict `:` type($input) `->`
    type($gradient)
  }];
}

def KernelOuterOp : Ds_KernelOp<"outer", [
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Adds dy^T x to the gradient of a weight";
  let description = [{
    A member of the matmul family whose sums run over the step's rows: from
    zero, in order, and then once to the gradient, which lies in memory as
    [N32][K32] f32. `routed` and `heads` are as in
    `ds.accumulate_outer` and `ds.kernel.matmul`. Operand order of the launch:
    dy, x, gradient, routing.

    ```mlir
    ds.kernel.outer @outer %dy, %x into %g
        : tensor<?x96xbf16>, tensor<?x64xbf16>, tensor<96x64xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$outputGradient,
                       Ds_Matrix:$input, TensorRankOf<[F32], [2, 3]>:$gradient,
                       Optional<Ds_RoutingType>:$routing,
                       OptionalAttr<Ds_HeadsAttr>:$heads);
  let assemblyFormat = [{
    $sym_name $outputGradient `,` $input `into` $gradient
    (`routed` $routing^ `:` type($routing))?
    (`heads` $heads^)? attr-dict `:` type($outputGradient) `,` type($input) `,`
    type($gradient)
  }];
  let builders = [OpBuilder<(ins "::llvm::StringRef":$symName,
      "::mlir::Value":$outputGradient, "::mlir::Value":$input,
      "::mlir::Value":$gradient), [{
    build($_builder, $_state, symName, outputGradient, input, gradient,
          ::mlir::Value(), ::ds::HeadsAttr());
  }]>];
}

//===----------------------------------------------------------------------===//
// Log-probabilities
//===----------------------------------------------------------------------===//

def KernelLogProbOp : Ds_KernelOp<"log_prob", [Pure,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Logarithm of the probability of one column of every row";
  let description = [{
    With z = logits times the row's inverse temperature, which is not negative:
    logProb = z[target] - lse, lse = m + log l. Blocks of 512 columns have their
    own maximum m and sum l of exp(z - m), 16 lanes and the tree of
    `ds.row_reduce`, and merge from left to right: m' = max(m, ms), l' = l exp(m - m') + ls exp(ms - m').

    ```mlir
    %p, %lse = ds.kernel.log_prob @log_prob %z, %t, %i
        : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>)
       -> (tensor<?x1xf32>, tensor<?x1xf32>)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$logits,
                       TensorRankOf<[I32], [2]>:$targets,
                       TensorRankOf<[F32], [2]>:$inverseTemperature);
  let results = (outs TensorRankOf<[F32], [2]>:$logProb,
                      TensorRankOf<[F32], [2]>:$lse);
  let assemblyFormat = [{
    $sym_name $logits `,` $targets `,` $inverseTemperature attr-dict `:`
    functional-type(operands, results)
  }];
}

def KernelLogProbBackwardOp : Ds_KernelOp<"log_prob_backward", [Pure,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol", "canReuseOperand"]>]> {
  let summary = "Gradient of the logits of a log-probability";
  let description = [{
    (inverseTemperature x gradient) x ((column = target) - exp(z - lse)) in f32,
    z = logits x inverseTemperature, rounded once.

    ```mlir
    %d = ds.kernel.log_prob_backward @d %z, %t, %i, %lse, %dp
        : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>,
           tensor<?x1xf32>) -> tensor<?x301xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$logits,
                       TensorRankOf<[I32], [2]>:$targets,
                       TensorRankOf<[F32], [2]>:$inverseTemperature,
                       TensorRankOf<[F32], [2]>:$lse,
                       TensorRankOf<[F32], [2]>:$gradient);
  let results = (outs Ds_Matrix:$logitsGradient);
  let assemblyFormat = [{
    $sym_name $logits `,` $targets `,` $inverseTemperature `,` $lse `,`
    $gradient attr-dict `:` functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//
// Rows that move
//===----------------------------------------------------------------------===//

def KernelGatherRowsOp : Ds_KernelOp<"gather_rows", [Pure,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Takes the rows whose logits are asked for";
  let description = [{
    result[r] = input[out_rows[r]].

    ```mlir
    %y = ds.kernel.gather_rows @gather %x, %s
        : tensor<?x64xf32> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$input,
                       Ds_SeqType:$seq);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $input `,` $seq attr-dict `:` type($input) `->` type($result)
  }];
}

def KernelScatterRowsOp : Ds_KernelOp<"scatter_rows", [Pure,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Puts rows back where they were taken from, zeros elsewhere";
  let description = [{
    result[out_rows[r]] = input[r]; every other row of the T rows is zero.
    `out_rows` must increase.

    ```mlir
    %y = ds.kernel.scatter_rows @scatter %x, %s
        : tensor<?x64xf32> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$input,
                       Ds_SeqType:$seq);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $input `,` $seq attr-dict `:` type($input) `->` type($result)
  }];
}

def Ds_HeadsPartAttr : Ds_Attr<"HeadsPart", "heads_part"> {
  let summary = "The heads that one operand of concat_heads holds";
  let description = [{
    `heads` heads of `dim` columns, turned back by the token's angles or not.
  }];
  let parameters = (ins "int64_t":$heads, "int64_t":$dim, "bool":$rotate);
  let assemblyFormat = "`<` struct(params) `>`";
}

def KernelConcatHeadsOp : Ds_KernelOp<"concat_heads", [Pure,
    AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Turns heads back and puts them side by side";
  let description = [{
    Row t of the result is row t of all inputs, one after the other; one part
    describes each. Where it says so, the first columns of every head are
    turned by minus the angle that `rope` turned them by, in f32, rounded once.
    Nothing else is rounded. Operand order of the launch: inputs, angles.

    ```mlir
    %y = ds.kernel.concat_heads @concat(%dq, %dk, %dv)
        angles(%a : tensor<?x8xf32>) <half_split, dims = 8, theta = 1.0e4 : f64>
        [#ds.heads_part<heads = 8, dim = 8, rotate = true>,
         #ds.heads_part<heads = 2, dim = 8, rotate = true>,
         #ds.heads_part<heads = 2, dim = 8, rotate = false>]
        : (tensor<?x64xbf16>, tensor<?x16xbf16>, tensor<?x16xbf16>)
       -> tensor<?x96xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Variadic<Ds_Matrix>:$inputs,
                       Optional<Ds_Matrix>:$angles, OptionalAttr<Ds_RopeAttr>:$rope,
                       TypedArrayAttrBase<Ds_HeadsPartAttr, "parts">:$parts);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name `(` $inputs `)` (`angles` `(` $angles^ `:` type($angles) `)` $rope)?
    $parts attr-dict `:` functional-type($inputs, $result)
  }];
}

//===----------------------------------------------------------------------===//
// The optimiser
//===----------------------------------------------------------------------===//

def KernelAdamwOp : Ds_KernelOp<"adamw", [
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "One step of AdamW for one weight";
  let description = [{
    Loshchilov and Hutter, arXiv 1711.05101, algorithm 2. For every element, in
    f32, with hyper = [lr, beta1, beta2, eps, wd, c1, c2, scale]:

      g' = g scale, m = beta1 m + (1 - beta1) g', v = beta2 v + (1 - beta2) g'^2,
      p = p - (lr wd p + (lr c1) m / (sqrt(c2 v) + eps)).

    p is stored to `master` and, as `layout` says, to the packed weight. The
    memory of master, m, v and gradient is that of a gradient: rows and columns
    padded to multiples of 32, a vector to a multiple of 16. dims[0] of the
    launch is the padded rows, or the padded length of a vector.

    ```mlir
    ds.kernel.adamw @adamw %p, %m, %v, %g, %w, %h layout panel_bf16
        : tensor<301x74xf32>, tensor<301x74xf32>, tensor<301x74xf32>,
          tensor<301x74xf32>, tensor<301x74xbf16>, tensor<16xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       Ds_Gradient:$master,
                       Ds_Gradient:$firstMoment,
                       Ds_Gradient:$secondMoment,
                       Ds_Gradient:$gradient,
                       Ds_WeightTensor:$packed,
                       TensorRankOf<[F32], [1]>:$hyper,
                       Ds_WeightLayout:$layout);
  let assemblyFormat = [{
    $sym_name $master `,` $firstMoment `,` $secondMoment `,` $gradient `,`
    $packed `,` $hyper `layout` $layout attr-dict `:` type(operands)
  }];
}

def KernelSquareSumOp : Ds_KernelOp<"square_sum", [
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Sums of squares of the parts of a gradient";
  let description = [{
    partials[tile] is the sum of the squares of 32 rows of a matrix, or of 1024
    elements of a vector: 16 lanes over a row, rows in order, then the tree of
    `ds.row_reduce`. Memory and dims are those of `ds.kernel.adamw`.

    ```mlir
    ds.kernel.square_sum @norm %g into %p : tensor<301x74xf32>, tensor<?xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       Ds_Gradient:$gradient,
                       TensorRankOf<[F32], [1]>:$partials);
  let assemblyFormat = [{
    $sym_name $gradient `into` $partials attr-dict `:` type($gradient) `,`
    type($partials)
  }];
}
#endif
