//===- Kernel.td - Kernels: members of the kernel families ----------------===//
#ifndef DS_DIALECT_KERNEL_TD
#define DS_DIALECT_KERNEL_TD
include "dialect/Types.td"
include "dialect/Weights.td"

class Ds_KernelOp<string mnemonic, list<Trait> traits = []>
    : Ds_Op<"kernel." # mnemonic, !listconcat(traits, [
        DeclareOpInterfaceMethods<CostInterface>])> {
  let hasVerifier = 1;
}

def YieldOp : Ds_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "The values a kernel's region stores";
  let description = [{
    ```mlir
    %y = ds.kernel.row @square(%a) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
    ^bb0(%x: f32):
      %p = arith.mulf %x, %x : f32
      %s = ds.row_reduce %p : f32
      ds.yield %s : f32
    }
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "attr-dict ($operands^ `:` type($operands))?";
  let builders = [OpBuilder<(ins), [{ (void)$_builder; (void)$_state; }]>];
}

def RowReduceOp : Ds_Op<"row_reduce", [Pure, SameOperandsAndResultType]> {
  let summary = "Adds a value over all columns of the row";
  let description = [{
    Only within the region of `ds.kernel.row`. 16 lanes, lane j holding the
    columns congruent to j in order, then one tree: (j, j + 8), (j, j + 4),
    (j, j + 2), (j, j + 1).

    ```mlir
    %y = ds.kernel.row @square(%a) : (tensor<?x64xf32>) -> tensor<?x64xf32> {
    ^bb0(%x: f32):
      %p = arith.mulf %x, %x : f32
      %s = ds.row_reduce %p : f32
      ds.yield %s : f32
    }
    ```
  }];
  let arguments = (ins F32:$input);
  let results = (outs F32:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def KernelMatmulOp : Ds_KernelOp<"matmul", [Pure, AttrSizedOperandSegments, IsolatedFromAbove,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol", "canReuseOperand"]>]> {
  let summary = "A matrix product with an epilogue";
  let description = [{
    a [M, K] times the packed weight [N, K]: x W^T. With `transposed`, a is
    [M, N] and the result x W, [M, K], from the same packing: the gradient of a
    linear's input. `rows`, when given, says that row r of the product takes row
    out_rows[r] of a. The region receives the
    f32 sum (with `pair`: gate's and up's), then one scalar for every extra
    operand, in its own element type: a vector [N] gives its column, a matrix
    [M, N] its element. It yields the value to store.

    With `routed`, the weight is [experts, N, K] and the launch has routed rows,
    each with its expert's matrix; `gathered` says that a has a row for each
    token. With `heads`, every head has a product of its own: of the columns of
    a row, with rows of the weight as they are packed.

    Operand order of the launch: a, weight, extras, rows, routing.

    ```mlir
    %y = ds.kernel.matmul @add %a, %w extras(%x : tensor<?x96xf32>)
        : (tensor<?x64xbf16>, tensor<96x64xbf16>) -> tensor<?x96xf32> {
    ^bb0(%sum: f32, %e: f32):
      %r = arith.addf %sum, %e : f32
      ds.yield %r : f32
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$a,
                       Ds_WeightTensor:$weight,
                       Variadic<AnyRankedTensor>:$extras,
                       Optional<Ds_SeqType>:$rows,
                       Optional<Ds_RoutingType>:$routing, UnitAttr:$pair,
                       UnitAttr:$transposed, UnitAttr:$gathered,
                       OptionalAttr<Ds_HeadsAttr>:$heads);
  let results = (outs Ds_Matrix:$result);
  let regions = (region SizedRegion<1>:$epilogue);
  let hasCanonicalizeMethod = 1;
  let assemblyFormat = [{
    $sym_name $a `,` $weight (`extras` `(` $extras^ `:` type($extras) `)`)?
    (`rows` $rows^)?
    (`routed` $routing^ `:` type($routing) (`gathered` $gathered^)?)?
    (`pair` $pair^)? (`transposed` $transposed^)? (`heads` $heads^)? attr-dict
    `:` `(` type($a) `,` type($weight) `)` `->` type($result) $epilogue
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$result,
      "::llvm::StringRef":$symName, "::mlir::Value":$a, "::mlir::Value":$weight,
      "::mlir::ValueRange":$extras, "::mlir::Value":$rows,
      CArg<"bool", "false">:$pair, CArg<"bool", "false">:$transposed), [{
    build($_builder, $_state, result, symName, a, weight, extras, rows,
          ::mlir::Value(), pair, transposed, false, ::ds::HeadsAttr());
  }]>];
}

def KernelRowOp : Ds_KernelOp<"row", [Pure, IsolatedFromAbove,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol", "canReuseOperand"]>]> {
  let summary = "One region over every row, with reductions";
  let description = [{
    The region receives one scalar per operand: a matrix [M, W] gives its
    element, a matrix [M, 1] its row's, a vector [W] its column. It yields one
    scalar per result, [M, W] or [M, 1]; what a result [M, 1] gets must be the
    same in all columns: a reduction, a row's value or computed from such.
    Values that depend on `ds.row_reduce` are computed in a later sweep over the
    row.

    ```mlir
    %y, %s = ds.kernel.row @square(%a)
        : (tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x1xf32>) {
    ^bb0(%x: f32):
      %p = arith.mulf %x, %x : f32
      %s = ds.row_reduce %p : f32
      ds.yield %p, %s : f32, f32
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       Variadic<AnyRankedTensor>:$inputs);
  let results = (outs Variadic<Ds_Matrix>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let hasCanonicalizeMethod = 1;
  let assemblyFormat = [{
    $sym_name `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs) $body
  }];
  let extraClassDeclaration = [{
    /// W: columns of the widest matrix.
    int64_t getWidth();
  }];
}

