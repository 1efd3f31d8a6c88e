//===- JsonLines.cpp - Files with one example a line ----------------------===//

#include "runtime/data/ChatExample.h"
#include "runtime/data/Readers.h"
#include "runtime/text/ReadFile.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace ds::data {

using Json = nlohmann::ordered_json;

namespace {
/// Reads the lines of one file.
class LineReader {
public:
  LineReader(const text::Tokenizer &tokenizer, Sink &sink)
      : tokenizer(tokenizer), sink(sink) {}
  Status readFile();

private:
  Status readLine(const std::string &line);
  Status addChat(const Json &messages);
  Result<text::ChatMessage> readMessage(const Json &message,
                                        const std::string &name);
  Status addCompletion(const Json &object);
  Status addText(const Json &object);
  Result<std::vector<int32_t>> encode(const Json &object, const char *key);
  Error fail(const std::string &message) { return sink.fail(number, message); }

  const text::Tokenizer &tokenizer;
  Sink &sink;
  std::optional<ChatEncoder> chat; // Once it is needed.
  int64_t number = 0;              // Of the line.
};
} // namespace

//===----------------------------------------------------------------------===//
// Messages
//===----------------------------------------------------------------------===//

Result<text::ChatMessage> LineReader::readMessage(const Json &message,
                                                  const std::string &name) {
  if (!message.is_object())
    return fail("expects " + name + " to be an object");
  text::ChatMessage result;
  for (auto [key, value] : {std::pair{"role", &result.role},
                            std::pair{"content", &result.content}}) {
    auto found = message.find(key);
    if (found == message.end() || !found->is_string())
      return fail("expects " + name + "." + key + " to be a string");
    *value = found->get<std::string>();
  }
  for (const char *role : {"system", "user", "assistant", "tool"})
    if (result.role == role)
      return result;
  return fail("unknown role '" + result.role + "' of " + name +
              "; expects system, user, assistant or tool");
}

Status LineReader::addChat(const Json &messages) {
  if (!messages.is_array() || messages.empty())
    return fail("expects 'messages' to be a list of at least one message");
  std::vector<text::ChatMessage> talk;
  for (const Json &message : messages) {
    Result<text::ChatMessage> read =
        readMessage(message, "messages[" + std::to_string(talk.size()) + "]");
    if (!read)
      return read.takeError();
    talk.push_back(*read);
  }
  if (!chat) {
    Result<ChatEncoder> made = ChatEncoder::create(tokenizer);
    if (!made)
      return fail(made.error());
    chat = std::move(*made);
  }
  Result<Example> example = chat->encode(talk);
  if (!example)
    return fail(example.error());
  example->line = number;
  return sink.addExample(std::move(*example));
}

//===----------------------------------------------------------------------===//
// Texts
//===----------------------------------------------------------------------===//

Result<std::vector<int32_t>> LineReader::encode(const Json &object,
                                                const char *key) {
  const Json &value = object[key];
  if (!value.is_string())
    return fail(std::string("expects '") + key + "' to be a string");
  Result<std::vector<int32_t>> tokens =
      tokenizer.encode(value.get_ref<const std::string &>());
  if (!tokens)
    return fail(tokens.error());
  return tokens;
}

Status LineReader::addCompletion(const Json &object) {
  Result<std::vector<int32_t>> tokens = getPrefix(tokenizer);
  Result<std::vector<int32_t>> prompt = encode(object, "prompt");
  Result<std::vector<int32_t>> completion = encode(object, "completion");
  for (auto *part : {&tokens, &prompt, &completion})
    if (!*part)
      return part->takeError();
  if (completion->empty())
    return fail("expects a completion, got an empty text");
  tokens->insert(tokens->end(), prompt->begin(), prompt->end());
  if (tokens->empty())
    return fail("expects a prompt, got an empty text");
  if (tokenizer.roles().eos.id >= 0)
    completion->push_back(tokenizer.roles().eos.id);
  Example example;
  example.line = number;
  example.mask.assign(tokens->size(), 0);
  example.mask.resize(tokens->size() + completion->size(), 1);
  tokens->insert(tokens->end(), completion->begin(), completion->end());
  example.tokens = std::move(*tokens);
  return sink.addExample(std::move(example));
}

Status LineReader::addText(const Json &object) {
  Result<std::vector<int32_t>> tokens = getPrefix(tokenizer);
  Result<std::vector<int32_t>> ids = encode(object, "text");
  for (auto *part : {&tokens, &ids})
    if (!*part)
      return part->takeError();
  if (ids->empty())
    return fail("expects a text, got an empty one");
  tokens->insert(tokens->end(), ids->begin(), ids->end());
  if (tokenizer.roles().eos.id >= 0)
    tokens->push_back(tokenizer.roles().eos.id);
  if (tokens->size() < 2)
    return fail("expects a text of at least two tokens");
  sink.addDocument(*tokens, number);
  return {};
}

//===----------------------------------------------------------------------===//
// Lines
//===----------------------------------------------------------------------===//

/// What a parser says of a broken line, without its name and place.
static std::string describe(const nlohmann::json::parse_error &error) {
  std::string message = error.what();
  size_t syntax = message.find("syntax error");
  return "expects a JSON object; column " + std::to_string(error.byte) + ": " +
         (syntax == message.npos ? message : message.substr(syntax));
}

Status LineReader::readLine(const std::string &line) {
  Json object;
  try {
    object = Json::parse(line);
  } catch (const nlohmann::json::parse_error &error) {
    return fail(describe(error));
  }
  if (!object.is_object())
    return fail("expects a JSON object");
  if (object.contains("messages"))
    return addChat(object["messages"]);
  if (object.contains("prompt") && object.contains("completion"))
    return addCompletion(object);
  if (object.contains("text"))
    return addText(object);
  return fail("expects an object with 'messages', with 'prompt' and "
              "'completion', or with 'text'");
}

Status LineReader::readFile() {
  Result<std::string> whole = text::readFile(sink.file, false);
  if (!whole)
    return whole.takeError();
  for (size_t begin = 0; begin < whole->size();) {
    size_t end = std::min(whole->find('\n', begin), whole->size());
    std::string line = whole->substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos)
      continue;
    if (Status problem = readLine(line))
      return problem;
  }
  return {};
}

Status readJsonLines(const text::Tokenizer &tokenizer, Sink &sink) {
  return LineReader(tokenizer, sink).readFile();
}

} // namespace ds::data
