//===- Value.h - Values of templates --------------------------------------===//
//
// What template expressions work on: Python's basic values, as far as chat
// templates see them. Lists and dicts are shared and never change; only a
// namespace does.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_JINJA_VALUE_H
#define DS_RUNTIME_TEXT_JINJA_VALUE_H

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ds::text::jinja {

/// Thrown inside the interpreter only; ChatTemplate turns it into a failure.
struct TemplateError {
  std::string message;
  /// Line of the template; 0 until the place is known.
  int line = 0;
};

class Value;
using List = std::vector<Value>;
using Dict = std::vector<std::pair<std::string, Value>>;

/// The arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// Returns the argument at `index` or of that name, or null.
  const Value *find(size_t index, const char *name) const;

  /// Returns the argument, or fails naming `function`.
  const Value &require(size_t index, const char *name,
                       const char *function) const;
};

using Function = std::function<Value(const Arguments &)>;

/// A value of a template expression.
class Value {
public:
  struct Undefined {
    /// What was looked up, for errors.
    std::string name;
  };
  struct None {};

  Value() : data(None()) {}
  Value(bool value) : data(value) {}
  Value(int64_t value) : data(value) {}
  Value(double value) : data(value) {}
  Value(std::string value) : data(std::move(value)) {}
  Value(const char *value) : data(std::string(value)) {}
  /// Lists and dicts nest at most `maxDepth` deep and hold no namespace, so
  /// that values are trees; these fail otherwise.
  Value(List value);
  Value(Dict value);
  Value(Function value)
      : data(std::make_shared<const Function>(std::move(value))) {}

  /// Makes a list that prints as a tuple and differs from any list.
  static Value tuple(List items);
  static Value undefined(std::string name);
  static Value makeNamespace(Dict members);
  static Value fromJson(const nlohmann::ordered_json &json);

  bool isUndefined() const { return is<Undefined>(); }
  bool isNone() const { return is<None>(); }
  bool isBool() const { return is<bool>(); }
  bool isInteger() const { return is<int64_t>(); }
  bool isFloat() const { return is<double>(); }
  bool isNumber() const { return isBool() || isInteger() || isFloat(); }
  bool isString() const { return is<std::string>(); }
  bool isList() const { return is<std::shared_ptr<const Box<List>>>(); }
  bool isDict() const { return is<std::shared_ptr<const Box<Dict>>>(); }
  bool isNamespace() const { return is<std::shared_ptr<Dict>>(); }
  bool isFunction() const { return is<std::shared_ptr<const Function>>(); }

  const std::string &string() const { return std::get<std::string>(data); }
  bool isTuple() const;
  const List &list() const {
    return std::get<std::shared_ptr<const Box<List>>>(data)->items;
  }
  /// The members of a dict or a namespace.
  const Dict &dict() const;
  const Function &function() const {
    return *std::get<std::shared_ptr<const Function>>(data);
  }

  /// Returns the number as an integer or a float; true counts as 1.
  int64_t asInteger() const;
  double asFloat() const;

  bool isTrue() const;

  /// Returns the text that printing gives, as Python's str().
  std::string print() const;

  /// Returns Python's repr().
  std::string repr() const;

  /// Tells what was looked up for an undefined value.
  const std::string &undefinedName() const {
    return std::get<Undefined>(data).name;
  }

  /// Names the type for errors.
  const char *typeName() const;

  /// Returns the member `key` of a dict or namespace, or null.
  const Value *member(std::string_view key) const;

  /// Sets a member of a namespace.
  void setMember(const std::string &key, Value value) const;

  /// Lists what iterating gives: items, keys, code points; an undefined value
  /// gives nothing. Fails for what cannot be iterated.
  List iterate() const;

  /// Returns the number of items, or fails.
  int64_t length() const;

private:
  static constexpr int maxDepth = 200;
  template <typename T> struct Box {
    T items;
    int depth;
    bool isTuple = false;
  };
  int depth() const;

  template <typename T> bool is() const {
    return std::holds_alternative<T>(data);
  }

  std::variant<None, Undefined, bool, int64_t, double, std::string,
               std::shared_ptr<const Box<List>>,
               std::shared_ptr<const Box<Dict>>, std::shared_ptr<Dict>,
               std::shared_ptr<const Function>>
      data;
};

/// Compares as Python's ==.
bool equals(const Value &a, const Value &b);

/// Returns a negative, zero or positive number; fails where Python has no
/// order.
int compare(const Value &a, const Value &b);

/// Tells whether `item` is in `container`.
bool contains(const Value &container, const Value &item);

/// Writes `value` as Python's json.dumps with ensure_ascii off. `indent` below
/// 0 puts all on one line; `itemSeparator` and `keySeparator` go between.
std::string dumpJson(const Value &value, int64_t indent,
                     const std::string &itemSeparator,
                     const std::string &keySeparator);

/// Fails with `message`.
[[noreturn]] void fail(std::string message);

/// Splits a text into its code points.
std::vector<std::string_view> codePoints(std::string_view text);

} // namespace ds::text::jinja

#endif // DS_RUNTIME_TEXT_JINJA_VALUE_H
