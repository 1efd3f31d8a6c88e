//===- Base.td - The dialect and its base classes -------------------------===//
#ifndef DS_DIALECT_BASE_TD
#define DS_DIALECT_BASE_TD
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/CallInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "dialect/Interfaces.td"

def Ds_Dialect : Dialect {
  let name = "ds";
  let cppNamespace = "::ds";
  let summary = "Models of the DeepSeek family as token-major tensor graphs";
  let description = [{
    Every activation is a tensor `[T, ...]`, T being all tokens of a step from
    any number of sequences, prefill and decode mixed. Only operations that
    look across tokens take the `!ds.seq` operand, which says for each token
    its sequence, its position and its role. What a model keeps per token is a
    value of type `!ds.state`, linear in SSA: `ds.append` consumes one version
    and yields the next.

    The edge between two operations is a rounding point: a tensor of bf16 was
    rounded to bf16, and no bit-preserving pass adds or removes such an edge.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::tensor::TensorDialect"];
}

class Ds_Op<string mnemonic, list<Trait> traits = []>
    : Op<Ds_Dialect, mnemonic, traits>;
class Ds_Type<string name, string typeMnemonic>
    : TypeDef<Ds_Dialect, name> { let mnemonic = typeMnemonic; }
class Ds_Attr<string name, string attrMnemonic>
    : AttrDef<Ds_Dialect, name> { let mnemonic = attrMnemonic; }

/// Activations: tokens by columns, in a compute type.
def Ds_Matrix : TensorRankOf<[BF16, F32], [2]>;
// For every token, positions that it sees, in ascending order, then -1.
def Ds_PositionList : TensorRankOf<[I32], [2]>;
def Ds_Vector : TensorRankOf<[BF16, F32], [1]>;
def Ds_WeightTensor : TensorRankOf<[BF16, F32, F8E4M3FN], [1, 2, 3]>;
#endif
