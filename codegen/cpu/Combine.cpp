//===- Combine.cpp - What experts gave, back to their tokens --------------===//
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Routing.h"

using namespace ds;
using namespace ds::cpu;

/// Elements of a tile, of which there is at least one row.
static constexpr int64_t kTileElements = 4096;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static int64_t columnsOf(Value value) { return typeOf(value).getDimSize(1); }

static int64_t bytesOf(Value value) {
  return getElementBytes(typeOf(value).getElementType());
}

/// Builds a kernel over the tokens of rows of `columns` columns.
static void buildTokens(
    KernelInterface op, int64_t columns, ModuleOp module, const Isa &isa,
    function_ref<void(KernelBuilder &, Value args, Value dims, Value row)>
        body) {
  int64_t rows = std::max<int64_t>(1, kTileElements / columns);
  buildTiles(module, op.getKernelName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) {
               return b.ceilDiv(b.dim(dims, kDimT), rows);
             });
  buildKernel(module, op.getKernelName(), isa, op.getLoc(),
              [&](KernelBuilder &b, Value args, Value dims, Value tile,
                  Value) {
                Value first = b.mul(tile, rows);
                Value end = b.min(b.add(first, rows), b.dim(dims, kDimT));
                b.loop(first, end, 1,
                       [&](Value row) { body(b, args, dims, row); });
              });
}

/// Calls `emit` for 16 columns after the other; its mask may be null.
static void forColumns(KernelBuilder &b, int64_t columns,
                       function_ref<void(Value, Value)> emit) {
  int64_t whole = columns / kLanes * kLanes;
  if (whole)
    b.loop(b.c(0), b.c(whole), kLanes,
           [&](Value column) { emit(column, Value()); });
  if (whole < columns)
    emit(b.c(whole), b.laneMask(b.c(columns - whole)));
}

namespace {
/// The routed rows of one token.
struct TokenSlots {
  TokenSlots(KernelBuilder &b, Value input, Value routing, Value args,
             Value dims, Value row)
      : input(b.arg(args, 0)), bytes(columnsOf(input) * bytesOf(input)),
        element(typeOf(input).getElementType()) {
    auto type = cast<RoutingType>(routing.getType());
    picks = type.getPicks();
    RoutingArrays arrays(b, type, b.arg(args, 1),
                         b.mul(b.dim(dims, kDimT), picks));
    first = b.mul(row, picks);
    for (int64_t slot = 0; slot < picks; ++slot)
      rows.push_back(b.mul(
          RoutingArrays::at(b, arrays.inverse, b.add(first, slot)), bytes));
  }

  Value load(KernelBuilder &b, int64_t slot, Value column, Value mask) {
    Value from = b.at(b.at(input, rows[slot]),
                      b.mul(column, getElementBytes(element)));
    return b.loadF32(element, from, mask);
  }

  Value input;
  int64_t bytes;
  Type element;
  int64_t picks;
  Value first; ///< First slot of the token.
  SmallVector<Value> rows; ///< Offsets of the rows, by slot.
};
} // namespace

void ds::cpu::emitDispatch(KernelDispatchOp op, ModuleOp module,
                           const Isa &isa, KernelLimits &) {
  int64_t columns = columnsOf(op.getResult());
  Type element = typeOf(op.getResult()).getElementType();
  int64_t bytes = getElementBytes(element);
  auto type = cast<RoutingType>(op.getRouting().getType());
  buildTokens(op, columns, module, isa, [&](KernelBuilder &b, Value args,
                                            Value dims, Value row) {
    RoutingArrays routing(b, type, b.arg(args, 1), b.dim(dims, kDimT));
    Value token = RoutingArrays::at(b, routing.tokens, row);
    Value from = b.at(b.arg(args, 0), b.mul(token, columns * bytes));
    Value to = b.at(b.arg(args, 2), b.mul(row, columns * bytes));
    VectorType vector = b.vec(element);
    forColumns(b, columns, [&](Value column, Value mask) {
      Value offset = b.mul(column, bytes);
      if (mask)
        b.storeMasked(b.loadMasked(vector, b.at(from, offset), mask),
                      b.at(to, offset), mask);
      else
        b.store(b.load(vector, b.at(from, offset)), b.at(to, offset));
    });
  });
}

