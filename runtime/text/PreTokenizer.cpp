//===- PreTokenizer.cpp - The pre_tokenizer of tokenizer.json -------------===//

#include "runtime/text/PreTokenizer.h"

#include "runtime/text/Normalizer.h"

namespace ds::text {

/// The pattern of GPT-2, which ByteLevel uses unless told otherwise.
static constexpr const char *gpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)"
    R"(|\s+(?!\S)|\s+)";

static SplitBehavior readBehavior(const JsonPart &part) {
  static const std::pair<const char *, SplitBehavior> names[] = {
      {"Removed", SplitBehavior::Removed},
      {"Isolated", SplitBehavior::Isolated},
      {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
      {"MergedWithNext", SplitBehavior::MergedWithNext},
      {"Contiguous", SplitBehavior::Contiguous},
  };
  std::string name = part.asString();
  for (const auto &[known, behavior] : names)
    if (name == known)
      return behavior;
  part.expects("Removed, Isolated, MergedWithPrevious, MergedWithNext or "
               "Contiguous");
  return SplitBehavior::Isolated;
}

void PreTokenizer::addPattern(const char *pattern, SplitBehavior behavior,
                              bool invert) {
  Result<Regex> regex = Regex::compile(pattern);
  steps.push_back({*regex, behavior, invert});
}

void PreTokenizer::read(const JsonPart &part) {
  if (!part.isNull())
    readStep(part);
  if (!ended)
    part.expects("or to end in a ByteLevel pre-tokenizer: only byte-level "
                 "tokenizers are understood");
}

void PreTokenizer::readStep(const JsonPart &part) {
  if (ended)
    return part.expects("before the ByteLevel pre-tokenizer");
  std::string type = part.at("type").asString();
  if (type == "Sequence") {
    part.allowKeys({"type", "pretokenizers"});
    for (const JsonPart &item : part.at("pretokenizers").items())
      readStep(item);
  } else if (type == "Split") {
    readSplit(part);
  } else if (type == "ByteLevel") {
    readByteLevel(part);
  } else if (type == "Digits") {
    part.allowKeys({"type", "individual_digits"});
    bool single = part.flag("individual_digits", false);
    addPattern(single ? "\\p{N}" : "\\p{N}+", SplitBehavior::Isolated);
  } else if (type == "Punctuation") {
    part.allowKeys({"type", "behavior"});
    addPattern("[!-/:-@\\[-`{-~\\p{P}]", part.has("behavior")
                                             ? readBehavior(part.at("behavior"))
                                             : SplitBehavior::Isolated);
  } else if (type == "Whitespace") {
    part.allowKeys({"type"});
    std::string word = plainWord;
    addPattern((word + "+|(?:(?!" + word + ")\\S)+").c_str(),
               SplitBehavior::Removed, true);
  } else if (type == "WhitespaceSplit") {
    part.allowKeys({"type"});
    addPattern("\\s", SplitBehavior::Removed);
  } else {
    part.at("type").expects("ByteLevel, Digits, Punctuation, Sequence, Split, "
                            "Whitespace or WhitespaceSplit");
  }
}

void PreTokenizer::readSplit(const JsonPart &part) {
  part.allowKeys({"type", "pattern", "behavior", "invert"});
  Step step;
  step.pattern = readPattern(part);
  step.behavior = readBehavior(part.at("behavior"));
  step.invert = part.flag("invert", false);
  steps.push_back(step);
}

void PreTokenizer::readByteLevel(const JsonPart &part) {
  part.allowKeys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (part.flag("add_prefix_space", true))
    steps.push_back(Step());
  if (part.flag("use_regex", true))
    addPattern(gpt2Pattern, SplitBehavior::Isolated);
  ended = true;
}

namespace {
/// A stretch of text that a pattern matched, or one between two matches.
struct Stretch {
  Span span;
  bool isMatch;
};
} // namespace

/// Lists the stretches of a text of `length` bytes.
static std::vector<Stretch>
listStretches(size_t length, const std::vector<Span> &matches, bool invert) {
  std::vector<Stretch> result;
  result.reserve(2 * matches.size() + 1);
  size_t done = 0;
  for (Span match : matches) {
    if (done < match.begin)
      result.push_back({{done, match.begin}, invert});
    result.push_back({match, !invert});
    done = match.end;
  }
  if (done < length)
    result.push_back({{done, length}, invert});
  return result;
}

/// Tells whether the stretch `i` belongs to the one before it.
static bool joinsPrevious(const std::vector<Stretch> &stretches, size_t i,
                          SplitBehavior behavior) {
  if (i == 0)
    return false;
  bool previous = stretches[i - 1].isMatch, self = stretches[i].isMatch;
  switch (behavior) {
  case SplitBehavior::Removed:
  case SplitBehavior::Isolated:
    return false;
  case SplitBehavior::MergedWithPrevious:
    return self && !previous;
  case SplitBehavior::MergedWithNext:
    return previous && !self;
  case SplitBehavior::Contiguous:
    return previous == self;
  }
  return false;
}

void splitAtMatches(std::string_view text, const std::vector<Span> &matches,
                    SplitBehavior behavior, bool invert,
                    std::vector<std::string_view> &out) {
  std::vector<Stretch> stretches = listStretches(text.size(), matches, invert);
  for (size_t i = 0; i < stretches.size();) {
    size_t first = i++;
    while (i < stretches.size() && joinsPrevious(stretches, i, behavior))
      ++i;
    if (behavior == SplitBehavior::Removed && stretches[first].isMatch)
      continue;
    Span span{stretches[first].span.begin, stretches[i - 1].span.end};
    if (span.begin < span.end)
      out.push_back(text.substr(span.begin, span.end - span.begin));
  }
}

Status PreTokenizer::split(Pieces &pieces) const {
  std::vector<std::string_view> next;
  std::vector<Span> matches;
  for (const Step &step : steps) {
    next.clear();
    for (std::string_view piece : pieces.list) {
      if (!step.pattern) {
        if (piece[0] != ' ')
          piece = pieces.storage.emplace_back(" " + std::string(piece));
        next.push_back(piece);
        continue;
      }
      matches.clear();
      if (Status problem = step.pattern->findAll(piece, matches))
        return problem;
      splitAtMatches(piece, matches, step.behavior, step.invert, next);
    }
    pieces.list.swap(next);
  }
  return {};
}

} // namespace ds::text
