//===- Generator.h - From instances to the ds dialect -----------*- C++ -*-===//
#ifndef DS_FRONTEND_GENERATOR_H
#define DS_FRONTEND_GENERATOR_H
#include "dialect/Dialect.h"
#include "frontend/Instance.h"
#include "frontend/Ops.h"
#include "llvm/ADT/StringSet.h"

namespace ds {

/// Builds the ds module of a model. Parts are inlined; a run of layers with
/// equal bodies becomes one function and one `ds.run`. With an objective the
/// module has a second entry, the forward half of a training step, which runs
/// the same bodies.
class Generator {
public:
  Generator(mlir::MLIRContext &context, Instantiator &instantiator,
            Diagnostics &diag, mlir::Type compute)
      : context(context), instantiator(instantiator), diag(diag),
        builder(&context), compute(compute) {}

  /// Returns the module, or null after an error. `objective` may be null.
  mlir::OwningOpRef<mlir::ModuleOp> generate(Instance &model,
                                             llvm::StringRef modelType,
                                             const ast::Decl *objective);

private:
  /// A function under construction.
  struct Frame {
    llvm::DenseMap<WeightInstance *, mlir::Value> weights;
    llvm::DenseMap<StateInstance *, mlir::Value> states;
    bool isEntry = false;
  };
  /// Names of one activation of a module's function.
  struct Env {
    Instance &instance;
    Frame &frame;
    ConstScope consts;
    llvm::StringMap<mlir::Value> values;
  };
  /// The function of consecutive layers of a stack that are equal.
  struct Body {
    const StackInstance *stack = nullptr;
    std::vector<ConstValue> args; ///< Of its first layer.
    std::unique_ptr<Instance> instance;
    std::vector<WeightInstance *> weights;
    std::vector<StateInstance *> states;
    mlir::OwningOpRef<mlir::func::FuncOp> func;
    std::string fingerprint; ///< Equal for equal bodies.
    int64_t first = 0, count = 0;
    unsigned runs = 0;
  };
  /// Consecutive layers that pass on one activation.
  struct Run {
    Body *body = nullptr;
    RunOp op;
    size_t firstStateArg = 0; ///< Of the entry function.
    int64_t first = 0, count = 0;
  };
  enum class Flow { Next, Returned, Failed };
  using Values = std::vector<mlir::Value>;

  // Generator.cpp: the entry functions and what frames them.
  bool buildInfer(Instance &model);
  bool buildDraft(Instance &model);
  void startEntry(llvm::SMLoc loc, llvm::StringRef name, llvm::StringRef kind);
  Values getOutputs(const Values &results);
  void finishEntry(const Values &outputs);
  void addStateArg(const StateInstance &state, llvm::StringRef name);
  void setAttributes(mlir::ModuleOp module, Instance &model,
                     llvm::StringRef modelType);
  void emitWeights();
  mlir::RankedTensorType getWeightType(const WeightInstance &weight);
  void emitWeight(const WeightInstance &weight, const Body *body);
  bool checkUsed(llvm::ArrayRef<WeightInstance *> weights);
  mlir::Type getStateType(const StateInstance &state, int64_t layers);
  mlir::Location getLoc(llvm::SMLoc loc);

  // GenerateTraining.cpp: the training entry.
  bool buildTrain(Instance &model);
  bool checkTrainable(const Instance &model);
  void addInputs(Env &env, mlir::Value seq);
  mlir::Value callModel(const ast::CallExpr &call, Env &env);
  mlir::Value callDraft(const ast::CallExpr &call, Env &env);
  mlir::Value evaluateUnary(const ast::UnaryExpr &expr, Env &env);
  mlir::Value evaluateSide(const ast::Expr &expr, Env &env);
  mlir::Value evaluateArithmetic(const ast::BinaryExpr &expr, Env &env);
  bool inObjective(const Env &env) const {
    return env.instance.module == objective;
  }

  // GenerateLayers.cpp: stacks.
  Values callLayer(const ast::CallExpr &call, const StackInstance &stack,
                   int64_t index, Env &env);
  Body *getBody(const StackInstance &stack, std::vector<ConstValue> args,
                mlir::Type activation, int64_t index);
  bool buildBody(Body &body, mlir::Type activation);
  bool fillBody(Body &body, mlir::Block &block);
  void makeUnique(Body &body);
  mlir::Value startRun(const ast::CallExpr &call, Body &body, int64_t index,
                       mlir::Value input, mlir::Value seq);
  void extendRun(Run &run);

  // GenerateFn.cpp: statements and expressions.
  Values callInstance(Instance &instance, Values args, Frame &frame,
                      llvm::StringRef name = "forward");
  Flow runBlock(const ast::Block &block, Env &env, Values &results);
  Flow runItem(const ast::Item &item, Env &env, Values &results);
  Flow runFor(const ast::For &loop, Env &env, Values &results);
  bool runAssign(const ast::Assign &assign, Env &env);
  bool runTerm(const ast::Auxiliary &term, Env &env);
  bool isConst(const ast::Expr &expr, Env &env);
  mlir::Value evaluate(const ast::Expr &expr, Env &env);
  mlir::Value evaluateName(const ast::NameExpr &expr, Env &env);
  mlir::Value getWeight(WeightInstance &weight, Frame &frame, llvm::SMLoc loc);
  Values evaluateCall(const ast::CallExpr &call, Env &env);
  mlir::Value evaluateOp(const ast::CallExpr &call, const OpInfo &op, Env &env);
  bool addOperand(const ast::Expr &expr, const OpInfo::Operand &operand,
                  Env &env, BuildCall &build);
  bool updateState(const ast::CallExpr &call, mlir::Value result, Env &env);
  Values evaluatePart(const ast::CallExpr &call, Env &env);
  StateInstance *findState(mlir::Value value, Frame &frame);

  mlir::MLIRContext &context;
  Instantiator &instantiator;
  Diagnostics &diag;
  mlir::OpBuilder builder;
  mlir::Type compute;
  const ast::Decl *objective = nullptr;
  bool auxiliary = false; // Whether the objective takes in the model's terms.
  Instance *trained = nullptr; // The model that the objective calls.
  mlir::Value logits, hidden;  // Of it, once it has been called.
  mlir::Value draftLogits;     // Of its draft head.
  mlir::func::FuncOp entry;    // Being built.
  Frame entryFrame;
  std::vector<StateInstance *> entryStates;
  std::vector<std::unique_ptr<Body>> bodies;
  std::vector<Run> runs;
  std::vector<WeightInstance *> entryWeights;
  llvm::StringSet<> symbols;
  int64_t iterations = 0; // Of all loops so far.
};

} // namespace ds
#endif
