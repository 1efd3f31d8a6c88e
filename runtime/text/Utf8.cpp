//===- Utf8.cpp - UTF-8 and the byte alphabet -----------------------------===//

#include "runtime/text/Utf8.h"

#include <array>

namespace ds::text {

/// The lead bytes of one length, and the range of the second byte, which keeps
/// out overlong forms, surrogates and values over U+10FFFF.
struct LeadByte {
  uint8_t length, low, high;
};

static LeadByte classify(uint8_t lead) {
  if (lead >= 0xC2 && lead <= 0xDF)
    return {2, 0x80, 0xBF};
  if (lead >= 0xE0 && lead <= 0xEF)
    return {3, uint8_t(lead == 0xE0 ? 0xA0 : 0x80),
            uint8_t(lead == 0xED ? 0x9F : 0xBF)};
  if (lead >= 0xF0 && lead <= 0xF4)
    return {4, uint8_t(lead == 0xF0 ? 0x90 : 0x80),
            uint8_t(lead == 0xF4 ? 0x8F : 0xBF)};
  return {0, 0, 0};
}

CodePoint readCodePoint(std::string_view text) {
  uint8_t lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80)
    return {lead, 1, CodePoint::Valid};
  LeadByte form = classify(lead);
  if (form.length == 0)
    return {0, 1, CodePoint::Invalid};
  uint32_t value = lead & (0x7Fu >> form.length);
  for (uint8_t i = 1; i < form.length; ++i) {
    if (i == text.size())
      return {0, i, CodePoint::Unfinished};
    uint8_t byte = static_cast<uint8_t>(text[i]);
    uint8_t low = i == 1 ? form.low : 0x80;
    uint8_t high = i == 1 ? form.high : 0xBF;
    if (byte < low || byte > high)
      return {0, i, CodePoint::Invalid};
    value = value << 6 | (byte & 0x3Fu);
  }
  return {value, form.length, CodePoint::Valid};
}

size_t findInvalidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    CodePoint point = readCodePoint(text.substr(at));
    if (point.kind != CodePoint::Valid)
      return at;
    at += point.length;
  }
  return std::string_view::npos;
}

void appendCodePoint(std::string &out, uint32_t value) {
  if (value < 0x80) {
    out += static_cast<char>(value);
    return;
  }
  int extra = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
  uint32_t mark = 0xFF00u >> (extra + 1) & 0xFFu;
  out += static_cast<char>(mark | value >> 6 * extra);
  while (extra-- > 0)
    out += static_cast<char>(0x80 | (value >> 6 * extra & 0x3F));
}

size_t appendLossy(std::string &out, std::string_view bytes, bool final) {
  size_t at = 0;
  while (at < bytes.size()) {
    CodePoint point = readCodePoint(bytes.substr(at));
    if (point.kind == CodePoint::Unfinished && !final)
      break;
    if (point.kind == CodePoint::Valid)
      out.append(bytes, at, point.length);
    else
      out += "\xEF\xBF\xBD";
    at += point.length;
  }
  return at;
}

size_t lastCodePoint(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80)
    --at;
  return at;
}

bool isWhitespace(uint32_t value) {
  return (value >= 0x09 && value <= 0x0D) || value == 0x20 || value == 0x85 ||
         value == 0xA0 || value == 0x1680 ||
         (value >= 0x2000 && value <= 0x200A) || value == 0x2028 ||
         value == 0x2029 || value == 0x202F || value == 0x205F ||
         value == 0x3000;
}

/// Bytes that stand for themselves in the alphabet, as a code point.
static bool isOwnLetter(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         (byte >= 0xAE && byte <= 0xFF);
}

/// Maps the code points below 0x144 to bytes, or to -1. The bytes without a
/// letter of their own take the code points from 0x100 on, in order.
static std::array<int16_t, 0x144> makeAlphabet() {
  std::array<int16_t, 0x144> table;
  table.fill(-1);
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 0x100; ++byte)
    table[isOwnLetter(byte) ? byte : next++] = static_cast<int16_t>(byte);
  return table;
}

bool appendAlphabetBytes(std::string &out, std::string_view token) {
  static const std::array<int16_t, 0x144> alphabet = makeAlphabet();
  size_t before = out.size();
  for (size_t at = 0; at < token.size();) {
    CodePoint point = readCodePoint(token.substr(at));
    bool known = point.kind == CodePoint::Valid &&
                 point.value < alphabet.size() && alphabet[point.value] >= 0;
    if (!known) {
      out.resize(before);
      return false;
    }
    out += static_cast<char>(alphabet[point.value]);
    at += point.length;
  }
  return true;
}

} // namespace ds::text
