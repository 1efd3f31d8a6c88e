//===- Section.h - The section .ds.manifest as tests write it -------------===//
#ifndef DS_TEST_UNIT_RUNTIME_SECTION_H
#define DS_TEST_UNIT_RUNTIME_SECTION_H

#include <cstdint>
#include <string>

namespace ds::test {

/// Appends `value` to `bytes`, little-endian.
inline void appendWord(std::string &bytes, uint64_t value) {
  for (int i = 0; i < 8; ++i)
    bytes += static_cast<char>(value >> (8 * i));
}

/// Returns the section for `json` in a file of `fileBytes`, 0 for unknown.
inline std::string manifestSection(const std::string &json,
                                   uint64_t fileBytes = 0) {
  uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
  for (unsigned char byte : json)
    hash = (hash ^ byte) * 0x100000001b3u;
  std::string section = "DSMANIF1";
  appendWord(section, json.size());
  appendWord(section, hash);
  appendWord(section, fileBytes);
  return section + json;
}

} // namespace ds::test

#endif // DS_TEST_UNIT_RUNTIME_SECTION_H
