//===- AddedTokens.cpp - Tokens that stand apart from the text ------------===//

#include "runtime/text/AddedTokens.h"

#include "runtime/text/Utf8.h"

namespace ds::text {

int32_t AddedTokens::findChild(int32_t node, char label) const {
  int32_t child = nodes[node].child;
  while (child >= 0 && nodes[child].label != label)
    child = nodes[child].sibling;
  return child;
}

void AddedTokens::add(const AddedToken &token, std::string_view text) {
  if (text.empty())
    return;
  int32_t node = 0;
  for (char label : text) {
    int32_t child = findChild(node, label);
    if (child < 0) {
      child = static_cast<int32_t>(nodes.size());
      nodes.push_back({label, -1, -1, nodes[node].child});
      nodes[node].child = child;
    }
    node = child;
  }
  firstByte[static_cast<uint8_t>(text[0])] = true;
  nodes[node].token = static_cast<int32_t>(tokens.size());
  tokens.push_back(token);
}

/// Returns the longest token at the head of `text`, or -1.
int32_t AddedTokens::match(std::string_view text, size_t &length) const {
  int32_t best = -1, node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    node = findChild(node, text[i]);
    if (node < 0)
      break;
    if (nodes[node].token >= 0) {
      best = nodes[node].token;
      length = i + 1;
    }
  }
  return best;
}

static bool isWordAt(std::string_view text, size_t at) {
  static const Result<Regex> word = Regex::compile(plainWord);
  std::vector<Span> found;
  size_t length = readCodePoint(text.substr(at)).length;
  return !word->findAll(text.substr(at, length), found) && !found.empty();
}

/// Checks the surroundings of a match and takes white space along. `done` is
/// where the last token ended.
bool AddedTokens::stretch(const AddedToken &token, std::string_view text,
                          size_t done, Span &span) const {
  if (token.singleWord) {
    if (span.begin > 0 &&
        isWordAt(text, lastCodePoint(text.substr(0, span.begin))))
      return false;
    if (span.end < text.size() && isWordAt(text, span.end))
      return false;
  }
  while (token.stripLeft && span.begin > done) {
    size_t before = lastCodePoint(text.substr(0, span.begin));
    if (!isWhitespace(readCodePoint(text.substr(before)).value))
      break;
    span.begin = before;
  }
  while (token.stripRight && span.end < text.size()) {
    CodePoint next = readCodePoint(text.substr(span.end));
    if (!isWhitespace(next.value))
      break;
    span.end += next.length;
  }
  return true;
}

void AddedTokens::split(std::string_view text,
                        std::vector<Fragment> &out) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    size_t length = 0;
    int32_t index = -1;
    if (firstByte[static_cast<uint8_t>(text[at])])
      index = match(text.substr(at), length);
    if (index < 0) {
      ++at;
      continue;
    }
    const AddedToken &token = tokens[index];
    Span span{at, at + length};
    at += length;
    if (!stretch(token, text, done, span))
      continue;
    if (done < span.begin)
      out.push_back({text.substr(done, span.begin - done), -1});
    out.push_back({text.substr(span.begin, span.end - span.begin), token.id});
    at = done = span.end;
  }
  if (done < text.size())
    out.push_back({text.substr(done), -1});
}

} // namespace ds::text
