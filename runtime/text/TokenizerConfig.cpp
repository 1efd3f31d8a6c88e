//===- TokenizerConfig.cpp - Reading tokenizer_config.json ----------------===//
//
// Takes the roles of tokens, the chat template and whether a text begins and
// ends with special tokens. The file holds much else that concerns other
// programs; it is passed over.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/TokenizerImpl.h"

#include <cstdlib>

namespace ds::text {

/// Reads a token written as a string or as an object with `content`.
static RoleToken readRole(const JsonPart &part, const Vocabulary &vocabulary) {
  RoleToken role;
  if (part.isNull())
    return role;
  role.content = (part.isObject() ? part.at("content") : part).asString();
  role.id = vocabulary.findWritten(role.content);
  return role;
}

/// Adds tokens that only the configuration knows.
static void readAddedTokensDecoder(const JsonPart &part,
                                   Tokenizer::Impl &impl) {
  if (part.isNull())
    return;
  for (const auto &[key, value] : part.members()) {
    char *end = nullptr;
    long id = std::strtol(key.c_str(), &end, 10);
    if (key.empty() || *end || id < 0 || id >= Vocabulary::maxId)
      return part.fail(
          "expects added_tokens_decoder to have ids as keys, not " + key);
    AddedToken token;
    token.id = static_cast<int32_t>(id);
    token.content = value.at("content").asString();
    token.special = value.flag("special", false);
    token.singleWord = value.flag("single_word", false);
    token.stripLeft = value.flag("lstrip", false);
    token.stripRight = value.flag("rstrip", false);
    token.normalized = value.flag("normalized", !token.special);
    if (value.failed())
      return;
    if (impl.vocabulary.findWritten(token.content) >= 0)
      continue;
    std::string wrong = addToken(token, impl);
    if (!wrong.empty())
      return value.at("content").expects(wrong);
  }
}

/// Replaces the tokens on one side of a text if the configuration rules it.
static void readSide(const JsonPart &flag, const RoleToken &role,
                     std::vector<int32_t> &side) {
  if (flag.isNull())
    return;
  side.clear();
  if (!flag.asBool())
    return;
  if (role.id < 0)
    return flag.expects("false where the token it adds is not in the "
                        "vocabulary");
  side.push_back(role.id);
}

/// A template is one text, or a list of named ones with a "default".
static std::string readChatTemplate(const JsonPart &part) {
  if (part.isNull())
    return {};
  if (part.isString())
    return part.asString();
  for (const JsonPart &item : part.items())
    if (item.at("name").asString() == "default")
      return item.at("template").asString();
  part.expects("a text or a list with one named \"default\"");
  return {};
}

Status readTokenizerConfig(std::string_view json, const std::string &file,
                           Tokenizer::Impl &impl) {
  FileProblem problem{file, {}};
  Json config = parseJson(json, 0, json.size(), problem);
  JsonPart root(config, problem);
  if (!root.failed() && !root.isObject())
    root.fail("expects an object");
  if (!root.failed())
    readAddedTokensDecoder(root.at("added_tokens_decoder"), impl);
  impl.roles.bos = readRole(root.at("bos_token"), impl.vocabulary);
  impl.roles.eos = readRole(root.at("eos_token"), impl.vocabulary);
  impl.roles.pad = readRole(root.at("pad_token"), impl.vocabulary);
  impl.roles.unk = readRole(root.at("unk_token"), impl.vocabulary);
  readSide(root.at("add_bos_token"), impl.roles.bos, impl.prefix);
  readSide(root.at("add_eos_token"), impl.roles.eos, impl.suffix);
  impl.chatTemplate = readChatTemplate(root.at("chat_template"));
  if (root.failed())
    return Error{problem.message};
  return {};
}

} // namespace ds::text
