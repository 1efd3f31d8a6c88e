//===- Memory.td - Where the memory plan puts what ------------------------===//
#ifndef DS_DIALECT_MEMORY_TD
#define DS_DIALECT_MEMORY_TD
include "dialect/Types.td"

def Ds_BufferAttr : Ds_Attr<"Buffer", "buffer"> {
  let summary = "A place in the arena";
  let description = [{
    `rows` is "T", "R" or "W" (docs/artifact.md); each row has `rowBytes` bytes.
    `layers` tensors lie one after the other. The place begins at
    T x perT + R x perR + constant, T and R being rounded up to multiples of 16.
  }];
  let parameters = (ins StringRefParameter<"what it holds">:$name,
                        StringRefParameter<"T, R or W">:$rows,
                        "int64_t":$rowBytes, "int64_t":$layers,
                        "::mlir::Type":$element,
                        "int64_t":$perT, "int64_t":$perR,
                        "int64_t":$constant);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Ds_ArenaAttr : Ds_Attr<"Arena", "arena"> {
  let summary = "Bytes of the arena: T x perT + R x perR + constant";
  let parameters = (ins "int64_t":$perT, "int64_t":$perR,
                        "int64_t":$constant);
  let assemblyFormat = "`<` struct(params) `>`";
  let extraClassDeclaration = [{
    /// Returns the bytes for a step of `tokens` tokens and `rows` outputs.
    int64_t getBytes(int64_t tokens, int64_t rows) const;
  }];
}
#endif
