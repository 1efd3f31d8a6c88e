//===- Generate.cpp - dsrun generate --------------------------------------===//
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Generation.h"
#include "tools/dsrun/Ids.h"
#include "tools/dsrun/Terminal.h"

#include "runtime/File.h"

#include <iostream>

using namespace ds::tool;
using namespace ds::runtime;
namespace text = ds::text;

namespace {
struct GenerateOptions {
  SessionOptions session;
  GenerationOptions generation;
  std::string prompt, file, ids, tokenizer;
  int64_t guesses = 1;
  bool echo = false, verbose = false, noSpecial = false, speculate = false;
};
} // namespace

static void declare(GenerateOptions &options, CommandLine &line) {
  line.group("Prompt");
  line.option(options.prompt, "prompt", "TEXT", "text to go on from");
  line.option(options.file, "file", "FILE", "the same, from a file");
  line.option(options.ids, "ids", "LIST",
              "token ids to go on from, such as 1,2,3; prints ids");
  line.flag(options.noSpecial, "no-special",
            "do not put the special tokens around the prompt that the\n"
            "tokenizer's configuration asks for");
  line.option(options.tokenizer, "tokenizer", "DIR",
              "folder with tokenizer.json; default: that of the weights");
  options.generation.declare(line);
  line.flag(options.speculate, "speculate",
            "guess tokens with the draft head and verify them in one step:\n"
            "the same distribution in less time, at temperature 0 the same\n"
            "text");
  line.option(options.guesses, "guesses", "N",
              "guesses for a step of --speculate (1)");
  line.group("Output");
  line.flag(options.echo, "echo", "print the prompt, too");
  line.flag(options.verbose, "verbose",
            "print times, tokens per second and with --speculate the\n"
            "share of guesses that were accepted to standard error");
  options.session.declare(line);
}

/// Returns the text of the prompt.
static Result<std::string> promptText(const GenerateOptions &options) {
  return options.file.empty() ? Result<std::string>(options.prompt)
                              : readWholeFile(options.file);
}

/// Runs with text in and out.
static int generateText(GenerateOptions &options) {
  Result<std::string> prompt = promptText(options);
  if (!prompt)
    return reportError(prompt.error());
  Result<text::Tokenizer> tokenizer = text::Tokenizer::load(
      options.tokenizer.empty() ? options.session.weights : options.tokenizer);
  if (!tokenizer)
    return reportError(tokenizer.error());
  Result<std::vector<int32_t>> ids =
      tokenizer->encode(*prompt, !options.noSpecial);
  if (!ids)
    return reportError(ids.error());
  auto session = Session::open(options.session, options.generation.guesses + 1);
  if (!session)
    return reportError(session.error());
  if (options.echo)
    std::cout << *prompt << std::flush;
  text::StreamDecoder decoder(*tokenizer);
  Result<GenerationResult> result =
      generate(**session, *ids, options.generation, [&](int32_t id) {
        std::cout << decoder.push(id) << std::flush;
      });
  std::cout << decoder.finish();
  if (!result)
    return reportError(result.error());
  std::cout << std::endl;
  if (options.verbose)
    std::cerr << result->summary();
  return interrupted() ? exitInterrupted : exitDone;
}

/// Runs with token ids in and out.
static int generateIds(GenerateOptions &options) {
  Result<std::vector<int32_t>> ids = parseIds(options.ids);
  if (!ids)
    return reportError(ids.error());
  auto session = Session::open(options.session, options.generation.guesses + 1);
  if (!session)
    return reportError(session.error());
  bool first = true;
  auto print = [&](int32_t id) {
    std::cout << (first ? "" : ",") << id << std::flush;
    first = false;
  };
  if (options.echo)
    for (int32_t id : *ids)
      print(id);
  Result<GenerationResult> result =
      generate(**session, *ids, options.generation, print);
  if (!result)
    return reportError(result.error());
  std::cout << std::endl;
  if (options.verbose)
    std::cerr << result->summary();
  return interrupted() ? exitInterrupted : exitDone;
}

int ds::tool::runGenerate(const Words &words) {
  GenerateOptions options;
  CommandLine line("dsrun generate",
                   "ARTIFACT --weights=DIR --prompt=TEXT [options]",
                   "Goes on from a prompt and prints the text as it comes.");
  declare(options, line);
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  int sources = line.given("prompt") + line.given("file") + line.given("ids");
  if (sources != 1)
    return reportError("expects one of --prompt, --file and --ids");
  if (options.session.weights.empty())
    return reportError("expects --weights=DIR, the folder of the model");
  if (line.given("guesses") && !options.speculate)
    return reportError("--guesses: expects --speculate");
  if (options.speculate)
    options.generation.guesses = options.guesses;
  return options.ids.empty() ? generateText(options) : generateIds(options);
}
