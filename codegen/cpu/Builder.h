//===- Builder.h - Emits kernels as scf, arith, vector and LLVM -*- C++ -*-===//
//
// A thin layer over OpBuilder in which the generators of the kernel families
// are written. Addresses are !llvm.ptr and byte offsets, integers are i64,
// data are vectors of 16 lanes whatever the variant: LLVM splits them where
// registers are narrower, so that results do not depend on it.
//
//===----------------------------------------------------------------------===//
#ifndef DS_CODEGEN_CPU_BUILDER_H
#define DS_CODEGEN_CPU_BUILDER_H
#include "codegen/cpu/Isa.h"
#include "dialect/Dialect.h"

namespace ds {
namespace cpu {

/// Lanes of every vector of f32.
constexpr int64_t kLanes = 16;

/// Indices into a kernel's `dims` (docs/artifact.md).
enum Dim { kDimT = 0, kDimB = 1, kDimR = 2, kDimQ = 3 };

/// Fields of `ds_seq` (docs/artifact.md), each 8 bytes.
enum SeqField {
  kSeqIds, kSeqPosition, kSeqSequence, kSeqRowBegin, kSeqPast, kSeqPages,
  kSeqMaxPages, kSeqOutRows, kSeqQueryTiles, kSeqRows, kSeqStatePages,
  kSeqLengths, kSeqExpandedRow, kSeqViewRow, kSeqRuns
};

class KernelBuilder {
public:
  KernelBuilder(OpBuilder &builder, Location loc, const Isa &target)
      : builder(builder), loc(loc), target(target) {}

  OpBuilder &builder;
  Location loc;
  const Isa &target;
  Block *entry = nullptr; ///< Of the function being built; loops being built
                          ///< are not part of it yet.

  // Types.
  Type ptrType();
  Type i64() { return builder.getI64Type(); }
  Type i32() { return builder.getI32Type(); }
  Type f32() { return builder.getF32Type(); }
  Type bf16() { return builder.getBF16Type(); }
  VectorType vec(Type element, int64_t lanes = kLanes);

  // i64 arithmetic. Division rounds down and expects non-negative operands.
  Value c(int64_t value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b) { return add(a, c(b)); }
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value mul(Value a, int64_t b) { return mul(a, c(b)); }
  Value div(Value a, int64_t b);
  Value div(Value a, Value b);
  Value rem(Value a, int64_t b);
  Value rem(Value a, Value b);
  Value ceilDiv(Value a, int64_t b);
  Value min(Value a, Value b);
  Value max(Value a, Value b);
  Value cmp(arith::CmpIPredicate predicate, Value a, Value b);
  Value less(Value a, Value b) {
    return cmp(arith::CmpIPredicate::slt, a, b);
  }
  Value select(Value condition, Value a, Value b);

  // Control flow. Bodies are built by callbacks.
  void loop(Value lower, Value upper, int64_t step,
            function_ref<void(Value)> body);
  /// A loop that carries `inits`; the body returns the next values.
  SmallVector<Value>
  loop(Value lower, Value upper, int64_t step, ValueRange inits,
       function_ref<SmallVector<Value>(Value, ValueRange)> body);
  void ifThen(Value condition, function_ref<void()> then,
              function_ref<void()> otherwise = nullptr);
  SmallVector<Value> ifValues(Value condition, TypeRange types,
                              function_ref<SmallVector<Value>()> then,
                              function_ref<SmallVector<Value>()> otherwise);

  // Memory. Offsets are in bytes.
  Value at(Value pointer, Value offset);
  Value at(Value pointer, int64_t offset);
  Value load(Type type, Value pointer, int64_t align = 0);
  void store(Value value, Value pointer, int64_t align = 0);
  /// Loads 16 elements, zero where `mask` (vector<16xi1>) is off.
  Value loadMasked(VectorType type, Value pointer, Value mask);
  void storeMasked(Value value, Value pointer, Value mask);
  /// Level 2 is the second cache: best measured, see
  /// docs/rationale/kernel-families.md; 3 is the first.
  void prefetch(Value pointer, int level = 2);
  /// Loads an i32 and extends it to i64.
  Value loadIndex(Value pointer);
  /// Reserves stack memory at the function's entry.
  Value stack(int64_t bytes, int64_t align = 64);

