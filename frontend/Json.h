//===- Json.h - JSON that knows where its keys stand ------------*- C++ -*-===//
//
// The project's JSON library keeps no positions; errors about config.json
// need the line and column of every key and value.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_JSON_H
#define DS_FRONTEND_JSON_H
#include "frontend/Diagnostics.h"
#include <optional>
#include <string>
#include <vector>

namespace ds::json {

struct Member;

struct Value {
  enum Kind { Null, Bool, Int, Float, String, Array, Object };
  Kind kind = Null;
  llvm::SMLoc loc;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0; ///< Also set for Int.
  std::string string;
  std::vector<Value> elements;
  std::vector<Member> members;

  /// Returns the member called `key`, or null.
  const Member *find(llvm::StringRef key) const;
};

struct Member {
  std::string key;
  llvm::SMLoc loc; ///< Of the key.
  Value value;
};

/// Parses a whole text. Reports the first mistake and returns nothing then;
/// keys that appear twice in an object are reported and kept once.
std::optional<Value> parse(llvm::StringRef text, Diagnostics &diag);

/// Returns "a string", "null", ... for errors.
llvm::StringRef describe(Value::Kind kind);

} // namespace ds::json
#endif
