//===- Reference.cpp - Kernels that are what operations mean --------------===//
//
// One tile is one row of the results. The operation says what becomes of it in
// scalar loops; here is where its operands lie. State is kept in the value view
// (docs/artifact.md), weights as they are in the file.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Heads.h"
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Routing.h"
#include "dialect/Meaning.h"

using namespace ds;
using namespace ds::cpu;

namespace {
class ReferenceMeaning : public Meaning {
public:
  ReferenceMeaning(KernelBuilder &b, KernelReferenceOp kernel, Value args,
                   Value dims, Value tile, Value scratch)
      : Meaning(b.builder, b.loc), b(b), dims(dims), scratch(scratch),
        hasRoutedRows(kernel.getRows().starts_with("T*")) {
    row = num(tile);
    auto module = kernel->getParentOfType<ModuleOp>();
    auto config = module->getAttrOfType<DictionaryAttr>(kConfigAttr);
    auto limit = config ? config.getAs<IntegerAttr>("max_position_embeddings")
                        : IntegerAttr();
    positions = limit ? limit.getInt() : 4096;
    place(kernel, args);
  }

  /// Bytes of scratch that the arrays need.
  int64_t scratchBytes() const { return used; }

  Num at(Value tensor, ArrayRef<Num> index) override;
  void put(Value tensor, ArrayRef<Num> index, Num value) override;
  Num round(Num x, Type element) override;

  Value makeArray(int64_t count) override;
  Num arrayAt(Value array, Num index) override {
    return num(b.load(builder.getF64Type(), b.at(array, (index * 8).value)));
  }
  void putArray(Value array, Num index, Num value) override {
    b.store(value.value, b.at(array, (index * 8).value));
  }

  Num kept(Value state, Value seq, Num sequence, Num position, Num head,
           Num column) override {
    Value pointer = stateAddress(state, seq, sequence, position, head, column);
    return load(cast<StateType>(state.getType()).getElementType(), pointer);
  }
  void keep(Value state, Value seq, Num sequence, Num position, Num head,
            Num column, Num value) override {
    Value pointer = stateAddress(state, seq, sequence, position, head, column);
    store(cast<StateType>(state.getType()).getElementType(), pointer, value);
  }

  Num token(Value seq, Num index) override { return read(seq, kSeqIds, index); }
  Num position(Value seq, Num index) override {
    return read(seq, kSeqPosition, index);
  }
  Num sequence(Value seq, Num index) override {
    return read(seq, kSeqSequence, index);
  }
  Num outRow(Value seq, Num index) override {
    return read(seq, kSeqOutRows, index);
  }

  Num routed(Value routing, RoutingArray array, Num index) override {
    return num(b.loadIndex(routedAddress(routing, array, index)));
  }
  void putRouted(Value routing, RoutingArray array, Num index,
                 Num value) override {
    b.store(arith::TruncIOp::create(builder, loc, b.i32(), value.value),
            routedAddress(routing, array, index));
  }
  Num rows() override { return num(b.dim(dims, kDimT)); }

private:
  KernelBuilder &b;
  Value dims, scratch;
  bool hasRoutedRows; ///< A row for each (token, slot) pair.
  DenseMap<Value, Value> pointers;
  int64_t used = 0;

  void place(KernelReferenceOp kernel, Value args);
  Value address(Value tensor, ArrayRef<Num> index);
  Value stateAddress(Value state, Value seq, Num sequence, Num position,
                     Num head, Num column);
  Value routedAddress(Value routing, RoutingArray array, Num index);
  Num load(Type element, Value pointer);
  void store(Type element, Value pointer, Num value);
  Num read(Value seq, SeqField field, Num index) {
    return num(b.loadIndex(
        b.at(b.seqField(pointers.lookup(seq), field), (index * 4).value)));
  }
};
} // namespace