  /// Calls a function that returns nothing.
  void call(func::FuncOp function, ValueRange arguments) {
    func::CallOp::create(builder, loc, function, arguments);
  }
  /// Calls `body` in the branch where `value` is the constant that it is
  /// given; `value` lies in [first, last].
  void dispatch(Value value, int64_t first, int64_t last,
                function_ref<void(int64_t)> body);

  // Kernel arguments.
  Value arg(Value args, int64_t index);
  Value dim(Value dims, Dim which);
  Value seqField(Value seq, SeqField field);

  // Vectors.
  Value splat(Value scalar, int64_t lanes = kLanes);
  Value cf(double value);  ///< f32 scalar.
  Value vf(double value);  ///< vector<16xf32>.
  Value vi(int64_t value); ///< vector<16xi32>.
  Value zero() { return vf(0.0); }
  Value fma(Value a, Value b, Value acc);
  Value addf(Value a, Value b);
  Value subf(Value a, Value b);
  Value mulf(Value a, Value b);
  Value divf(Value a, Value b);
  /// The larger of two values neither of which is NaN.
  Value maxf(Value a, Value b);
  /// Mask of lanes below `count`.
  Value laneMask(Value count, int64_t lanes = kLanes);
  Value bitcast(Value value, Type type);
  /// bf16 to f32, exact; f32 is passed through.
  Value toF32(Value value);
  /// Rounds to nearest even to `element` (bf16 or f32).
  Value fromF32(Value value, Type element);

  /// Loads 16 elements of `element` as f32; `mask` may be null.
  Value loadF32(Type element, Value pointer, Value mask = nullptr);
  /// Rounds 16 f32 and stores them; `mask` may be null.
  void storeF32(Value value, Type element, Value pointer,
                Value mask = nullptr);

  /// acc + the products of 16 columns with one or two values of k.
  /// For bf16: `a` is an i32 holding (k, k + 1), `b` a vector<16xi32> of
  /// pairs, and the variant decides the instruction. The unpacked form of `a`
  /// is made by `unpackPair` once where it serves several columns.
  struct Pair {
    Value packed;     ///< vector<16xi32>, where the variant has vdpbf16ps.
    Value low, high;  ///< vector<16xf32> otherwise.
  };
  Pair broadcastPair(Value packed);
  Value dotPair(Pair a, Value b, Value acc);

  /// exp of 16 lanes: exactly 1 at 0, exactly 0 below -87.3, 1 ulp between,
  /// saturated at exp(88.37), which is left out where x `isNegative` or zero.
  Value exp(Value x, bool isNegative = false);
  /// log of 16 lanes: 1 ulp, exactly 0 at 1, -inf at 0 and at denormals, NaN
  /// below.
  Value log(Value x);

  /// Sum of 16 lanes by the tree of ds.row_reduce, as an f32.
  Value reduceAdd(Value v);
  /// Largest of 16 lanes, as an f32.
  Value reduceMax(Value v);

  /// Clones the scalar region of a kernel on vectors of 16 lanes. `arguments`
  /// stand for the block's arguments; returns what it yields. `special` may
  /// replace an operation: it returns its value or null.
  SmallVector<Value>
  cloneRegion(Region &region, ValueRange arguments,
              function_ref<Value(Operation *, IRMapping &)> special = nullptr);
};

/// Starts a kernel's function `<symbol>.<variant>` at the end of `module` and
/// calls `body` with (args, dims, tile, scratch) at its entry.
void buildKernel(ModuleOp module, StringRef symbol, const Isa &isa,
                 Location loc,
                 function_ref<void(KernelBuilder &, Value args, Value dims,
                                   Value tile, Value scratch)>
                     body);

/// Builds `<symbol>.<variant>.tiles`; `body` returns the number of tiles.
void buildTiles(ModuleOp module, StringRef symbol, const Isa &isa,
                Location loc, function_ref<Value(KernelBuilder &, Value dims)> body);

/// Returns the module's own function `name`, which `body` builds when there is
/// none yet. It is not inlined, so that kernels share it.
func::FuncOp getHelper(ModuleOp module, StringRef name, TypeRange arguments,
                       const Isa &isa, Location loc,
                       function_ref<void(KernelBuilder &, ValueRange)> body);

} // namespace cpu
} // namespace ds
#endif
