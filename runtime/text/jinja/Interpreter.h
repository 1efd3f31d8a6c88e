//===- Interpreter.h - Running a template ---------------------------------===//

#ifndef DS_RUNTIME_TEXT_JINJA_INTERPRETER_H
#define DS_RUNTIME_TEXT_JINJA_INTERPRETER_H

#include "runtime/text/jinja/Ast.h"

#include <string>
#include <vector>

namespace ds::text::jinja {

/// Applies the filter `name`; fails if there is none.
Value applyFilter(const std::string &name, const Value &value,
                  const Arguments &arguments);

/// Applies the test `name`; fails if there is none.
bool applyTest(const std::string &name, const Value &value,
               const Arguments &arguments);

/// Returns the method `name` of a text, list or dict bound to it, or an
/// undefined value.
Value findMethod(const Value &self, const std::string &name);

/// Applies an operator of two values that evaluates both.
Value applyBinary(const std::string &name, const Value &left,
                  const Value &right);

/// Returns `value[index]`, undefined if there is no such item.
Value getItem(const Value &value, const Value &index);

/// Returns `value[begin:end:step]`; each part may be none.
Value getSlice(const Value &value, const Value &begin, const Value &end,
               const Value &step);

/// Returns `value.name`: a method or a member.
Value getAttribute(const Value &value, const std::string &name);

/// Returns the functions that every template sees.
Dict makeGlobals();

/// Fails if a text grows beyond what any conversation needs.
void checkTextSize(size_t size);

/// Runs one template once.
class Interpreter {
public:
  /// `variables` are what the template sees beside the global functions.
  explicit Interpreter(Dict variables);

  /// Runs `body` and returns what it printed.
  std::string run(const Body &body);

private:
  /// Macros, statements and expressions nest at most this deep in all.
  static constexpr int maxDepth = 2000;
  /// Counts the depth of the recursion while it lives.
  struct DepthGuard {
    DepthGuard(int &depth, int line);
    ~DepthGuard() { --depth; }
    int &depth;
  };
  /// How a statement ended.
  enum class Flow { Next, Break, Continue };

  Flow execute(const Body &body);
  Flow execute(const Node &node);
  Flow executeFor(const Node &node);
  void executeSet(const Node &node);
  Value makeMacro(const Node &node, std::string name);
  Value callMacro(const Node &node, const std::string &name, size_t scopeCount,
                  const Arguments &arguments);
  void executeCallBlock(const Node &node);
  std::string capture(const Body &body);

  Value evaluate(const Expr &expr);
  Value evaluateKind(const Expr &expr);
  Value evaluateBinary(const Expr &expr);
  Value evaluateCall(const Expr &expr);
  Arguments evaluateArguments(const Expr &expr);
  Value lookUp(const std::string &name) const;

  void bind(const std::string &name, Value value);
  void bindTargets(const Node &node, const Value &value);
  void countSteps(int64_t count, int line);

  /// Variables from the outermost scope to the innermost.
  std::vector<Dict> scopes;
  std::string out;
  int64_t steps = 0;
  int depth = 0;
};

} // namespace ds::text::jinja

#endif // DS_RUNTIME_TEXT_JINJA_INTERPRETER_H
