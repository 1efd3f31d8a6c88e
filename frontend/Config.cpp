//===- Config.cpp - Binding a config to config.json -----------------------===//
#include "frontend/Config.h"
#include "frontend/Lexer.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;
using llvm::Twine;

/// Keys that say which model it is; they are no hyper-parameters.
static bool isModelKey(StringRef key) { return key == "model_type"; }

static std::string getKeyText(const Ident &spelling) {
  return spelling.name.starts_with("\"") ? unquote(spelling.name)
                                         : spelling.name.str();
}

namespace {
class Binder {
public:
  Binder(const File &file, const Decl &config, const json::Value &object,
         Diagnostics &diag)
      : file(file), config(config), object(object), diag(diag),
        record(std::make_shared<Record>()), evaluator(diag) {
    record->config = &config;
    scope.record = record.get();
  }

  std::shared_ptr<const Record> bind(bool isRoot);

private:
  void bindField(const Field &field, const Key &key);
  ConstValue bindKey(const Field &field, const Key &key);
  const json::Member *findMember(const Key &key);
  ConstValue convert(const TypeExpr &type, const json::Member &member);
  ConstValue convertScalar(StringRef type, StringRef key,
                           const json::Value &value);
  ConstValue convertList(const TypeExpr &type, StringRef key,
                         const json::Value &value);
  ConstValue mismatch(StringRef key, const json::Value &value,
                      const Twine &expected);
  void check(const Require &require);
  void reportUnknown(bool isRoot);

  const File &file;
  const Decl &config;
  const json::Value &object;
  Diagnostics &diag;
  std::shared_ptr<Record> record;
  Evaluator evaluator;
  ConstScope scope;
  llvm::StringSet<> known;
  std::vector<std::string> spellings;
};
} // namespace

std::shared_ptr<const Record> Binder::bind(bool isRoot) {
  for (const ItemPtr &item : config.body) {
    if (auto *field = llvm::dyn_cast<Field>(item.get())) {
      for (const Key &key : field->keys)
        bindField(*field, key);
    } else if (auto *let = llvm::dyn_cast<Let>(item.get())) {
      record->names[let->name.name] = evaluator.eval(*let->value, scope);
    } else if (auto *require = llvm::dyn_cast<Require>(item.get())) {
      check(*require);
    } else if (auto *ignore = llvm::dyn_cast<Ignore>(item.get())) {
      for (StringRef key : ignore->keys)
        known.insert(unquote(key));
    }
  }
  reportUnknown(isRoot);
  return record;
}

void Binder::bindField(const Field &field, const Key &key) {
  Record::Entry entry;
  entry.key = getKeyText(key.spellings[0]);
  entry.name = key.alias ? key.alias.name.str() : entry.key;
  entry.value = bindKey(field, key);
  record->names[entry.key] = entry.value;
  record->names[entry.name] = entry.value;
  record->entries.push_back(std::move(entry));
}

const json::Member *Binder::findMember(const Key &key) {
  const json::Member *found = nullptr;
  for (const Ident &spelling : key.spellings) {
    std::string text = getKeyText(spelling);
    known.insert(text);
    spellings.push_back(text);
    const json::Member *member = object.find(text);
    if (member && found) {
      diag.error(member->loc, "expects '" + Twine(found->key) + "' or '" +
                                  member->key +
                                  "', which are one key, got "
                                  "both");
      diag.note(found->loc, "the other one is here");
    } else if (member) {
      found = member;
    }
  }
  return found;
}

