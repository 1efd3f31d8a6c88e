//===- Builder.cpp - Emits kernels as scf, arith, vector and LLVM ---------===//
#include "codegen/cpu/Builder.h"

using namespace ds;
using namespace ds::cpu;

//===----------------------------------------------------------------------===//
// Types and integers
//===----------------------------------------------------------------------===//

Type KernelBuilder::ptrType() {
  return LLVM::LLVMPointerType::get(builder.getContext());
}

VectorType KernelBuilder::vec(Type element, int64_t lanes) {
  return VectorType::get({lanes}, element);
}

Value KernelBuilder::c(int64_t value) {
  return arith::ConstantIntOp::create(builder, loc, value, 64);
}

Value KernelBuilder::add(Value a, Value b) {
  return arith::AddIOp::create(builder, loc, a, b);
}

Value KernelBuilder::sub(Value a, Value b) {
  return arith::SubIOp::create(builder, loc, a, b);
}

Value KernelBuilder::mul(Value a, Value b) {
  return arith::MulIOp::create(builder, loc, a, b);
}

Value KernelBuilder::div(Value a, int64_t b) { return div(a, c(b)); }

Value KernelBuilder::div(Value a, Value b) {
  return arith::DivUIOp::create(builder, loc, a, b);
}

Value KernelBuilder::rem(Value a, int64_t b) { return rem(a, c(b)); }

Value KernelBuilder::rem(Value a, Value b) {
  return arith::RemUIOp::create(builder, loc, a, b);
}

Value KernelBuilder::ceilDiv(Value a, int64_t b) { return div(add(a, b - 1), b); }

Value KernelBuilder::min(Value a, Value b) {
  return arith::MinSIOp::create(builder, loc, a, b);
}

Value KernelBuilder::max(Value a, Value b) {
  return arith::MaxSIOp::create(builder, loc, a, b);
}

Value KernelBuilder::cmp(arith::CmpIPredicate predicate, Value a, Value b) {
  return arith::CmpIOp::create(builder, loc, predicate, a, b);
}

Value KernelBuilder::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(builder, loc, condition, a, b);
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

void KernelBuilder::loop(Value lower, Value upper, int64_t step,
                   function_ref<void(Value)> body) {
  loop(lower, upper, step, ValueRange(), [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>();
  });
}

SmallVector<Value>
KernelBuilder::loop(Value lower, Value upper, int64_t step, ValueRange inits,
              function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(
      builder, loc, lower, upper, c(step), inits,
      [&](OpBuilder &, Location, Value iv, ValueRange carried) {
        SmallVector<Value> next = body(iv, carried);
        scf::YieldOp::create(builder, loc, next);
      });
  return SmallVector<Value>(loop.getResults());
}

void KernelBuilder::ifThen(Value condition, function_ref<void()> then,
                     function_ref<void()> otherwise) {
  auto branch = [&](function_ref<void()> body) {
    return [this, body](OpBuilder &, Location) {
      body();
      scf::YieldOp::create(builder, loc);
    };
  };
  if (otherwise)
    scf::IfOp::create(builder, loc, condition, branch(then),
                      branch(otherwise));
  else
    scf::IfOp::create(builder, loc, condition, branch(then));
}

