//===- Chat.cpp - dsrun chat ----------------------------------------------===//
//
// A conversation by the chat template of the model. The whole conversation is
// rendered at every turn; what the sequence already holds of it is kept.
//
//===----------------------------------------------------------------------===//
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Generation.h"
#include "tools/dsrun/Terminal.h"

#include "runtime/text/ChatTemplate.h"

#include <algorithm>
#include <iostream>
#include <unistd.h>

using namespace ds::tool;
using namespace ds::runtime;
namespace text = ds::text;

namespace {
struct ChatOptions {
  SessionOptions session;
  GenerationOptions generation;
  std::string system, tokenizer;
  bool verbose = false;
};

/// A conversation and the sequence that holds it.
class Chat {
public:
  Chat(const ChatOptions &options, Session &session,
       const text::Tokenizer &tokenizer, const text::ChatTemplate &form)
      : options(options), session(session), tokenizer(tokenizer), form(form),
        sequence(session.state()) {
    clear();
  }

  /// Forgets all turns.
  void clear() {
    messages.clear();
    if (!options.system.empty())
      messages.push_back({"system", options.system});
  }

  /// Answers `message` on standard output.
  Status answer(const std::string &message);

private:
  Result<std::vector<int32_t>> render() const;

  const ChatOptions &options;
  Session &session;
  const text::Tokenizer &tokenizer;
  const text::ChatTemplate &form;
  Sequence sequence;
  std::vector<int32_t> held; // Tokens of `sequence`.
  std::vector<text::ChatMessage> messages;
};
} // namespace

Result<std::vector<int32_t>> Chat::render() const {
  Result<std::string> rendered = form.render(messages, tokenizer);
  if (!rendered)
    return rendered.takeError();
  return tokenizer.encode(*rendered);
}

Status Chat::answer(const std::string &message) {
  messages.push_back({"user", message});
  Result<std::vector<int32_t>> ids = render();
  if (!ids)
    return ids.takeError();
  int64_t length = static_cast<int64_t>(ids->size());
  if (Status error = session.checkLength("the conversation", length))
    return error;
  // The last token is run in any case: its logits are wanted.
  size_t most = std::min(held.size(), ids->size() - 1);
  auto differs = std::mismatch(held.begin(), held.begin() + most, ids->begin());
  int64_t kept = differs.first - held.begin();
  sequence.truncate(kept);
  held = *ids;
  text::StreamDecoder decoder(tokenizer);
  std::string reply;
  auto emit = [&](int32_t id) {
    held.push_back(id);
    std::string piece = decoder.push(id);
    reply += piece;
    std::cout << piece << std::flush;
  };
  Result<GenerationResult> result = continueSequence(
      session, sequence, std::vector<int32_t>(ids->begin() + kept, ids->end()),
      options.generation, emit);
  if (!result)
    return result.takeError();
  held.resize(sequence.length());
  std::string rest = decoder.finish();
  std::cout << rest << std::endl;
  messages.push_back({"assistant", reply + rest});
  if (options.verbose)
    std::cerr << result->summary();
  return std::nullopt;
}

/// Reads messages and answers them until the end of the input.
static int converse(Chat &chat) {
  bool terminal = isatty(STDIN_FILENO);
  if (terminal)
    std::cerr << "/clear forgets the conversation, /exit or Ctrl-D ends it\n";
  std::string line;
  while (true) {
    if (terminal)
      std::cerr << "> " << std::flush;
    if (!std::getline(std::cin, line) || interrupted() || line == "/exit")
      break;
    if (line.empty())
      continue;
    if (line == "/clear") {
      chat.clear();
      continue;
    }
    if (Status error = chat.answer(line))
      return reportError(error->message);
    if (interrupted())
      break;
  }
  return interrupted() ? exitInterrupted : exitDone;
}

static int run(ChatOptions &options) {
  const std::string &folder =
      options.tokenizer.empty() ? options.session.weights : options.tokenizer;
  Result<text::Tokenizer> tokenizer = text::Tokenizer::load(folder);
  if (!tokenizer)
    return reportError(tokenizer.error());
  if (tokenizer->chatTemplate().empty())
    return reportError("the tokenizer of '" + folder +
                       "' has no chat template; use dsrun generate");
  Result<text::ChatTemplate> form =
      text::ChatTemplate::parse(tokenizer->chatTemplate());
  if (!form)
    return reportError(form.error());
  if (tokenizer->roles().eos.id >= 0)
    options.generation.endTokens.push_back(tokenizer->roles().eos.id);
  auto session = Session::open(options.session, 1);
  if (!session)
    return reportError(session.error());
  if (Status error = (*session)->makeState((*session)->config().positions))
    return reportError(error->message);
  Chat chat(options, **session, *tokenizer, *form);
  return converse(chat);
}

int ds::tool::runChat(const Words &words) {
  ChatOptions options;
  CommandLine line("dsrun chat", "ARTIFACT --weights=DIR [options]",
                   "Answers messages, one a line, by the model's chat "
                   "template.");
  line.group("Conversation");
  line.option(options.system, "system", "TEXT", "message of the system");
  line.option(options.tokenizer, "tokenizer", "DIR",
              "folder with tokenizer.json; default: that of the weights");
  options.generation.maxTokens = 1024;
  options.generation.declare(line);
  line.group("Output");
  line.flag(options.verbose, "verbose",
            "print times and tokens per second to standard error");
  options.session.declare(line);
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  if (options.session.weights.empty())
    return reportError("expects --weights=DIR, the folder of the model");
  return run(options);
}
