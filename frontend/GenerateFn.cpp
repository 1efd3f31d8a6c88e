//===- GenerateFn.cpp - Statements and expressions as ds operations -------===//
#include "frontend/Generator.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

/// More iterations of all loops together than any model has layers.
static constexpr int64_t kMaxIterations = 65536;

Generator::Values Generator::callInstance(Instance &instance, Values args,
                                          Frame &frame, StringRef name) {
  const Fn *fn = instance.findFn(name);
  Env env{instance, frame, {}, {}};
  env.consts.parent = &instance.scope;
  for (auto [param, arg] : llvm::zip(fn->params, args))
    env.values[param.name.name] = arg;
  Values results;
  return runBlock(fn->body, env, results) == Flow::Returned ? results
                                                            : Values();
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

Generator::Flow Generator::runBlock(const ast::Block &block, Env &env,
                                    Values &results) {
  for (const ItemPtr &item : block) {
    Flow flow = runItem(*item, env, results);
    if (flow != Flow::Next)
      return flow;
  }
  return Flow::Next;
}

Generator::Flow Generator::runItem(const Item &item, Env &env,
                                   Values &results) {
  if (auto *assign = llvm::dyn_cast<Assign>(&item))
    return runAssign(*assign, env) ? Flow::Next : Flow::Failed;
  if (auto *term = llvm::dyn_cast<Auxiliary>(&item))
    return runTerm(*term, env) ? Flow::Next : Flow::Failed;
  if (auto *loop = llvm::dyn_cast<For>(&item))
    return runFor(*loop, env, results);
  if (auto *branch = llvm::dyn_cast<If>(&item)) {
    std::optional<bool> taken =
        instantiator.getEvaluator().evalBool(*branch->condition, env.consts);
    if (!taken)
      return Flow::Failed;
    return runBlock(*taken ? branch->thenBlock : branch->elseBlock, env,
                    results);
  }
  for (const ExprPtr &expr : llvm::cast<Return>(item).values) {
    mlir::Value value = evaluate(*expr, env);
    if (!value)
      return Flow::Failed;
    results.push_back(value);
  }
  return Flow::Returned;
}

Generator::Flow Generator::runFor(const For &loop, Env &env, Values &results) {
  Evaluator &evaluator = instantiator.getEvaluator();
  std::optional<int64_t> first = evaluator.evalInt(*loop.first, env.consts);
  std::optional<int64_t> last = evaluator.evalInt(*loop.last, env.consts);
  if (!first || !last)
    return Flow::Failed;
  bool negative = *first < 0 && *last > *first;
  if (negative || *last - *first > kMaxIterations - iterations) {
    diag.error(loop.loc, "expects loops from 0 on with at most " +
                             Twine(kMaxIterations) +
                             " iterations in all, got " + Twine(*first) + ".." +
                             Twine(*last));
    evaluator.noteOrigins(*loop.first, env.consts);
    evaluator.noteOrigins(*loop.last, env.consts);
    return Flow::Failed;
  }
  iterations += std::max<int64_t>(*last - *first, 0);
  for (int64_t i = *first; i < *last; ++i) {
    env.consts.values[loop.index.name] = ConstValue::of(i);
    Flow flow = runBlock(loop.body, env, results);
    if (flow != Flow::Next)
      return flow;
  }
  return Flow::Next;
}

bool Generator::runAssign(const Assign &assign, Env &env) {
  if (isConst(*assign.value, env)) {
    ConstValue value =
        instantiator.getEvaluator().eval(*assign.value, env.consts);
    bool ok = !value.isPoison();
    env.values.erase(assign.names[0].name);
    env.consts.values[assign.names[0].name] = std::move(value);
    return ok;
  }
  Values values;
  if (auto *call = llvm::dyn_cast<CallExpr>(assign.value.get()))
    values = evaluateCall(*call, env);
  else if (mlir::Value value = evaluate(*assign.value, env))
    values = {value};
  if (values.empty())
    return false;
  for (auto [name, value] : llvm::zip(assign.names, values)) {
    env.consts.values.erase(name.name);
    env.values[name.name] = value;
  }
  return true;
}

/// A term of the loss; nothing where the objective does not take it in.
bool Generator::runTerm(const Auxiliary &term, Env &env) {
  if (!auxiliary)
    return true;
  mlir::Value rows = evaluate(*term.value, env);
  if (!rows)
    return false;
  mlir::Value seq;
  for (mlir::BlockArgument argument :
       builder.getInsertionBlock()->getArguments())
    if (mlir::isa<SeqType>(argument.getType()))
      seq = argument;
  AuxiliaryOp::create(builder, getLoc(term.loc), term.name.name, rows, seq);
  return true;
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

/// Whether an expression is known at compile time.
bool Generator::isConst(const Expr &expr, Env &env) {
  if (auto *name = llvm::dyn_cast<NameExpr>(&expr))
    return !env.values.count(name->text) && env.consts.find(name->text);
  if (auto *unary = llvm::dyn_cast<UnaryExpr>(&expr))
    return isConst(*unary->operand, env);
  if (auto *binary = llvm::dyn_cast<BinaryExpr>(&expr))
    return isConst(*binary->left, env) && isConst(*binary->right, env);
  if (auto *call = llvm::dyn_cast<CallExpr>(&expr)) {
    auto *name = llvm::dyn_cast<NameExpr>(call->callee.get());
    return name && isConstFunction(name->text);
  }
  return true;
}

mlir::Value Generator::evaluate(const Expr &expr, Env &env) {
  if (auto *name = llvm::dyn_cast<NameExpr>(&expr))
    return evaluateName(*name, env);
  if (auto *call = llvm::dyn_cast<CallExpr>(&expr)) {
    Values values = evaluateCall(*call, env);
    return values.empty() ? mlir::Value() : values[0];
  }
  if (auto *unary = llvm::dyn_cast<UnaryExpr>(&expr))
    return evaluateUnary(*unary, env);
  const auto &sum = llvm::cast<BinaryExpr>(expr);
  if (inObjective(env))
    return evaluateArithmetic(sum, env);
  mlir::Value left = evaluate(*sum.left, env);
  mlir::Value right = left ? evaluate(*sum.right, env) : mlir::Value();
  if (!right)
    return {};
  return buildAdd(builder, getLoc(sum.loc), left, right);
}

mlir::Value Generator::evaluateName(const NameExpr &expr, Env &env) {
  auto found = env.values.find(expr.text);
  if (found != env.values.end())
    return found->second;
  if (WeightInstance *weight = env.instance.findWeight(expr.text))
    return getWeight(*weight, env.frame, expr.loc);
  if (StateInstance *state = env.instance.findState(expr.text))
    return env.frame.states[state];
  diag.error(expr.loc, "expects '" + expr.text +
                           "' to be declared for this configuration");
  return {};
}

mlir::Value Generator::getWeight(WeightInstance &weight, Frame &frame,
                                 llvm::SMLoc loc) {
  mlir::Value &value = frame.weights[&weight];
  weight.used = true;
  if (value)
    return value;
  value = GetWeightOp::create(builder, getLoc(loc), getWeightType(weight),
                              weight.symbol);
  return value;
}

Generator::Values Generator::evaluateCall(const CallExpr &call, Env &env) {
  OpSet set = inObjective(env) ? OpSet::Objective : OpSet::Module;
  mlir::Value value;
  auto *name = llvm::dyn_cast<NameExpr>(call.callee.get());
  if (llvm::isa<MemberExpr>(call.callee.get()))
    value = callDraft(call, env);
  else if (const OpInfo *op = name ? findOp(name->text, set) : nullptr)
    value = evaluateOp(call, *op, env);
  else if (inObjective(env))
    value = callModel(call, env);
  else
    return evaluatePart(call, env);
  return value ? Values{value} : Values();
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

mlir::Value Generator::evaluateOp(const CallExpr &call, const OpInfo &op,
                                  Env &env) {
  BuildCall build{diag,    call.loc, builder, getLoc(call.loc),
                  compute, {},       {},      {}};
  build.trains = objective != nullptr;
  for (const Argument &arg : call.args) {
    if (!arg.name) {
      if (!addOperand(*arg.value, op.operands[build.args.size()], env, build))
        return {};
      continue;
    }
    const OpInfo::Keyword *keyword = op.findKeyword(arg.name.name);
    ConstValue value = ConstValue::null();
    if (keyword->kind != DslType::Invalid)
      value = instantiator.getEvaluator().eval(*arg.value, env.consts);
    if (value.isPoison())
      return {};
    build.keywordLocs[keyword->name] = arg.value->loc;
    if (value.isNull() && keyword->kind != DslType::Invalid &&
        !keyword->optional)
      return build.fail(keyword->name, "expects '" + Twine(keyword->name) +
                                           "' not to be null");
    if (!value.isNull() || keyword->kind == DslType::Invalid)
      build.keywords[keyword->name] = value;
  }
  mlir::Value result = op.build(build);
  if (result && op.updatesState && !updateState(call, result, env))
    return {};
  return result;
}

/// Adds an operand; an optional weight may be absent in this configuration.
bool Generator::addOperand(const Expr &expr, const OpInfo::Operand &operand,
                           Env &env, BuildCall &build) {
  auto *name = llvm::dyn_cast<NameExpr>(&expr);
  bool absent = operand.optional && name && !env.values.count(name->text) &&
                !env.instance.findWeight(name->text);
  mlir::Value value = absent ? mlir::Value() : evaluate(expr, env);
  build.args.push_back(value);
  return absent || value;
}

StateInstance *Generator::findState(mlir::Value value, Frame &frame) {
  for (auto &[state, current] : frame.states)
    if (current == value)
      return state;
  return nullptr;
}

/// A step appends to a state once: values of state are linear.
bool Generator::updateState(const CallExpr &call, mlir::Value result,
                            Env &env) {
  mlir::Value old = result.getDefiningOp()->getOperand(0);
  StateInstance *state = findState(old, env.frame);
  if (state && !state->appended.isValid()) {
    state->appended = call.loc;
    env.frame.states[state] = result;
    return true;
  }
  diag.error(call.loc, "expects a step to append to a state once");
  if (state)
    diag.note(state->appended, "it is appended to first here");
  return false;
}

Generator::Values Generator::evaluatePart(const CallExpr &call, Env &env) {
  if (auto *index = llvm::dyn_cast<IndexExpr>(call.callee.get())) {
    StringRef name = llvm::cast<NameExpr>(*index->base).text;
    auto stack = env.instance.stacks.find(name.str());
    std::optional<int64_t> layer =
        instantiator.getEvaluator().evalInt(*index->index, env.consts);
    if (layer && stack != env.instance.stacks.end())
      return callLayer(call, stack->second, *layer, env);
    if (layer)
      diag.error(call.loc, "expects '" + name +
                               "' to be declared for this configuration");
    return {};
  }
  StringRef name = llvm::cast<NameExpr>(*call.callee).text;
  Instance *part = env.instance.findPart(name);
  if (!part) {
    diag.error(call.loc,
               "expects '" + name + "' to be declared for this configuration");
    return {};
  }
  Values args;
  for (const Argument &arg : call.args) {
    args.push_back(evaluate(*arg.value, env));
    if (!args.back())
      return {};
  }
  return callInstance(*part, args, env.frame);
}
