//===- Bpe.cpp - Byte pair encoding of one word ---------------------------===//

#include "runtime/text/Bpe.h"

#include <queue>

namespace ds::text {

/// Words up to this length are merged by scanning all pairs each time, longer
/// ones through a heap.
static constexpr size_t shortWord = 24;

static uint64_t packPair(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
         static_cast<uint32_t>(right);
}

void Bpe::reserve(size_t merges) {
  size_t wanted = 64;
  while (wanted < 2 * merges)
    wanted *= 2;
  if (wanted <= slots.size())
    return;
  std::vector<Slot> old(wanted);
  old.swap(slots);
  for (const Slot &slot : old)
    if (slot.pair != emptyPair)
      slots[findSlot(slot.pair)] = slot;
}

size_t Bpe::findSlot(uint64_t pair) const {
  size_t mask = slots.size() - 1;
  size_t i = mixBits(pair) & mask;
  while (slots[i].pair != pair && slots[i].pair != emptyPair)
    i = (i + 1) & mask;
  return i;
}

Bpe::Merge Bpe::find(int32_t left, int32_t right) const {
  if (slots.empty())
    return Merge();
  return slots[findSlot(packPair(left, right))].merge;
}

void Bpe::addMerge(int32_t left, int32_t right, int32_t id) {
  if (2 * (static_cast<size_t>(count) + 1) > slots.size())
    reserve(2 * (static_cast<size_t>(count) + 1));
  uint64_t pair = packPair(left, right);
  Slot &slot = slots[findSlot(pair)];
  if (slot.pair == emptyPair)
    slot = {pair, {count, id}};
  ++count;
}

void Bpe::finish(const Vocabulary &vocabulary, int32_t unknownId, bool fuse,
                 bool whole) {
  for (int byte = 0; byte < 256; ++byte) {
    char c = static_cast<char>(byte);
    byteIds[byte] = vocabulary.findBytes(std::string_view(&c, 1));
  }
  unknown = unknownId;
  fuseUnknown = fuse;
  wholeWords = whole;
}

void Bpe::splitBytes(std::string_view word,
                     std::vector<int32_t> &symbols) const {
  bool afterUnknown = false;
  for (char c : word) {
    int32_t id = byteIds[static_cast<uint8_t>(c)];
    bool isUnknown = id < 0;
    if (isUnknown)
      id = fuseUnknown && afterUnknown ? -1 : unknown;
    if (id >= 0)
      symbols.push_back(id);
    afterUnknown = isUnknown;
  }
}

void Bpe::mergeShort(std::vector<int32_t> &symbols) const {
  std::array<Merge, shortWord> pairs;
  for (size_t i = 0; i + 1 < symbols.size(); ++i)
    pairs[i] = find(symbols[i], symbols[i + 1]);
  while (symbols.size() > 1) {
    size_t last = symbols.size() - 1, best = last;
    for (size_t i = 0; i < last; ++i)
      if (pairs[i].rank >= 0 &&
          (best == last || pairs[i].rank < pairs[best].rank))
        best = i;
    if (best == last)
      return;
    symbols[best] = pairs[best].id;
    symbols.erase(symbols.begin() + best + 1);
    for (size_t i = best + 1; i + 1 < last; ++i)
      pairs[i] = pairs[i + 1];
    if (best > 0)
      pairs[best - 1] = find(symbols[best - 1], symbols[best]);
    if (best + 1 < last)
      pairs[best] = find(symbols[best], symbols[best + 1]);
  }
}

namespace {
/// A symbol in the list of a long word; -1 is the end on both sides.
struct Node {
  int32_t id;
  int32_t before, after;
};

/// A pair that may be merged, as it was when it was noted.
struct Pending {
  int32_t rank;
  int32_t left;
  int32_t leftId, rightId, id;
  bool operator<(const Pending &other) const {
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};
} // namespace

void Bpe::mergeLong(std::vector<int32_t> &symbols) const {
  int32_t length = static_cast<int32_t>(symbols.size());
  std::vector<Node> nodes(length);
  std::vector<Pending> storage;
  storage.reserve(length);
  std::priority_queue<Pending> heap(std::less<Pending>(), std::move(storage));
  auto note = [&](int32_t left) {
    if (left < 0 || nodes[left].after < 0)
      return;
    int32_t leftId = nodes[left].id, rightId = nodes[nodes[left].after].id;
    Merge merge = find(leftId, rightId);
    if (merge.rank >= 0)
      heap.push({merge.rank, left, leftId, rightId, merge.id});
  };
  for (int32_t i = 0; i < length; ++i)
    nodes[i] = {symbols[i], i - 1, i + 1 < length ? i + 1 : -1};
  for (int32_t i = 0; i < length; ++i)
    note(i);
  while (!heap.empty()) {
    Pending top = heap.top();
    heap.pop();
    Node &left = nodes[top.left];
    // A node that was merged away has the id -1.
    if (left.id != top.leftId || left.after < 0 ||
        nodes[left.after].id != top.rightId)
      continue;
    Node &right = nodes[left.after];
    left.id = top.id;
    left.after = right.after;
    right.id = -1;
    if (left.after >= 0)
      nodes[left.after].before = top.left;
    note(left.before);
    note(top.left);
  }
  symbols.clear();
  for (int32_t i = 0; i >= 0 && i < length; i = nodes[i].after)
    symbols.push_back(nodes[i].id);
}

void Bpe::encode(const Vocabulary &vocabulary, std::string_view word,
                 std::vector<int32_t> &out) const {
  if (wholeWords) {
    int32_t id = vocabulary.findBytes(word);
    if (id >= 0) {
      out.push_back(id);
      return;
    }
  }
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  splitBytes(word, symbols);
  if (symbols.size() <= shortWord)
    mergeShort(symbols);
  else
    mergeLong(symbols);
  out.insert(out.end(), symbols.begin(), symbols.end());
}

} // namespace ds::text
