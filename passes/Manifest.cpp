//===- Manifest.cpp - What the artifact says about itself -----------------===//
#include "passes/Manifest.h"
#include "dialect/ValueNames.h"

using namespace ds;
namespace json = llvm::json;

static std::string elementName(Type type) {
  return type.isInteger(32) ? "i32" : type.isF32() ? "f32" : "bf16";
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
  json::Object object{{"id", id},
                      {"name", weight.getSymName()},
                      {"shape", json::Array(type.getShape())},
                      {"layout", stringifyWeightLayout(*weight.getLayout())},
                      {"paired", weight.getPaired()},
                      {"parts", std::move(parts)}};
  if (weight.getLayout() != WeightLayout::PanelE4m3)
    object["element"] = elementName(getPackedType(weight).getElementType());
  if (weight.getLayers())
    object["layers"] = json::Array(*weight.getLayers());
  if (weight.getStack())
    object["stack"] = static_cast<int64_t>(*weight.getStack());
  if (weight.getRowGroups())
    object["row_groups"] = json::Array(*weight.getRowGroups());
  if (weight.getCopies())
    object["copies"] = toJson(weight.getCopiesAttr());
  if (findEntry(weight->getParentOfType<ModuleOp>(), kTrainEntry)) {
    object["decay"] = weight.getDecay();
    object["frozen"] = weight.getFrozen();
    if (std::optional<APFloat> rate = weight.getBalanceRate())
      object["balance_rate"] = rate->convertToDouble();
  }
  if (auto init = weight.getInitAttr()) {
    json::Object rule{{"kind", stringifyInitKind(init.getKind())}};
    if (init.getStd())
      rule["std"] = init.getStd().getValueAsDouble();
    object["init"] = std::move(rule);
  }
  return object;
}

static json::Value stateJson(const PlannedState &state, int64_t id) {
  ArrayRef<int64_t> shape = state.type.getShape();
  json::Object object{
      {"id", id},
      {"name", state.name},
      {"heads", shape.size() > 1 ? shape[0] : 1},
      {"dims", shape.back()},
      {"layers", state.type.getLayers()},
      {"element", elementName(state.type.getElementType())},
      {"view", state.key.value_or(false) ? "key" : "value"}};
  if (state.type.getStride() > 1)
    object["stride"] = state.type.getStride();
  return object;
}

static json::Value bytesJson(const LinearBytes &bytes) {
  json::Object object;
  for (size_t kind = 0; kind < kStepRows; ++kind)
    if (bytes.per[kind] || kind < 2)
      object[stringifyRows(static_cast<BufferRows>(kind))] = bytes.per[kind];
  object["const"] = bytes.constant;
  return object;
}

static json::Value bufferJson(const PlannedBuffer &buffer, int64_t id) {
  json::Object object{{"id", id},
                      {"name", buffer.name},
                      {"rows", stringifyRows(buffer.rows)},
                      {"row_bytes", buffer.rowBytes},
                      {"element", elementName(buffer.element)},
                      {"offset", bytesJson(buffer.offset)}};
  if (buffer.layers > 1) {
    object["layers"] = buffer.layers;
    object["stride"] =
        json::Object{{stringifyRows(buffer.rows), buffer.getStride()}};
  }
  return object;
}

