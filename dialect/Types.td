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
    paged at run time. Values are linear: one live version.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape,
                        "::mlir::Type":$elementType,
                        DefaultValuedParameter<"int64_t", "1">:$layers);
  let assemblyFormat =
      "`<` `[` $shape `]` `,` $elementType (`,` `layers` `=` $layers^)? `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Values kept per token and layer.
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
    low_freq_factor, high_freq_factor, original_max_position_embeddings}`.
    With `half_split`, pair i is columns (i, i + dims / 2); with
    `interleaved`, columns (2i, 2i + 1).
  }];
  let parameters = (ins EnumParameter<Ds_RopeLayout>:$layout,
                        "int64_t":$dims, "::mlir::FloatAttr":$theta,
                        OptionalParameter<"::mlir::DictionaryAttr">:$scaling);
  let assemblyFormat = [{
    `<` $layout `,` `dims` `=` $dims `,` `theta` `=` $theta
    (`,` `scaling` `=` $scaling^)? `>`
  }];
  let genVerifyDecl = 1;
}
#endif