SmallVector<Value>
KernelBuilder::ifValues(Value condition, TypeRange types,
                  function_ref<SmallVector<Value>()> then,
                  function_ref<SmallVector<Value>()> otherwise) {
  auto branch = [&](function_ref<SmallVector<Value>()> body) {
    return [this, body](OpBuilder &, Location) {
      SmallVector<Value> values = body();
      scf::YieldOp::create(builder, loc, values);
    };
  };
  auto op = scf::IfOp::create(builder, loc, condition, branch(then),
                              branch(otherwise));
  return SmallVector<Value>(op.getResults());
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value KernelBuilder::at(Value pointer, Value offset) {
  return LLVM::GEPOp::create(builder, loc, ptrType(), builder.getI8Type(),
                             pointer, ArrayRef<LLVM::GEPArg>{offset});
}

Value KernelBuilder::at(Value pointer, int64_t offset) {
  return offset == 0 ? pointer : at(pointer, c(offset));
}

/// The alignment that any element of `type` has.
static int64_t elementAlign(Type type) {
  return std::max<int64_t>(1, getElementBytes(getElementTypeOrSelf(type)));
}

Value KernelBuilder::load(Type type, Value pointer, int64_t align) {
  if (isa<LLVM::LLVMPointerType>(type))
    return LLVM::LoadOp::create(builder, loc, type, pointer, 8);
  return LLVM::LoadOp::create(builder, loc, type, pointer,
                              align ? align : elementAlign(type));
}

void KernelBuilder::store(Value value, Value pointer, int64_t align) {
  LLVM::StoreOp::create(builder, loc, value, pointer,
                        align ? align : elementAlign(value.getType()));
}

/// The type that memory operations take for `type`: where no instruction masks
/// 16-bit lanes, LLVM would move bf16 through f32 and a library call.
static VectorType maskedType(VectorType type, Builder &builder) {
  if (!type.getElementType().isBF16())
    return type;
  return cast<VectorType>(type.cloneWith(std::nullopt, builder.getI16Type()));
}

Value KernelBuilder::loadMasked(VectorType type, Value pointer, Value mask) {
  VectorType bits = maskedType(type, builder);
  Value zeros = arith::ConstantOp::create(builder, loc,
                                          builder.getZeroAttr(bits));
  Value loaded = LLVM::MaskedLoadOp::create(
      builder, loc, bits, pointer, mask, zeros,
      static_cast<uint32_t>(elementAlign(type)));
  return bitcast(loaded, type);
}

/// Hides from LLVM what a mask is. LLVM 22 turns a masked store of 16-bit
/// lanes that were truncated from 32 bits, under a mask known to have one
/// lane, into a store of 32 bits, which runs over the neighbour.
static Value makeOpaque(KernelBuilder &b, Value mask) {
  Type bits = b.builder.getIntegerType(kLanes);
  auto hidden = LLVM::InlineAsmOp::create(
      b.builder, b.loc, bits, ValueRange{b.bitcast(mask, bits)}, "", "=r,0",
      /*has_side_effects=*/false, /*is_align_stack=*/false,
      LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(),
      ArrayAttr());
  return b.bitcast(hidden.getResult(0), mask.getType());
}

void KernelBuilder::storeMasked(Value value, Value pointer, Value mask) {
  auto type = cast<VectorType>(value.getType());
  if (target.wide && !target.bf16Dot && elementAlign(type) == 2 &&
      type.getNumElements() == kLanes)
    mask = makeOpaque(*this, mask);
  LLVM::MaskedStoreOp::create(
      builder, loc, bitcast(value, maskedType(type, builder)), pointer, mask,
      static_cast<uint32_t>(elementAlign(type)));
}

void KernelBuilder::prefetch(Value pointer, int level) {
  LLVM::Prefetch::create(builder, loc, pointer, /*rw=*/0, level, /*cache=*/1);
}

Value KernelBuilder::loadIndex(Value pointer) {
  return arith::ExtSIOp::create(builder, loc, i64(), load(i32(), pointer));
}

Value KernelBuilder::stack(int64_t bytes, int64_t align) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(entry);
  return LLVM::AllocaOp::create(builder, loc, ptrType(), builder.getI8Type(),
                                c(bytes), align);
}

Value KernelBuilder::arg(Value args, int64_t index) {
  return load(ptrType(), at(args, index * 8));
}

Value KernelBuilder::dim(Value dims, Dim which) {
  return load(i64(), at(dims, which * 8));
}

Value KernelBuilder::seqField(Value seq, SeqField field) {
  return load(field == kSeqMaxPages ? i64() : ptrType(), at(seq, field * 8));
}

