//===- Generator.cpp - The module, its weights and its entry --------------===//
#include "frontend/Generator.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

mlir::Location Generator::getLoc(llvm::SMLoc loc) {
  llvm::SourceMgr &sources = diag.getSources();
  unsigned buffer = sources.FindBufferContainingLoc(loc);
  auto [line, column] = sources.getLineAndColumn(loc, buffer);
  StringRef file = sources.getMemoryBuffer(buffer)->getBufferIdentifier();
  return mlir::FileLineColLoc::get(&context, file, line, column);
}

mlir::Type Generator::getStateType(const StateInstance &state, int64_t layers) {
  return StateType::get(&context, state.dims, compute, state.stride, layers);
}

mlir::OwningOpRef<mlir::ModuleOp>
Generator::generate(Instance &model, StringRef modelType,
                    const Decl *trainingObjective) {
  objective = trainingObjective;
  auxiliary = objective && llvm::any_of(objective->body, [](auto &item) {
                return llvm::isa<Auxiliary>(item.get());
              });
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(getLoc(model.module->loc));
  setAttributes(*module, model, modelType);
  builder.setInsertionPointToEnd(module->getBody());
  if (!buildInfer(model))
    return {};
  func::FuncOp infer = entry;
  if (model.findFn("draft") && !buildDraft(model))
    return {};
  if (!checkUsed(entryWeights))
    return {};
  if (objective && !buildTrain(model))
    return {};
  builder.setInsertionPoint(infer);
  for (std::unique_ptr<Body> &body : bodies)
    builder.insert(body->func.release());
  builder.setInsertionPointToStart(module->getBody());
  emitWeights();
  std::string message;
  mlir::ScopedDiagnosticHandler handler(
      &context, [&](mlir::Diagnostic &diagnostic) {
        llvm::raw_string_ostream os(message);
        os << diagnostic.getLocation() << ": " << diagnostic.str() << "\n";
        return mlir::success();
      });
  if (mlir::succeeded(mlir::verify(*module)))
    return module;
  diag.error("expects the ds graph to be valid, got: " + message);
  return {};
}

static mlir::Attribute getAttribute(mlir::Builder &builder,
                                    const ConstValue &value) {
  switch (value.kind) {
  case ConstValue::Bool:
    return builder.getBoolAttr(value.boolean);
  case ConstValue::Int:
    return builder.getI64IntegerAttr(value.integer);
  case ConstValue::Float:
    return builder.getF64FloatAttr(value.number);
  case ConstValue::String:
    return builder.getStringAttr(value.string);
  case ConstValue::List: {
    llvm::SmallVector<mlir::Attribute> elements;
    for (const ConstValue &element : value.elements)
      elements.push_back(getAttribute(builder, element));
    return builder.getArrayAttr(elements);
  }
  case ConstValue::Object: {
    mlir::NamedAttrList attrs;
    for (const Record::Entry &entry : value.record->entries)
      if (mlir::Attribute attr = getAttribute(builder, entry.value))
        attrs.set(entry.key, attr);
    return attrs.getDictionary(builder.getContext());
  }
  case ConstValue::Null:
  case ConstValue::Poison:
    return {};
  }
  return {};
}

void Generator::setAttributes(mlir::ModuleOp module, Instance &model,
                              StringRef modelType) {
  ConstValue config;
  config.kind = ConstValue::Object;
  config.record = model.scope.values[model.module->params[0].name.name].record;
  module->setAttr(kModelAttr, builder.getStringAttr(modelType));
  module->setAttr(kComputeAttr, mlir::TypeAttr::get(compute));
  module->setAttr(kConfigAttr, getAttribute(builder, config));
  if (!model.ignored.empty()) {
    llvm::SmallVector<StringRef> names(model.ignored.begin(),
                                       model.ignored.end());
    module->setAttr(kIgnoredAttr, builder.getStrArrayAttr(names));
  }
}

//===----------------------------------------------------------------------===//
// The entry
//===----------------------------------------------------------------------===//

bool Generator::buildInfer(Instance &model) {
  model.collect(entryWeights, entryStates);
  for (WeightInstance *weight : entryWeights)
    symbols.insert(weight->symbol);
  symbols.insert("forward");
  if (objective)
    symbols.insert("train");
  bool hasDraft = model.findFn("draft");
  if (hasDraft)
    symbols.insert("draft");
  for (std::unique_ptr<Body> &body : bodies)
    body->runs = 0;
  startEntry(model.findFn("forward")->loc, "forward", kInferEntry);
  Values results = callInstance(model, {entry.getArgument(0)}, entryFrame);
  if (results.empty())
    return false;
  if (!hasDraft)
    results.resize(1);
  finishEntry(getOutputs(results));
  return true;
}

/// Builds @draft, which goes on from what @forward returns beside the logits.
/// Its runs of a body have other states than those of @forward.
bool Generator::buildDraft(Instance &model) {
  mlir::Type type = entry.getResultTypes()[1];
  startEntry(model.findFn("draft")->loc, "draft", kDraftEntry);
  llvm::SmallVector<mlir::NamedAttribute> attrs = {
      builder.getNamedAttr(kNameAttr, builder.getStringAttr("hidden"))};
  (void)entry.insertArgument(1, type, builder.getDictionaryAttr(attrs),
                             entry.getLoc());
  Values results = callInstance(
      model, {entry.getArgument(1), entry.getArgument(0)}, entryFrame, "draft");
  if (results.empty())
    return false;
  finishEntry(getOutputs(results));
  return true;
}

