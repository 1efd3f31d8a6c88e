//===- Text.h - Texts as Python handles them ------------------------------===//

#ifndef DS_RUNTIME_TEXT_JINJA_TEXT_H
#define DS_RUNTIME_TEXT_JINJA_TEXT_H

#include "runtime/text/jinja/Value.h"

namespace ds::text::jinja {

/// `Title` begins a word after anything but a letter, as str.title() does;
/// `Words` after a space or an opening bracket, as the filter does.
enum class LetterCase { Lower, Upper, Capital, Title, Words };

/// Changes the case of the letters A to Z.
std::string changeCase(std::string text, LetterCase letters);

/// Strips white space, or the characters of `chars`, from the ends.
std::string stripText(const std::string &text, const Value *chars, bool left,
                      bool right);

/// Splits at `separator`, or at white space if it is null or none, at most
/// `most` times where that is not negative; from the right end if `fromRight`.
List splitText(const std::string &text, const Value *separator, int64_t most,
               bool fromRight);

/// Fills `%s`, `%d`, `%f` and `%%` in `format`.
std::string formatText(const std::string &format, const List &values);

} // namespace ds::text::jinja

#endif // DS_RUNTIME_TEXT_JINJA_TEXT_H
