//===- AddedTokens.h - Tokens that stand apart from the text --------------===//
//
// Added tokens, most of them special, are cut out of a text before the rest of
// it is split and encoded.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_ADDEDTOKENS_H
#define DS_RUNTIME_TEXT_ADDEDTOKENS_H

#include "runtime/text/Normalizer.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ds::text {

/// An entry of `added_tokens`.
struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = false;
  /// Is not found inside a word.
  bool singleWord = false;
  /// Takes the white space before or after it along.
  bool stripLeft = false, stripRight = false;
  /// Is looked for in the normalised text.
  bool normalized = true;
};

/// A stretch of text; `id` is -1 where it is not an added token.
struct Fragment {
  std::string_view text;
  int32_t id = -1;
};

/// Finds a set of added tokens in a text, the longest at the leftmost place.
class AddedTokens {
public:
  /// Adds `token`, looked for as `text`.
  void add(const AddedToken &token, std::string_view text);

  /// Cuts `text` into fragments and appends them to `out`.
  void split(std::string_view text, std::vector<Fragment> &out) const;

private:
  /// A node of the tree of all texts; children are linked as siblings.
  struct Node {
    char label;
    int32_t token = -1;
    int32_t child = -1;
    int32_t sibling = -1;
  };
  int32_t findChild(int32_t node, char label) const;
  int32_t match(std::string_view text, size_t &length) const;
  bool stretch(const AddedToken &token, std::string_view text, size_t done,
               Span &span) const;

  std::vector<AddedToken> tokens;
  std::vector<Node> nodes{Node{'\0'}};
  /// First bytes of all texts.
  bool firstByte[256] = {};
};

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_ADDEDTOKENS_H
