//===- DslType.cpp - Types of the model language
//-----------------------------===//
#include "frontend/DslType.h"

using namespace ds;

DslType DslType::tensor(std::vector<Dim> dims, bool isF32) {
  DslType type(Tensor);
  type.dims = std::move(dims);
  type.isF32 = isF32;
  return type;
}

bool DslType::operator==(const DslType &other) const {
  return kind == other.kind && isF32 == other.isF32 &&
         isI32 == other.isI32 &&
         element == other.element && dims == other.dims &&
         config == other.config;
}

static const char *getName(DslType::Kind kind) {
  static const char *const names[] = {"invalid", "null",   "bool",   "int",
                                      "float",   "string", "list",   "record",
                                      "seq",     "tensor", "weight", "state",
                                      "routing", "part",   "stack",  "model",
                                      "targets"};
  return names[kind];
}

std::string DslType::str() const {
  std::string text = getName(kind);
  if (kind == List)
    text = std::string("[") + getName(element) + "]";
  if (kind == Record && config)
    text = config->name.name.str();
  if (hasDims()) {
    text = kind == Tensor ? "" : text + " ";
    text += isF32 ? "f32[" : isI32 ? "i32[" : "[";
    for (size_t i = 0; i < dims.size(); ++i)
      text += (i ? ", " : "") + dims[i].str();
    text += "]";
  }
  return nullable ? text + "?" : text;
}