/// The launch passes operands, then results that are no states.
void ReferenceMeaning::place(KernelReferenceOp kernel, Value args) {
  int64_t next = 0;
  for (BlockArgument argument : kernel.getBody().getArguments())
    pointers[argument] = b.arg(args, next++);
  for (Value result : kernel.getMeant()->getResults())
    if (!isa<StateType>(result.getType()))
      pointers[result] = b.arg(args, next++);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Row-major; matrices of a stack begin at multiples of 64 bytes.
Value ReferenceMeaning::address(Value tensor, ArrayRef<Num> index) {
  auto type = cast<RankedTensorType>(tensor.getType());
  int64_t size = getElementBytes(type.getElementType());
  int64_t rank = type.getRank();
  Num offset = index[rank - 1] * size;
  if (rank > 1)
    offset = offset + index[rank - 2] * (type.getDimSize(rank - 1) * size);
  if (rank > 2) {
    int64_t matrix = type.getDimSize(1) * type.getDimSize(2) * size;
    offset =
        offset + index[0] * static_cast<int64_t>(llvm::alignTo(matrix, 64));
  }
  return b.at(pointers.lookup(tensor), offset.value);
}

Num ReferenceMeaning::load(Type element, Value pointer) {
  if (element.isInteger(32))
    return num(b.loadIndex(pointer));
  Value value = b.toF32(b.load(element, pointer));
  return num(
      Value(arith::ExtFOp::create(builder, loc, builder.getF64Type(), value)));
}

void ReferenceMeaning::store(Type element, Value pointer, Num value) {
  if (element.isInteger(32)) {
    b.store(arith::TruncIOp::create(builder, loc, b.i32(), value.value),
            pointer);
    return;
  }
  Value narrow = arith::TruncFOp::create(builder, loc, b.f32(), value.value);
  b.store(b.fromF32(narrow, element), pointer);
}

Num ReferenceMeaning::round(Num x, Type element) {
  Value narrow = arith::TruncFOp::create(builder, loc, b.f32(), x.value);
  Value value = b.toF32(b.fromF32(narrow, element));
  return num(
      Value(arith::ExtFOp::create(builder, loc, builder.getF64Type(), value)));
}

Num ReferenceMeaning::at(Value tensor, ArrayRef<Num> index) {
  return load(getElementTypeOrSelf(tensor.getType()), address(tensor, index));
}

void ReferenceMeaning::put(Value tensor, ArrayRef<Num> index, Num value) {
  store(getElementTypeOrSelf(tensor.getType()), address(tensor, index), value);
}

Value ReferenceMeaning::makeArray(int64_t count) {
  Value array = b.at(scratch, used);
  used += static_cast<int64_t>(llvm::alignTo(count * 8, 64));
  return array;
}

/// Of the value view; an entry of a state with a stride is a slot of a page
/// with as many fewer.
Value ReferenceMeaning::stateAddress(Value state, Value seq, Num sequence,
                                     Num position, Num head, Num column) {
  auto type = cast<StateType>(state.getType());
  StateLayout layout(type);
  int64_t slots = kPagePositions / type.getStride();
  int64_t headBytes = slots * layout.padded * layout.size;
  Value sequences = pointers.lookup(seq);
  Num pages = num(b.seqField(sequences, kSeqMaxPages));
  Num page = read(seq, kSeqPages, sequence * pages + position / slots);
  Num slot = position % slots;
  Num inHead = slot * layout.padded + column;
  if (layout.isPaired())
    inHead = (slot / 2 * layout.padded + column) * int64_t(2) + slot % 2;
  Num offset = page * (headBytes * layout.heads) + head * headBytes +
               inHead * layout.size;
  return b.at(pointers.lookup(state), offset.value);
}

Value ReferenceMeaning::routedAddress(Value routing, RoutingArray array,
                                      Num index) {
  auto type = cast<RoutingType>(routing.getType());
  Num pairs = hasRoutedRows ? rows() : rows() * type.getPicks();
  RoutingArrays arrays(b, type, pointers.lookup(routing), pairs.value);
  Value base = array == RoutingArray::Offsets  ? arrays.offsets
               : array == RoutingArray::Tokens ? arrays.tokens
                                               : arrays.inverse;
  return b.at(base, (index * 4).value);
}

void ds::cpu::emitReference(KernelReferenceOp op, ModuleOp module,
                            const Isa &isa, KernelLimits &limits) {
  Dim rows = op.getRows() == "R" ? kDimR : kDimT;
  buildTiles(module, op.getSymName(), isa, op.getLoc(),
             [&](KernelBuilder &b, Value dims) { return b.dim(dims, rows); });
  buildKernel(
      module, op.getSymName(), isa, op.getLoc(),
      [&](KernelBuilder &b, Value args, Value dims, Value tile, Value scratch) {
        ReferenceMeaning meaning(b, op, args, dims, tile, scratch);
        buildMeaning(meaning, op.getMeant());
        limits.needScratch(meaning.scratchBytes());
      });
}