/// What an entry returns: `results`, and all states.
Generator::Values Generator::getOutputs(const Values &results) {
  Values outputs = results;
  for (StateInstance *state : entryStates)
    outputs.push_back(entryFrame.states[state]);
  for (Run &run : runs)
    llvm::append_range(outputs, run.op.getResults().drop_front());
  return outputs;
}

/// Begins a function of the sequences and of the states that lie outside of
/// layers; states of layers follow when the layers are called.
void Generator::startEntry(llvm::SMLoc loc, StringRef name, StringRef kind) {
  auto type = builder.getFunctionType({SeqType::get(&context)}, {});
  entry = func::FuncOp::create(builder, getLoc(loc), name, type);
  entry->setAttr(kEntryAttr, builder.getStringAttr(kind));
  mlir::Block *block = entry.addEntryBlock();
  entryFrame = Frame();
  entryFrame.isEntry = true;
  runs.clear();
  iterations = 0;
  for (StateInstance *state : entryStates) {
    addStateArg(*state, state->name);
    entryFrame.states[state] = block->getArguments().back();
    state->appended = {};
  }
  builder.setInsertionPointToEnd(block);
}

void Generator::finishEntry(const Values &outputs) {
  mlir::Block &block = entry.getBody().front();
  builder.setInsertionPointToEnd(&block);
  func::ReturnOp::create(builder, entry.getLoc(), outputs);
  entry.setFunctionType(builder.getFunctionType(
      block.getArgumentTypes(), mlir::ValueRange(outputs).getTypes()));
  builder.setInsertionPointAfter(entry);
}

/// Adds an argument for a state of one layer to the entry.
void Generator::addStateArg(const StateInstance &state, StringRef name) {
  mlir::Block &block = entry.getBody().front();
  llvm::SmallVector<mlir::NamedAttribute> attrs = {
      builder.getNamedAttr(kNameAttr, builder.getStringAttr(name))};
  mlir::Type type = getStateType(state, 1);
  unsigned index = block.getNumArguments();
  (void)entry.insertArgument(index, type, builder.getDictionaryAttr(attrs),
                             getLoc(state.decl->loc));
}

/// Reports weights that this configuration declares and nothing reads.
bool Generator::checkUsed(llvm::ArrayRef<WeightInstance *> weights) {
  bool ok = true;
  for (WeightInstance *weight : weights) {
    if (weight->used)
      continue;
    diag.error(weight->decl->loc, "expects 'forward' to use weight '" +
                                      weight->decl->name.name +
                                      "', which this configuration declares");
    ok = false;
  }
  return ok;
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

void Generator::emitWeights() {
  for (WeightInstance *weight : entryWeights)
    emitWeight(*weight, nullptr);
  for (std::unique_ptr<Body> &body : bodies)
    for (WeightInstance *weight : body->weights)
      emitWeight(*weight, body.get());
}

static InitAttr getInit(mlir::Builder &builder, const Initialiser &init) {
  mlir::FloatAttr deviation;
  InitKind kind =
      init.kind == Initialiser::Ones ? InitKind::Ones : InitKind::Zeros;
  if (init.kind == Initialiser::Normal) {
    kind = InitKind::Normal;
    deviation = builder.getF64FloatAttr(init.deviation);
  }
  return InitAttr::get(builder.getContext(), kind, deviation);
}

mlir::RankedTensorType
Generator::getWeightType(const WeightInstance &weight) {
  mlir::Type element = weight.isF32 ? builder.getF32Type() : compute;
  // What is trained is decoded when it is loaded.
  if (weight.isFp8 && !objective)
    element = builder.getType<mlir::Float8E4M3FNType>();
  return mlir::RankedTensorType::get(weight.dims, element);
}

void Generator::emitWeight(const WeightInstance &weight, const Body *body) {
  llvm::SmallVector<StringRef> labels(weight.labels.begin(),
                                      weight.labels.end());
  mlir::DenseI64ArrayAttr layers;
  if (body)
    layers = builder.getDenseI64ArrayAttr({body->first, body->count});
  mlir::ArrayAttr copies;
  if (!weight.copies.empty())
    copies = builder.getStrArrayAttr(llvm::SmallVector<StringRef>(
        weight.copies.begin(), weight.copies.end()));
  InitAttr init;
  mlir::UnitAttr decay, frozen;
  if (objective) {
    init = getInit(builder, weight.init);
    decay = weight.decay ? builder.getUnitAttr() : decay;
    frozen = weight.frozen ? builder.getUnitAttr() : frozen;
  }
  WeightOp::create(
      builder, getLoc(weight.decl->loc), builder.getStringAttr(weight.symbol),
      builder.getStrArrayAttr(labels),
      builder.getDenseI64ArrayAttr(weight.rows),
      mlir::TypeAttr::get(getWeightType(weight)), layers, mlir::UnitAttr(),
      weight.stack ? builder.getI64IntegerAttr(weight.stack)
                   : mlir::IntegerAttr(),
      mlir::DenseI64ArrayAttr(), WeightLayoutAttr(), init, decay, frozen,
      auxiliary && weight.balanceRate > 0
          ? builder.getF64FloatAttr(weight.balanceRate)
          : mlir::FloatAttr(),
      copies);
}
