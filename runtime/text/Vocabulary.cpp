//===- Vocabulary.cpp - Tokens by id and by bytes -------------------------===//

#include "runtime/text/Vocabulary.h"

#include "runtime/text/Utf8.h"

#include <cstring>

namespace ds::text {

uint64_t mixBits(uint64_t value) {
  value ^= value >> 32;
  value *= 0x9E3779B97F4A7C15u;
  value ^= value >> 29;
  value *= 0xD6E8FEB86659FD93u;
  return value ^ value >> 32;
}

uint64_t hashBytes(std::string_view key, uint64_t seed) {
  uint64_t hash = seed * 0x9E3779B97F4A7C15u + key.size();
  while (key.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, key.data(), 8);
    hash = mixBits(hash ^ word);
    key.remove_prefix(8);
  }
  uint64_t rest = 0;
  for (char c : key)
    rest = rest << 8 | static_cast<uint8_t>(c);
  return mixBits(hash ^ rest);
}

void Vocabulary::reserve(size_t tokens, size_t bytes) {
  arena.reserve(bytes);
  entries.reserve(tokens);
  grow(tokens);
}

std::string_view Vocabulary::view(const Entry &entry) const {
  return std::string_view(arena).substr(entry.offset, entry.length);
}

bool Vocabulary::has(int32_t id) const {
  return id >= 0 && id < size() && entries[id].present;
}

std::string_view Vocabulary::bytes(int32_t id) const {
  return has(id) ? view(entries[id]) : std::string_view();
}

size_t Vocabulary::findSlot(std::string_view key, bool alphabet,
                            uint64_t hash) const {
  size_t mask = slots.size() - 1;
  uint32_t tag = static_cast<uint32_t>(hash >> 32);
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    if (slots[i].id < 0)
      return i;
    const Entry &entry = entries[slots[i].id];
    if (slots[i].tag == tag && entry.alphabet == alphabet && view(entry) == key)
      return i;
  }
}

int32_t Vocabulary::find(std::string_view key, bool alphabet) const {
  if (slots.empty())
    return -1;
  return slots[findSlot(key, alphabet, hashBytes(key, alphabet))].id;
}

int32_t Vocabulary::findWritten(std::string_view written) const {
  std::string bytes;
  bool alphabet = appendAlphabetBytes(bytes, written);
  return alphabet ? find(bytes, true) : find(written, false);
}

/// Gives the table at least two slots for each of `tokens` tokens.
void Vocabulary::grow(size_t tokens) {
  size_t wanted = 64;
  while (wanted < 2 * tokens)
    wanted *= 2;
  if (wanted <= slots.size())
    return;
  slots.assign(wanted, Slot());
  for (int32_t id = 0; id < size(); ++id) {
    if (!entries[id].present)
      continue;
    std::string_view key = view(entries[id]);
    uint64_t hash = hashBytes(key, entries[id].alphabet);
    slots[findSlot(key, entries[id].alphabet, hash)] = {
        id, static_cast<uint32_t>(hash >> 32)};
  }
}

bool Vocabulary::add(std::string_view written, int32_t id) {
  if (2 * (count + 1) > slots.size())
    grow(2 * (count + 1));
  Entry entry;
  entry.offset = static_cast<uint32_t>(arena.size());
  entry.present = true;
  entry.alphabet = appendAlphabetBytes(arena, written);
  if (!entry.alphabet)
    arena += written;
  entry.length = static_cast<uint32_t>(arena.size() - entry.offset);

  std::string_view key = view(entry);
  uint64_t hash = hashBytes(key, entry.alphabet);
  Slot &slot = slots[findSlot(key, entry.alphabet, hash)];
  if (slot.id >= 0 || has(id)) {
    arena.resize(entry.offset);
    return slot.id == id;
  }
  if (id >= size())
    entries.resize(id + 1);
  entries[id] = entry;
  slot = {id, static_cast<uint32_t>(hash >> 32)};
  ++count;
  return true;
}

} // namespace ds::text
