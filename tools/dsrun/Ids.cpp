//===- Ids.cpp - Token ids from files and words ---------------------------===//
#include "tools/dsrun/Ids.h"
#include "runtime/File.h"

#include <nlohmann/json.hpp>

using namespace ds::tool;
using Json = nlohmann::ordered_json;

/// Reads token ids; returns whether `list` is an array of such.
static bool readIds(const Json &list, std::vector<int32_t> &ids) {
  bool whole = list.is_array();
  for (const Json &id : whole ? list : Json::array()) {
    whole &= id.is_number_integer() && id.get<int64_t>() >= 0 &&
             id.get<int64_t>() <= INT32_MAX;
    ids.push_back(whole ? id.get<int32_t>() : 0);
  }
  return whole && !ids.empty();
}

/// Reads a 0 or 1 for each token.
static bool readFlags(const Json &list, size_t count,
                      std::vector<uint8_t> &flags) {
  std::vector<int32_t> numbers;
  if (!readIds(list, numbers) || numbers.size() != count)
    return false;
  for (int32_t number : numbers) {
    if (number > 1)
      return false;
    flags.push_back(static_cast<uint8_t>(number));
  }
  return true;
}

/// Reads `object`, {"ids", "mask", "generated"}, and says what is wrong with it.
static Status readSequence(const Json &object, Prompt &prompt,
                           const std::string &path) {
  for (const auto &[key, value] : object.items()) {
    if (key != "ids" && key != "mask" && key != "generated")
      return failure("'", path, "': sequence '", prompt.name,
                              "' has a key '", key,
                              "', expects ids, mask and generated");
  }
  if (!object.contains("ids") || !readIds(object["ids"], prompt.ids))
    return failure("expects ids of sequence '", prompt.name,
                            "' of '", path, "' to be a list of token ids");
  for (auto [key, flags] : {std::pair("mask", &prompt.mask),
                            std::pair("generated", &prompt.generated)})
    if (object.contains(key) &&
        !readFlags(object[key], prompt.ids.size(), *flags))
      return failure("expects ", key, " of sequence '", prompt.name, "' of '",
                     path, "' to be ", prompt.ids.size(),
                     " numbers 0 or 1, one for each token");
  return std::nullopt;
}

static Result<std::vector<Prompt>> readObject(const std::string &path,
                                              bool sequences) {
  Result<std::string> text = ds::runtime::readWholeFile(path);
  if (!text)
    return text.takeError();
  Json json = Json::parse(*text, nullptr, false);
  if (json.is_discarded() || !json.is_object() || json.empty())
    return failure("expects '", path,
                   "' to be a JSON object {\"name\": [token ids]}");
  std::vector<Prompt> prompts;
  for (const auto &[name, list] : json.items()) {
    Prompt prompt{name, {}, {}, {}};
    if (sequences && list.is_object()) {
      if (Status error = readSequence(list, prompt, path))
        return *error;
    } else if (!readIds(list, prompt.ids))
      return failure("expects prompt '", name, "' of '", path,
                     "' to be a list of token ids");
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

Result<std::vector<Prompt>> ds::tool::readPrompts(const std::string &path) {
  return readObject(path, /*sequences=*/false);
}

Result<std::vector<Prompt>> ds::tool::readSequences(const std::string &path) {
  return readObject(path, /*sequences=*/true);
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
