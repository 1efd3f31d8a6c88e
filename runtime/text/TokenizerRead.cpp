//===- TokenizerRead.cpp - Reading tokenizer.json -------------------------===//
//
// The vocabulary and the merges are read straight from the text; all other
// parts are small and go through a JSON library.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/JsonScan.h"
#include "runtime/text/TokenizerImpl.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace ds::text {

Json parseJson(std::string_view text, size_t begin, size_t end,
               FileProblem &problem) {
  try {
    return Json::parse(text.begin() + begin, text.begin() + end);
  } catch (const Json::parse_error &error) {
    JsonScan scan(text);
    scan.fail(std::min(begin + (error.byte ? error.byte - 1 : 0), end), "");
    if (problem.message.empty())
      problem.message =
          problem.file + ":" + scan.place() + ": expects valid JSON";
  } catch (const Json::exception &error) {
    if (problem.message.empty())
      problem.message = problem.file + ": expects valid JSON";
  }
  return Json();
}

namespace {
/// Reads one tokenizer.json.
class Reader {
public:
  Reader(std::string_view text, const std::string &file, Tokenizer::Impl &impl)
      : text(text), problem{file, {}}, impl(impl) {}

  Status run();

private:
  void cut();
  bool cutObject(JsonScan &scan, Json &into, bool isModel);
  void readVocabulary();
  void readMerges();
  bool readMerge(JsonScan &scan);
  void readModel(const JsonPart &model);
  void readAddedTokens(const JsonPart &list);
  void readDecoder(const JsonPart &part);
  void readPostProcessor(const JsonPart &part);
  void readTemplate(const JsonPart &part);
  void note(const JsonScan &scan);

  std::string_view text;
  FileProblem problem;
  Tokenizer::Impl &impl;
  /// Everything but the vocabulary and the merges.
  Json small = Json::object();
  /// Where the two long lists lie; empty if they are missing.
  Span vocabulary{0, 0}, merges{0, 0};
  std::string leftBytes, rightBytes;
  /// The token of the merge before.
  int32_t lastMerged = -1;
};
} // namespace

void Reader::note(const JsonScan &scan) {
  if (problem.message.empty())
    problem.message = problem.file + ":" + scan.place() + ": " + scan.problem();
}

/// Takes the members of an object apart.
bool Reader::cutObject(JsonScan &scan, Json &into, bool isModel) {
  if (!scan.expect('{'))
    return false;
  if (scan.take('}'))
    return true;
  do {
    std::string_view view;
    if (!scan.readString(view))
      return false;
    std::string key(view);
    if (!scan.expect(':'))
      return false;
    if (!isModel && key == "model") {
      into[key] = Json::object();
      if (!cutObject(scan, into[key], true))
        return false;
      continue;
    }
    Span span;
    if (!scan.skipValue(span.begin, span.end))
      return false;
    if (isModel && key == "vocab")
      vocabulary = span;
    else if (isModel && key == "merges")
      merges = span;
    else
      into[key] = parseJson(text, span.begin, span.end, problem);
  } while (scan.take(','));
  return scan.expect('}');
}

void Reader::cut() {
  JsonScan scan(text);
  bool whole = cutObject(scan, small, false);
  if (whole && scan.offset() != text.size())
    whole = scan.fail(scan.offset(), "expects the file to end");
  if (!whole)
    note(scan);
}

void Reader::readVocabulary() {
  size_t length = vocabulary.end - vocabulary.begin;
  impl.vocabulary.reserve(length / 20, length / 3);
  JsonScan scan(text.substr(0, vocabulary.end), vocabulary.begin);
  if (!scan.expect('{'))
    return note(scan);
  if (scan.take('}'))
    return;
  do {
    size_t begin = scan.offset();
    std::string_view token;
    int32_t id;
    if (!scan.readString(token) || !scan.expect(':'))
      return note(scan);
    // The token may lie in the scanner, which the number leaves alone.
    if (!scan.readInteger(id))
      return note(scan);
    if (id < 0 || id >= Vocabulary::maxId) {
      scan.fail(begin, "expects the id (" + std::to_string(id) +
                           ") to be between 0 and " +
                           std::to_string(Vocabulary::maxId - 1));
      return note(scan);
    }
    if (!impl.vocabulary.add(token, id)) {
      scan.fail(begin, "expects each token and each id (" + std::to_string(id) +
                           ") once");
      return note(scan);
    }
  } while (scan.take(','));
  if (!scan.expect('}'))
    note(scan);
}

