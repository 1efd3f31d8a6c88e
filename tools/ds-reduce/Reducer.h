//===- Reducer.h - Makes a module smaller that still shows a fault *- C++
//-*-===//
#ifndef DS_TOOLS_DSREDUCE_REDUCER_H
#define DS_TOOLS_DSREDUCE_REDUCER_H
#include "dialect/Dialect.h"

namespace ds {

/// Takes one operation after the other out of `module`, from the last to the
/// first, as long as the result is valid and `isInteresting`. An operation
/// that is used gives way to operands of its results' types.
OwningOpRef<ModuleOp> reduce(OwningOpRef<ModuleOp> module,
                             function_ref<bool(ModuleOp)> isInteresting);

} // namespace ds
#endif
