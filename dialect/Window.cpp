//===- Window.cpp - Many rows of something wide, a window at a time -------===//
#include "dialect/Dialect.h"

using namespace ds;

LogicalResult RunRowsOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto body =
      symbolTable.lookupNearestSymbolFrom<func::FuncOp>(*this, getBodyAttr());
  if (!body)
    return emitOpError() << "expects '" << getBody() << "' to be a function";
  auto expected =
      FunctionType::get(getContext(), getOperandTypes(), getResultTypes());
  if (body.getFunctionType() != expected) {
    InFlightDiagnostic diag = emitOpError()
                              << "expects a body of type " << expected;
    diag.attachNote(body.getLoc())
        << "the body has type " << body.getFunctionType();
    return diag;
  }
  for (unsigned i = 0; i < body.getNumArguments(); ++i)
    if (body.getArgAttrOfType<StringAttr>(i, kRowsAttr) !=
        StringAttr::get(getContext(), "R"))
      return emitOpError() << "expects argument " << i << " of '" << getBody()
                           << "' to have " << kRowsAttr << " = \"R\"";
  return success();
}
