//===- Matmul.cpp - The matmul family on Hopper ---------------------------===//
//
// A block makes a tile of 128 rows. One warp group, the producer, keeps four
// stages of operand tiles in flight through the tensor memory accelerator; two
// consumer warp groups multiply 64 rows each and run the epilogue on their
// accumulators. Barriers `full` and `empty` pass a stage back and forth. With
// `pair`, a stage holds a tile of gate rows and one of up rows, and a consumer
// two sets of accumulators.
//
//===----------------------------------------------------------------------===//
#include "codegen/gpu/Matmul.h"
#include "codegen/gpu/Ptx.h"
#include "codegen/gpu/Scalar.h"
#include "codegen/gpu/Tile.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace ds;
using namespace ds::gpu;

namespace {
constexpr int64_t kStages = 4;
constexpr int64_t kConsumers = 2;
constexpr int64_t kRows = kConsumers * kWgmmaRows;
constexpr int64_t kWeightRows = 128; ///< Of a stage, all products together.
constexpr int64_t kDepth = kTileRowBytes / 2;
constexpr int64_t kInputBytes = kRows * kTileRowBytes;
constexpr int64_t kStageBytes = (kRows + kWeightRows) * kTileRowBytes;
constexpr int64_t kBarrierBytes = 8;
constexpr int64_t kThreads = (1 + kConsumers) * kWarpGroup;
// 40 x 128 + 232 x 256 registers are 168 for each of 384 threads.
constexpr int64_t kProducerRegisters = 40, kConsumerRegisters = 232;
constexpr StringLiteral kShared = "ds_shared";

class MatmulEmitter {
public:
  MatmulEmitter(KernelMatmulOp op, ModuleOp module)
      : op(op), module(module), builder(module.getContext()),
        t(builder, op.getLoc()) {}

  GpuKernel emit();

private:
  int64_t products() { return op.getPair() ? 2 : 1; }
  int64_t columns() { return typeOf(op.getResult()).getDimSize(1); }
  int64_t depth() { return typeOf(op.getA()).getDimSize(1); }
  int64_t tileColumns() { return kWeightRows / products(); }
  RankedTensorType typeOf(Value value) {
    return cast<RankedTensorType>(value.getType());
  }

  LLVM::LLVMFuncOp declare();
  void body();
  void initialise();
  void produce();
  void loadStage(Value step);
  void consume();
  SmallVector<Value> multiply(Value step, ValueRange accumulators);
  void epilogue(ArrayRef<Value> accumulators);
  void storePair(Value row, Value column, ArrayRef<Value> accumulators,
                 int64_t element);
  Value element(Value row, Value column, ArrayRef<Value> accumulators,
                int64_t index);

  // A stage and its barriers.
  Value stage(Value index) { return t.mul(index, kStageBytes); }
  Value barrier(Value index, bool empty);
  Value stageOf(Value step) { return t.rem(step, kStages); }
  Value parityOf(Value step) { return t.rem(t.div(step, kStages), 2); }

  KernelMatmulOp op;
  ModuleOp module;
  OpBuilder builder;
  TileBuilder t;

  Value inputMap, weightMap, result, rows;
  SmallVector<Value> extras;
  Value shared, thread, group, firstRow, firstColumn, steps;
};
} // namespace

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

/// Adds the attributes of a tensor map that is passed by value.
static void passMapByValue(LLVM::LLVMFuncOp function, unsigned index) {
  OpBuilder builder(function.getContext());
  Type map = LLVM::LLVMArrayType::get(builder.getI64Type(), 16);
  function.setArgAttr(index, LLVM::LLVMDialect::getByValAttrName(),
                      TypeAttr::get(map));
  function.setArgAttr(index, LLVM::LLVMDialect::getAlignAttrName(),
                      builder.getI64IntegerAttr(64));
  function.setArgAttr(index, NVVM::NVVMDialect::getGridConstantAttrName(),
                      builder.getUnitAttr());
}