/// Reads one merge, "left right" or ["left", "right"].
bool Reader::readMerge(JsonScan &scan) {
  size_t begin = scan.offset();
  std::string_view first, second;
  std::string left, right;
  if (scan.take('[')) {
    if (!scan.readString(first))
      return false;
    left = first;
    if (!scan.expect(',') || !scan.readString(second))
      return false;
    right = second;
    if (!scan.expect(']'))
      return false;
  } else {
    if (!scan.readString(first))
      return false;
    size_t space = first.find(' ');
    if (space == first.npos || first.find(' ', space + 1) != first.npos)
      return scan.fail(begin, "expects two tokens with a space between");
    left = first.substr(0, space);
    right = first.substr(space + 1);
  }
  const Vocabulary &tokens = impl.vocabulary;
  int32_t leftId, rightId, id;
  leftBytes.clear();
  rightBytes.clear();
  if (appendAlphabetBytes(leftBytes, left) &&
      appendAlphabetBytes(rightBytes, right)) {
    leftId = tokens.findBytes(leftBytes);
    rightId = tokens.findBytes(rightBytes);
    leftBytes += rightBytes;
    // Vocabularies list merged tokens in the order of the merges.
    id = lastMerged + 1;
    if (!tokens.isAlphabet(id) || tokens.bytes(id) != leftBytes)
      id = tokens.findBytes(leftBytes);
    lastMerged = id;
  } else {
    leftId = tokens.findWritten(left);
    rightId = tokens.findWritten(right);
    id = tokens.findWritten(left + right);
  }
  if (leftId < 0 || rightId < 0 || id < 0)
    return scan.fail(begin, "expects the merge of \"" + left + "\" and \"" +
                                right + "\" to have all three tokens in vocab");
  impl.bpe.addMerge(leftId, rightId, id);
  return true;
}

void Reader::readMerges() {
  impl.bpe.reserve((merges.end - merges.begin) / 16);
  JsonScan scan(text.substr(0, merges.end), merges.begin);
  if (!scan.expect('['))
    return note(scan);
  if (scan.take(']'))
    return;
  do {
    if (!readMerge(scan))
      return note(scan);
  } while (scan.take(','));
  if (!scan.expect(']'))
    note(scan);
}

/// Notes a problem if `key` asks for a variant of BPE that is not byte-level.
static void expectUnset(const JsonPart &model, const char *key) {
  JsonPart part = model.at(key);
  if (!part.isNull() && !(part.isString() && part.asString().empty()))
    part.expects("null");
}

void Reader::readModel(const JsonPart &model) {
  if (!model.isObject())
    return model.expects("an object");
  if (model.has("type") && model.at("type").asString() != "BPE")
    return model.at("type").expects("BPE");
  model.allowKeys({"type", "dropout", "unk_token", "continuing_subword_prefix",
                   "end_of_word_suffix", "fuse_unk", "byte_fallback",
                   "ignore_merges"});
  expectUnset(model, "dropout");
  expectUnset(model, "continuing_subword_prefix");
  expectUnset(model, "end_of_word_suffix");
  if (model.flag("byte_fallback", false))
    model.at("byte_fallback").expects("false: the tokenizer is not byte-level");
  if (vocabulary.end == 0 || merges.end == 0)
    model.fail("expects model.vocab and model.merges");
  if (model.failed())
    return;
  readVocabulary();
  if (!model.failed())
    readMerges();
  if (model.failed())
    return;
  int32_t unknown = -1;
  if (model.has("unk_token")) {
    unknown = impl.vocabulary.findWritten(model.at("unk_token").asString());
    if (unknown < 0)
      model.at("unk_token").expects("a token of model.vocab");
  }
  impl.bpe.finish(impl.vocabulary, unknown, model.flag("fuse_unk", false),
                  model.flag("ignore_merges", false));
}

