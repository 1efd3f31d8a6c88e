//===- Memory.cpp - Attributes of the memory plan -------------------------===//
#include "dialect/Dialect.h"
#include "llvm/Support/MathExtras.h"

using namespace ds;

LogicalResult BufferAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef name, StringRef rows,
                                 int64_t rowBytes, int64_t layers,
                                 Type element, BytesAttr offset) {
  if (rows.size() != 1 || !StringRef("TRPGECW").contains(rows))
    return emitError() << "expects rows to be one of T, R, P, G, E, C and "
                       << "W, got "
                       << "\"" << rows << "\"";
  if (layers <= 0)
    return emitError() << "expects at least one layer";
  if (rowBytes <= 0)
    return emitError() << "expects row bytes to be positive";
  return success();
}

LogicalResult BytesAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                int64_t perT, int64_t perR, int64_t constant,
                                int64_t perP, int64_t perG, int64_t perE,
                                int64_t perC) {
  if (llvm::any_of(ArrayRef<int64_t>{perT, perR, constant, perP, perG, perE,
                                     perC},
                   [](int64_t bytes) { return bytes < 0; }))
    return emitError() << "expects bytes not to be negative";
  return success();
}
