//===- Instance.cpp - Modules with a configuration filled in --------------===//
#include "frontend/Instance.h"
#include "frontend/Lexer.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

/// More parts than any model has; parts of parts could double without end.
static constexpr unsigned kMaxInstances = 100000;

WeightInstance *Instance::findWeight(StringRef name) {
  auto alias = tied.find(name.str());
  if (alias != tied.end())
    return findWeight(alias->second);
  auto found = weights.find(name.str());
  return found == weights.end() ? nullptr : found->second.get();
}

StateInstance *Instance::findState(StringRef name) {
  for (const std::unique_ptr<StateInstance> &state : states)
    if (state->decl->name.name == name)
      return state.get();
  return nullptr;
}

const Fn *Instance::findFn(StringRef name) const {
  auto found = functions.find(name.str());
  return found == functions.end() ? nullptr : found->second;
}

Instance *Instance::findPart(StringRef name) {
  for (auto &entry : parts)
    if (entry.first == name)
      return entry.second.get();
  return nullptr;
}

void Instance::collect(std::vector<WeightInstance *> &allWeights,
                       std::vector<StateInstance *> &allStates) {
  for (const std::unique_ptr<StateInstance> &state : states)
    allStates.push_back(state.get());
  std::vector<WeightInstance *> own;
  for (auto &entry : weights)
    own.push_back(entry.second.get());
  llvm::sort(own, [](auto *a, auto *b) {
    return a->decl->loc.getPointer() < b->decl->loc.getPointer();
  });
  llvm::append_range(allWeights, own);
  for (auto &entry : parts)
    entry.second->collect(allWeights, allStates);
}

const Decl *Instantiator::findModule(StringRef name) const {
  for (const std::unique_ptr<Decl> &decl : file.decls)
    if (decl->kind == Decl::Module && decl->name.name == name)
      return decl.get();
  return nullptr;
}

std::unique_ptr<Instance> Instantiator::instantiate(const Decl &model,
                                                    const ConstValue &config) {
  return make(model, {config}, "", "");
}

std::unique_ptr<Instance>
Instantiator::instantiateObjective(const Decl &objective, bool hasDraft) {
  auto facts = std::make_shared<Record>();
  facts->names["has_draft"] = ConstValue::of(hasDraft);
  ConstValue model;
  model.kind = ConstValue::Object;
  model.record = facts;
  std::vector<ConstValue> models(objective.params.size(), model);
  return make(objective, std::move(models), "", "");
}

std::unique_ptr<Instance> Instantiator::make(const Decl &module,
                                             std::vector<ConstValue> args,
                                             std::string path,
                                             std::string label) {
  if (++count > kMaxInstances) {
    diag.error(module.loc,
               "expects at most " + Twine(kMaxInstances) + " parts in a model");
    return nullptr;
  }
  auto instance = std::make_unique<Instance>();
  instance->module = &module;
  instance->path = std::move(path);
  instance->label = std::move(label);
  for (size_t i = 0; i < module.params.size(); ++i) {
    if (args[i].kind == ConstValue::Object && !instance->scope.record)
      instance->scope.record = args[i].record.get();
    instance->scope.values[module.params[i].name.name] = std::move(args[i]);
  }
  return addItems(*instance, module.body) ? std::move(instance) : nullptr;
}

//===----------------------------------------------------------------------===//
// Items
//===----------------------------------------------------------------------===//

bool Instantiator::addItems(Instance &instance, const Block &block) {
  bool ok = true;
  for (const ItemPtr &item : block)
    ok &= addItem(instance, *item);
  return ok;
}

