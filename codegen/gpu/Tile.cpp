//===- Tile.cpp - Emits Hopper tiles as NVVM, LLVM, scf, arith ------------===//
//
// wgmma and the wait on it are inline PTX. The operation of the NVVM dialect
// takes no run-time choice between a fresh and a continued sum, and its wait
// has no data edge to the accumulators, so that their readers could move above
// it; here the accumulators go through the wait.
//
//===----------------------------------------------------------------------===//
#include "codegen/gpu/Tile.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace ds;
using namespace ds::gpu;

// How long a barrier's wait may suspend a thread, in nanoseconds.
static constexpr int64_t kSuspendHint = 10000000;

Type TileBuilder::globalPtr() {
  return LLVM::LLVMPointerType::get(builder.getContext(), 1);
}

Type TileBuilder::sharedPtr() {
  return LLVM::LLVMPointerType::get(builder.getContext(), 3);
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Value TileBuilder::c(int64_t value) {
  return arith::ConstantOp::create(
      builder, loc, builder.getI32IntegerAttr(static_cast<int32_t>(value)));
}

Value TileBuilder::add(Value a, Value b) {
  return arith::AddIOp::create(builder, loc, a, b);
}

Value TileBuilder::sub(Value a, int64_t b) {
  return arith::SubIOp::create(builder, loc, a, c(b));
}

Value TileBuilder::mul(Value a, int64_t b) {
  return arith::MulIOp::create(builder, loc, a, c(b));
}

Value TileBuilder::div(Value a, int64_t b) {
  return arith::DivUIOp::create(builder, loc, a, c(b));
}

Value TileBuilder::rem(Value a, int64_t b) {
  return arith::RemUIOp::create(builder, loc, a, c(b));
}

Value TileBuilder::xorBits(Value a, int64_t b) {
  return arith::XOrIOp::create(builder, loc, a, c(b));
}

Value TileBuilder::equal(Value a, int64_t b) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, a, c(b));
}

Value TileBuilder::less(Value a, Value b) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, a, b);
}

Value TileBuilder::both(Value a, Value b) {
  return arith::AndIOp::create(builder, loc, a, b);
}

//===----------------------------------------------------------------------===//
// Threads and control
//===----------------------------------------------------------------------===//

Value TileBuilder::threadId() {
  return NVVM::ThreadIdXOp::create(builder, loc, i32());
}

Value TileBuilder::blockX() {
  return NVVM::BlockIdXOp::create(builder, loc, i32());
}

Value TileBuilder::blockY() {
  return NVVM::BlockIdYOp::create(builder, loc, i32());
}

Value TileBuilder::uniform(Value value) {
  return NVVM::ShflOp::create(builder, loc, i32(), c(-1), value, c(0), c(31),
                              NVVM::ShflKind::idx, UnitAttr());
}

Value TileBuilder::electOne() {
  return NVVM::ElectSyncOp::create(builder, loc, builder.getI1Type(), Value());
}

void TileBuilder::syncBlock() { NVVM::BarrierOp::create(builder, loc); }

void TileBuilder::setRegisters(int64_t count, bool increase) {
  NVVM::SetMaxRegisterOp::create(builder, loc, static_cast<uint32_t>(count),
                                 increase
                                     ? NVVM::SetMaxRegisterAction::increase
                                     : NVVM::SetMaxRegisterAction::decrease);
}

void TileBuilder::ifThen(Value condition, function_ref<void()> then,
                         function_ref<void()> otherwise) {
  bool hasElse = static_cast<bool>(otherwise);
  auto branch = scf::IfOp::create(builder, loc, condition, hasElse);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  then();
  if (!hasElse)
    return;
  builder.setInsertionPointToStart(branch.elseBlock());
  otherwise();
}

