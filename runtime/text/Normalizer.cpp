//===- Normalizer.cpp - The normalizer of tokenizer.json ------------------===//

#include "runtime/text/Normalizer.h"

#include "runtime/text/Nfc.h"

namespace ds::text {

std::optional<Regex> readPattern(const JsonPart &part) {
  JsonPart pattern = part.at("pattern");
  bool isRegex = pattern.has("Regex");
  if (isRegex == pattern.has("String")) {
    pattern.expects("{\"String\": ..} or {\"Regex\": ..}");
    return {};
  }
  JsonPart text = pattern.at(isRegex ? "Regex" : "String");
  Result<Regex> regex = isRegex ? Regex::compile(text.asString())
                                : Regex::literal(text.asString());
  if (regex)
    return *regex;
  text.expects("a regular expression that is understood: " + regex.error());
  return {};
}

void Normalizer::read(const JsonPart &part) {
  if (part.isNull())
    return;
  std::string type = part.at("type").asString();
  if (type == "Sequence") {
    part.allowKeys({"type", "normalizers"});
    for (const JsonPart &item : part.at("normalizers").items())
      read(item);
  } else if (type == "NFC") {
    part.allowKeys({"type"});
    steps.push_back({Step::Compose, {}, {}});
  } else if (type == "Prepend") {
    part.allowKeys({"type", "prepend"});
    steps.push_back({Step::Prepend, part.at("prepend").asString(), {}});
  } else if (type == "Replace") {
    part.allowKeys({"type", "pattern", "content"});
    steps.push_back(
        {Step::Replace, part.at("content").asString(), readPattern(part)});
  } else {
    part.at("type").expects("NFC, Prepend, Replace or Sequence");
  }
}

static Status replaceAll(const Regex &pattern, const std::string &content,
                         std::string &text) {
  std::vector<Span> matches;
  if (Status problem = pattern.findAll(text, matches))
    return problem;
  std::string result;
  size_t done = 0;
  for (Span match : matches) {
    result.append(text, done, match.begin - done);
    result += content;
    done = match.end;
  }
  result.append(text, done, text.npos);
  text = std::move(result);
  return {};
}

Status Normalizer::apply(std::string &text) const {
  for (const Step &step : steps) {
    if (step.kind == Step::Compose) {
      composeNfc(text);
    } else if (step.kind == Step::Prepend) {
      if (!text.empty())
        text.insert(0, step.content);
    } else if (Status problem = replaceAll(*step.pattern, step.content, text)) {
      return problem;
    }
  }
  return {};
}

} // namespace ds::text