void ds::cpu::emitCombine(KernelCombineOp op, ModuleOp module, const Isa &isa,
                          KernelLimits &) {
  int64_t columns = columnsOf(op.getResult());
  auto extras = llvm::to_vector(op.getExtras());
  int64_t firstExtra = op.getWeights() ? 3 : 2;
  auto resultArg = firstExtra + static_cast<int64_t>(extras.size());
  buildTokens(op, columns, module, isa, [&](KernelBuilder &b, Value args,
                                            Value dims, Value row) {
    TokenSlots slots(b, op.getInput(), op.getRouting(), args, dims, row);
    SmallVector<Value> weights;
    if (op.getWeights())
      for (int64_t slot = 0; slot < slots.picks; ++slot)
        weights.push_back(b.splat(
            b.load(b.f32(), b.at(b.arg(args, 2),
                                 b.mul(b.add(slots.first, slot), 4)))));
    auto matrixAt = [&](Value matrix, int64_t index, Value column) {
      Value element = b.add(b.mul(row, columns), column);
      return b.at(b.arg(args, index), b.mul(element, bytesOf(matrix)));
    };
    forColumns(b, columns, [&](Value column, Value mask) {
      Value sum;
      for (int64_t slot = 0; slot < slots.picks; ++slot) {
        Value value = slots.load(b, slot, column, mask);
        if (weights.empty())
          sum = sum ? b.addf(sum, value) : value;
        else
          sum = sum ? b.fma(weights[slot], value, sum)
                    : b.mulf(weights[slot], value);
      }
      SmallVector<Value> arguments = {sum};
      for (auto [index, extra] : llvm::enumerate(extras)) {
        VectorType type = b.vec(typeOf(extra).getElementType());
        Value from = matrixAt(
            extra, firstExtra + static_cast<int64_t>(index), column);
        arguments.push_back(mask ? b.loadMasked(type, from, mask)
                                 : b.load(type, from));
      }
      Value value = b.cloneRegion(op.getEpilogue(), arguments).front();
      Value to = matrixAt(op.getResult(), resultArg, column);
      if (mask)
        b.storeMasked(value, to, mask);
      else
        b.store(value, to);
    });
  });
}

void ds::cpu::emitCombineBackward(KernelCombineBackwardOp op, ModuleOp module,
                                  const Isa &isa, KernelLimits &) {
  int64_t columns = columnsOf(op.getInput());
  Type element = typeOf(op.getInput()).getElementType();
  Type gradientElement = typeOf(op.getGradient()).getElementType();
  buildTokens(op, columns, module, isa, [&](KernelBuilder &b, Value args,
                                            Value dims, Value row) {
    TokenSlots slots(b, op.getInput(), op.getRouting(), args, dims, row);
    Value gradient = b.at(
        b.arg(args, 3), b.mul(row, columns * getElementBytes(gradientElement)));
    Value to = b.arg(args, 4), weightGradients = b.arg(args, 5);
    auto slotAt = [&](Value array, int64_t slot) {
      return b.at(array, b.mul(b.add(slots.first, slot), 4));
    };
    int64_t whole = columns / kLanes * kLanes;
    for (int64_t slot = 0; slot < slots.picks; ++slot) {
      Value weight = b.splat(b.load(b.f32(), slotAt(b.arg(args, 2), slot)));
      Value out = b.at(to, slots.rows[slot]);
      auto step = [&](Value column, Value mask, Value sum) {
        Value dz = b.loadF32(
            gradientElement,
            b.at(gradient, b.mul(column, getElementBytes(gradientElement))),
            mask);
        b.storeF32(b.mulf(weight, dz), element,
                   b.at(out, b.mul(column, getElementBytes(element))), mask);
        Value term = b.mulf(dz, slots.load(b, slot, column, mask));
        return b.addf(sum, term);
      };
      Value sum = b.zero();
      if (whole)
        sum = b.loop(b.c(0), b.c(whole), kLanes, sum,
                     [&](Value column, ValueRange carried) {
                       return SmallVector<Value>{
                           step(column, Value(), carried[0])};
                     })
                  .front();
      if (whole < columns)
        sum = step(b.c(whole), b.laneMask(b.c(columns - whole)), sum);
      b.store(b.reduceAdd(sum), slotAt(weightGradients, slot));
    }
  });
}
