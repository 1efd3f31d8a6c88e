//===- GenerateLayers.cpp - Stacks of layers as runs of bodies ------------===//
#include "frontend/Generator.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

/// Calls layer `index`. If it goes on where the last run ended, with the same
/// body, that run becomes longer.
Generator::Values Generator::callLayer(const CallExpr &call,
                                       const StackInstance &stack,
                                       int64_t index, Env &env) {
  if (!env.frame.isEntry) {
    diag.error(call.loc, "expects layers to be called by the model");
    return {};
  }
  if (index < stack.first || index >= stack.last) {
    diag.error(call.loc, "expects the index of a layer in " +
                             Twine(stack.first) + ".." + Twine(stack.last) +
                             ", got " + Twine(index));
    return {};
  }
  mlir::Value input = evaluate(*call.args[0].value, env);
  mlir::Value seq = evaluate(*call.args[1].value, env);
  if (!input || !seq)
    return {};
  std::vector<ConstValue> args =
      instantiator.getLayerArgs(env.instance, stack, index);
  if (llvm::any_of(args, [](auto &arg) { return arg.isPoison(); }))
    return {};
  Run *last = runs.empty() ? nullptr : runs.back().get();
  bool follows = last && last->stack == &stack &&
                 index == last->first + last->count &&
                 input == last->op.getResult(0);
  if (follows && args == last->args) {
    extendRun(*last, env);
    return {last->op.getResult(0)};
  }
  Body body;
  if (!buildBody(stack, args, input.getType(), body))
    return {};
  if (follows && body.fingerprint == last->body.fingerprint) {
    extendRun(*last, env);
    return {last->op.getResult(0)};
  }
  return {startRun(call, stack, std::move(args), std::move(body), index, input,
                   seq, env)};
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

bool Generator::buildBody(const StackInstance &stack,
                          std::vector<ConstValue> args, mlir::Type activation,
                          Body &body) {
  body.instance = instantiator.instantiateLayer(stack, std::move(args));
  if (!body.instance)
    return false;
  body.instance->collect(body.weights, body.states);
  llvm::SmallVector<mlir::Type> types = {activation, SeqType::get(&context)};
  for (StateInstance *state : body.states)
    types.push_back(getStateType(*state, 1));
  mlir::Location loc = getLoc(body.instance->module->loc);
  body.func = func::FuncOp::create(
      loc, stack.use->module.name,
      builder.getFunctionType(types, {}));
  body.func->setPrivate();
  mlir::Block *block = body.func->addEntryBlock();
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(block);
  if (!fillBody(stack, body, *block) || !checkUsed(body.weights))
    return false;
  llvm::raw_string_ostream os(body.fingerprint);
  body.func->print(os, mlir::OpPrintingFlags().useLocalScope());
  for (WeightInstance *weight : body.weights)
    os << weight->symbol << llvm::join(weight->labels, ",") << "\n";
  return true;
}

bool Generator::fillBody(const StackInstance &stack, Body &body,
                         mlir::Block &block) {
  Frame frame;
  for (auto [state, arg] :
       llvm::zip(body.states, block.getArguments().drop_front(2)))
    frame.states[state] = arg;
  Values results = callInstance(
      *body.instance, {block.getArgument(0), block.getArgument(1)}, frame);
  if (results.empty())
    return false;
  for (StateInstance *state : body.states)
    results.push_back(frame.states[state]);
  func::ReturnOp::create(builder, body.func->getLoc(), results);
  body.func->setFunctionType(builder.getFunctionType(
      block.getArgumentTypes(), mlir::ValueRange(results).getTypes()));
  return true;
}

/// Gives the function and the weights of a body names of their own.
void Generator::makeUnique(Body &body, const StackInstance &stack) {
  StringRef name = stack.use->module.name;
  std::string prefix = StringRef(stack.path).drop_back().str();
  auto taken = [&](unsigned number) {
    std::string suffix = number ? "_" + std::to_string(number) : "";
    return symbols.contains((name + suffix).str()) ||
           llvm::any_of(body.weights, [&](WeightInstance *weight) {
             return symbols.contains(
                 prefix + suffix + weight->symbol.substr(prefix.size()));
           });
  };
  unsigned number = 0;
  while (taken(number))
    ++number;
  std::string suffix = number ? "_" + std::to_string(number) : "";
  body.func->setName((name + suffix).str());
  symbols.insert((name + suffix).str());
  std::string renamed = prefix + suffix;
  for (WeightInstance *weight : body.weights) {
    weight->symbol = renamed + weight->symbol.substr(prefix.size());
    symbols.insert(weight->symbol);
  }
  for (StateInstance *state : body.states)
    state->name = renamed + state->name.substr(prefix.size());
  body.func->walk([&](GetWeightOp op) {
    op.setWeight((renamed + op.getWeight().drop_front(prefix.size())).str());
  });
}

//===----------------------------------------------------------------------===//
// Runs
//===----------------------------------------------------------------------===//

mlir::Value Generator::startRun(const CallExpr &call,
                                const StackInstance &stack,
                                std::vector<ConstValue> args, Body body,
                                int64_t index, mlir::Value input,
                                mlir::Value seq, Env &env) {
  makeUnique(body, stack);
  auto run = std::make_unique<Run>();
  run->stack = &stack;
  run->args = std::move(args);
  run->first = index;
  run->count = 1;
  run->firstStateArg = entry.getNumArguments();
  Values operands = {input, seq};
  for (StateInstance *state : body.states) {
    addStateArg(*state, 1);
    operands.push_back(entry.getArguments().back());
  }
  llvm::SmallVector<mlir::Type> types(body.func->getResultTypes());
  run->op = RunOp::create(
      builder, getLoc(call.loc), types,
      mlir::FlatSymbolRefAttr::get(&context, body.func->getName()), operands,
      builder.getI64IntegerAttr(index), builder.getI64IntegerAttr(1));
  run->body = std::move(body);
  runs.push_back(std::move(run));
  return runs.back()->op.getResult(0);
}

/// Adds one layer to a run: its states hold one more.
void Generator::extendRun(Run &run, Env &env) {
  ++run.count;
  run.op.setCount(run.count);
  for (size_t i = 0; i < run.body.states.size(); ++i) {
    mlir::Type type = getStateType(*run.body.states[i], run.count);
    entry.getArgument(run.firstStateArg + i).setType(type);
    run.op.getResult(i + 1).setType(type);
  }
}
