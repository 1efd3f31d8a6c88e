//===- Interpreter.cpp - Statements at run time ---------------------------===//

#include "runtime/text/jinja/Interpreter.h"

#include <algorithm>
#include <iterator>

namespace ds::text::jinja {

/// A template that takes more steps than this is taken to run forever.
static constexpr int64_t maxSteps = 20'000'000;
Interpreter::DepthGuard::DepthGuard(int &depth, int line) : depth(depth) {
  if (depth >= maxDepth)
    throw TemplateError{"expects fewer calls within each other", line};
  ++depth;
}

Interpreter::Interpreter(Dict variables) {
  scopes.push_back(makeGlobals());
  scopes.push_back(std::move(variables));
}

std::string Interpreter::run(const Body &body) {
  execute(body);
  return std::move(out);
}

void Interpreter::countSteps(int64_t count, int line) {
  steps += count;
  if (steps > maxSteps)
    throw TemplateError{"expects the template to end", line};
}

Value Interpreter::lookUp(const std::string &name) const {
  for (size_t i = scopes.size(); i-- > 0;)
    for (const auto &[key, value] : scopes[i])
      if (key == name)
        return value;
  return Value::undefined("'" + name + "'");
}

void Interpreter::bind(const std::string &name, Value value) {
  for (auto &[key, old] : scopes.back())
    if (key == name) {
      old = std::move(value);
      return;
    }
  scopes.back().emplace_back(name, std::move(value));
}

void Interpreter::bindTargets(const Node &node, const Value &value) {
  if (node.targets.size() == 1)
    return bind(node.targets[0], value);
  List items = value.iterate();
  if (items.size() != node.targets.size())
    throw TemplateError{"expects " + std::to_string(node.targets.size()) +
                            " values to unpack, not " +
                            std::to_string(items.size()),
                        node.line};
  for (size_t i = 0; i < items.size(); ++i)
    bind(node.targets[i], items[i]);
}

std::string Interpreter::capture(const Body &body) {
  std::string outer;
  outer.swap(out);
  scopes.emplace_back();
  execute(body);
  scopes.pop_back();
  outer.swap(out);
  return outer;
}

Interpreter::Flow Interpreter::execute(const Body &body) {
  for (const NodePtr &node : body) {
    try {
      Flow flow = execute(*node);
      if (flow != Flow::Next)
        return flow;
    } catch (TemplateError &error) {
      if (error.line == 0)
        error.line = node->line;
      throw;
    }
  }
  return Flow::Next;
}

Interpreter::Flow Interpreter::execute(const Node &node) {
  DepthGuard guard(depth, node.line);
  countSteps(1, node.line);
  switch (node.kind) {
  case Node::Text:
    out += node.text;
    break;
  case Node::Print:
    out += evaluate(*node.value).print();
    break;
  case Node::If:
    return execute(evaluate(*node.value).isTrue() ? node.body : node.orelse);
  case Node::For:
    return executeFor(node);
  case Node::Set:
    executeSet(node);
    break;
  case Node::Macro:
    bind(node.text, makeMacro(node, node.text));
    break;
  case Node::CallBlock:
    executeCallBlock(node);
    break;
  case Node::FilterBlock: {
    std::string text = capture(node.body);
    scopes.push_back({{blockText, std::move(text)}});
    out += evaluate(*node.value).print();
    scopes.pop_back();
    break;
  }
  case Node::Scope: {
    scopes.emplace_back();
    Flow flow = execute(node.body);
    scopes.pop_back();
    return flow;
  }
  case Node::Break:
    return Flow::Break;
  case Node::Continue:
    return Flow::Continue;
  }
  checkTextSize(out.size());
  return Flow::Next;
}

static Value cycle(int64_t index, const Arguments &arguments) {
  if (arguments.positional.empty())
    fail("expects loop.cycle to have arguments");
  return arguments.positional[index % arguments.positional.size()];
}

/// Returns the variable `loop` for the item `i`.
static Value makeLoop(const List &items, size_t i) {
  int64_t index = static_cast<int64_t>(i);
  int64_t count = static_cast<int64_t>(items.size());
  bool first = i == 0, last = i + 1 == items.size();
  return Dict{
      {"index", index + 1},
      {"index0", index},
      {"revindex", count - index},
      {"revindex0", count - index - 1},
      {"first", first},
      {"last", last},
      {"length", count},
      {"previtem", first ? Value::undefined("loop.previtem") : items[i - 1]},
      {"nextitem", last ? Value::undefined("loop.nextitem") : items[i + 1]},
      {"cycle", Function([index](const Arguments &arguments) {
         return cycle(index, arguments);
       })},
  };
}

Interpreter::Flow Interpreter::executeFor(const Node &node) {
  List items = evaluate(*node.value).iterate();
  if (node.filter) {
    List chosen;
    for (const Value &item : items) {
      scopes.emplace_back();
      bindTargets(node, item);
      if (evaluate(*node.filter).isTrue())
        chosen.push_back(item);
      scopes.pop_back();
    }
    items = std::move(chosen);
  }
  if (items.empty())
    return execute(node.orelse);
  for (size_t i = 0; i < items.size(); ++i) {
    // An iteration makes a scope and the variable `loop`.
    countSteps(10, node.line);
    scopes.emplace_back();
    bindTargets(node, items[i]);
    bind("loop", makeLoop(items, i));
    Flow flow = execute(node.body);
    scopes.pop_back();
    if (flow == Flow::Break)
      break;
  }
  return Flow::Next;
}

void Interpreter::executeSet(const Node &node) {
  Value value;
  if (node.body.empty()) {
    value = evaluate(*node.value);
  } else {
    std::string text = capture(node.body);
    scopes.push_back({{blockText, std::move(text)}});
    value = evaluate(*node.value);
    scopes.pop_back();
  }
  size_t dot = node.targets[0].find('.');
  if (dot == std::string::npos)
    return bindTargets(node, value);
  std::string name = node.targets[0].substr(0, dot);
  Value target = lookUp(name);
  if (!target.isNamespace())
    throw TemplateError{"expects " + name +
                            " to be a namespace, for its members to be set",
                        node.line};
  target.setMember(node.targets[0].substr(dot + 1), std::move(value));
}

Value Interpreter::makeMacro(const Node &node, std::string name) {
  size_t scopeCount = scopes.size();
  return Function([this, &node, name, scopeCount](const Arguments &arguments) {
    return callMacro(node, name, scopeCount, arguments);
  });
}

/// Runs the body of a macro, which sees the scopes around its definition.
Value Interpreter::callMacro(const Node &node, const std::string &name,
                             size_t scopeCount, const Arguments &arguments) {
  scopeCount = std::min(scopeCount, scopes.size());
  std::vector<Dict> hidden(std::make_move_iterator(scopes.begin() + scopeCount),
                           std::make_move_iterator(scopes.end()));
  scopes.resize(scopeCount);
  scopes.emplace_back();
  if (arguments.positional.size() > node.parameters.size())
    fail("expects at most " + std::to_string(node.parameters.size()) +
         " arguments of " + name);
  for (const auto &[key, value] : arguments.named) {
    bool known = key == "caller";
    for (const Parameter &parameter : node.parameters)
      known |= parameter.name == key;
    if (!known)
      fail("expects no argument '" + key + "' of " + name);
    if (key == "caller")
      bind(key, value);
  }
  for (size_t i = 0; i < node.parameters.size(); ++i) {
    const Parameter &parameter = node.parameters[i];
    if (const Value *given = arguments.find(i, parameter.name.c_str()))
      bind(parameter.name, *given);
    else if (parameter.otherwise)
      bind(parameter.name, evaluate(*parameter.otherwise));
    else
      bind(parameter.name, Value::undefined("'" + parameter.name + "'"));
  }
  std::string text = capture(node.body);
  scopes.resize(scopeCount);
  for (Dict &scope : hidden)
    scopes.push_back(std::move(scope));
  return text;
}

void Interpreter::executeCallBlock(const Node &node) {
  Value function = evaluate(*node.value->args[0]);
  if (!function.isFunction())
    throw TemplateError{"expects a macro to call", node.line};
  Arguments arguments = evaluateArguments(*node.value);
  arguments.named.emplace_back("caller", makeMacro(node, "caller"));
  out += function.function()(arguments).print();
}

} // namespace ds::text::jinja
