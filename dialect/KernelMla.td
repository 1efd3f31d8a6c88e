//===- KernelMla.td - Kernels of latent attention --------------------------===//
#ifndef DS_DIALECT_KERNELMLA_TD
#define DS_DIALECT_KERNELMLA_TD
include "dialect/Kernel.td"
include "dialect/Mla.td"

def NewStateOp : Ds_Op<"new_state", []> {
  let summary = "State of one step";
  let description = [{
    Pages for the positions of a view of expanded positions, without content.
    Its memory is a buffer of E rows.

    ```mlir
    %e = ds.view_seq %s expanded
    %k = ds.new_state %e : !ds.state<[4, 32], bf16>
    ```
  }];
  let arguments = (ins Ds_SeqType:$view);
  let results = (outs Ds_StateType:$result);
  let assemblyFormat = "$view attr-dict `:` type($result)";
}

def KernelTakeRowsOp : Ds_KernelOp<"take_rows", [Pure,
    AllTypesMatch<["input", "result"]>,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "The rows that a view of the sequences has";
  let description = [{
    ```mlir
    %p = ds.view_seq %s prompt
    %y = ds.kernel.take_rows @take %x, %p : tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$input,
                       Ds_SeqType:$view);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = "$sym_name $input `,` $view attr-dict `:` type($result)";
}

def KernelMergeRowsOp : Ds_KernelOp<"merge_rows", [Pure,
    AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "Rows of prompt and of generated tokens, in the step's order";
  let description = [{
    As `ds.merge_rows`. Operand order of the launch: those that are there, seq.

    ```mlir
    %y = ds.kernel.merge_rows @merge %s prompt %a : tensor<?x64xbf16>
        -> tensor<?x64xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Optional<Ds_Matrix>:$prompt,
                       Optional<Ds_Matrix>:$generated, Ds_SeqType:$seq);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $seq (`prompt` $prompt^ `:` type($prompt))?
    (`generated` $generated^ `:` type($generated))? attr-dict `->` type($result)
  }];
}

def KernelReadLatentsOp : Ds_KernelOp<"read_latents", [Pure,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "What is kept, as rows of expanded positions";
  let description = [{
    As `ds.read_latents`, of a state in the view of keys.

    ```mlir
    %e = ds.view_seq %s expanded
    %c, %k = ds.kernel.read_latents @read %st, %e
        : !ds.state<[1, 48], bf16> -> tensor<?x32xbf16>, tensor<?x16xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_StateType:$latents,
                       Ds_SeqType:$view);
  let results = (outs Ds_Matrix:$latent, Ds_Matrix:$key);
  let assemblyFormat = [{
    $sym_name $latents `,` $view attr-dict `:` type($latents) `->`
    type($latent) `,` type($key)
  }];
}

def KernelReadLatentsBackwardOp : Ds_KernelOp<"read_latents_backward", [Pure,
    DeclareOpInterfaceMethods<KernelInterface, ["getRowSymbol"]>]> {
  let summary = "The gradient of what the step's tokens keep";
  let description = [{
    As `ds.read_latents_backward`.

    ```mlir
    %d = ds.kernel.read_latents_backward @back %dc, %dk, %s
        : (tensor<?x32xbf16>, tensor<?x16xbf16>) -> tensor<?x48xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$latentGradient,
                       Ds_Matrix:$keyGradient, Ds_SeqType:$seq);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name $latentGradient `,` $keyGradient `,` $seq attr-dict `:`
    `(` type($latentGradient) `,` type($keyGradient) `)` `->` type($result)
  }];
}

def Ds_PieceAttr : Ds_Attr<"Piece", "piece"> {
  let summary = "Columns that every head takes from a row";
  let description = [{
    `columns` columns from `begin` + h `stride` on for head h; with stride 0
    all heads take the same.
  }];
  let parameters = (ins "int64_t":$begin, "int64_t":$stride,
                        "int64_t":$columns);
  let assemblyFormat = "`<` struct(params) `>`";
}

def KernelJoinHeadsOp : Ds_KernelOp<"join_heads", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "Heads made of pieces of rows";
  let description = [{
    A head of the result is one piece of each operand, one after the other,
    exact.

    ```mlir
    %k = ds.kernel.join_heads @join(%kv, %kr) heads 4
        [#ds.piece<begin = 0, stride = 32, columns = 16>,
         #ds.piece<begin = 0, stride = 0, columns = 16>]
        : (tensor<?x128xbf16>, tensor<?x16xbf16>) -> tensor<?x128xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Variadic<Ds_Matrix>:$inputs,
                       I64Attr:$heads,
                       TypedArrayAttrBase<Ds_PieceAttr, "pieces">:$pieces);
  let results = (outs Ds_Matrix:$result);
  let assemblyFormat = [{
    $sym_name `(` $inputs `)` `heads` $heads $pieces attr-dict `:`
    functional-type($inputs, $result)
  }];
}

def KernelExpandKeysBackwardOp : Ds_KernelOp<"expand_keys_backward", [Pure,
    DeclareOpInterfaceMethods<KernelInterface>]> {
  let summary = "The gradient of expanded rows from that of keys and values";
  let description = [{
    As `ds.expand_keys_backward`.

    ```mlir
    %dkv, %dkr = ds.kernel.expand_keys_backward @back %dk, %dv
        <count = 4, nope = 16, value = 16, rank = 32, rope = 16>
        : (tensor<?x128xbf16>, tensor<?x64xbf16>)
       -> (tensor<?x128xbf16>, tensor<?x16xbf16>)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Ds_Matrix:$keyGradient,
                       Ds_Matrix:$valueGradient, Ds_LatentHeadsAttr:$heads);
  let results = (outs Ds_Matrix:$expandedGradient, Ds_Matrix:$sharedGradient);
  let assemblyFormat = [{
    $sym_name $keyGradient `,` $valueGradient $heads attr-dict `:` `(` type($keyGradient) `,` type($valueGradient) `)` `->`
    `(` type($expandedGradient) `,` type($sharedGradient) `)`
  }];
}
#endif