SmallVector<Value>
TileBuilder::loop(Value end, ValueRange carried,
                  function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(builder, loc, c(0), end, c(1), carried);
  OpBuilder::InsertionGuard guard(builder);
  // A loop that carries nothing comes with its terminator.
  builder.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> next =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty())
    scf::YieldOp::create(builder, loc, next);
  return SmallVector<Value>(loop.getResults());
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value TileBuilder::sharedBase(StringRef symbol) {
  return LLVM::AddressOfOp::create(builder, loc, sharedPtr(), symbol);
}

Value TileBuilder::sharedAt(Value base, Value offset) {
  return LLVM::GEPOp::create(builder, loc, sharedPtr(), builder.getI8Type(),
                             base, ValueRange{offset});
}

Value TileBuilder::elementAt(Value pointer, Type type, Value row,
                             int64_t columns, Value column) {
  auto wide = [&](Value v) -> Value {
    return arith::ExtUIOp::create(builder, loc, i64(), v);
  };
  Value index = wide(column);
  if (row) {
    Value stride = arith::ConstantOp::create(
        builder, loc, builder.getI64IntegerAttr(columns));
    Value begin = arith::MulIOp::create(builder, loc, wide(row), stride);
    index = arith::AddIOp::create(builder, loc, begin, index);
  }
  return LLVM::GEPOp::create(builder, loc, globalPtr(), type, pointer,
                             ValueRange{index});
}

Value TileBuilder::load(Type type, Value pointer) {
  return LLVM::LoadOp::create(builder, loc, type, pointer);
}

void TileBuilder::store(Value value, Value pointer, int64_t alignment) {
  LLVM::StoreOp::create(builder, loc, value, pointer, alignment);
}

Value TileBuilder::pack(Value first, Value second) {
  auto type = VectorType::get({2}, first.getType());
  Value vector = LLVM::PoisonOp::create(builder, loc, type);
  vector = LLVM::InsertElementOp::create(builder, loc, vector, first, c(0));
  return LLVM::InsertElementOp::create(builder, loc, vector, second, c(1));
}

//===----------------------------------------------------------------------===//
// Barriers and loads
//===----------------------------------------------------------------------===//

void TileBuilder::initBarrier(Value barrier, int64_t arrivals) {
  NVVM::MBarrierInitOp::create(builder, loc, barrier, c(arrivals), Value());
}

void TileBuilder::fenceBarriers() {
  NVVM::FenceMbarrierInitOp::create(builder, loc);
}

void TileBuilder::waitBarrier(Value barrier, Value parity) {
  NVVM::MBarrierTryWaitParityOp::create(builder, loc, barrier, parity,
                                        c(kSuspendHint));
}

void TileBuilder::arrive(Value barrier) {
  NVVM::MBarrierArriveOp::create(builder, loc, i64(), barrier, Value(),
                                 NVVM::MemScopeKind::CTA, /*relaxed=*/false);
}

void TileBuilder::expectBytes(Value barrier, int64_t bytes) {
  NVVM::MBarrierArriveExpectTxOp::create(builder, loc, Type(), barrier,
                                         c(bytes), NVVM::MemScopeKind::CTA,
                                         /*relaxed=*/false, Value());
}

void TileBuilder::prefetchMap(Value map) {
  NVVM::PrefetchOp::create(builder, loc, NVVM::PrefetchCacheLevelAttr(),
                           NVVM::CacheEvictionPriorityAttr(), map, Value(),
                           builder.getUnitAttr());
}

void TileBuilder::loadTile(Value destination, Value map, Value barrier,
                           Value column, Value row) {
  Type cluster = LLVM::LLVMPointerType::get(builder.getContext(), 7);
  Value target =
      LLVM::AddrSpaceCastOp::create(builder, loc, cluster, destination);
  NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
      builder, loc, target, map, ValueRange{column, row}, barrier,
      ValueRange{}, Value(), Value(), NVVM::TMALoadMode::TILE,
      /*isCTAOnly=*/false, NVVM::CTAGroupKindAttr(), Value());
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

