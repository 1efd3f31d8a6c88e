//===- ChatTemplate.cpp - Published chat templates ------------------------===//

#include "runtime/text/ChatTemplate.h"

#include "runtime/text/Tokenizer.h"
#include "runtime/text/Utf8.h"
#include "runtime/text/jinja/Interpreter.h"
#include "runtime/text/jinja/Parser.h"

#include <exception>

namespace ds::text {

struct ChatTemplate::Impl {
  std::string name;
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::shared_ptr<const Impl> impl)
    : impl(std::move(impl)) {}

/// Templates longer than this are no chat templates, in bytes.
static constexpr size_t maxSource = 1u << 20;

static Error describe(const std::string &name,
                      const jinja::TemplateError &error) {
  std::string place =
      error.line > 0 ? name + ":" + std::to_string(error.line) : name;
  return Error{place + ": " + error.message};
}

Result<ChatTemplate> ChatTemplate::parse(const std::string &source,
                                         const std::string &name) {
  if (source.size() > maxSource)
    return Error{name + ": expects a template of at most " +
                 std::to_string(maxSource) + " bytes"};
  if (findInvalidUtf8(source) != std::string::npos)
    return Error{name + ": expects the template to be UTF-8"};
  try {
    auto impl = std::make_shared<Impl>();
    impl->name = name;
    impl->body = jinja::parseTemplate(source);
    return ChatTemplate(std::move(impl));
  } catch (const jinja::TemplateError &error) {
    return describe(name, error);
  } catch (const std::exception &error) {
    return Error{name + ": " + error.what()};
  }
}

Result<std::string> ChatTemplate::render(const Json &variables) const {
  try {
    jinja::Value value = jinja::Value::fromJson(variables);
    if (!value.isDict())
      return Error{impl->name + ": expects the variables to be an object"};
    return jinja::Interpreter(value.dict()).run(impl->body);
  } catch (const jinja::TemplateError &error) {
    return describe(impl->name, error);
  } catch (const std::exception &error) {
    return Error{impl->name + ": " + error.what()};
  }
}

Result<std::string>
ChatTemplate::render(const std::vector<ChatMessage> &messages,
                     const Tokenizer &tokenizer,
                     bool addGenerationPrompt) const {
  Json list = Json::array();
  for (const ChatMessage &message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  Json variables = {{"messages", std::move(list)},
                    {"add_generation_prompt", addGenerationPrompt}};
  const RoleTokens &roles = tokenizer.roles();
  const std::pair<const char *, const RoleToken *> tokens[] = {
      {"bos_token", &roles.bos},
      {"eos_token", &roles.eos},
      {"pad_token", &roles.pad},
      {"unk_token", &roles.unk}};
  for (const auto &[name, role] : tokens)
    if (!role->content.empty())
      variables[name] = role->content;
  return render(variables);
}

} // namespace ds::text