/// The coefficients of a cost (docs/artifact.md), from the cost of one token,
/// of a second one in another sequence and of a second kept position. A token
/// has `times` rows.
static json::Value costJson(CostInterface op, int64_t times) {
  Cost one = op.getCost({1, 1, 1, 1}), two = op.getCost({2, 2, 2, 1});
  Cost deep = op.getCost({1, 1, 1, 2});
  double flopsKept = deep.flops - one.flops;
  double stateKept = deep.stateBytes - one.stateBytes;
  double weightRow = two.weightBytes - one.weightBytes;
  double stateRow = two.stateBytes - one.stateBytes - stateKept;
  double row = 1.0 / static_cast<double>(times);
  return json::Object{{"flops_row", row * (two.flops - one.flops - flopsKept)},
                      {"flops_row_kept", flopsKept},
                      {"weight_bytes", one.weightBytes - weightRow},
                      {"bytes_row",
                       row * (two.activationBytes - one.activationBytes +
                              weightRow + stateRow)},
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
  RowCount rows = parseRows(kernel.getRowSymbol());
  json::Object object{
      {"name", name},
      {"family", familyOf(op)},
      {"rows", stringifyRows(rows.rows)},
      {"buckets", std::move(buckets)},
      {"cost", costJson(cast<CostInterface>(op), rows.times)}};
  if (rows.times > 1)
    object["times"] = rows.times;
  return object;
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
    if (arg.id > 0)
      return json::Object{
          {"seq", stringifySeqRows(static_cast<SeqRows>(arg.id - 1))}};
    return json::Object{{"seq", true}};
  case PlannedArg::Input:
    return json::Object{{"input", arg.id}};
  case PlannedArg::Gradient:
    return json::Object{{"gradient", arg.id}};
  case PlannedArg::Master:
    return json::Object{{"master", arg.id}};
  case PlannedArg::Moment1:
    return json::Object{{"moment", arg.id}, {"order", 1}};
  case PlannedArg::Moment2:
    return json::Object{{"moment", arg.id}, {"order", 2}};
  case PlannedArg::Hyper:
    return json::Object{{"hyper", true}};
  case PlannedArg::Partials:
    return json::Object{{"partials", true}};
  }
  llvm_unreachable("covered switch");
}

namespace {
/// The kernels of all entries, numbered as they are met, and the weights.
struct KernelTable {
  llvm::StringMap<int64_t> ids, weights;
  json::Array kernels;

  int64_t find(Operation *kernel) {
    StringRef name = cast<KernelInterface>(kernel).getKernelName();
    auto [it, added] = ids.try_emplace(name, kernels.size());
    if (added)
      kernels.push_back(kernelJson(kernel));
    return it->second;
  }
};
} // namespace

/// Returns the name of the weight whose product with a token gives the scores
/// that `pick` reads, or nothing.
static StringRef findGate(KernelPickOp pick) {
  Operation *source = pick.getScores().getDefiningOp();
  while (isa_and_nonnull<KernelRowOp, KernelElementwiseOp>(source))
    source = source->getOperand(0).getDefiningOp();
  auto product = dyn_cast_or_null<KernelMatmulOp>(source);
  if (!product)
    return {};
  auto read = product.getWeight().getDefiningOp<GetWeightOp>();
  return read ? read.getWeight() : StringRef();
}

/// Names the results of a kernel by the arguments that hold them: results that
/// are no states follow the operands, a state lies where the operand does.
static json::Array valuesJson(Operation *kernel) {
  SmallVector<int64_t> states;
  for (OpOperand &operand : kernel->getOpOperands())
    if (isa<StateType>(operand.get().getType()))
      states.push_back(operand.getOperandNumber());
  int64_t next = kernel->getNumOperands();
  auto nextState = states.begin();
  json::Array values;
  for (OpResult result : kernel->getResults()) {
    bool isState = isa<StateType>(result.getType());
    int64_t argument = isState ? *nextState++ : next++;
    std::optional<ValueName> name = findValueName(result);
    if (!name)
      continue;
    json::Object value{
        {"arg", argument}, {"name", name->name}, {"at", name->place}};
    if (auto routing = dyn_cast<RoutingType>(result.getType()))
      value["routing"] =
          json::Array{routing.getExperts(), routing.getPicks()};
    values.push_back(std::move(value));
  }
  return values;
}

