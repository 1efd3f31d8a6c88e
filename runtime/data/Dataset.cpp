//===- Dataset.cpp - Examples that a model is trained on ------------------===//

#include "runtime/data/Dataset.h"

#include "runtime/data/Readers.h"

#include <algorithm>
#include <numeric>

namespace ds::data {

int64_t Example::targets() const {
  return std::accumulate(mask.begin(), mask.end(), int64_t(0));
}

static bool endsWith(const std::string &text, const std::string &end) {
  return text.size() >= end.size() &&
         text.compare(text.size() - end.size(), end.size(), end) == 0;
}

Result<Dataset> Dataset::load(const std::vector<std::string> &files,
                              const text::Tokenizer &tokenizer,
                              const DatasetOptions &options) {
  if (files.empty())
    return Error{"expects at least one file of data"};
  if (options.contextLength < 1)
    return Error{"expects a context of at least one token"};
  Dataset data;
  for (const std::string &file : files) {
    Sink sink{options, file, static_cast<uint32_t>(data.names.size()),
              data.examples, data.leftOut};
    data.names.push_back(file);
    bool isJson = endsWith(file, ".jsonl") || endsWith(file, ".json");
    Status problem =
        isJson ? readJsonLines(tokenizer, sink) : readText(tokenizer, sink);
    if (problem)
      return *problem;
  }
  if (data.examples.empty())
    return Error{files[0] + ": expects at least one example" +
                 (data.leftOut
                      ? " that fits the context of " +
                            std::to_string(options.contextLength) + " tokens"
                      : "")};
  data.finish();
  return data;
}

std::string Dataset::place(const Example &example) const {
  return names[example.file] + ":" + std::to_string(example.line);
}

/// Sums and FNV-1a 64 over tokens, masks and where examples end.
void Dataset::finish() {
  hash = 0xcbf29ce484222325u;
  auto add = [&](uint32_t value) {
    for (int byte = 0; byte < 4; ++byte) {
      hash ^= value >> 8 * byte & 0xFF;
      hash *= 0x100000001b3u;
    }
  };
  for (const Example &example : examples) {
    allRows += example.rows();
    withTarget += example.targets();
    mostRows = std::max(mostRows, example.rows());
    add(static_cast<uint32_t>(example.tokens.size()));
    for (size_t i = 0; i < example.tokens.size(); ++i)
      add(static_cast<uint32_t>(example.tokens[i]) << 1 | example.mask[i]);
  }
}

} // namespace ds::data