void KernelBuilder::dispatch(Value value, int64_t first, int64_t last,
                             function_ref<void(int64_t)> body) {
  if (first == last)
    return body(first);
  int64_t middle = first + (last - first + 1) / 2;
  ifThen(
      less(value, c(middle)),
      [&] { dispatch(value, first, middle - 1, body); },
      [&] { dispatch(value, middle, last, body); });
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

Value KernelBuilder::splat(Value scalar, int64_t lanes) {
  return vector::BroadcastOp::create(builder, loc,
                                     vec(scalar.getType(), lanes), scalar);
}

Value KernelBuilder::cf(double value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getF32FloatAttr(value));
}

Value KernelBuilder::vf(double value) {
  return arith::ConstantOp::create(
      builder, loc,
      DenseElementsAttr::get(vec(f32()), static_cast<float>(value)));
}

Value KernelBuilder::vi(int64_t value) {
  return arith::ConstantOp::create(
      builder, loc,
      DenseElementsAttr::get(vec(i32()), static_cast<int32_t>(value)));
}

Value KernelBuilder::fma(Value a, Value b, Value acc) {
  // Not vector.fma, which only allows the two steps to be one.
  return LLVM::FMAOp::create(builder, loc, a, b, acc);
}

Value KernelBuilder::addf(Value a, Value b) {
  return arith::AddFOp::create(builder, loc, a, b);
}

Value KernelBuilder::subf(Value a, Value b) {
  return arith::SubFOp::create(builder, loc, a, b);
}

Value KernelBuilder::mulf(Value a, Value b) {
  return arith::MulFOp::create(builder, loc, a, b);
}

Value KernelBuilder::divf(Value a, Value b) {
  return arith::DivFOp::create(builder, loc, a, b);
}

Value KernelBuilder::maxf(Value a, Value b) {
  Value larger = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OGT,
                                       a, b);
  return select(larger, a, b);
}

Value KernelBuilder::laneMask(Value count, int64_t lanes) {
  SmallVector<int32_t> numbers(lanes);
  for (int64_t i = 0; i < lanes; ++i)
    numbers[i] = static_cast<int32_t>(i);
  Value index = arith::ConstantOp::create(
      builder, loc,
      DenseElementsAttr::get(vec(i32(), lanes), ArrayRef(numbers)));
  Value limit = max(c(0), min(count, c(lanes)));
  Value bound = splat(
      arith::TruncIOp::create(builder, loc, i32(), limit), lanes);
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, index,
                               bound);
}

Value KernelBuilder::bitcast(Value value, Type type) {
  return LLVM::BitcastOp::create(builder, loc, type, value);
}

Value KernelBuilder::toF32(Value value) {
  Type type = value.getType();
  if (getElementTypeOrSelf(type).isF32())
    return value;
  auto like = [&](Type element) -> Type {
    if (auto vector = dyn_cast<VectorType>(type))
      return vector.cloneWith(std::nullopt, element);
    return element;
  };
  if (target.bf16Dot || !getElementTypeOrSelf(type).isBF16())
    return arith::ExtFOp::create(builder, loc, like(f32()), value);
  // Where bf16 is no type of registers, a value of it that lives across a
  // branch would be kept as f32 and rounded by a library call.
  Value bits = bitcast(value, like(builder.getI16Type()));
  Value wide = arith::ExtUIOp::create(builder, loc, like(i32()), bits);
  TypedAttr sixteen = builder.getI32IntegerAttr(16);
  if (auto vector = dyn_cast<VectorType>(wide.getType()))
    sixteen = DenseElementsAttr::get(vector, int32_t(16));
  Value shifted = arith::ShLIOp::create(
      builder, loc, wide, arith::ConstantOp::create(builder, loc, sixteen));
  return bitcast(shifted, like(f32()));
}

