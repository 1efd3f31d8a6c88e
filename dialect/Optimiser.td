//===- Optimiser.td - What a step of the optimiser reads and writes -------===//
#ifndef DS_DIALECT_OPTIMISER_TD
#define DS_DIALECT_OPTIMISER_TD
include "dialect/Types.td"

def Ds_Copy : I32EnumAttr<"Copy", "an f32 copy of a weight", [
    I32EnumAttrCase<"Master", 0, "master">,
    I32EnumAttrCase<"Moment1", 1, "moment1">,
    I32EnumAttrCase<"Moment2", 2, "moment2">]> {
  let cppNamespace = "::ds";
}

def GetCopyOp : Ds_Op<"get_copy", [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Memory of the optimiser beside a weight";
  let description = [{
    The weight in f32, or the running mean of its gradient or of the gradient's
    square. It lies in memory as a gradient does.

    ```mlir
    %m = ds.get_copy @layer.mlp.down moment1 : tensor<64x176xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight, Ds_Copy:$copy);
  let results = (outs TensorRankOf<[F32], [1, 2, 3]>:$result);
  let assemblyFormat = "$weight $copy attr-dict `:` type($result)";
}

def GetHyperOp : Ds_Op<"get_hyper", [Pure]> {
  let summary = "The hyper-parameters of the step of the optimiser";
  let description = [{
    lr, beta1, beta2, eps, weight decay, 1 / (1 - beta1^t), 1 / (1 - beta2^t),
    factor of the gradients, then zeros.

    ```mlir
    %h = ds.get_hyper : tensor<16xf32>
    ```
  }];
  let results = (outs TensorRankOf<[F32], [1]>:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def GetPartialsOp : Ds_Op<"get_partials", [Pure]> {
  let summary = "Room for one f32 of every tile of a launch";
  let description = [{
    The runtime adds the tiles of all launches in order.

    ```mlir
    %p = ds.get_partials : tensor<?xf32>
    ```
  }];
  let results = (outs TensorRankOf<[F32], [1]>:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}
#endif
