//===- GenerateTraining.cpp - The entry of a training step ----------------===//
#include "frontend/Format.h"
#include "frontend/Generator.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

/// What a training step asks of the objective and of the model.
bool Generator::checkTrainable(const Instance &model) {
  if (objective->params.size() > 1) {
    diag.error(objective->params[1].name.getLoc(),
               "objectives of several models are checked, but no code is "
               "generated for model '" +
                   objective->params[1].name.name + "' yet");
    return false;
  }
  const TypeExpr &result = model.findFn("forward")->results[0];
  if (spell(*result.dims[0]) == "Tout")
    return true;
  diag.error(result.loc, "expects a model that is trained to return "
                         "f32[Tout, vocabulary], got " +
                             spell(result));
  return false;
}

/// Builds @train: the loss of each row and the log-probability of its target.
bool Generator::buildTrain(Instance &model) {
  if (!checkTrainable(model))
    return false;
  std::unique_ptr<Instance> instance =
      instantiator.instantiateObjective(*objective, model.findFn("draft"));
  if (!instance)
    return false;
  const Fn &fn = *instance->findFn("loss");
  for (std::unique_ptr<Body> &body : bodies)
    body->runs = 0;
  startEntry(fn.loc, "train", kTrainEntry);
  trained = &model;
  Env env{*instance, entryFrame, {}, {}};
  env.consts.parent = &instance->scope;
  env.values[fn.params[0].name.name] = entry.getArgument(0);
  addInputs(env, entry.getArgument(0));
  Values results;
  if (runBlock(fn.body, env, results) != Flow::Returned)
    return false;
  auto logProbs = entry.getOps<LogProbOp>();
  if (logProbs.empty()) {
    diag.error(fn.loc, "expects 'loss' to use log_prob of the model's logits");
    return false;
  }
  finishEntry({results[0], (*logProbs.begin()).getLogProb()});
  return true;
}

void Generator::addInputs(Env &env, mlir::Value seq) {
  auto type = mlir::RankedTensorType::get({mlir::ShapedType::kDynamic, 1},
                                          builder.getF32Type());
  for (const ItemPtr &item : objective->body)
    if (auto *input = llvm::dyn_cast<Input>(item.get()))
      env.values[input->name.name] = RowInputOp::create(
          builder, getLoc(input->loc), type, input->name.name, seq);
}

/// The logits of the model. Its states are appended to once in a step, so that
/// all calls are one.
mlir::Value Generator::callModel(const CallExpr &call, Env &env) {
  if (logits)
    return logits;
  mlir::Value seq = evaluate(*call.args[0].value, env);
  Values results = callInstance(*trained, {seq}, env.frame);
  if (results.empty())
    return {};
  logits = results[0];
  if (results.size() > 1)
    hidden = results[1];
  return logits;
}

/// The logits of the model's draft head, which sees the token after that of
/// each row (arXiv 2412.19437, section 2.2).
mlir::Value Generator::callDraft(const CallExpr &call, Env &env) {
  if (draftLogits)
    return draftLogits;
  if (!trained->findFn("draft")) {
    diag.error(call.loc, "expects '" + spell(*call.callee) +
                             "' where the model has a draft head; 'if " +
                             spell(*llvm::cast<MemberExpr>(*call.callee).base) +
                             ".has_draft' asks for it");
    return {};
  }
  mlir::Value seq = evaluate(*call.args[0].value, env);
  if (!seq || !callModel(call, env))
    return {};
  mlir::Value view =
      ViewSeqOp::create(builder, getLoc(call.loc), seq, SeqRows::Following);
  Values results = callInstance(*trained, {hidden, view}, env.frame, "draft");
  if (!results.empty())
    draftLogits = results[0];
  return draftLogits;
}

mlir::Value Generator::evaluateUnary(const UnaryExpr &expr, Env &env) {
  mlir::Value operand = evaluate(*expr.operand, env);
  if (!operand)
    return {};
  return arith::NegFOp::create(builder, getLoc(expr.loc), operand);
}

/// A side of an operation on tensors, which may be a number.
mlir::Value Generator::evaluateSide(const Expr &expr, Env &env) {
  if (!isConst(expr, env))
    return evaluate(expr, env);
  ConstValue value = instantiator.getEvaluator().eval(expr, env.consts);
  if (value.isPoison())
    return {};
  return buildFill(builder, getLoc(expr.loc), value.number);
}

mlir::Value Generator::evaluateArithmetic(const BinaryExpr &expr, Env &env) {
  mlir::Value left = evaluateSide(*expr.left, env);
  mlir::Value right = left ? evaluateSide(*expr.right, env) : mlir::Value();
  if (!right)
    return {};
  mlir::Location loc = getLoc(expr.loc);
  switch (expr.op.front()) {
  case '+':
    return arith::AddFOp::create(builder, loc, left, right);
  case '-':
    return arith::SubFOp::create(builder, loc, left, right);
  case '*':
    return arith::MulFOp::create(builder, loc, left, right);
  default:
    return arith::DivFOp::create(builder, loc, left, right);
  }
}
