//===- Vocabulary.h - Tokens by id and by bytes ---------------------------===//
//
// All token bytes lie in one arena; a token is found through one flat hash
// table. Loading is most of the time to the first token of a small model, so
// nothing is allocated per token.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_VOCABULARY_H
#define DS_RUNTIME_TEXT_VOCABULARY_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ds::text {

/// Maps ids to bytes and bytes to ids. A token whose characters are all of the
/// byte alphabet stands for the bytes they write; any other token stands for
/// its own UTF-8 text. The two are looked up apart.
class Vocabulary {
public:
  /// Ids stay below this.
  static constexpr int32_t maxId = 1 << 24;

  /// Makes room for about `tokens` tokens with `bytes` bytes in all.
  void reserve(size_t tokens, size_t bytes);

  /// Adds a token as the file writes it. Returns false if the id or the token
  /// is taken; adding the same pair again is well.
  bool add(std::string_view written, int32_t id);

  /// Returns the id of a token as the file writes it, or -1.
  int32_t findWritten(std::string_view written) const;

  /// Returns the id of the token of the byte alphabet with these bytes, or -1.
  int32_t findBytes(std::string_view bytes) const { return find(bytes, true); }

  /// Returns the id of the token outside of the alphabet with this text, or -1.
  int32_t findText(std::string_view text) const { return find(text, false); }

  /// Returns the bytes of `id`; empty for an unknown id.
  std::string_view bytes(int32_t id) const;

  /// Tells whether `id` has a token that stands for the bytes it writes.
  bool isAlphabet(int32_t id) const { return has(id) && entries[id].alphabet; }

  /// Tells whether `id` has a token.
  bool has(int32_t id) const;

  /// Returns one more than the largest id.
  int32_t size() const { return static_cast<int32_t>(entries.size()); }

private:
  struct Entry {
    uint32_t offset = 0;
    uint32_t length = 0;
    bool present = false;
    bool alphabet = false;
  };
  /// A hash table slot; `id` is -1 when it is free.
  struct Slot {
    int32_t id = -1;
    uint32_t tag = 0;
  };

  int32_t find(std::string_view key, bool alphabet) const;
  size_t findSlot(std::string_view key, bool alphabet, uint64_t hash) const;
  void grow(size_t tokens);
  std::string_view view(const Entry &entry) const;

  std::string arena;
  std::vector<Entry> entries;
  std::vector<Slot> slots;
  size_t count = 0;
};

/// Returns a hash of `key`; `seed` gives independent hashes.
uint64_t hashBytes(std::string_view key, uint64_t seed);

/// Mixes the bits of `value`.
uint64_t mixBits(uint64_t value);

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_VOCABULARY_H
