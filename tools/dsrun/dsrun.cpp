//===- dsrun.cpp - Runs compiled models -----------------------------------===//
#include "runtime/Version.h"
#include "runtime/text/TokenizeCommand.h"
#include "tools/dsrun/CommandLine.h"
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Terminal.h"

#include <iostream>

using namespace ds::tool;

namespace {
struct Command {
  const char *name, *help;
  int (*run)(const Words &words);
};
} // namespace

static int runTokenize(const Words &words) {
  return ds::text::tokenizeMain(words, std::cout, std::cerr);
}

static const Command commands[] = {
    {"generate", "go on from a prompt", runGenerate},
    {"chat", "talk to a model", runChat},
    {"eval", "perplexity of a text file", runEval},
    {"logits", "write the logits of token ids to a file", runLogits},
    {"quantise", "make a model folder with FP8 weights", runQuantise},
    {"train", "train a model, or go on with a run", runTrain},
    {"grad", "write the gradients of a training step to a file", runGrad},
    {"tokenize", "token ids of a text, and back", runTokenize},
    {"plot", "draw a curve of a training run", runPlot},
    {"bench", "measure prefill and decode", runBench},
    {"verify", "compare with a reference, operation by operation", runVerify},
    {"inspect", "print what an artifact holds", runInspect},
};

static void printHelp(std::ostream &out) {
  out << "Usage: dsrun COMMAND [options]\n\n"
         "Runs models that dscc compiled.\n\nCommands:\n";
  for (const Command &command : commands)
    out << "  " << command.name
        << std::string(12 - std::string(command.name).size(), ' ')
        << command.help << "\n";
  out << "\nOptions:\n"
         "  --help      print this, or the options of a command\n"
         "  --version   print the version\n\n"
         "Examples:\n"
         "  dsrun generate model.so --weights=model/ --prompt \"Once upon\"\n"
         "  dsrun bench model.so --weights=model/ --threads=2\n";
}

int main(int argc, char **argv) {
  catchInterrupts();
  Words words(argv + 1, argv + argc);
  if (words.empty()) {
    printHelp(std::cerr);
    return exitError;
  }
  const std::string &name = words[0];
  if (name == "--help" || name == "-h" || name == "help") {
    printHelp(std::cout);
    return exitDone;
  }
  if (name == "--version") {
    std::cout << "dsrun " << ds::runtime::versionText << "\n";
    return exitDone;
  }
  std::vector<std::string> names;
  for (const Command &command : commands) {
    names.push_back(command.name);
    if (name == command.name)
      return command.run(Words(words.begin() + 1, words.end()));
  }
  std::string near = nearestWord(name, names);
  return reportError(join("unknown command '", name, "'",
                          near.empty() ? "; see dsrun --help"
                                       : "; did you mean '" + near + "'?"));
}