Value TileBuilder::descriptor(Value sharedAddress) {
  // Swizzle code of 128 bytes, 1024 bytes from one group of 8 rows to the
  // next; the third field has no meaning with this swizzle.
  constexpr int64_t fixed =
      (int64_t(1) << 62) | (int64_t(1024 >> 4) << 32) | (int64_t(1) << 16);
  Value address = LLVM::PtrToIntOp::create(builder, loc, i32(), sharedAddress);
  Value units =
      arith::AndIOp::create(builder, loc, div(address, 16), c(0x3FFF));
  Value wide = arith::ExtUIOp::create(builder, loc, i64(), units);
  Value rest = arith::ConstantOp::create(builder, loc,
                                         builder.getI64IntegerAttr(fixed));
  return arith::OrIOp::create(builder, loc, wide, rest);
}

Value TileBuilder::advance(Value descriptor, int64_t bytes) {
  if (bytes == 0)
    return descriptor;
  Value units = arith::ConstantOp::create(
      builder, loc, builder.getI64IntegerAttr(bytes / 16));
  return arith::AddIOp::create(builder, loc, descriptor, units);
}

void TileBuilder::fenceProducts() {
  NVVM::WgmmaFenceAlignedOp::create(builder, loc);
}

void TileBuilder::commitProducts() {
  NVVM::WgmmaGroupSyncAlignedOp::create(builder, loc);
}

void TileBuilder::waitProducts(int64_t pending) {
  NVVM::WgmmaWaitGroupSyncOp::create(builder, loc,
                                     static_cast<uint64_t>(pending));
}

SmallVector<Value> TileBuilder::inlineAsm(TypeRange results,
                                          ValueRange operands, StringRef text,
                                          StringRef constraints) {
  Type packed = LLVM::LLVMStructType::getLiteral(
      builder.getContext(), SmallVector<Type>(results));
  auto op = LLVM::InlineAsmOp::create(
      builder, loc, packed, operands, text, constraints,
      /*has_side_effects=*/true, /*is_align_stack=*/false,
      LLVM::tailcallkind::TailCallKind::None,
      LLVM::AsmDialectAttr::get(builder.getContext(),
                                LLVM::AsmDialect::AD_ATT),
      ArrayAttr());
  SmallVector<Value> values;
  for (size_t i = 0; i < results.size(); ++i)
    values.push_back(LLVM::ExtractValueOp::create(
        builder, loc, op.getResult(0), static_cast<int64_t>(i)));
  return values;
}

/// Returns "=f,...,=f" for `count` results, then `middle`, then "0,1,...".
static std::string tiedConstraints(size_t count, StringRef middle) {
  std::string text;
  for (size_t i = 0; i < count; ++i)
    text += i ? ",=f" : "=f";
  for (size_t i = 0; i < count; ++i)
    text += "," + std::to_string(i);
  return text + middle.str();
}

SmallVector<Value> TileBuilder::product(ValueRange accumulators, Value a,
                                        Value b, Value keep) {
  // Operands: results $0.., the tied accumulators, then a, b, keep.
  size_t count = accumulators.size();
  std::string registers;
  for (size_t i = 0; i < count; ++i)
    registers += (i ? ", $" : "$") + std::to_string(i);
  auto operand = [&](size_t i) { return "$" + std::to_string(2 * count + i); };
  std::string text = "{ .reg .pred p; setp.ne.b32 p, " + operand(2) +
                     ", 0; wgmma.mma_async.sync.aligned.m64n" +
                     std::to_string(2 * count) + "k16.f32.bf16.bf16 {" +
                     registers + "}, " + operand(0) + ", " + operand(1) +
                     ", p, 1, 1, 0, 0; }";
  SmallVector<Value> operands(accumulators);
  operands.append({a, b, keep});
  return inlineAsm(SmallVector<Type>(count, f32()), operands, text,
                   tiedConstraints(count, ",l,l,r"));
}

SmallVector<Value> TileBuilder::finished(ValueRange accumulators) {
  size_t count = accumulators.size();
  return inlineAsm(SmallVector<Type>(count, f32()), accumulators,
                   "wgmma.wait_group.sync.aligned 0;",
                   tiedConstraints(count, ""));
}