/// `names`: say which values the launches make.
static json::Value programJson(ArrayRef<PlannedStep> program,
                               KernelTable &kernels, bool names) {
  json::Array steps;
  for (const PlannedStep &step : program) {
    json::Object object;
    if (step.kernel) {
      object["kernel"] = kernels.find(step.kernel);
      json::Array args;
      for (const PlannedArg &arg : step.args)
        args.push_back(argJson(arg));
      object["args"] = std::move(args);
      if (step.rows > 0)
        object["rows"] = step.rows;
      if (json::Array values; names) {
        values = valuesJson(step.kernel);
        if (!values.empty())
          object["values"] = std::move(values);
      }
      if (auto pick = dyn_cast<KernelPickOp>(step.kernel))
        if (auto it = kernels.weights.find(findGate(pick));
            it != kernels.weights.end())
          object["router"] = it->second;
    } else {
      if (step.window > 0)
        object["window"] = step.window;
      else
        object["layers"] = json::Array{step.firstLayer, step.layerCount};
      if (step.carry >= 0)
        object["carry"] = step.carry;
      if (step.reverse)
        object["reverse"] = true;
      object["program"] = programJson(step.body, kernels, names);
    }
    steps.push_back(std::move(object));
  }
  return steps;
}

/// Whether the entry says that every row has a target.
static bool hasAllTargets(ModuleOp module, const EntryPlan &entry) {
  return llvm::any_of(module.getOps<func::FuncOp>(), [&](func::FuncOp func) {
    auto kind = func->getAttrOfType<StringAttr>(kEntryAttr);
    return kind && kind.getValue() == entry.name &&
           func->hasAttr(kAllTargetsAttr);
  });
}

static json::Object entryJson(const EntryPlan &entry, KernelTable &kernels) {
  json::Array buffers, inputs;
  for (auto [id, buffer] : llvm::enumerate(entry.buffers))
    buffers.push_back(bufferJson(buffer, id));
  for (const PlannedInput &input : entry.inputs)
    inputs.push_back(json::Object{{"name", input.name},
                                  {"element", elementName(input.element)}});
  LinearBytes arena = entry.arena;
  arena.constant += kArenaPadding;
  json::Object object{
      {"arena", bytesJson(arena)},
      {"buffers", std::move(buffers)},
      {"inputs", std::move(inputs)},
      {"program",
       programJson(entry.program, kernels, entry.name == kInferEntry)}};
  for (auto [name, id] : {std::make_pair("logits", entry.logits),
                          std::make_pair("hidden_final", entry.finalHidden),
                          std::make_pair("loss", entry.loss),
                          std::make_pair("log_prob", entry.logProb)})
    if (id >= 0)
      object[name] = id;
  if (!entry.auxiliary.empty()) {
    json::Array terms;
    for (const auto &[name, buffer] : entry.auxiliary)
      terms.push_back(json::Object{{"name", name}, {"buffer", buffer}});
    object["auxiliary"] = std::move(terms);
  }
  return object;
}

json::Value ds::buildManifest(ModuleOp module, const MemoryPlan &plan,
                              const ManifestOptions &options) {
  json::Array weights, states;
  KernelTable kernels;
  for (auto [id, weight] : llvm::enumerate(plan.weights)) {
    weights.push_back(weightJson(weight, id));
    kernels.weights[WeightOp(weight).getSymName()] = id;
  }
  for (auto [id, state] : llvm::enumerate(plan.states))
    states.push_back(stateJson(state, id));
  json::Object entries;
  for (const EntryPlan &entry : plan.entries) {
    json::Object object = entryJson(entry, kernels);
    if (hasAllTargets(module, entry))
      object["all_targets"] = true;
    entries[entry.name] = std::move(object);
  }
  Type compute = module->getAttrOfType<TypeAttr>(kComputeAttr).getValue();
  json::Object manifest{
      {"format", 2},
      {"producer", "dscc 0.1.0"},
      {"model", module->getAttrOfType<StringAttr>(kModelAttr).getValue()},
      {"compute", elementName(compute)},
      {"config", toJson(module->getAttr(kConfigAttr))},
      {"variants", json::Array(options.variants)},
      {"scratch_bytes", options.scratchBytes},
      {"query_rows", options.queryRows},
      {"prompt_query_rows", options.promptQueryRows},
      {"generated_query_rows", options.generatedQueryRows},
      {"weights", std::move(weights)},
      {"states", std::move(states)},
      {"kernels", std::move(kernels.kernels)},
      {"entries", std::move(entries)}};
  if (Attribute ignored = module->getAttr(kIgnoredAttr))
    manifest["ignored"] = toJson(ignored);
  return manifest;
}
