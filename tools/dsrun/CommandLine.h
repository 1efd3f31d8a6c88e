//===- CommandLine.h - Options of a command -------------------------------===//
#ifndef DS_TOOLS_DSRUN_COMMANDLINE_H
#define DS_TOOLS_DSRUN_COMMANDLINE_H

#include "runtime/Result.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ds::tool {

using runtime::Error;
using runtime::failure;
using runtime::join;
using runtime::Result;
using runtime::Status;

/// The options of one command, in groups: parses words and prints help.
class CommandLine {
public:
  /// `usage` follows the command's name, such as "ARTIFACT --weights=DIR".
  CommandLine(std::string command, std::string usage, std::string summary)
      : command(std::move(command)), usage(std::move(usage)),
        summary(std::move(summary)) {}

  /// Begins a group of options in the help text.
  void group(std::string title);

  /// Takes a word that is not an option; all of them are required.
  void positional(std::string &target, std::string name, std::string help);

  /// Declares `--name`, `--name=VALUE` or `--name VALUE`. `value` names the
  /// value in the help text.
  void flag(bool &target, std::string name, std::string help);
  void option(std::string &target, std::string name, std::string value,
              std::string help);
  void option(int64_t &target, std::string name, std::string value,
              std::string help, int64_t minimum = 1);
  void option(uint64_t &target, std::string name, std::string value,
              std::string help);
  void option(float &target, std::string name, std::string value,
              std::string help);

  /// Parses `words`. Returns false if help was asked for and printed.
  Result<bool> parse(const std::vector<std::string> &words);

  /// Tells whether the option `name` was given.
  bool given(const std::string &name) const;

  /// Returns the help text.
  std::string help() const;

private:
  struct Option {
    std::string name, value, help, group;
    std::function<Status(const std::string &)> set;
    bool seen = false;
  };
  struct Positional {
    std::string *target;
    std::string name, help;
  };

  void add(std::string name, std::string value, std::string help,
           std::function<Status(const std::string &)> set);
  Option *find(const std::string &name);
  Status parseOption(const std::vector<std::string> &words, size_t &at);
  Error unknownOption(const std::string &name) const;

  std::string command, usage, summary;
  std::vector<std::string> groups{"Options"};
  std::vector<Option> options;
  std::vector<Positional> positionals;
};

/// Returns the word of `candidates` that `word` may have been meant for, or an
/// empty string.
std::string nearestWord(const std::string &word,
                        const std::vector<std::string> &candidates);

/// Parses a whole number; the whole of `text` has to be one.
bool parseInteger(const std::string &text, int64_t &value);

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_COMMANDLINE_H
