//===- Nfc.cpp - Unicode normalisation form C -----------------------------===//

#include "runtime/text/Nfc.h"

#include "runtime/text/Utf8.h"

#include <algorithm>
#include <tuple>
#include <vector>

namespace ds::text {

/// Hangul syllables are made of a leading consonant, a vowel and perhaps a
/// trailing consonant, by arithmetic.
static constexpr uint32_t syllables = 0xAC00, leads = 0x1100, vowels = 0x1161,
                          trails = 0x11A7;
static constexpr uint32_t leadCount = 19, vowelCount = 21, trailCount = 28;
static constexpr uint32_t syllableCount = leadCount * vowelCount * trailCount;

static uint8_t combiningClass(uint32_t code) {
  const CombiningRange *end = combiningRanges + combiningRangesCount;
  const CombiningRange *range = std::lower_bound(
      combiningRanges, end, code,
      [](const CombiningRange &r, uint32_t c) { return r.last < c; });
  return range != end && range->first <= code ? range->combiningClass : 0;
}

static const Decomposition *findIn(const Decomposition *begin, size_t count,
                                   uint32_t code) {
  const Decomposition *found = std::lower_bound(
      begin, begin + count, code,
      [](const Decomposition &d, uint32_t c) { return d.code < c; });
  return found != begin + count && found->code == code ? found : nullptr;
}

static void decompose(uint32_t code, std::vector<uint32_t> &out) {
  if (code - syllables < syllableCount) {
    uint32_t index = code - syllables;
    out.push_back(leads + index / (vowelCount * trailCount));
    out.push_back(vowels + index / trailCount % vowelCount);
    if (index % trailCount)
      out.push_back(trails + index % trailCount);
    return;
  }
  const Decomposition *found =
      findIn(composingPairs, composingPairsCount, code);
  if (!found)
    found = findIn(otherDecompositions, otherDecompositionsCount, code);
  if (!found) {
    out.push_back(code);
    return;
  }
  decompose(found->first, out);
  if (found->second)
    decompose(found->second, out);
}

static std::vector<Decomposition> sortByParts() {
  std::vector<Decomposition> result(composingPairs,
                                    composingPairs + composingPairsCount);
  std::sort(result.begin(), result.end(),
            [](const Decomposition &a, const Decomposition &b) {
              return std::tie(a.first, a.second) < std::tie(b.first, b.second);
            });
  return result;
}

/// Returns what `first` and `second` compose to, or 0.
static uint32_t composePair(uint32_t first, uint32_t second) {
  if (first - leads < leadCount && second - vowels < vowelCount)
    return syllables +
           ((first - leads) * vowelCount + second - vowels) * trailCount;
  bool open = first - syllables < syllableCount &&
              (first - syllables) % trailCount == 0;
  if (open && second > trails && second < trails + trailCount)
    return first + second - trails;
  static const std::vector<Decomposition> pairs = sortByParts();
  auto found = std::lower_bound(
      pairs.begin(), pairs.end(), std::pair(first, second),
      [](const Decomposition &d, const std::pair<uint32_t, uint32_t> &key) {
        return std::tie(d.first, d.second) < std::tie(key.first, key.second);
      });
  bool matches =
      found != pairs.end() && found->first == first && found->second == second;
  return matches ? found->code : 0;
}

/// Sorts each run of combining marks by class, keeping the order of equals.
static void orderMarks(std::vector<uint32_t> &codes) {
  // Class, place and code point of a mark, from high to low bits.
  std::vector<uint64_t> marks;
  for (size_t i = 0; i < codes.size(); ++i) {
    marks.clear();
    for (; i < codes.size() && combiningClass(codes[i]) != 0; ++i)
      marks.push_back(uint64_t(combiningClass(codes[i])) << 53 |
                      uint64_t(marks.size()) << 21 | codes[i]);
    std::sort(marks.begin(), marks.end());
    for (size_t j = 0; j < marks.size(); ++j)
      codes[i - marks.size() + j] = marks[j] & 0x1FFFFF;
  }
}

/// Joins each starter with the marks after it that nothing blocks.
static void composeMarks(std::vector<uint32_t> &codes) {
  size_t size = 0, starter = codes.size();
  int lastClass = -1;
  for (uint32_t code : codes) {
    int number = combiningClass(code);
    if (starter < size && lastClass < number) {
      uint32_t joined = composePair(codes[starter], code);
      if (joined) {
        codes[starter] = joined;
        continue;
      }
    }
    lastClass = number;
    if (number == 0) {
      starter = size;
      // A starter right after a starter is not blocked.
      lastClass = -1;
    }
    codes[size++] = code;
  }
  codes.resize(size);
}

void composeNfc(std::string &text) {
  std::vector<uint32_t> codes;
  bool simple = true;
  for (size_t at = 0; at < text.size();) {
    CodePoint point = readCodePoint(std::string_view(text).substr(at));
    // Nothing below U+0300 combines or is composed otherwise.
    simple &= point.value < 0x300;
    decompose(point.value, codes);
    at += point.length;
  }
  if (simple)
    return;
  orderMarks(codes);
  composeMarks(codes);
  text.clear();
  for (uint32_t code : codes)
    appendCodePoint(text, code);
}

} // namespace ds::text