LLVM::LLVMFuncOp MatmulEmitter::declare() {
  builder.setInsertionPointToEnd(module.getBody());
  MLIRContext *context = builder.getContext();
  LLVM::GlobalOp::create(
      builder, op.getLoc(), LLVM::LLVMArrayType::get(builder.getI8Type(), 0),
      /*isConstant=*/false, LLVM::Linkage::External, kShared, Attribute(),
      /*alignment=*/1024, /*addrSpace=*/3);
  Type map = LLVM::LLVMPointerType::get(context);
  SmallVector<Type> types = {map, map};
  types.append(op.getExtras().size() + 1, t.globalPtr());
  types.push_back(t.i32());
  auto function = LLVM::LLVMFuncOp::create(
      builder, op.getLoc(), op.getSymName(),
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), types));
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(),
                    builder.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(),
                    builder.getDenseI32ArrayAttr({kThreads, 1, 1}));
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    builder.getI32IntegerAttr(1));
  passMapByValue(function, 0);
  passMapByValue(function, 1);
  return function;
}

GpuKernel MatmulEmitter::emit() {
  LLVM::LLVMFuncOp function = declare();
  Block *block = function.addEntryBlock(builder);
  builder.setInsertionPointToStart(block);
  inputMap = block->getArgument(0);
  weightMap = block->getArgument(1);
  size_t count = op.getExtras().size();
  for (size_t i = 0; i < count; ++i)
    extras.push_back(block->getArgument(2 + i));
  result = block->getArgument(2 + count);
  rows = block->getArgument(3 + count);
  body();
  LLVM::ReturnOp::create(builder, op.getLoc(), ValueRange{});

  GpuKernel kernel;
  kernel.name = op.getSymName().str();
  kernel.threads = kThreads;
  kernel.sharedBytes = kStages * (kStageBytes + 2 * kBarrierBytes);
  kernel.tileRows = kRows;
  kernel.tileColumns = tileColumns();
  return kernel;
}

Value MatmulEmitter::barrier(Value index, bool empty) {
  int64_t begin = kStages * (kStageBytes + (empty ? kBarrierBytes : 0));
  return t.sharedAt(shared, t.add(t.mul(index, kBarrierBytes), begin));
}

void MatmulEmitter::body() {
  shared = t.sharedBase(kShared);
  thread = t.threadId();
  group = t.uniform(t.div(thread, kWarpGroup));
  firstRow = t.mul(t.blockY(), kRows);
  firstColumn = t.mul(t.blockX(), tileColumns());
  steps = t.c((depth() + kDepth - 1) / kDepth);
  t.ifThen(t.equal(thread, 0), [&] { initialise(); });
  t.syncBlock();
  t.ifThen(t.equal(group, 0), [&] { produce(); }, [&] { consume(); });
}

void MatmulEmitter::initialise() {
  t.prefetchMap(inputMap);
  t.prefetchMap(weightMap);
  for (int64_t s = 0; s < kStages; ++s) {
    t.initBarrier(barrier(t.c(s), /*empty=*/false), 1);
    t.initBarrier(barrier(t.c(s), /*empty=*/true),
                  kConsumers * kWarpGroup / 32);
  }
  t.fenceBarriers();
}

//===----------------------------------------------------------------------===//
// The producer
//===----------------------------------------------------------------------===//

void MatmulEmitter::produce() {
  t.setRegisters(kProducerRegisters, /*increase=*/false);
  Value warp = t.uniform(t.div(thread, 32));
  t.ifThen(t.equal(warp, 0), [&] {
    t.ifThen(t.electOne(), [&] {
      t.loop(steps, {}, [&](Value step, ValueRange) {
        loadStage(step);
        return SmallVector<Value>();
      });
    });
  });
}