/// Rounds f32 to bf16 with integers, where no instruction does: to nearest
/// even; a NaN stays one.
static Value roundToBf16(KernelBuilder &b, Value value) {
  OpBuilder &builder = b.builder;
  auto like = [&](Type element) -> Type {
    if (auto vector = dyn_cast<VectorType>(value.getType()))
      return vector.cloneWith(std::nullopt, element);
    return element;
  };
  Type word = like(b.i32());
  auto constant = [&](int32_t bits) -> Value {
    TypedAttr attr = builder.getI32IntegerAttr(bits);
    if (auto vector = dyn_cast<VectorType>(word))
      attr = DenseElementsAttr::get(vector, bits);
    return arith::ConstantOp::create(builder, b.loc, attr);
  };
  Value bits = b.bitcast(value, word);
  Value upper = arith::ShRUIOp::create(builder, b.loc, bits, constant(16));
  Value odd = arith::AndIOp::create(builder, b.loc, upper, constant(1));
  Value sum = b.add(b.add(bits, odd), constant(0x7fff));
  Value rounded = arith::ShRUIOp::create(builder, b.loc, sum, constant(16));
  Value nan = arith::OrIOp::create(builder, b.loc, upper, constant(0x40));
  Value isNan = arith::CmpFOp::create(builder, b.loc,
                                      arith::CmpFPredicate::UNO, value, value);
  Value narrow = arith::TruncIOp::create(
      builder, b.loc, like(builder.getI16Type()),
      b.select(isNan, nan, rounded));
  return b.bitcast(narrow, like(b.bf16()));
}

Value KernelBuilder::fromF32(Value value, Type element) {
  if (element.isF32())
    return value;
  if (element.isBF16() && !target.bf16Dot)
    return roundToBf16(*this, value);
  Type narrow = element;
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    narrow = vector.cloneWith(std::nullopt, element);
  return arith::TruncFOp::create(builder, loc, narrow, value);
}

Value KernelBuilder::loadF32(Type element, Value pointer, Value mask) {
  VectorType type = vec(element);
  return toF32(mask ? loadMasked(type, pointer, mask) : load(type, pointer));
}

