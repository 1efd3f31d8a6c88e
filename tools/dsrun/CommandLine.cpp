//===- CommandLine.cpp - Options of a command -----------------------------===//
#include "tools/dsrun/CommandLine.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <iostream>

using namespace ds::tool;

static constexpr size_t helpColumn = 26;

bool ds::tool::parseInteger(const std::string &text, int64_t &value) {
  char *end = nullptr;
  errno = 0;
  value = strtoll(text.c_str(), &end, 10);
  return !text.empty() && *end == '\0' && errno == 0;
}

/// Returns the edits (insert, delete, replace) from `a` to `b`.
static size_t editDistance(const std::string &a, const std::string &b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string ds::tool::nearestWord(const std::string &word,
                                  const std::vector<std::string> &candidates) {
  std::string best;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string &candidate : candidates) {
    size_t distance = editDistance(word, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

void CommandLine::group(std::string title) {
  groups.push_back(std::move(title));
}

void CommandLine::positional(std::string &target, std::string name,
                             std::string help) {
  positionals.push_back({&target, std::move(name), std::move(help)});
}

void CommandLine::add(std::string name, std::string value, std::string help,
                      std::function<Status(const std::string &)> set) {
  options.push_back({std::move(name), std::move(value), std::move(help),
                     groups.back(), std::move(set)});
}

void CommandLine::flag(bool &target, std::string name, std::string help) {
  add(std::move(name), "", std::move(help), [&target](const std::string &) {
    target = true;
    return Status();
  });
}

void CommandLine::option(std::string &target, std::string name,
                         std::string value, std::string help) {
  add(std::move(name), std::move(value), std::move(help),
      [&target](const std::string &text) {
        target = text;
        return Status();
      });
}

void CommandLine::option(int64_t &target, std::string name, std::string value,
                         std::string help, int64_t minimum) {
  add(name, std::move(value), std::move(help),
      [&target, name, minimum](const std::string &text) -> Status {
        if (parseInteger(text, target) && target >= minimum)
          return std::nullopt;
        return failure("expects --", name, " (", text,
                       ") to be a whole number of at least ", minimum);
      });
}

void CommandLine::option(uint64_t &target, std::string name, std::string value,
                         std::string help) {
  add(name, std::move(value), std::move(help),
      [&target, name](const std::string &text) -> Status {
        char *end = nullptr;
        errno = 0;
        target = strtoull(text.c_str(), &end, 10);
        if (!text.empty() && text[0] != '-' && *end == '\0' && errno == 0)
          return std::nullopt;
        return failure("expects --", name, " (", text,
                       ") to be a whole number of at least 0");
      });
}

void CommandLine::option(float &target, std::string name, std::string value,
                         std::string help) {
  add(name, std::move(value), std::move(help),
      [&target, name](const std::string &text) -> Status {
        char *end = nullptr;
        target = strtof(text.c_str(), &end);
        if (!text.empty() && *end == '\0' && std::isfinite(target))
          return std::nullopt;
        return failure("expects --", name, " (", text, ") to be a number");
      });
}

CommandLine::Option *CommandLine::find(const std::string &name) {
  for (Option &option : options)
    if (option.name == name)
      return &option;
  return nullptr;
}

bool CommandLine::given(const std::string &name) const {
  for (const Option &option : options)
    if (option.name == name)
      return option.seen;
  return false;
}

Error CommandLine::unknownOption(const std::string &name) const {
  std::vector<std::string> names;
  for (const Option &option : options)
    names.push_back(option.name);
  std::string near = nearestWord(name, names);
  return failure("unknown option '--", name, "'",
                 near.empty() ? "" : "; did you mean '--" + near + "'?",
                 near.empty() ? "; see " + command + " --help" : "");
}

Status CommandLine::parseOption(const std::vector<std::string> &words,
                                size_t &at) {
  std::string name = words[at].substr(2);
  size_t equals = name.find('=');
  bool hasValue = equals != std::string::npos;
  std::string value = hasValue ? name.substr(equals + 1) : "";
  name = name.substr(0, equals);
  Option *option = find(name);
  if (!option)
    return unknownOption(name);
  bool isFlag = option->value.empty();
  if (isFlag && hasValue)
    return failure("expects --", name, " to have no value");
  if (!isFlag && !hasValue) {
    if (at + 1 == words.size())
      return failure("expects --", name, "=", option->value);
    value = words[++at];
  }
  option->seen = true;
  return option->set(value);
}

Result<bool> CommandLine::parse(const std::vector<std::string> &words) {
  size_t taken = 0;
  for (size_t at = 0; at < words.size(); ++at) {
    const std::string &word = words[at];
    if (word == "--help" || word == "-h") {
      std::cout << help();
      return false;
    }
    if (word.size() > 2 && word.compare(0, 2, "--") == 0) {
      if (Status error = parseOption(words, at))
        return *error;
      continue;
    }
    if (word.size() > 1 && word[0] == '-')
      return failure("unknown option '", word, "'; see ", command, " --help");
    if (taken == positionals.size())
      return failure("unexpected word '", word, "'; see ", command, " --help");
    *positionals[taken++].target = word;
  }
  if (taken < positionals.size())
    return failure("expects ", positionals[taken].name, ": ",
                   positionals[taken].help, "; see ", command, " --help");
  return true;
}

/// Appends a line with `help` in its column; a new line in `help` goes on
/// there.
static void addHelpLine(std::string &text, const std::string &left,
                        const std::string &help) {
  std::string line = "  " + left;
  line.resize(std::max(line.size() + 2, helpColumn), ' ');
  if (line.size() > helpColumn)
    line += "\n" + std::string(helpColumn, ' ');
  for (char c : help)
    line += c == '\n' ? "\n" + std::string(helpColumn, ' ') : std::string(1, c);
  text += line + "\n";
}

std::string CommandLine::help() const {
  std::string text =
      "Usage: " + command + " " + usage + "\n\n" + summary + "\n";
  if (!positionals.empty()) {
    text += "\nArguments:\n";
    for (const Positional &positional : positionals)
      addHelpLine(text, positional.name, positional.help);
  }
  for (const std::string &group : groups) {
    bool any = false;
    for (const Option &option : options) {
      if (option.group != group)
        continue;
      if (!any)
        text += "\n" + group + ":\n";
      any = true;
      std::string value = option.value.empty() ? "" : "=" + option.value;
      addHelpLine(text, "--" + option.name + value, option.help);
    }
  }
  return text;
}