void MatmulEmitter::loadStage(Value step) {
  Value index = stageOf(step);
  Value full = barrier(index, /*empty=*/false);
  // The first round finds the stages empty: their barriers are in phase 0.
  t.waitBarrier(barrier(index, /*empty=*/true), t.xorBits(parityOf(step), 1));
  t.expectBytes(full, kStageBytes);
  Value column = t.mul(step, kDepth);
  Value begin = stage(index);
  t.loadTile(t.sharedAt(shared, begin), inputMap, full, column, firstRow);
  for (int64_t p = 0; p < products(); ++p) {
    int64_t offset = kInputBytes + p * tileColumns() * kTileRowBytes;
    t.loadTile(t.sharedAt(shared, t.add(begin, offset)), weightMap, full,
               column, t.add(firstColumn, p * columns()));
  }
}

//===----------------------------------------------------------------------===//
// The consumers
//===----------------------------------------------------------------------===//

void MatmulEmitter::consume() {
  t.setRegisters(kConsumerRegisters, /*increase=*/true);
  // What the accumulators hold before the first product is not read.
  Value any = LLVM::UndefOp::create(builder, op.getLoc(), t.f32());
  SmallVector<Value> begin(products() * tileColumns() / 2, any);
  SmallVector<Value> sums =
      t.loop(steps, begin, [&](Value step, ValueRange accumulators) {
        return multiply(step, accumulators);
      });
  epilogue(t.finished(sums));
}

/// Multiplies the tiles of a stage. The products of one stage run while the
/// next is issued, so it is the stage before that is handed back.
SmallVector<Value> MatmulEmitter::multiply(Value step,
                                           ValueRange accumulators) {
  Value index = stageOf(step);
  t.waitBarrier(barrier(index, /*empty=*/false), parityOf(step));
  Value begin = t.sharedAt(shared, stage(index));
  Value own = t.mul(t.sub(group, 1), kWgmmaRows * kTileRowBytes);
  Value a = t.descriptor(t.sharedAt(begin, own));
  t.fenceProducts();
  SmallVector<Value> next;
  int64_t count = accumulators.size() / products();
  for (int64_t p = 0; p < products(); ++p) {
    int64_t offset = kInputBytes + p * tileColumns() * kTileRowBytes;
    Value b = t.descriptor(t.sharedAt(begin, t.c(offset)));
    SmallVector<Value> sums(accumulators.slice(p * count, count));
    for (int64_t k = 0; k < kDepth; k += kWgmmaDepth)
      sums = t.product(sums, t.advance(a, 2 * k), t.advance(b, 2 * k),
                       k == 0 ? step : t.c(1));
    next.append(sums);
  }
  t.commitProducts();
  t.waitProducts(1);
  Value first = t.equal(step, 0);
  Value lane = t.equal(t.rem(thread, 32), 0);
  Value done = arith::AndIOp::create(
      builder, op.getLoc(), lane,
      arith::XOrIOp::create(
          builder, op.getLoc(), first,
          arith::ConstantOp::create(builder, op.getLoc(),
                                    builder.getBoolAttr(true))));
  t.ifThen(done, [&] {
    t.arrive(barrier(stageOf(t.sub(step, 1)), /*empty=*/true));
  });
  return next;
}

//===----------------------------------------------------------------------===//
// The epilogue
//===----------------------------------------------------------------------===//

/// Runs the region on the accumulators. Those of a thread are pairs of
/// neighbouring columns: number 4 j + 2 h + e belongs to row 8 h + lane / 4 of
/// its warp's 16 and column 8 j + 2 (lane % 4) + e.
void MatmulEmitter::epilogue(ArrayRef<Value> accumulators) {
  Value lane = t.rem(thread, 32);
  Value warp = t.div(t.sub(thread, kWarpGroup), 32);
  Value row = t.add(t.add(firstRow, t.mul(warp, 16)), t.div(lane, 4));
  Value column = t.add(firstColumn, t.mul(t.rem(lane, 4), 2));
  for (int64_t half = 0; half < 2; ++half) {
    Value own = t.add(row, 8 * half);
    t.ifThen(t.less(own, rows), [&] {
      for (int64_t j = 0; j < tileColumns() / 8; ++j)
        storePair(own, t.add(column, 8 * j), accumulators, 4 * j + 2 * half);
    });
  }
}

