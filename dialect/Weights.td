//===- Weights.td - Weights and the entries and bodies that use them ------===//
#ifndef DS_DIALECT_WEIGHTS_TD
#define DS_DIALECT_WEIGHTS_TD
include "dialect/Types.td"

def Ds_WeightLayout : I32EnumAttr<"WeightLayout", "how a weight lies in memory", [
    I32EnumAttrCase<"Raw", 0, "raw">,
    I32EnumAttrCase<"VectorF32", 1, "vector_f32">,
    I32EnumAttrCase<"PanelBf16", 2, "panel_bf16">,
    I32EnumAttrCase<"PanelF32", 3, "panel_f32">,
    I32EnumAttrCase<"PanelE4m3", 4, "panel_e4m3">]> {
  let cppNamespace = "::ds";
  let description = [{
    `raw`: row-major as in the file. `vector_f32`: converted to f32.
    `panel_bf16`: [N/32][K/32][2][16][16][2], two tiles of 16 columns by 32
    k-values in pairs, zero-padded. `panel_f32`: [N/32][Kp][32], Kp = K padded
    to 32. `panel_e4m3`: bytes of FP8, and for every 128 k-values of 32 columns
    a scale of each column (docs/artifact.md).
  }];
}

def Ds_InitKind : I32EnumAttr<"InitKind", "what a weight begins with", [
    I32EnumAttrCase<"Normal", 0, "normal">,
    I32EnumAttrCase<"Ones", 1, "ones">,
    I32EnumAttrCase<"Zeros", 2, "zeros">]> {
  let cppNamespace = "::ds";
}

def Ds_InitAttr : Ds_Attr<"Init", "init"> {
  let summary = "How a weight is filled before it is trained";
  let description = [{
    `#ds.init<normal, std = 2.0e-2>` draws from a normal distribution with mean
    0; `#ds.init<ones>` and `#ds.init<zeros>` need no number.
  }];
  let parameters = (ins EnumParameter<Ds_InitKind>:$kind,
                        OptionalParameter<"::mlir::FloatAttr">:$std);
  let assemblyFormat = "`<` $kind (`,` `std` `=` $std^)? `>`";
  let genVerifyDecl = 1;
}

def WeightOp : Ds_Op<"weight", [Symbol]> {
  let summary = "Declares a weight of the model";
  let description = [{
    A weight is one tensor for the whole model or, with `layers`, one for each
    layer of the range [first, first + count); `{i}` in a label stands for the
    layer. Several labels are concatenated along dimension 0. `paired` says
    that two labels of equal rows are interleaved 16 rows by 16 rows when they
    are packed, so that row j of both is at hand at once. `layout`, once it is
    chosen, is how the weight lies in memory.

    With `stack`, it is that many matrices [experts, N, K], `{e}` in a label
    standing for the expert. With `row_groups`, a matrix's rows repeat in groups
    of these many rows, as the heads of a projection do; packed, every group is
    padded to a multiple of 32 rows.

    A weight of f8E4M3FN is FP8 with scales: beside the tensor of every label
    stands another, `<label>_scale_inv`, an f32 [rows / 128, columns / 128],
    rounded up, by which each 128 x 128 elements of that tensor are multiplied.

    In a module with a "train" entry, `init` says what the weight is filled with
    where no checkpoint gives it, `decay` that weight decay applies to it and
    `frozen` that training leaves it as it is. A router's bias that is frozen may
    have a `balance_rate`: `ds.balance_step` moves it by the loads of its experts.

    `copies` are labels under which the checkpoint may hold the weight once
    more, as multi-token prediction layers hold the embedding and the head. They
    are checked to be equal and not kept.

    ```mlir
    ds.weight @layer.mlp.down {labels = ["model.layers.{i}.mlp.down_proj.weight"],
                               rows = array<i64: 64>, layers = array<i64: 0, 30>}
        : tensor<64x176xbf16>
    ds.weight @layer.mlp.up {labels = ["model.layers.{i}.mlp.up_proj.weight"],
                             rows = array<i64: 176>, layers = array<i64: 0, 30>}
        : tensor<176x64xf8E4M3FN>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$labels,
                       DenseI64ArrayAttr:$rows,
                       TypeAttrOf<Ds_WeightTensor>:$type,
                       OptionalAttr<DenseI64ArrayAttr>:$layers,
                       UnitAttr:$paired,
                       OptionalAttr<I64Attr>:$stack,
                       OptionalAttr<DenseI64ArrayAttr>:$row_groups,
                       OptionalAttr<Ds_WeightLayout>:$layout,
                       OptionalAttr<Ds_InitAttr>:$init,
                       UnitAttr:$decay, UnitAttr:$frozen,
                       OptionalAttr<F64Attr>:$balance_rate,
                       OptionalAttr<StrArrayAttr>:$copies);
  let assemblyFormat =
      "$sym_name (`layout` $layout^)? attr-dict `:` $type";
  let hasVerifier = 1;
}

def GetWeightOp : Ds_Op<"get_weight", [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The weight of the layer that runs";
  let description = [{
    Has the weight's type; once the weight has a layout, its element type is
    the layout's.

    ```mlir
    %w = ds.get_weight @layer.mlp.down : tensor<64x176xbf16>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs Ds_WeightTensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def RunOp : Ds_Op<"run", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs a layer body for a range of layers";
  let description = [{
    Calls `body` for each layer in [first, first + count). The first operand
    is the activation that is carried from layer to layer. It is followed by
    `!ds.seq`, by tensors that are the same in every layer (such as rope
    angles) or stacks, of which the body sees the layer's tensor, and by states,
    which hold all layers of the range and of which the body sees one. The body
    returns the activation, the states unless it only reads them, and tensors
    that the run keeps as stacks; it runs no other body. With `reverse`, the
    last layer is the first: a backward.

    ```mlir
    %y, %k1 = ds.run @layer(%x, %s, %k) layers 0 count 30
        : (tensor<?x64xf32>, !ds.seq, !ds.state<[2, 8], bf16, layers = 30>)
       -> (tensor<?x64xf32>, !ds.state<[2, 8], bf16, layers = 30>)
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$body, Variadic<AnyType>:$operands,
                       I64Attr:$first, I64Attr:$count, UnitAttr:$reverse);
  let results = (outs Variadic<AnyType>:$results);
  let assemblyFormat = [{
    $body `(` $operands `)` `layers` $first `count` $count
    (`reverse` $reverse^)? attr-dict `:`
    functional-type($operands, $results)
  }];
}
#endif