bool Instantiator::addItem(Instance &instance, const Item &item) {
  switch (item.kind) {
  case Item::Let: {
    const auto &let = llvm::cast<Let>(item);
    ConstValue value = evaluator.eval(*let.value, instance.scope);
    bool ok = !value.isPoison();
    instance.scope.values[let.name.name] = std::move(value);
    return ok;
  }
  case Item::Require:
    return checkRequire(instance, llvm::cast<Require>(item));
  case Item::Weight:
    return addWeight(instance, llvm::cast<Weight>(item));
  case Item::Ignore:
    for (StringRef label : llvm::cast<Ignore>(item).keys)
      instance.ignored.push_back(
          joinLabel(instance.label, label, instance.scope));
    return true;
  case Item::State:
    return addState(instance, llvm::cast<State>(item));
  case Item::Use:
    return addUse(instance, llvm::cast<Use>(item));
  case Item::Fn: {
    const auto &fn = llvm::cast<Fn>(item);
    instance.functions[fn.name.name.str()] = &fn;
    return true;
  }
  case Item::If: {
    const auto &branch = llvm::cast<If>(item);
    std::optional<bool> taken =
        evaluator.evalBool(*branch.condition, instance.scope);
    return taken &&
           addItems(instance, *taken ? branch.thenBlock : branch.elseBlock);
  }
  default:
    return true;
  }
}

bool Instantiator::checkRequire(Instance &instance, const Require &require) {
  std::optional<bool> holds =
      evaluator.evalBool(*require.condition, instance.scope);
  if (holds && !*holds) {
    diag.error(require.loc, unquote(require.message));
    evaluator.noteOrigins(*require.condition, instance.scope);
  }
  return holds && *holds;
}

bool Instantiator::evalDims(const TypeExpr &type, const ConstScope &scope,
                            std::vector<int64_t> &dims) {
  for (const ExprPtr &expr : type.dims) {
    std::optional<int64_t> dim = evaluator.evalInt(*expr, scope);
    if (!dim)
      return false;
    if (*dim < 1 || *dim > INT32_MAX) {
      diag.error(expr->loc, "expects '" + spell(*expr) +
                                "' to be a dimension of 1 to 2147483647, got " +
                                Twine(*dim));
      evaluator.noteOrigins(*expr, scope);
      return false;
    }
    dims.push_back(*dim);
  }
  return true;
}

bool Instantiator::addWeight(Instance &instance, const Weight &decl) {
  std::string name = decl.name.name.str();
  if (decl.tied) {
    instance.tied[name] = decl.tied.name.str();
    return addCopies(instance, decl);
  }
  auto weight = std::make_unique<WeightInstance>();
  weight->decl = &decl;
  weight->symbol = instance.path + name;
  weight->isF32 = static_cast<bool>(decl.type.name);
  if (!evalDims(decl.type, instance.scope, weight->dims) ||
      !addRows(instance, *weight) || !addOptions(instance, *weight))
    return false;
  instance.weights[name] = std::move(weight);
  return true;
}

/// Labels behind another name of a weight are those of copies.
bool Instantiator::addCopies(Instance &instance, const Weight &decl) {
  if (decl.labels.empty())
    return true;
  WeightInstance *weight = instance.findWeight(decl.tied.name);
  if (!weight) {
    diag.error(decl.tied.getLoc(), "expects '" + decl.tied.name +
                                       "' to be declared for this "
                                       "configuration");
    return false;
  }
  if (weight->labels.size() != 1 || weight->stack) {
    diag.error(decl.labels[0].getLoc(),
               "expects a copy of a weight that is one tensor, got '" +
                   decl.tied.name + "'");
    return false;
  }
  weight->copies.push_back(
      joinLabel(instance.label, decl.labels[0].text, instance.scope));
  return true;
}

/// Checks the range of a stack, whose index stays in the labels as `{e}`.
bool Instantiator::addStack(Instance &instance, WeightInstance &weight,
                            ConstScope &scope) {
  const Weight &decl = *weight.decl;
  std::optional<int64_t> first = evaluator.evalInt(*decl.first, instance.scope);
  std::optional<int64_t> last = evaluator.evalInt(*decl.last, instance.scope);
  if (!first || !last)
    return false;
  if (*first != 0 || *last != weight.dims[0]) {
    diag.error(decl.index.getLoc(),
               "expects a stack of 0.." + Twine(weight.dims[0]) +
                   " matrices, as dimension 0 says, got " + Twine(*first) +
                   ".." + Twine(*last));
    return false;
  }
  weight.stack = *last;
  scope.values[decl.index.name] = ConstValue::of(StringRef("{e}"));
  return true;
}

