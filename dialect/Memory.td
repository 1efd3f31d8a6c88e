//===- Memory.td - Where the memory plan puts what ------------------------===//
#ifndef DS_DIALECT_MEMORY_TD
#define DS_DIALECT_MEMORY_TD
include "dialect/Types.td"

def Ds_BytesAttr : Ds_Attr<"Bytes", "bytes"> {
  let summary = "Bytes that depend on the rows of a step";
  let description = [{
    T x perT + R x perR + P x perP + G x perG + E x perE + C x perC + constant,
    each number of rows (docs/artifact.md) being rounded up to a multiple of 16.
  }];
  let parameters = (ins "int64_t":$perT, "int64_t":$perR,
                        "int64_t":$constant,
                        DefaultValuedParameter<"int64_t", "0">:$perP,
                        DefaultValuedParameter<"int64_t", "0">:$perG,
                        DefaultValuedParameter<"int64_t", "0">:$perE,
                        DefaultValuedParameter<"int64_t", "0">:$perC);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Ds_BufferAttr : Ds_Attr<"Buffer", "buffer"> {
  let summary = "A place in the arena";
  let description = [{
    `rows` is the symbol of its rows (docs/artifact.md); each has `rowBytes`
    bytes. `layers` tensors lie one after the other. The place begins at
    `offset`.
  }];
  let parameters = (ins StringRefParameter<"what it holds">:$name,
                        StringRefParameter<"T, R, P, G, E, C or W">:$rows,
                        "int64_t":$rowBytes, "int64_t":$layers,
                        "::mlir::Type":$element,
                        "::ds::BytesAttr":$offset);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}
#endif
