//===- Ids.cpp - Token ids from files and words ---------------------------===//
#include "tools/dsrun/Ids.h"
#include "runtime/File.h"

#include <nlohmann/json.hpp>

using namespace ds::tool;
using Json = nlohmann::ordered_json;

Result<std::vector<Prompt>> ds::tool::readPrompts(const std::string &path) {
  Result<std::string> text = runtime::readWholeFile(path);
  if (!text)
    return text.takeError();
  Json json = Json::parse(*text, nullptr, false);
  if (json.is_discarded() || !json.is_object() || json.empty())
    return failure("expects '", path,
                   "' to be a JSON object {\"name\": [token ids]}");
  std::vector<Prompt> prompts;
  for (const auto &[name, list] : json.items()) {
    Prompt prompt{name, {}};
    bool whole = list.is_array();
    for (const Json &id : whole ? list : Json::array()) {
      whole &= id.is_number_integer() && id.get<int64_t>() >= 0 &&
               id.get<int64_t>() <= INT32_MAX;
      prompt.ids.push_back(whole ? id.get<int32_t>() : 0);
    }
    if (!whole || prompt.ids.empty())
      return failure("expects prompt '", name, "' of '", path,
                     "' to be a list of token ids");
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

Result<std::vector<int32_t>> ds::tool::parseIds(const std::string &text) {
  std::vector<int32_t> ids;
  size_t at = 0;
  while ((at = text.find_first_not_of(", ", at)) != std::string::npos) {
    size_t end = std::min(text.find_first_of(", ", at), text.size());
    std::string word = text.substr(at, end - at);
    int64_t id;
    if (!parseInteger(word, id) || id < 0 || id > INT32_MAX)
      return failure("expects token ids such as 1,2,3, found '", word, "'");
    ids.push_back(static_cast<int32_t>(id));
    at = end;
  }
  if (ids.empty())
    return failure("expects at least one token id");
  return ids;
}