void KernelBuilder::storeF32(Value value, Type element, Value pointer, Value mask) {
  Value rounded = fromF32(value, element);
  if (mask)
    storeMasked(rounded, pointer, mask);
  else
    store(rounded, pointer);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// The two bf16 of each i32 lane, as f32.
static std::pair<Value, Value> unpack(KernelBuilder &b, Value pairs) {
  Value low = arith::ShLIOp::create(b.builder, b.loc, pairs, b.vi(16));
  Value high = arith::AndIOp::create(b.builder, b.loc, pairs,
                                     b.vi(int64_t(0xffff0000)));
  VectorType type = b.vec(b.f32());
  return {b.bitcast(low, type), b.bitcast(high, type)};
}

KernelBuilder::Pair KernelBuilder::broadcastPair(Value packed) {
  Pair result;
  Value pairs = isa<VectorType>(packed.getType()) ? packed : splat(packed);
  if (target.bf16Dot)
    result.packed = pairs;
  else
    std::tie(result.low, result.high) = unpack(*this, pairs);
  return result;
}

Value KernelBuilder::dotPair(Pair a, Value b, Value acc) {
  if (!target.bf16Dot) {
    auto [low, high] = unpack(*this, b);
    return fma(a.high, high, fma(a.low, low, acc));
  }
  Type pairs = vec(bf16(), 2 * kLanes);
  return LLVM::CallIntrinsicOp::create(
             builder, loc, acc.getType(),
             builder.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
             ValueRange{acc, bitcast(a.packed, pairs), bitcast(b, pairs)})
      .getResult(0);
}

//===----------------------------------------------------------------------===//
// Regions and functions
//===----------------------------------------------------------------------===//

SmallVector<Value> KernelBuilder::cloneRegion(
    Region &region, ValueRange arguments,
    function_ref<Value(Operation *, IRMapping &)> special) {
  IRMapping map;
  map.map(region.getArguments(), arguments);
  Block &block = region.front();
  // bf16 is a type of memory: it is computed with as f32 and rounded.
  auto widen = [&](Value operand) {
    Value mapped = map.lookup(operand);
    return operand.getType().isBF16() ? toF32(mapped) : mapped;
  };
  auto narrow = [&](Value value, Type type) {
    return type.isBF16() ? fromF32(value, type) : value;
  };
  for (Operation &op : block.without_terminator()) {
    Type result = op.getResult(0).getType();
    Value replaced = special ? special(&op, map) : Value();
    if (!replaced && isa<math::ExpOp>(op))
      replaced = narrow(exp(widen(op.getOperand(0))), result);
    if (!replaced && isa<math::LogOp>(op))
      replaced = narrow(log(widen(op.getOperand(0))), result);
    if (!replaced && isa<arith::TruncFOp>(op))
      replaced = fromF32(map.lookup(op.getOperand(0)), result);
    if (!replaced && isa<arith::ExtFOp>(op))
      replaced = toF32(map.lookup(op.getOperand(0)));
    if (!replaced)
      if (auto constant = dyn_cast<arith::ConstantOp>(op))
        replaced = splat(arith::ConstantOp::create(
            builder, loc, constant.getValue()));
    if (replaced) {
      map.map(op.getResult(0), replaced);
      continue;
    }
    OperationState state(loc, op.getName());
    for (Value operand : op.getOperands())
      state.addOperands(widen(operand));
    state.addTypes(vec(result.isBF16() ? f32() : result));
    state.addAttributes(op.getAttrs());
    map.map(op.getResult(0),
            narrow(builder.create(state)->getResult(0), result));
  }
  SmallVector<Value> results;
  for (Value value : block.getTerminator()->getOperands())
    results.push_back(map.lookup(value));
  return results;
}

static func::FuncOp startFunction(ModuleOp module, const Twine &name,
                                  FunctionType type, Location loc) {
  OpBuilder builder(module.getContext());
  builder.setInsertionPointToEnd(module.getBody());
  auto function = func::FuncOp::create(builder, loc, name.str(), type);
  function.addEntryBlock();
  return function;
}

void ds::cpu::buildKernel(
    ModuleOp module, StringRef symbol, const Isa &isa, Location loc,
    function_ref<void(KernelBuilder &, Value, Value, Value, Value)> body) {
  OpBuilder builder(module.getContext());
  Type ptr = LLVM::LLVMPointerType::get(module.getContext());
  auto function = startFunction(
      module, symbol + "." + isa.name,
      builder.getFunctionType({ptr, ptr, builder.getI64Type(), ptr}, {}), loc);
  builder.setInsertionPointToEnd(&function.getBody().front());
  KernelBuilder kernel(builder, loc, isa);
  kernel.entry = &function.getBody().front();
  Block::BlockArgListType args = function.getArguments();
  body(kernel, args[0], args[1], args[2], args[3]);
  func::ReturnOp::create(builder, loc);
}

void ds::cpu::buildTiles(ModuleOp module, StringRef symbol, const Isa &isa,
                         Location loc,
                         function_ref<Value(KernelBuilder &, Value)> body) {
  OpBuilder builder(module.getContext());
  Type ptr = LLVM::LLVMPointerType::get(module.getContext());
  auto function = startFunction(
      module, symbol + "." + isa.name + ".tiles",
      builder.getFunctionType({ptr}, {builder.getI64Type()}), loc);
  builder.setInsertionPointToEnd(&function.getBody().front());
  KernelBuilder kernel(builder, loc, isa);
  kernel.entry = &function.getBody().front();
  Value count = body(kernel, function.getArgument(0));
  func::ReturnOp::create(builder, loc, count);
}

func::FuncOp ds::cpu::getHelper(
    ModuleOp module, StringRef name, TypeRange arguments, const Isa &isa,
    Location loc, function_ref<void(KernelBuilder &, ValueRange)> body) {
  if (auto function = module.lookupSymbol<func::FuncOp>(name))
    return function;
  OpBuilder builder(module.getContext());
  auto function = startFunction(module, name,
                                builder.getFunctionType(arguments, {}), loc);
  function->setAttr("llvm.linkage",
                    LLVM::LinkageAttr::get(module.getContext(),
                                           LLVM::Linkage::Internal));
  function->setAttr("passthrough", builder.getStrArrayAttr({"noinline"}));
  builder.setInsertionPointToEnd(&function.getBody().front());
  KernelBuilder kernel(builder, loc, isa);
  kernel.entry = &function.getBody().front();
  body(kernel, function.getArguments());
  func::ReturnOp::create(builder, loc);
  return function;
}