std::string addToken(const AddedToken &token, Tokenizer::Impl &impl) {
  if (token.id < 0 || token.id >= Vocabulary::maxId)
    return "an id between 0 and " + std::to_string(Vocabulary::maxId - 1);
  if (token.content.empty())
    return "a token that is not empty";
  if (!impl.vocabulary.add(token.content, token.id))
    return "the only token with its text and its id";
  if (static_cast<size_t>(token.id) >= impl.special.size())
    impl.special.resize(token.id + 1);
  impl.special[token.id] = token.special;
  if (!token.normalized) {
    impl.rawTokens.add(token, token.content);
    return {};
  }
  std::string text = token.content;
  if (impl.normalizer.apply(text))
    return "a token that the normalizer can handle";
  impl.normalizedTokens.add(token, text);
  return {};
}

void Reader::readAddedTokens(const JsonPart &list) {
  if (list.isNull())
    return;
  for (const JsonPart &item : list.items()) {
    item.allowKeys({"id", "content", "single_word", "lstrip", "rstrip",
                    "normalized", "special"});
    AddedToken token;
    token.id = item.at("id").asInteger();
    token.content = item.at("content").asString();
    token.special = item.flag("special", false);
    token.singleWord = item.flag("single_word", false);
    token.stripLeft = item.flag("lstrip", false);
    token.stripRight = item.flag("rstrip", false);
    token.normalized = item.flag("normalized", !token.special);
    if (item.failed())
      return;
    std::string wrong = addToken(token, impl);
    if (!wrong.empty())
      item.at("content").expects(wrong);
  }
}

void Reader::readDecoder(const JsonPart &part) {
  std::string type = part.has("type") ? part.at("type").asString() : "";
  if (type == "ByteLevel" || type == "Fuse")
    return;
  if (type != "Sequence")
    return (part.isObject() ? part.at("type") : part)
        .expects("ByteLevel, Fuse or Sequence");
  for (const JsonPart &item : part.at("decoders").items())
    readDecoder(item);
}

void Reader::readPostProcessor(const JsonPart &part) {
  if (part.isNull())
    return;
  std::string type = part.at("type").asString();
  // ByteLevel changes offsets only, which are not kept here.
  if (type == "ByteLevel")
    return;
  if (type == "TemplateProcessing")
    return readTemplate(part);
  if (type != "Sequence")
    return part.at("type").expects("ByteLevel, Sequence or TemplateProcessing");
  for (const JsonPart &item : part.at("processors").items())
    readPostProcessor(item);
}

void Reader::readTemplate(const JsonPart &part) {
  part.allowKeys({"type", "single", "pair", "special_tokens"});
  bool behind = false;
  for (const JsonPart &item : part.at("single").items()) {
    if (item.has("Sequence")) {
      behind = true;
      continue;
    }
    std::string name = item.at("SpecialToken").at("id").asString();
    for (const JsonPart &id :
         part.at("special_tokens").at(name).at("ids").items())
      (behind ? impl.suffix : impl.prefix).push_back(id.asInteger());
  }
}

Status Reader::run() {
  cut();
  JsonPart root(small, problem);
  if (!root.failed()) {
    root.allowKeys({"version", "truncation", "padding", "added_tokens",
                    "normalizer", "pre_tokenizer", "post_processor", "decoder",
                    "model"});
    impl.normalizer.read(root.at("normalizer"));
    impl.preTokenizer.read(root.at("pre_tokenizer"));
    readPostProcessor(root.at("post_processor"));
    readDecoder(root.at("decoder"));
    if (!root.failed())
      readModel(root.at("model"));
    if (!root.failed())
      readAddedTokens(root.at("added_tokens"));
  }
  if (root.failed())
    return Error{problem.message};
  return {};
}

Status readTokenizer(std::string_view json, const std::string &file,
                     Tokenizer::Impl &impl) {
  return Reader(json, file, impl).run();
}

} // namespace ds::text