ConstValue Binder::bindKey(const Field &field, const Key &key) {
  const json::Member *member = findMember(key);
  bool isNull = !member || member->value.kind == json::Value::Null;
  if (!isNull)
    return convert(field.type, *member);
  if (field.initial)
    return evaluator.eval(*field.initial, scope);
  if (field.type.nullable) {
    ConstValue value = ConstValue::null();
    if (member)
      value.origin = member->value.loc;
    return value;
  }
  const Ident &first = key.spellings[0];
  if (member)
    return mismatch(member->key, member->value,
                    "a value, since it has no default");
  diag.error(object.loc, "expects key '" + getKeyText(first) + "'");
  diag.note(first.getLoc(), "config '" + config.name.name + "' needs it");
  return ConstValue();
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

ConstValue Binder::mismatch(StringRef key, const json::Value &value,
                            const Twine &expected) {
  std::string got = json::describe(value.kind).str();
  if (value.kind == json::Value::Int)
    got = std::to_string(value.integer);
  else if (value.kind == json::Value::String)
    got = quote(value.string);
  else if (value.kind == json::Value::Float)
    got = ConstValue::of(value.number).str();
  diag.error(value.loc,
             "expects '" + key + "' to be " + expected + ", got " + got);
  return ConstValue();
}

ConstValue Binder::convert(const TypeExpr &type, const json::Member &member) {
  ConstValue result;
  const Decl *nested = nullptr;
  for (const std::unique_ptr<Decl> &decl : file.decls)
    if (decl->kind == Decl::Config && decl->name.name == type.name.name)
      nested = decl.get();
  if (type.hasBrackets) {
    result = convertList(type, member.key, member.value);
  } else if (!nested) {
    result = convertScalar(type.name.name, member.key, member.value);
  } else if (member.value.kind != json::Value::Object) {
    return mismatch(member.key, member.value, "an object");
  } else {
    result.kind = ConstValue::Object;
    result.record = Binder(file, *nested, member.value, diag).bind(false);
  }
  result.origin = member.value.loc;
  return result;
}

ConstValue Binder::convertScalar(StringRef type, StringRef key,
                                 const json::Value &value) {
  bool isInt = value.kind == json::Value::Int;
  if (type == "int")
    return isInt ? ConstValue::of(value.integer)
                 : mismatch(key, value, "an integer");
  if (type == "dim") {
    if (!isInt || value.integer < 1 || value.integer > INT32_MAX)
      return mismatch(key, value, "a positive integer of at most 31 bits");
    return ConstValue::of(value.integer);
  }
  if (type == "float")
    return isInt || value.kind == json::Value::Float
               ? ConstValue::of(value.number)
               : mismatch(key, value, "a number");
  if (type == "bool")
    return value.kind == json::Value::Bool ? ConstValue::of(value.boolean)
                                           : mismatch(key, value, "a boolean");
  if (type == "string")
    return value.kind == json::Value::String
               ? ConstValue::of(StringRef(value.string))
               : mismatch(key, value, "a string");
  return ConstValue();
}

/// A lone value counts as a list of one.
ConstValue Binder::convertList(const TypeExpr &type, StringRef key,
                               const json::Value &value) {
  ConstValue list;
  list.kind = ConstValue::List;
  auto *element = llvm::dyn_cast<NameExpr>(type.dims[0].get());
  if (!element)
    return ConstValue();
  std::vector<json::Value> lone;
  if (value.kind != json::Value::Array)
    lone.push_back(value);
  for (const json::Value &each :
       value.kind == json::Value::Array ? value.elements : lone)
    list.elements.push_back(convertScalar(element->text, key, each));
  if (llvm::any_of(list.elements,
                   [](const ConstValue &v) { return v.isPoison(); }))
    return ConstValue();
  return list;
}

//===----------------------------------------------------------------------===//
// Requirements and unknown keys
//===----------------------------------------------------------------------===//

/// Puts the error at the first number of config.json that the condition uses.
void Binder::check(const Require &require) {
  std::optional<bool> holds = evaluator.evalBool(*require.condition, scope);
  if (!holds || *holds)
    return;
  std::vector<Evaluator::Use> uses;
  evaluator.collectUses(*require.condition, scope, uses);
  llvm::SMLoc loc = object.loc;
  std::string values;
  for (const auto &[name, value] : uses) {
    if (loc == object.loc && value->origin.isValid())
      loc = value->origin;
    values += (values.empty() ? " (" : ", ") + name + " = " + value->str();
  }
  diag.error(loc,
             unquote(require.message) + values + (values.empty() ? "" : ")"));
  diag.note(require.loc, "required here");
}

void Binder::reportUnknown(bool isRoot) {
  std::vector<StringRef> candidates(spellings.begin(), spellings.end());
  for (const json::Member &member : object.members) {
    if (known.contains(member.key) || (isRoot && isModelKey(member.key)))
      continue;
    diag.error(member.loc, "unknown key '" + Twine(member.key) + "'" +
                               suggest(member.key, candidates));
    diag.note(config.name.getLoc(),
              "config '" + config.name.name + "' neither binds nor ignores it");
  }
}

std::shared_ptr<const Record> ds::bindConfig(const File &file,
                                             const Decl &config,
                                             const json::Value &object,
                                             Diagnostics &diag) {
  return Binder(file, config, object, diag).bind(true);
}
