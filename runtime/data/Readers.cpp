//===- Readers.cpp - Text files -------------------------------------------===//

#include "runtime/data/Readers.h"

#include "runtime/text/ReadFile.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace ds::data {

//===----------------------------------------------------------------------===//
// Where examples go
//===----------------------------------------------------------------------===//

Error Sink::fail(int64_t line, const std::string &message) const {
  return Error{file + ":" + std::to_string(line) + ": " + message};
}

void Sink::addDocument(const std::vector<int32_t> &tokens, int64_t line) {
  int64_t rows = options.contextLength;
  if (options.cutLength)
    rows = std::min(rows, options.cutLength);
  size_t most = static_cast<size_t>(rows) + 1;
  for (size_t begin = 0; begin + 1 < tokens.size(); begin += most - 1) {
    size_t end = std::min(begin + most, tokens.size());
    Example part;
    part.tokens.assign(tokens.begin() + begin, tokens.begin() + end);
    part.mask.assign(end - begin, 1);
    part.mask[0] = 0;
    part.file = index;
    part.line = line;
    examples.push_back(std::move(part));
  }
}

Status Sink::addExample(Example example) {
  example.file = index;
  if (options.allTargets)
    std::fill(example.mask.begin() + 1, example.mask.end(), 1);
  if (example.rows() > options.contextLength) {
    ++skipped;
    if (options.skipLong)
      return {};
    return fail(example.line,
                "the example has " + std::to_string(example.tokens.size()) +
                    " tokens, which is longer than the context of " +
                    std::to_string(options.contextLength) +
                    "; --skip-long leaves such examples out");
  }
  examples.push_back(std::move(example));
  return {};
}

Result<std::vector<int32_t>> getPrefix(const text::Tokenizer &tokenizer) {
  Result<std::vector<int32_t>> around = tokenizer.encode("", true);
  if (!around)
    return around.takeError();
  int32_t bos = tokenizer.roles().bos.id;
  bool begins = bos >= 0 && !around->empty() && around->front() == bos;
  return begins ? std::vector<int32_t>{bos} : std::vector<int32_t>();
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

/// Adds the document `text`, which begins at `line`: its tokens between those
/// that begin and end a text.
static Status addText(const text::Tokenizer &tokenizer, std::string_view text,
                      int64_t line, Sink &sink) {
  Result<std::vector<int32_t>> tokens = getPrefix(tokenizer);
  if (!tokens)
    return tokens.takeError();
  Result<std::vector<int32_t>> ids = tokenizer.encode(text);
  if (!ids)
    return sink.fail(line, ids.error());
  tokens->insert(tokens->end(), ids->begin(), ids->end());
  if (tokenizer.roles().eos.id >= 0)
    tokens->push_back(tokenizer.roles().eos.id);
  sink.addDocument(*tokens, line);
  return {};
}

static int64_t countLines(std::string_view text) {
  return std::count(text.begin(), text.end(), '\n');
}

Status readText(const text::Tokenizer &tokenizer, Sink &sink) {
  Result<std::string> whole = text::readFile(sink.file, false);
  if (!whole)
    return whole.takeError();
  size_t invalid = text::findInvalidUtf8(*whole);
  if (invalid != std::string::npos)
    return sink.fail(1 + countLines(whole->substr(0, invalid)),
                     "expects the text to be UTF-8");
  size_t before = sink.examples.size();
  const std::string &mark = tokenizer.roles().eos.content;
  std::string_view rest = *whole;
  int64_t line = 1;
  while (!rest.empty()) {
    size_t end = mark.empty() ? rest.npos : rest.find(mark);
    std::string_view document = rest.substr(0, end);
    // The line break after the mark belongs to neither document.
    size_t text = document.find_first_not_of("\r\n");
    if (text != document.npos) {
      line += countLines(document.substr(0, text));
      document.remove_prefix(text);
      if (Status problem = addText(tokenizer, document, line, sink))
        return problem;
    }
    line += countLines(document);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + mark.size());
  }
  if (sink.examples.size() == before)
    return sink.fail(1, "expects text of at least one token");
  return {};
}

} // namespace ds::data
