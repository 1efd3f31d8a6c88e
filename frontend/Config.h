//===- Config.h - Binding a config to config.json ---------------*- C++ -*-===//
#ifndef DS_FRONTEND_CONFIG_H
#define DS_FRONTEND_CONFIG_H
#include "frontend/ConstValue.h"
#include "frontend/Json.h"

namespace ds {

/// Binds `config` of `file` to `object`. All missing, unknown and ill-typed
/// keys and all requirements that do not hold are reported; what could not be
/// bound is poison.
std::shared_ptr<const Record> bindConfig(const ast::File &file,
                                         const ast::Decl &config,
                                         const json::Value &object,
                                         Diagnostics &diag);

} // namespace ds
#endif
