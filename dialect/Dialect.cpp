//===- Dialect.cpp - Registration and types of the ds dialect -------------===//
#include "dialect/Dialect.h"

using namespace ds;

#include "dialect/DsDialect.cpp.inc"
#include "dialect/DsEnums.cpp.inc"
#include "dialect/DsInterfaces.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialect/DsAttributes.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialect/DsTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialect/DsOps.cpp.inc"

void DsDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/DsTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/DsAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/DsOps.cpp.inc"
      >();
}

void ds::registerToolDialects(DialectRegistry &registry) {
  registry.insert<DsDialect, arith::ArithDialect, func::FuncDialect,
                  math::MathDialect, scf::SCFDialect, tensor::TensorDialect,
                  vector::VectorDialect, LLVM::LLVMDialect>();
}

LogicalResult StateType::verify(function_ref<InFlightDiagnostic()> emitError,
                                ArrayRef<int64_t> shape, Type elementType,
                                int64_t stride, int64_t layers) {
  if (shape.empty() || llvm::any_of(shape, [](int64_t d) { return d <= 0; }))
    return emitError() << "expects a state's dimensions to be positive";
  if (!elementType.isBF16() && !elementType.isF32())
    return emitError() << "expects a state of bf16 or f32, got " << elementType;
  if (layers <= 0)
    return emitError() << "expects layers (" << layers << ") to be positive";
  // A page has whole pairs of entries.
  if (stride <= 0 || kPagePositions / 2 % stride)
    return emitError() << "expects every (" << stride << ") to divide "
                       << kPagePositions / 2;
  return success();
}

LogicalResult RoutingType::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t experts, int64_t picks) {
  if (picks <= 0 || experts < picks)
    return emitError() << "expects at least one pick and at most as many as "
                       << "experts, got " << picks << " of " << experts;
  return success();
}

StringRef RoutingType::getRowSymbol() const {
  // Attributes live as long as the context.
  return StringAttr::get(getContext(), "T*" + Twine(getPicks())).getValue();
}

int64_t StateType::getWidth() const {
  int64_t width = 1;
  for (int64_t dim : getShape())
    width *= dim;
  return width;
}

int64_t ds::getElementBytes(Type type) {
  return (type.getIntOrFloatBitWidth() + 7) / 8;
}

double ds::getTensorBytes(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  auto elements = static_cast<double>(tensor.getNumElements());
  double bytes = elements * getElementBytes(tensor.getElementType());
  if (!isa<Float8E4M3FNType>(tensor.getElementType()))
    return bytes;
  int64_t columns = tensor.getShape().back();
  auto scales = static_cast<double>(llvm::divideCeil(columns, kScaleBlock));
  return bytes + 4 * scales * elements / static_cast<double>(columns);
}

func::FuncOp ds::findEntry(ModuleOp module, StringRef name) {
  for (auto function : module.getOps<func::FuncOp>()) {
    auto entry = function->getAttrOfType<StringAttr>(kEntryAttr);
    if (entry && entry.getValue() == name && !function.isExternal())
      return function;
  }
  return {};
}
