//===- Manifest.cpp - What the artifact says about itself -----------------===//
#include "passes/Manifest.h"

using namespace ds;
namespace json = llvm::json;

static std::string elementName(Type type) {
  return type.isF32() ? "f32" : "bf16";
}

//===----------------------------------------------------------------------===//
// Attributes to JSON
//===----------------------------------------------------------------------===//

static json::Value toJson(Attribute attr) {
  if (auto boolean = dyn_cast<BoolAttr>(attr))
    return boolean.getValue();
  if (auto integer = dyn_cast<IntegerAttr>(attr))
    return integer.getInt();
  if (auto number = dyn_cast<FloatAttr>(attr))
    return number.getValueAsDouble();
  if (auto text = dyn_cast<StringAttr>(attr))
    return text.getValue();
  if (auto dict = dyn_cast<DictionaryAttr>(attr)) {
    json::Object object;
    for (NamedAttribute named : dict)
      object[named.getName().getValue()] = toJson(named.getValue());
    return object;
  }
  json::Array array;
  if (auto list = dyn_cast<ArrayAttr>(attr))
    for (Attribute element : list)
      array.push_back(toJson(element));
  if (auto list = dyn_cast<DenseI64ArrayAttr>(attr))
    for (int64_t element : list.asArrayRef())
      array.push_back(element);
  return array;
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

static json::Value weightJson(WeightOp weight, int64_t id) {
  auto type = cast<RankedTensorType>(weight.getType());
  json::Array parts;
  for (auto [label, rows] : llvm::zip(weight.getLabels(), weight.getRows()))
    parts.push_back(json::Object{{"label", cast<StringAttr>(label).getValue()},
                                 {"rows", rows}});
  json::Object object{
      {"id", id},
      {"name", weight.getSymName()},
      {"shape", json::Array(type.getShape())},
      {"layout", stringifyWeightLayout(*weight.getLayout())},
      {"element", elementName(getPackedType(weight).getElementType())},
      {"paired", weight.getPaired()},
      {"parts", std::move(parts)}};
  if (weight.getLayers())
    object["layers"] = json::Array(*weight.getLayers());
  return object;
}

static json::Value stateJson(const PlannedState &state, int64_t id) {
  ArrayRef<int64_t> shape = state.type.getShape();
  return json::Object{{"id", id},
                      {"name", state.name},
                      {"heads", shape.size() > 1 ? shape[0] : 1},
                      {"dims", shape.back()},
                      {"layers", state.type.getLayers()},
                      {"element", elementName(state.type.getElementType())},
                      {"view", state.key.value_or(false) ? "key" : "value"}};
}

static json::Value bufferJson(const PlannedBuffer &buffer, int64_t id) {
  return json::Object{{"id", id},
                      {"name", buffer.name},
                      {"rows", buffer.perRow ? "R" : "T"},
                      {"row_bytes", buffer.rowBytes},
                      {"element", buffer.isF32 ? "f32" : "bf16"},
                      {"offset", json::Object{{"T", buffer.offsetT},
                                              {"R", buffer.offsetR},
                                              {"const", 0}}}};
}

/// The coefficients of a cost (docs/artifact.md), from the cost of one token,
/// of a second one in another sequence and of a second kept position.
static json::Value costJson(CostInterface op) {
  Cost one = op.getCost({1, 1, 1, 1}), two = op.getCost({2, 2, 2, 1});
  Cost deep = op.getCost({1, 1, 1, 2});
  double flopsKept = deep.flops - one.flops;
  double stateKept = deep.stateBytes - one.stateBytes;
  double weightRow = two.weightBytes - one.weightBytes;
  double stateRow = two.stateBytes - one.stateBytes - stateKept;
  return json::Object{{"flops_row", two.flops - one.flops - flopsKept},
                      {"flops_row_kept", flopsKept},
                      {"weight_bytes", one.weightBytes - weightRow},
                      {"bytes_row", two.activationBytes - one.activationBytes +
                                        weightRow + stateRow},
                      {"state_bytes_kept", stateKept}};
}

static StringRef familyOf(Operation *kernel) {
  return kernel->getName().getStringRef().drop_front(strlen("ds.kernel."));
}

static json::Value kernelJson(Operation *op) {
  auto kernel = cast<KernelInterface>(op);
  StringRef name = kernel.getKernelName();
  json::Array buckets;
  if (isa<KernelMatmulOp>(op))
    buckets.push_back(
        json::Object{{"max_rows", 16}, {"symbol", (name + "_m16").str()}});
  buckets.push_back(json::Object{{"symbol", name}});
  return json::Object{{"name", name},
                      {"family", familyOf(op)},
                      {"rows", kernel.getRowSymbol()},
                      {"buckets", std::move(buckets)},
                      {"cost", costJson(cast<CostInterface>(op))}};
}

//===----------------------------------------------------------------------===//
// Program
//===----------------------------------------------------------------------===//

static json::Value argJson(const PlannedArg &arg) {
  switch (arg.kind) {
  case PlannedArg::Buffer:
    return json::Object{{"buffer", arg.id}};
  case PlannedArg::Weight:
    return json::Object{{"weight", arg.id}};
  case PlannedArg::State:
    return json::Object{{"state", arg.id}};
  case PlannedArg::Seq:
    return json::Object{{"seq", true}};
  }
  llvm_unreachable("covered switch");
}

static json::Value programJson(ArrayRef<PlannedStep> program,
                               llvm::StringMap<int64_t> &ids,
                               json::Array &kernels) {
  json::Array steps;
  for (const PlannedStep &step : program) {
    if (!step.kernel) {
      steps.push_back(json::Object{
          {"layers", json::Array{step.firstLayer, step.layerCount}},
          {"carry", step.carry},
          {"program", programJson(step.body, ids, kernels)}});
      continue;
    }
    StringRef name = cast<KernelInterface>(step.kernel).getKernelName();
    auto [it, added] = ids.try_emplace(name, kernels.size());
    if (added)
      kernels.push_back(kernelJson(step.kernel));
    json::Array args;
    for (const PlannedArg &arg : step.args)
      args.push_back(argJson(arg));
    steps.push_back(
        json::Object{{"kernel", it->second}, {"args", std::move(args)}});
  }
  return steps;
}

json::Value ds::buildManifest(ModuleOp module, const MemoryPlan &plan,
                              const ManifestOptions &options) {
  json::Array weights, states, buffers, kernels;
  for (auto [id, weight] : llvm::enumerate(plan.weights))
    weights.push_back(weightJson(weight, id));
  for (auto [id, state] : llvm::enumerate(plan.states))
    states.push_back(stateJson(state, id));
  for (auto [id, buffer] : llvm::enumerate(plan.buffers))
    buffers.push_back(bufferJson(buffer, id));
  llvm::StringMap<int64_t> ids;
  json::Value program = programJson(plan.program, ids, kernels);
  json::Object entry{{"logits", plan.logits}, {"program", std::move(program)}};
  if (plan.finalHidden >= 0)
    entry["hidden_final"] = plan.finalHidden;
  Type compute = module->getAttrOfType<TypeAttr>(kComputeAttr).getValue();
  return json::Object{
      {"format", 1},
      {"producer", "dscc 0.1.0"},
      {"model", module->getAttrOfType<StringAttr>(kModelAttr).getValue()},
      {"compute", elementName(compute)},
      {"config", toJson(module->getAttr(kConfigAttr))},
      {"variants", json::Array(options.variants)},
      {"scratch_bytes", options.scratchBytes},
      {"query_rows", options.queryRows},
      {"weights", std::move(weights)},
      {"states", std::move(states)},
      {"buffers", std::move(buffers)},
      {"arena", json::Object{{"T", plan.arenaT},
                             {"R", plan.arenaR},
                             {"const", kArenaPadding}}},
      {"kernels", std::move(kernels)},
      {"entry", std::move(entry)}};
}