def KernelElementwiseOp : Ds_KernelOp<"elementwise", [Pure, IsolatedFromAbove,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol", "canReuseOperand"]>]> {
  let summary = "One region over every element";
  let description = [{
    As `ds.kernel.row`, without vectors and without reductions.

    With `pairs`, W is the columns of the narrowest matrix, and an operand or
    result of 2 roundUp(W, 16) columns is a product with a `paired` weight in
    packed order: 16 columns of the first half, the same 16 of the second, and
    so on. Such an operand gives the region two scalars, such a result takes
    two, and columns of padding are written as zeros.

    ```mlir
    %y = ds.kernel.elementwise @add(%a, %b)
        : (tensor<?x64xf32>, tensor<?x64xbf16>) -> tensor<?x64xf32> {
    ^bb0(%x: f32, %r: bf16):
      %w = arith.extf %r : bf16 to f32
      %s = arith.addf %x, %w : f32
      ds.yield %s : f32
    }
    %z = ds.kernel.elementwise @product(%gu) pairs
        : (tensor<?x96xf32>) -> tensor<?x40xf32> {
    ^bb0(%g: f32, %u: f32):
      %p = arith.mulf %g, %u : f32
      ds.yield %p : f32
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       Variadic<AnyRankedTensor>:$inputs, UnitAttr:$pairs);
  let results = (outs Variadic<Ds_Matrix>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let hasCanonicalizeMethod = 1;
  let assemblyFormat = [{
    $sym_name `(` $inputs `)` (`pairs` $pairs^)? attr-dict `:`
    functional-type($inputs, $outputs) $body
  }];
  let extraClassDeclaration = [{
    /// W: columns of the widest matrix, with `pairs` of the narrowest.
    int64_t getWidth();
    /// Whether a matrix of `columns` columns gives or takes two scalars.
    bool isPair(int64_t columns) {
      return getPairs() && columns != getWidth();
    }
  }];
}

def KernelEmbedOp : Ds_KernelOp<"embed", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Gathers rows of a table, raw or packed";
  let description = [{
    ```mlir
    %x = ds.kernel.embed @embed %table, %s layout panel_bf16
        : tensor<301x74xbf16> -> tensor<?x74xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_WeightTensor:$table,
                       Ds_SeqType:$seq, Ds_WeightLayout:$layout);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $table `,` $seq `layout` $layout attr-dict `:` type($table) `->`
    type($result)
  }];
}

def KernelAnglesOp : Ds_KernelOp<"angles", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "cos and sin of every token's rope angles";
  let description = [{
    Row t holds cos of dims / 2 angles, then their sin: position of token t
    times the frequencies of `rope`, in f64, rounded to f32.

    ```mlir
    %a = ds.kernel.angles @angles %s <half_split, dims = 8, theta = 1.0e4 : f64>
        : tensor<?x8xf32>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_SeqType:$seq,
                       Ds_RopeAttr:$rope);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat =
      "$sym_name $seq $rope attr-dict `:` type($result)";
}

def Ds_SegmentDest : I32EnumAttr<"SegmentDest", "where a segment goes", [
    I32EnumAttrCase<"Result", 0, "result">,
    I32EnumAttrCase<"Key", 1, "key">,
    I32EnumAttrCase<"Value", 2, "value">]> {
  let cppNamespace = "::ds";
}

def Ds_SegmentAttr : Ds_Attr<"Segment", "segment"> {
  let summary = "Columns of a row and what becomes of them";
  let description = [{
    `heads` heads of `dim` columns from column `begin`, rotated or not, to the
    result or to a state (in the order of the states) laid out as keys or as
    values.
  }];
  let parameters = (ins "int64_t":$begin, "int64_t":$heads, "int64_t":$dim,
                        "bool":$rotate, EnumParameter<Ds_SegmentDest>:$dest);
  let assemblyFormat = "`<` struct(params) `>`";
}

def KernelHeadsOp : Ds_KernelOp<"heads", [AttrSizedResultSegments,
    DeclareOpInterfaceMethods<KernelInterface, ["canReuseOperand"]>]> {
  let summary = "Rotates heads and puts them into a result or into state";
  let description = [{
    Operand order of the launch: input, angles, seq, states; then the result.
    There is at most one segment with dest `result`; states are taken by the
    other segments in order.

    ```mlir
    %q, %k1 = ds.kernel.heads @heads %x, %a, %s states(%k)
        <half_split, dims = 8, theta = 1.0e4 : f64>
        [#ds.segment<begin = 0, heads = 8, dim = 8, rotate = true, dest = result>,
         #ds.segment<begin = 64, heads = 2, dim = 8, rotate = true, dest = key>]
        {resultSegmentSizes = array<i32: 1, 1>}
        : (tensor<?x80xbf16>, tensor<?x8xf32>, !ds.seq, !ds.state<[2, 8], bf16>)
       -> (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$input,
                       Ds_Matrix:$angles, Ds_SeqType:$seq,
                       Variadic<Ds_StateType>:$states, Ds_RopeAttr:$rope,
                       TypedArrayAttrBase<Ds_SegmentAttr, "segments">:$segments);
  let results = (outs Optional<Ds_Matrix>:$result,
                      Variadic<Ds_StateType>:$newStates);
  let assemblyFormat = [{
    $sym_name $input `,` $angles `,` $seq (`states` `(` $states^ `)`)? $rope
    $segments attr-dict `:` functional-type(operands, results)
  }];
}
#endif
