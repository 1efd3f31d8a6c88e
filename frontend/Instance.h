//===- Instance.h - Modules with a configuration filled in ------*- C++ -*-===//
//
// An instance is a module at one place of the model: numbers in its
// dimensions, full labels, branches of its declarations taken.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_INSTANCE_H
#define DS_FRONTEND_INSTANCE_H
#include "frontend/ConstValue.h"
#include <map>

namespace ds {

/// How a weight is filled before it is trained.
struct Initialiser {
  enum Kind { Normal, Ones, Zeros };
  Kind kind = Zeros;
  double deviation = 0; ///< Of Normal, whose mean is 0.
};

struct WeightInstance {
  std::string symbol; ///< "layer.attention.q".
  const ast::Weight *decl = nullptr;
  std::vector<int64_t> dims;
  std::vector<std::string> labels; ///< `{i}` stands for the layer.
  std::vector<int64_t> rows;       ///< Of each label.
  std::vector<std::string> copies; ///< Labels under which it is there again.
  int64_t stack = 0;  ///< Matrices, `{e}` in labels standing for their number.
  bool isF32 = false; ///< Kept in f32 in every mode.
  bool isFp8 = false; ///< The checkpoint has it in FP8, with scales.
  Initialiser init;
  bool decay = false;  ///< Whether weight decay applies.
  bool frozen = false; ///< Whether training leaves it as it is.
  double balanceRate = 0; ///< By which loads of experts move it, or 0.
  bool used = false;
};

struct StateInstance {
  std::string name; ///< "layer.attention.keys".
  const ast::State *decl = nullptr;
  std::vector<int64_t> dims;
  llvm::SMLoc appended; ///< Where a step appends to it.
  int64_t stride = 1; ///< Tokens for each entry.
};

struct Instance;

/// A `use` with an index: its layers are instantiated when they are called.
struct StackInstance {
  const ast::Use *use = nullptr;
  int64_t first = 0, last = 0;
  /// The values that layer `i` gets; `{i}` stays in the label.
  std::string path, label;
};

struct Instance {
  const ast::Decl *module = nullptr;
  ConstScope scope;
  std::string path;  ///< Empty or "layer.attention.".
  std::string label; ///< Empty or "model.layers.{i}.self_attn.".
  std::map<std::string, std::unique_ptr<WeightInstance>> weights;
  std::map<std::string, std::string> tied; ///< Another name of a weight.
  std::vector<std::unique_ptr<StateInstance>> states;
  std::vector<std::string> ignored; ///< Beginnings of names of tensors.
  std::vector<std::pair<std::string, std::unique_ptr<Instance>>> parts;
  std::map<std::string, StackInstance> stacks;
  std::map<std::string, const ast::Fn *> functions; ///< By name.

  /// Returns the function of this name, or null.
  const ast::Fn *findFn(llvm::StringRef name) const;
  WeightInstance *findWeight(llvm::StringRef name);
  StateInstance *findState(llvm::StringRef name);
  Instance *findPart(llvm::StringRef name);
  /// Lists weights and states of this instance and of its parts.
  void collect(std::vector<WeightInstance *> &allWeights,
               std::vector<StateInstance *> &allStates);
};

/// Makes instances. What a configuration breaks is reported.
class Instantiator {
public:
  Instantiator(const ast::File &file, Diagnostics &diag)
      : file(file), diag(diag), evaluator(diag) {}

  /// Instantiates the model for a bound config. Null after an error.
  std::unique_ptr<Instance> instantiate(const ast::Decl &model,
                                        const ConstValue &config);
  /// Instantiates an objective over models of which `hasDraft` says whether
  /// they have a draft head. Null after an error.
  std::unique_ptr<Instance> instantiateObjective(const ast::Decl &objective,
                                                 bool hasDraft);
  /// Evaluates the arguments of layer `index` of `stack`, a part of `owner`.
  std::vector<ConstValue> getLayerArgs(const Instance &owner,
                                       const StackInstance &stack,
                                       int64_t index);
  /// Instantiates a layer with these arguments.
  std::unique_ptr<Instance> instantiateLayer(const StackInstance &stack,
                                             std::vector<ConstValue> args);
  Evaluator &getEvaluator() { return evaluator; }

private:
  std::unique_ptr<Instance> make(const ast::Decl &module,
                                 std::vector<ConstValue> args, std::string path,
                                 std::string label);
  bool addItems(Instance &instance, const ast::Block &block);
  bool addItem(Instance &instance, const ast::Item &item);
  bool addWeight(Instance &instance, const ast::Weight &weight);
  bool addCopies(Instance &instance, const ast::Weight &decl);
  bool addRows(Instance &instance, WeightInstance &weight);
  bool addStack(Instance &instance, WeightInstance &weight, ConstScope &scope);
  bool addOptions(Instance &instance, WeightInstance &weight);
  bool addRate(Instance &instance, WeightInstance &weight,
               const ast::Expr &value);
  bool addInit(Instance &instance, WeightInstance &weight,
               const ast::Expr &value);
  bool addState(Instance &instance, const ast::State &state);
  bool addUse(Instance &instance, const ast::Use &use);
  bool checkRequire(Instance &instance, const ast::Require &require);
  bool evalDims(const ast::TypeExpr &type, const ConstScope &scope,
                std::vector<int64_t> &dims);
  std::string expand(llvm::StringRef quoted, const ConstScope &scope);
  std::string joinLabel(const std::string &prefix, llvm::StringRef quoted,
                        const ConstScope &scope);
  const ast::Decl *findModule(llvm::StringRef name) const;

  const ast::File &file;
  Diagnostics &diag;
  Evaluator evaluator;
  unsigned count = 0;
};

} // namespace ds
#endif
