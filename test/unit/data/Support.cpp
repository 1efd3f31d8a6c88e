//===- Support.cpp - Files and tokenizers for tests of data ---------------===//
#include "Support.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace ds::data;
using ds::text::Tokenizer;

TemporaryFile::TemporaryFile(const std::string &name,
                             const std::string &content) {
  std::string model =
      (std::filesystem::temp_directory_path() / "dscc-data-XXXXXX").string();
  folder = mkdtemp(model.data());
  file = folder + "/" + name;
  std::ofstream(file, std::ios::binary) << content;
}

TemporaryFile::~TemporaryFile() { std::filesystem::remove_all(folder); }

static nlohmann::ordered_json readJson(const std::string &name) {
  std::ifstream file(std::string(DS_GOLDEN) + "/tokenizer_small/" + name);
  return nlohmann::ordered_json::parse(file);
}

Tokenizer makeTokenizer(const std::vector<std::string> &special,
                        const std::string &chatTemplate) {
  nlohmann::ordered_json json = readJson("tokenizer.json");
  nlohmann::ordered_json config = readJson("tokenizer_config.json");
  int id = 400;
  for (const std::string &content : special) {
    nlohmann::ordered_json token = json["added_tokens"][0];
    token["content"] = content;
    token["id"] = id++;
    json["added_tokens"].push_back(token);
  }
  if (!chatTemplate.empty())
    config["chat_template"] = chatTemplate;
  auto tokenizer =
      Tokenizer::parse(json.dump(), "tokenizer.json", config.dump());
  if (!tokenizer) {
    std::fprintf(stderr, "%s\n", tokenizer.error().c_str());
    std::abort();
  }
  return *tokenizer;
}

Loaded::Loaded(const std::string &name, const std::string &content,
               DatasetOptions options, const Tokenizer &tokenizer) {
  TemporaryFile file(name, content);
  auto loaded = Dataset::load({file.path()}, tokenizer, options);
  if (loaded) {
    data = std::move(*loaded);
    return;
  }
  error = loaded.error();
  size_t at = error.find(file.path());
  if (at != error.npos)
    error.replace(at, file.path().size(), name);
}

std::string showTargets(const Example &example, const Tokenizer &tokenizer) {
  std::string text;
  for (size_t i = 1; i < example.tokens.size(); ++i) {
    if (!example.mask[i])
      continue;
    if (!example.mask[i - 1] && !text.empty())
      text += "|";
    text += tokenizer.bytes(example.tokens[i]);
  }
  return text;
}