bool Instantiator::addRows(Instance &instance, WeightInstance &weight) {
  const std::vector<Label> &labels = weight.decl->labels;
  ConstScope scope;
  scope.parent = &instance.scope;
  if (weight.decl->index && !addStack(instance, weight, scope))
    return false;
  int64_t parts = static_cast<int64_t>(labels.size());
  int64_t allRows = weight.dims[weight.stack ? 1 : 0];
  if (!labels[0].rows && allRows % parts) {
    diag.error(labels[0].getLoc(), "expects rows (" + Twine(allRows) +
                                       ") to be a multiple of the " +
                                       Twine(parts) + " labels");
    return false;
  }
  for (const Label &label : labels) {
    std::optional<int64_t> rows = allRows / parts;
    if (label.rows)
      rows = evaluator.evalInt(*label.rows, instance.scope);
    if (!rows)
      return false;
    weight.labels.push_back(joinLabel(instance.label, label.text, scope));
    weight.rows.push_back(*rows);
  }
  return true;
}

/// The deviation of matrices where neither the text nor config.json names one.
static constexpr double kDefaultDeviation = 0.02;

/// Matrices are drawn and decay, vectors are ones and do not, unless the text
/// says otherwise.
bool Instantiator::addOptions(Instance &instance, WeightInstance &weight) {
  bool isMatrix = weight.dims.size() > 1;
  weight.decay = isMatrix;
  weight.init.kind = isMatrix ? Initialiser::Normal : Initialiser::Ones;
  const ConstValue *range = instance.scope.find("initializer_range");
  weight.init.deviation =
      range && range->isNumber() ? range->number : kDefaultDeviation;
  for (const Argument &option : weight.decl->options) {
    if (option.name.name == "init") {
      if (!addInit(instance, weight, *option.value))
        return false;
      continue;
    }
    if (option.name.name == "balance_rate") {
      if (!addRate(instance, weight, *option.value))
        return false;
      continue;
    }
    std::optional<bool> value =
        evaluator.evalBool(*option.value, instance.scope);
    if (!value)
      return false;
    StringRef name = option.name.name;
    (name == "decay" ? weight.decay
     : name == "fp8" ? weight.isFp8
                     : weight.frozen) = *value;
  }
  return true;
}

bool Instantiator::addRate(Instance &instance, WeightInstance &weight,
                           const Expr &value) {
  ConstValue rate = evaluator.eval(value, instance.scope);
  if (rate.isPoison())
    return false;
  if (rate.isNumber() && rate.number >= 0) {
    weight.balanceRate = rate.number;
    return true;
  }
  diag.error(value.loc, "expects a rate of 0 or more, got " + rate.str());
  evaluator.noteOrigins(value, instance.scope);
  return false;
}

bool Instantiator::addInit(Instance &instance, WeightInstance &weight,
                           const Expr &value) {
  auto *call = llvm::dyn_cast<CallExpr>(&value);
  if (!call) {
    weight.init.kind = llvm::cast<NameExpr>(value).text == "ones"
                           ? Initialiser::Ones
                           : Initialiser::Zeros;
    return true;
  }
  const Expr &argument = *call->args[0].value;
  ConstValue deviation = evaluator.eval(argument, instance.scope);
  if (deviation.isPoison())
    return false;
  if (!deviation.isNumber() || !(deviation.number >= 0)) {
    diag.error(argument.loc,
               "expects a deviation of 0 or more, got " + deviation.str());
    evaluator.noteOrigins(argument, instance.scope);
    return false;
  }
  weight.init = {Initialiser::Normal, deviation.number};
  return true;
}