/// Returns the region's value for accumulator `index` of every product.
Value MatmulEmitter::element(Value row, Value column,
                             ArrayRef<Value> accumulators, int64_t index) {
  SmallVector<Value> arguments;
  for (int64_t p = 0; p < products(); ++p)
    arguments.push_back(accumulators[p * tileColumns() / 2 + index]);
  for (auto [pointer, extra] : llvm::zip(extras, op.getExtras())) {
    RankedTensorType type = typeOf(extra);
    Value place = t.elementAt(pointer, type.getElementType(),
                              type.getRank() == 2 ? row : Value(), columns(),
                              column);
    arguments.push_back(t.load(type.getElementType(), place));
  }
  return cloneScalarRegion(builder, op.getLoc(), op.getEpilogue(), arguments);
}

/// Stores the results of accumulators `index` and `index` + 1, at `column` and
/// the next, as far as there are such columns.
void MatmulEmitter::storePair(Value row, Value column,
                              ArrayRef<Value> accumulators, int64_t index) {
  Type type = typeOf(op.getResult()).getElementType();
  int64_t bytes = type.getIntOrFloatBitWidth() / 8;
  auto place = [&](Value at) {
    return t.elementAt(result, type, row, columns(), at);
  };
  Value next = t.add(column, 1), end = t.c(columns());
  if (columns() % 2 == 0) {
    t.ifThen(t.less(column, end), [&] {
      Value pair = t.pack(element(row, column, accumulators, index),
                          element(row, next, accumulators, index + 1));
      t.store(pair, place(column), 2 * bytes);
    });
    return;
  }
  t.ifThen(t.less(column, end), [&] {
    t.store(element(row, column, accumulators, index), place(column), bytes);
  });
  t.ifThen(t.less(next, end), [&] {
    t.store(element(row, next, accumulators, index + 1), place(next), bytes);
  });
}

//===----------------------------------------------------------------------===//
// Entry
//===----------------------------------------------------------------------===//

/// Checks what the kernel needs beyond what the operation verifies.
static llvm::Error checkOperation(KernelMatmulOp op) {
  auto a = cast<RankedTensorType>(op.getA().getType());
  auto weight = cast<RankedTensorType>(op.getWeight().getType());
  if (!a.getElementType().isBF16() || !weight.getElementType().isBF16())
    return llvm::createStringError("'%s' expects bf16 operands on a GPU",
                                   op.getSymName().str().c_str());
  if (op.getRows())
    return llvm::createStringError(
        "'%s' expects rows that lie one after the other on a GPU",
        op.getSymName().str().c_str());
  // The rows of a tensor map begin at multiples of 16 bytes.
  if (a.getDimSize(1) % 8)
    return llvm::createStringError(
        "'%s' expects a depth (%lld) that is a multiple of 8 on a GPU",
        op.getSymName().str().c_str(),
        static_cast<long long>(a.getDimSize(1)));
  return llvm::Error::success();
}

llvm::Expected<GpuKernel> ds::gpu::emitPtx(KernelMatmulOp op,
                                           const GpuTarget &target) {
  if (llvm::Error error = checkTarget(target))
    return error;
  if (llvm::Error error = checkOperation(op))
    return error;
  OwningOpRef<ModuleOp> module = ModuleOp::create(op.getLoc());
  GpuKernel kernel = MatmulEmitter(op, *module).emit();
  llvm::Expected<std::string> ptx = makePtx(*module, target);
  if (!ptx)
    return ptx.takeError();
  kernel.ptx = std::move(*ptx);
  return kernel;
}
