//===- TokenizeCommand.cpp - The command `dsrun tokenize` -----------------===//

#include "runtime/text/TokenizeCommand.h"

#include "runtime/text/ReadFile.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/Utf8.h"

#include <cstdio>
#include <iomanip>
#include <optional>
#include <ostream>

namespace ds::text {

const char *tokenizeHelp() {
  return "Usage: dsrun tokenize DIR (--text TEXT | --file FILE | --decode "
         "IDS)\n"
         "\n"
         "Prints the token ids and pieces of a text, by the tokenizer.json in\n"
         "DIR, or the text of token ids.\n"
         "\n"
         "Options:\n"
         "  --text TEXT    tokenize TEXT\n"
         "  --file FILE    tokenize the content of FILE\n"
         "  --decode IDS   print the text of IDS, such as \"1 2 3\" or "
         "\"[1, 2]\"\n"
         "  --ids          print the ids alone, on one line\n"
         "  --special      add the special tokens that begin and end a text\n"
         "  --skip-special leave special tokens out of a decoded text\n"
         "  --help         print this\n";
}

namespace {
/// What the command line asks for.
struct Options {
  std::string folder;
  std::optional<std::string> text, file, decode;
  bool idsOnly = false, addSpecial = false, skipSpecial = false, help = false;
};
} // namespace

/// Reads the word at `at`, and the one after it where it takes a value.
static Status parseWord(const std::vector<std::string> &words, size_t &at,
                        Options &options) {
  static const std::pair<const char *, std::optional<std::string> Options::*>
      values[] = {{"--text", &Options::text},
                  {"--file", &Options::file},
                  {"--decode", &Options::decode}};
  static const std::pair<const char *, bool Options::*> flags[] = {
      {"--ids", &Options::idsOnly},
      {"--special", &Options::addSpecial},
      {"--skip-special", &Options::skipSpecial},
      {"--help", &Options::help}};
  const std::string &word = words[at];
  for (const auto &[name, flag] : flags)
    if (word == name) {
      options.*flag = true;
      return {};
    }
  for (const auto &[name, value] : values) {
    std::string prefix = std::string(name) + "=";
    if (word.compare(0, prefix.size(), prefix) == 0) {
      options.*value = word.substr(prefix.size());
      return {};
    }
    if (word != name)
      continue;
    if (++at == words.size())
      return Error{"expects a value after " + word};
    options.*value = words[at];
    return {};
  }
  if (word.compare(0, 1, "-") == 0)
    return Error{"unknown option " + word + "; see dsrun tokenize --help"};
  if (!options.folder.empty())
    return Error{"expects one folder, not also " + word};
  options.folder = word;
  return {};
}

static Result<Options> parseOptions(const std::vector<std::string> &words) {
  Options options;
  for (size_t at = 0; at < words.size(); ++at)
    if (Status problem = parseWord(words, at, options))
      return *problem;
  if (options.help)
    return options;
  if (options.folder.empty())
    return Error{"expects a folder with a tokenizer.json"};
  if (options.text.has_value() + options.file.has_value() +
          options.decode.has_value() !=
      1)
    return Error{"expects one of --text, --file and --decode"};
  return options;
}

/// Reads numbers with anything but digits and signs between them.
static Result<std::vector<int32_t>> parseIds(const std::string &text,
                                             int32_t size) {
  std::vector<int32_t> ids;
  size_t at = 0;
  while ((at = text.find_first_not_of(" \t\n,[]", at)) != text.npos) {
    size_t end = std::min(text.find_first_of(" \t\n,[]", at), text.size());
    std::string word = text.substr(at, end - at);
    bool isNumber = word.find_first_not_of("0123456789") == word.npos;
    if (!isNumber || word.size() > 9 || std::stol(word) >= size)
      return Error{"expects ids (" + word + ") between 0 and " +
                   std::to_string(size - 1)};
    ids.push_back(static_cast<int32_t>(std::stol(word)));
    at = end;
  }
  return ids;
}

/// Writes bytes with quotes; what cannot be printed is escaped.
static std::string quote(std::string_view bytes) {
  std::string out = "\"";
  for (size_t at = 0; at < bytes.size();) {
    CodePoint point = readCodePoint(bytes.substr(at));
    bool isPlain = point.kind == CodePoint::Valid && point.value >= 0x20 &&
                   (point.value < 0x7F || point.value >= 0xA0);
    for (size_t i = at; i < at + point.length; ++i) {
      char c = bytes[i], code[8];
      if (c == '\n')
        out += "\\n";
      else if (c == '"' || c == '\\')
        out += {'\\', c};
      else if (isPlain)
        out += c;
      else {
        std::snprintf(code, sizeof(code), "\\x%02x", static_cast<uint8_t>(c));
        out += code;
      }
    }
    at += point.length;
  }
  return out + "\"";
}

static void printTokens(const Tokenizer &tokenizer, const Options &options,
                        const std::vector<int32_t> &ids, std::ostream &out) {
  if (options.idsOnly) {
    for (size_t i = 0; i < ids.size(); ++i)
      out << (i ? " " : "") << ids[i];
    out << '\n';
    return;
  }
  for (int32_t id : ids)
    out << std::setw(8) << id << "  " << quote(tokenizer.bytes(id)) << '\n';
}

static Status run(const Options &options, std::ostream &out) {
  Result<Tokenizer> tokenizer = Tokenizer::load(options.folder);
  if (!tokenizer)
    return tokenizer.takeError();
  if (options.decode) {
    Result<std::vector<int32_t>> ids =
        parseIds(*options.decode, tokenizer->size());
    if (!ids)
      return ids.takeError();
    out << tokenizer->decode(*ids, options.skipSpecial) << '\n';
    return {};
  }
  Result<std::string> text =
      options.file ? readFile(*options.file, false) : Result(*options.text);
  if (!text)
    return text.takeError();
  Result<std::vector<int32_t>> ids =
      tokenizer->encode(*text, options.addSpecial);
  if (!ids)
    return ids.takeError();
  printTokens(*tokenizer, options, *ids, out);
  return {};
}

int tokenizeMain(const std::vector<std::string> &arguments, std::ostream &out,
                 std::ostream &err) {
  Result<Options> options = parseOptions(arguments);
  if (options && options->help) {
    out << tokenizeHelp();
    return 0;
  }
  Status problem = options ? run(*options, out) : options.takeError();
  if (!problem)
    return 0;
  err << "dsrun: error: " << problem->message << '\n';
  return 1;
}

} // namespace ds::text