bool Instantiator::addState(Instance &instance, const State &decl) {
  auto state = std::make_unique<StateInstance>();
  state->decl = &decl;
  state->name = instance.path + decl.name.name.str();
  if (!evalDims(decl.type, instance.scope, state->dims))
    return false;
  if (decl.stride) {
    std::optional<int64_t> stride =
        evaluator.evalInt(*decl.stride, instance.scope);
    if (!stride)
      return false;
    if (*stride < 1 || 32 % *stride != 0) {
      diag.error(decl.stride->loc,
                 "expects a state to keep values every 1, 2, 4, 8, 16 or 32 "
                 "tokens, got " +
                     Twine(*stride));
      evaluator.noteOrigins(*decl.stride, instance.scope);
      return false;
    }
    state->stride = *stride;
  }
  instance.states.push_back(std::move(state));
  return true;
}

//===----------------------------------------------------------------------===//
// Parts and layers
//===----------------------------------------------------------------------===//

bool Instantiator::addUse(Instance &instance, const Use &use) {
  std::string name = use.name.name.str();
  std::string path = instance.path + name + ".";
  if (!use.index) {
    std::vector<ConstValue> args;
    for (const ExprPtr &arg : use.args)
      args.push_back(evaluator.eval(*arg, instance.scope));
    if (llvm::any_of(args, [](auto &arg) { return arg.isPoison(); }))
      return false;
    std::string label = joinLabel(instance.label, use.label, instance.scope);
    auto part = make(*findModule(use.module.name), std::move(args), path,
                     label.empty() ? label : label + ".");
    if (!part)
      return false;
    instance.parts.emplace_back(name, std::move(part));
    return true;
  }
  std::optional<int64_t> first = evaluator.evalInt(*use.first, instance.scope);
  std::optional<int64_t> last = evaluator.evalInt(*use.last, instance.scope);
  if (!first || !last)
    return false;
  ConstScope scope;
  scope.parent = &instance.scope;
  scope.values[use.index.name] = ConstValue::of(StringRef("{i}"));
  StackInstance &stack = instance.stacks[name];
  stack.use = &use;
  stack.first = *first;
  stack.last = *last;
  stack.path = path;
  stack.label = joinLabel(instance.label, use.label, scope) + ".";
  return true;
}

std::vector<ConstValue> Instantiator::getLayerArgs(const Instance &owner,
                                                   const StackInstance &stack,
                                                   int64_t index) {
  ConstScope scope;
  scope.parent = &owner.scope;
  scope.values[stack.use->index.name] = ConstValue::of(index);
  std::vector<ConstValue> args;
  for (const ExprPtr &arg : stack.use->args)
    args.push_back(evaluator.eval(*arg, scope));
  return args;
}

std::unique_ptr<Instance>
Instantiator::instantiateLayer(const StackInstance &stack,
                               std::vector<ConstValue> args) {
  return make(*findModule(stack.use->module.name), std::move(args), stack.path,
              stack.label);
}

//===----------------------------------------------------------------------===//
// Labels
//===----------------------------------------------------------------------===//

/// Replaces `{name}` by its value.
std::string Instantiator::expand(StringRef quoted, const ConstScope &scope) {
  std::string result, text = unquote(quoted);
  StringRef rest = text;
  while (true) {
    size_t open = rest.find('{'), close = rest.find('}', open);
    if (open == StringRef::npos || close == StringRef::npos)
      return result + rest.str();
    result += rest.take_front(open).str();
    const ConstValue *value = scope.find(rest.slice(open + 1, close));
    if (value)
      result +=
          value->kind == ConstValue::String ? value->string : value->str();
    rest = rest.drop_front(close + 1);
  }
}

std::string Instantiator::joinLabel(const std::string &prefix, StringRef quoted,
                                    const ConstScope &scope) {
  if (quoted.empty())
    return prefix.empty() ? "" : prefix.substr(0, prefix.size() - 1);
  return prefix + expand(quoted, scope);
}
