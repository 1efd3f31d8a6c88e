//===- Tokenizer.cpp - Text to ids and back -------------------------------===//

#include "runtime/text/Tokenizer.h"

#include "runtime/text/ReadFile.h"
#include "runtime/text/TokenizerImpl.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace ds::text {

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl)
    : impl(std::move(impl)) {}

namespace {
/// The ids of words that the text has shown before.
class WordCache {
public:
  explicit WordCache(size_t textSize) {
    if (textSize >= worthFrom)
      slots.resize(size);
  }

  /// Appends the ids of `word` to `ids`. `word` has to stay where it is.
  void encode(const Tokenizer::Impl &impl, std::string_view word,
              std::vector<int32_t> &ids) {
    if (slots.empty())
      return impl.bpe.encode(impl.vocabulary, word, ids);
    Slot &slot = slots[hashBytes(word, 0) % size];
    if (slot.word == word) {
      size_t before = ids.size();
      ids.resize(before + slot.count);
      std::copy_n(ids.begin() + slot.begin, slot.count, ids.begin() + before);
      return;
    }
    size_t begin = ids.size();
    impl.bpe.encode(impl.vocabulary, word, ids);
    slot = {word, begin, ids.size() - begin};
  }

private:
  static constexpr size_t size = 4096;
  /// Shorter texts are not worth the memory, in bytes.
  static constexpr size_t worthFrom = 2048;
  struct Slot {
    std::string_view word;
    /// Where its ids lie in the result.
    size_t begin = 0, count = 0;
  };
  std::vector<Slot> slots;
};

/// The encoding of one text.
class Encoding {
public:
  Encoding(const Tokenizer::Impl &impl, std::string_view text,
           std::vector<int32_t> &ids)
      : impl(impl), text(text), ids(ids), cache(text.size()) {}

  Status run();

private:
  Status encodeNormalized(std::string_view text);
  Status encodeWords(std::string_view text);

  const Tokenizer::Impl &impl;
  std::string_view text;
  std::vector<int32_t> &ids;
  WordCache cache;
  /// Texts that the cache points into.
  std::deque<std::string> normalized;
  Pieces pieces;
};
} // namespace

Status Encoding::encodeWords(std::string_view stretch) {
  pieces.list.assign(1, stretch);
  if (Status problem = impl.preTokenizer.split(pieces))
    return problem;
  for (std::string_view word : pieces.list)
    cache.encode(impl, word, ids);
  return {};
}

Status Encoding::encodeNormalized(std::string_view stretch) {
  if (!impl.normalizer.isIdentity()) {
    std::string &copy = normalized.emplace_back(stretch);
    if (Status problem = impl.normalizer.apply(copy))
      return problem;
    stretch = copy;
  }
  std::vector<Fragment> fragments;
  impl.normalizedTokens.split(stretch, fragments);
  for (const Fragment &fragment : fragments) {
    if (fragment.id >= 0)
      ids.push_back(fragment.id);
    else if (Status problem = encodeWords(fragment.text))
      return problem;
  }
  return {};
}

Status Encoding::run() {
  size_t invalid = findInvalidUtf8(text);
  if (invalid != text.npos)
    return Error{"expects the text to be UTF-8, but byte " +
                 std::to_string(invalid) + " is not"};
  std::vector<Fragment> fragments;
  impl.rawTokens.split(text, fragments);
  for (const Fragment &fragment : fragments) {
    if (fragment.id >= 0)
      ids.push_back(fragment.id);
    else if (Status problem = encodeNormalized(fragment.text))
      return problem;
  }
  return {};
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text,
                                               bool addSpecial) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 16);
  if (addSpecial)
    ids = impl->prefix;
  if (Status problem = Encoding(*impl, text, ids).run())
    return *problem;
  if (addSpecial)
    ids.insert(ids.end(), impl->suffix.begin(), impl->suffix.end());
  return ids;
}

std::string Tokenizer::decode(const std::vector<int32_t> &ids,
                              bool skipSpecial) const {
  std::string bytes, text;
  for (int32_t id : ids)
    if (!skipSpecial || !isSpecial(id))
      bytes += impl->vocabulary.bytes(id);
  appendLossy(text, bytes, /*final=*/true);
  return text;
}

std::string_view Tokenizer::bytes(int32_t id) const {
  return impl->vocabulary.bytes(id);
}

int32_t Tokenizer::find(std::string_view bytes) const {
  int32_t id = impl->vocabulary.findBytes(bytes);
  return id >= 0 ? id : impl->vocabulary.findText(bytes);
}

bool Tokenizer::isSpecial(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < impl->special.size() &&
         impl->special[id];
}

int32_t Tokenizer::size() const { return impl->vocabulary.size(); }

const RoleTokens &Tokenizer::roles() const { return impl->roles; }

const std::string &Tokenizer::chatTemplate() const {
  return impl->chatTemplate;
}

static Status readAll(std::string_view json, const std::string &name,
                      std::string_view config, const std::string &configName,
                      Tokenizer::Impl &impl) {
  if (Status problem = readTokenizer(json, name, impl))
    return problem;
  if (config.empty())
    return {};
  return readTokenizerConfig(config, configName, impl);
}

Result<Tokenizer> Tokenizer::parse(std::string_view json,
                                   const std::string &name,
                                   std::string_view config,
                                   const std::string &configName) {
  auto impl = std::make_shared<Impl>();
  if (Status problem = readAll(json, name, config, configName, *impl))
    return *problem;
  return Tokenizer(std::move(impl));
}

Result<Tokenizer> Tokenizer::load(const std::string &folder) {
  std::string name = folder + "/tokenizer.json";
  std::string configName = folder + "/tokenizer_config.json";
  Result<std::string> json = readFile(name, false);
  if (!json)
    return json.takeError();
  Result<std::string> config = readFile(configName, true);
  if (!config)
    return config.takeError();
  Result<std::string> chat = readFile(folder + "/chat_template.jinja", true);
  if (!chat)
    return chat.takeError();
  auto impl = std::make_shared<Impl>();
  if (Status problem = readAll(*json, name, *config, configName, *impl))
    return *problem;
  if (!chat->empty())
    impl->chatTemplate = std::move(*chat);
  return Tokenizer(std::move(impl));
}

std::string StreamDecoder::push(int32_t id) {
  std::string text;
  if (skipSpecial && tokenizer.isSpecial(id))
    return text;
  pending += tokenizer.bytes(id);
  pending.erase(0, appendLossy(text, pending, /*final=*/false));
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  appendLossy(text, pending, /*final=*/true);
  pending.clear();
  return text;
}

} // namespace ds::text
