//===- Types.td - Sequences, state, rope ----------------------------------===//
#ifndef DS_DIALECT_TYPES_TD
#define DS_DIALECT_TYPES_TD
include "dialect/Base.td"

def Ds_SeqType : Ds_Type<"Seq", "seq"> {
  let summary = "How the tokens of a step belong to sequences";
  let description = [{
    Per token its sequence, position and role; per sequence its first row,
    rows, past length and page table; and the rows whose logits are wanted.
  }];
}

def Ds_StateType : Ds_Type<"State", "state"> {
  let summary = "What a model keeps for every token of a sequence";
  let description = [{
    `!ds.state<[8, 128], bf16>` keeps 8 x 128 bf16 values for each token,
    `!ds.state<[8, 128], bf16, layers = 30>` does so for 30 layers. Memory is
    paged at run time. Values are linear: one live version. `bf16 every 16`
    keeps values for the last of every 16 tokens alone.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape,
                        "::mlir::Type":$elementType,
                        DefaultValuedParameter<"int64_t", "1">:$stride,
                        DefaultValuedParameter<"int64_t", "1">:$layers);
  let assemblyFormat = [{
    `<` `[` $shape `]` `,` $elementType (`every` $stride^)?
    (`,` `layers` `=` $layers^)? `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Values kept per token, or per stride of tokens, and layer.
    int64_t getWidth() const;
  }];
}

def Ds_StackType : Ds_Type<"Stack", "stack"> {
  let summary = "A tensor of every layer of a run";
  let description = [{
    `!ds.stack<tensor<?x64xbf16>, layers = 30>` is what a forward run keeps for
    its backward.
  }];
  let parameters = (ins "::mlir::RankedTensorType":$tensor, "int64_t":$layers);
  let assemblyFormat = "`<` $tensor `,` `layers` `=` $layers `>`";
  let genVerifyDecl = 1;
}

def Ds_SeqRows : I32EnumAttr<"SeqRows", "which rows a view of the sequences has", [
    I32EnumAttrCase<"Prompt", 0, "prompt">,
    I32EnumAttrCase<"Generated", 1, "generated">,
    I32EnumAttrCase<"Expanded", 2, "expanded">,
    I32EnumAttrCase<"Blocks", 3, "blocks">,
    I32EnumAttrCase<"Following", 4, "following">]> {
  let cppNamespace = "::ds";
}

def Ds_RoutingType : Ds_Type<"Routing", "routing"> {
  let summary = "Which experts the tokens of a step go to";
  let description = [{
    `!ds.routing<experts = 64, picks = 6>` is a permutation of the T x picks
    (token, slot) pairs of a step, sorted by expert and then by token and slot,
    with the rows at which every expert's begin. Its memory is in
    docs/artifact.md.
  }];
  let parameters = (ins "int64_t":$experts, "int64_t":$picks);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// "T*6" for 6 picks: the symbol of routed rows.
    ::llvm::StringRef getRowSymbol() const;
  }];
}

def Ds_HeadsAttr : Ds_Attr<"Heads", "heads"> {
  let summary = "A product for each head";
  let description = [{
    Head h of `count` multiplies columns [inputBegin + h inputStride, ...) of
    the rows by `rows` packed rows of the weight, from weightBegin + h
    weightStride on, and gives columns [h resultStride, ...). `weightBegin` and
    `weightStride` are multiples of 32. Of a transposed product the input has
    `rows` columns a head, of another the result.
  }];
  let parameters = (ins "int64_t":$count, "int64_t":$inputBegin,
                        "int64_t":$inputStride, "int64_t":$weightBegin,
                        "int64_t":$weightStride, "int64_t":$rows,
                        "int64_t":$resultStride);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def ViewSeqOp : Ds_Op<"view_seq", [Pure]> {
  let summary = "The sequences of a step, seen by some of its rows";
  let description = [{
    `prompt` and `generated` have the tokens of that role as rows, in order (P
    and G rows); each run of neighbouring ones counts as a sequence. `expanded`
    has a row for every kept position, from 0 to the last prompt token of the
    step, of each sequence with such tokens, padded to whole pages (E rows).
    Pages of `prompt` and `expanded` are those of states that the step makes for
    these positions (`ds.new_state`), pages of `generated` those of what is
    kept. `blocks` has the tokens of the step that are the last of a stride, the
    one of the model's states that have any (C rows); its pages are those of
    what is kept. `following` has the rows of the step, but each has the token
    that follows its own: what a draft head of a training step embeds.

    ```mlir
    %p = ds.view_seq %s prompt
    ```
  }];
  let arguments = (ins Ds_SeqType:$seq, Ds_SeqRows:$rows);
  let results = (outs Ds_SeqType:$result);
  let assemblyFormat = "$seq $rows attr-dict";
}

def Ds_RopeLayout : I32EnumAttr<"RopeLayout", "which columns form a pair", [
    I32EnumAttrCase<"HalfSplit", 0, "half_split">,
    I32EnumAttrCase<"Interleaved", 1, "interleaved">]> {
  let cppNamespace = "::ds";
}

def Ds_RopeAttr : Ds_Attr<"Rope", "rope"> {
  let summary = "A rotary embedding";
  let description = [{
    Pair i of `dims` / 2 turns by position x theta^(-2i / dims), changed by
    `scaling` as the checkpoints' `rope_scaling` says: empty, or
    `{type = "linear", factor}`, or `{type = "llama3", factor,
    low_freq_factor, high_freq_factor, original_max_position_embeddings}`, or
    `{type = "yarn", factor, original_max_position_embeddings}` with `beta_fast`
    and `beta_slow` (32 and 1 if they are not there), and `mscale` and
    `mscale_all_dim`, whose ratio stretches cos and sin. The `dims` columns of a
    head begin at `first`. With `half_split`, pair i is columns
    (i, i + dims / 2); with `interleaved`, columns (2i, 2i + 1).
  }];
  let parameters = (ins EnumParameter<Ds_RopeLayout>:$layout,
                        "int64_t":$dims, "::mlir::FloatAttr":$theta,
                        OptionalParameter<"::mlir::DictionaryAttr">:$scaling,
                        DefaultValuedParameter<"int64_t", "0">:$first);
  let assemblyFormat = [{
    `<` $layout `,` struct($dims, $theta, $first, $scaling) `>`
  }];
  let builders = [AttrBuilder<(ins "RopeLayout":$layout, "int64_t":$dims,
      "::mlir::FloatAttr":$theta, "::mlir::DictionaryAttr":$scaling), [{
    return $_get($_ctxt, layout, dims, theta, scaling, 0);
  }]>];
  let genVerifyDecl = 1;
}
#endif
