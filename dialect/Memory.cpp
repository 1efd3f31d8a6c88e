//===- Memory.cpp - Attributes of the memory plan -------------------------===//
#include "dialect/Dialect.h"
#include "llvm/Support/MathExtras.h"

using namespace ds;

LogicalResult BufferAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef name, StringRef rows,
                                 int64_t rowBytes, int64_t layers,
                                 Type element, int64_t perT,
                                 int64_t perR, int64_t constant) {
  if (rows != "T" && rows != "R" && rows != "W")
    return emitError() << "expects rows to be \"T\", \"R\" or \"W\", got \""
                       << rows << "\"";
  if (layers <= 0)
    return emitError() << "expects at least one layer";
  if (rowBytes <= 0 || perT < 0 || perR < 0 || constant < 0)
    return emitError() << "expects row bytes to be positive and offsets not "
                       << "to be negative";
  return success();
}

int64_t ArenaAttr::getBytes(int64_t tokens, int64_t rows) const {
  auto round = [](int64_t count) {
    return static_cast<int64_t>(llvm::alignTo(count, 16));
  };
  return getPerT() * round(tokens) + getPerR() * round(rows) + getConstant();
}
