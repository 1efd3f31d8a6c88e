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
  Body *body = getBody(stack, std::move(args), input.getType(), index);
  if (!body)
    return {};
  // Layers have rows and positions in common with what a draft head sees.
  if (auto view = seq.getDefiningOp<ViewSeqOp>()) {
    auto embeddings = body->func->getOps<EmbeddingOp>();
    if (!embeddings.empty()) {
      diag.error(call.loc, "expects layers of a draft head not to embed "
                           "tokens");
      return {};
    }
    seq = view.getSeq();
  }
  Run *last = runs.empty() ? nullptr : &runs.back();
  if (!last || last->body != body || index != last->first + last->count ||
      input != last->op.getResult(0))
    return {startRun(call, *body, index, input, seq)};
  extendRun(*last);
  return {last->op.getResult(0)};
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

/// Returns the body of layer `index`: one that covers the layers before it, if
/// it is equal, or a new one. Null after an error.
Generator::Body *Generator::getBody(const StackInstance &stack,
                                    std::vector<ConstValue> args,
                                    mlir::Type activation, int64_t index) {
  auto covers = [&](const std::unique_ptr<Body> &body) {
    return body->stack == &stack && index >= body->first &&
           index <= body->first + body->count;
  };
  auto extend = [&](Body &body) {
    body.count = std::max(body.count, index + 1 - body.first);
    return &body;
  };
  for (std::unique_ptr<Body> &body : bodies)
    if (covers(body) && body->args == args)
      return extend(*body);
  auto made = std::make_unique<Body>();
  made->stack = &stack;
  made->args = std::move(args);
  if (!buildBody(*made, activation))
    return nullptr;
  for (std::unique_ptr<Body> &body : bodies)
    if (covers(body) && body->fingerprint == made->fingerprint)
      return extend(*body);
  made->first = index;
  made->count = 1;
  makeUnique(*made);
  bodies.push_back(std::move(made));
  return bodies.back().get();
}

bool Generator::buildBody(Body &body, mlir::Type activation) {
  body.instance = instantiator.instantiateLayer(*body.stack, body.args);
  if (!body.instance)
    return false;
  body.instance->collect(body.weights, body.states);
  llvm::SmallVector<mlir::Type> types = {activation, SeqType::get(&context)};
  for (StateInstance *state : body.states)
    types.push_back(getStateType(*state, 1));
  mlir::Location loc = getLoc(body.instance->module->loc);
  body.func = func::FuncOp::create(loc, body.stack->use->module.name,
                                   builder.getFunctionType(types, {}));
  body.func->setPrivate();
  mlir::Block *block = body.func->addEntryBlock();
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(block);
  if (!fillBody(body, *block) || !checkUsed(body.weights))
    return false;
  llvm::raw_string_ostream os(body.fingerprint);
  body.func->print(os, mlir::OpPrintingFlags().useLocalScope());
  for (WeightInstance *weight : body.weights)
    os << weight->symbol << llvm::join(weight->labels, ",") << "\n";
  return true;
}

bool Generator::fillBody(Body &body, mlir::Block &block) {
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
void Generator::makeUnique(Body &body) {
  StringRef name = body.stack->use->module.name;
  std::string prefix = StringRef(body.stack->path).drop_back().str();
  auto taken = [&](unsigned number) {
    std::string suffix = number ? "_" + std::to_string(number) : "";
    return symbols.contains((name + suffix).str()) ||
           llvm::any_of(body.weights, [&](WeightInstance *weight) {
             return symbols.contains(prefix + suffix +
                                     weight->symbol.substr(prefix.size()));
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

mlir::Value Generator::startRun(const CallExpr &call, Body &body, int64_t index,
                                mlir::Value input, mlir::Value seq) {
  Run run;
  run.body = &body;
  run.first = index;
  run.count = 1;
  run.firstStateArg = entry.getNumArguments();
  std::string suffix = body.runs ? "_" + std::to_string(body.runs) : "";
  ++body.runs;
  Values operands = {input, seq};
  for (StateInstance *state : body.states) {
    addStateArg(*state, state->name + suffix);
    operands.push_back(entry.getArguments().back());
  }
  llvm::SmallVector<mlir::Type> types(body.func->getResultTypes());
  run.op = RunOp::create(
      builder, getLoc(call.loc), types,
      mlir::FlatSymbolRefAttr::get(&context, body.func->getName()), operands,
      builder.getI64IntegerAttr(index), builder.getI64IntegerAttr(1));
  runs.push_back(run);
  return run.op.getResult(0);
}

/// Adds one layer to a run: its states hold one more.
void Generator::extendRun(Run &run) {
  ++run.count;
  run.op.setCount(run.count);
  for (size_t i = 0; i < run.body->states.size(); ++i) {
    mlir::Type type = getStateType(*run.body->states[i], run.count);
    entry.getArgument(run.firstStateArg + i).setType(type);
    run.op.getResult(i + 1).setType(type);
  }
}
