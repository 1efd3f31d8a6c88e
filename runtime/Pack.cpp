//===- Pack.cpp - Layouts of packed weights -------------------------------===//
//
// The inner loops are transpositions of 4 x 4 words in SSE2, which every
// x86-64 has; they keep up with memory.
//
//===----------------------------------------------------------------------===//
#include "runtime/Pack.h"
#include "runtime/BlockScales.h"

#include <algorithm>
#include <cstring>
#include <emmintrin.h>

using namespace ds::runtime;

static constexpr size_t block = 32;

std::optional<Source> ds::runtime::parseSource(const std::string &dtype) {
  if (dtype == "F32")
    return Source::F32;
  if (dtype == "F16")
    return Source::F16;
  if (dtype == "BF16")
    return Source::Bf16;
  if (dtype == e4m3Type)
    return Source::E4m3;
  return std::nullopt;
}

static uint32_t floatBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

static float bitsFloat(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

/// Rounds to nearest, ties to even; a NaN stays one.
static uint16_t roundToBf16(float value) {
  uint32_t bits = floatBits(value);
  uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
  bool nan = (bits & 0x7fffffff) > 0x7f800000;
  return static_cast<uint16_t>((nan ? bits | 0x400000 : rounded) >> 16);
}

/// Widens an f16: exponent and fraction move, a product with 2^112 sets the
/// bias right, subnormals included.
static float widenF16(uint16_t half) {
  uint32_t magnitude = uint32_t(half & 0x7fff) << 13;
  float value = bitsFloat(magnitude) * bitsFloat(0x77800000);
  if ((half & 0x7c00) == 0x7c00)
    value = bitsFloat(magnitude | 0x7f800000);
  return bitsFloat(floatBits(value) | uint32_t(half & 0x8000) << 16);
}

void ds::runtime::convertToF32(Source source, const void *from, size_t count,
                               float *to) {
  const uint16_t *halves = static_cast<const uint16_t *>(from);
  if (source == Source::F32)
    memcpy(to, from, count * sizeof(float));
  else if (source == Source::Bf16)
    for (size_t i = 0; i < count; ++i)
      to[i] = bitsFloat(uint32_t(halves[i]) << 16);
  else
    for (size_t i = 0; i < count; ++i)
      to[i] = widenF16(halves[i]);
}

void ds::runtime::convertToBf16(Source source, const void *from, size_t count,
                                uint16_t *to) {
  const float *floats = static_cast<const float *>(from);
  const uint16_t *halves = static_cast<const uint16_t *>(from);
  if (source == Source::Bf16)
    memcpy(to, from, count * sizeof(uint16_t));
  else if (source == Source::F32)
    for (size_t i = 0; i < count; ++i)
      to[i] = roundToBf16(floats[i]);
  else
    for (size_t i = 0; i < count; ++i)
      to[i] = roundToBf16(widenF16(halves[i]));
}

/// Transposes the 4 x 4 words at `from`, rows `fromStride` bytes apart.
static void transpose4(const char *from, size_t fromStride, char *to,
                       size_t toStride) {
  auto load = [&](size_t row) {
    return _mm_loadu_si128(
        reinterpret_cast<const __m128i *>(from + row * fromStride));
  };
  auto store = [&](size_t row, __m128i value) {
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to + row * toStride), value);
  };
  __m128i a = load(0), b = load(1), c = load(2), d = load(3);
  __m128i ab = _mm_unpacklo_epi32(a, b), cd = _mm_unpacklo_epi32(c, d);
  store(0, _mm_unpacklo_epi64(ab, cd));
  store(1, _mm_unpackhi_epi64(ab, cd));
  ab = _mm_unpackhi_epi32(a, b), cd = _mm_unpackhi_epi32(c, d);
  store(2, _mm_unpacklo_epi64(ab, cd));
  store(3, _mm_unpackhi_epi64(ab, cd));
}

/// Packs one block of 32 x 32 bf16 to [2][16][16][2]: words are pairs of k.
static void packBlockBf16(const uint16_t *rows, size_t stride, uint16_t *to) {
  size_t strideBytes = stride * sizeof(uint16_t);
  for (size_t tile = 0; tile < 2; ++tile)
    for (size_t pair = 0; pair < 16; pair += 4)
      for (size_t n = 0; n < 16; n += 4)
        transpose4(
            reinterpret_cast<const char *>(rows + (tile * 16 + n) * stride +
                                           2 * pair),
            strideBytes,
            reinterpret_cast<char *>(to + tile * 512 + pair * 32 + n * 2), 64);
}

void ds::runtime::packPanelBf16(const uint16_t *rows, size_t stride,
                                size_t columns, uint16_t *to) {
  size_t k = 0;
  for (; k + block <= columns; k += block, to += block * block)
    packBlockBf16(rows + k, stride, to);
  if (k == columns)
    return;
  uint16_t tail[block * block] = {};
  for (size_t n = 0; n < block; ++n)
    memcpy(tail + n * block, rows + n * stride + k,
           (columns - k) * sizeof(uint16_t));
  packBlockBf16(tail, block, to);
}

void ds::runtime::packPanelF32(const float *rows, size_t stride, size_t columns,
                               float *to) {
  size_t k = 0;
  for (; k + 4 <= columns; k += 4)
    for (size_t n = 0; n < block; n += 4)
      transpose4(reinterpret_cast<const char *>(rows + n * stride + k),
                 stride * sizeof(float),
                 reinterpret_cast<char *>(to + k * block + n),
                 block * sizeof(float));
  for (; k < columns; ++k)
    for (size_t n = 0; n < block; ++n)
      to[k * block + n] = rows[n * stride + k];
}

/// Packs a block of 32 x 32 codes to [8][2][64] bytes: 64 are two pairs of k of
/// 16 columns, of which every 8 bytes are of one pair and 4 columns.
static void packBlockE4m3(const uint8_t *rows, size_t stride, char *to) {
  for (size_t pairs = 0; pairs < block / 4; ++pairs)
    for (size_t n = 0; n < block; ++n) {
      const uint8_t *from = rows + n * stride + 4 * pairs;
      size_t column = n % 16;
      char *out =
          to + pairs * 128 + n / 16 * 64 + column / 4 * 16 + column % 4 * 2;
      memcpy(out, from, 2);
      memcpy(out + 8, from + 2, 2);
    }
}

void ds::runtime::packPanelE4m3(const uint8_t *rows, size_t stride,
                                const float *scales, size_t columns, char *to) {
  size_t groups = countScales(columns);
  for (size_t group = 0; group < groups; ++group) {
    for (size_t n = 0; n < block; ++n, to += sizeof(float))
      memcpy(to, scales + n * groups + group, sizeof(float));
    size_t end = std::min(columns, size_t((group + 1) * scaleBlock));
    for (size_t k = group * scaleBlock; k < end; k += block, to += 1024) {
      if (k + block <= columns) {
        packBlockE4m3(rows + k, stride, to);
        continue;
      }
      uint8_t tail[block * block] = {};
      for (size_t n = 0; n < block; ++n)
        memcpy(tail + n * block, rows + n * stride + k, columns - k);
      packBlockE4m3(tail, block, to);
    }
  }
}

/// Returns the rows of all groups, and of all padded groups.
static std::pair<int64_t, int64_t> countGroups(const WeightSpec &weight) {
  int64_t rows = 0, padded = 0;
  for (int64_t group : weight.rowGroups) {
    rows += group;
    padded += roundUp(group, block);
  }
  return {rows, padded};
}

/// Every group of rows begins at a multiple of 32.
static PackedRow findGroupedRow(const WeightSpec &weight, int64_t row) {
  auto [rows, padded] = countGroups(weight);
  int64_t source = row / padded * rows;
  row %= padded;
  for (int64_t group : weight.rowGroups) {
    if (row < roundUp(group, block))
      return row < group ? PackedRow{0, source + row} : PackedRow();
    source += group;
    row -= roundUp(group, block);
  }
  return {};
}

PackedRow ds::runtime::findSourceRow(const WeightSpec &weight, int64_t row) {
  if (!weight.rowGroups.empty())
    return findGroupedRow(weight, row);
  if (weight.paired) {
    PackedRow source{row % 32 / 16, row / 32 * 16 + row % 16};
    return source.row < weight.parts[0].rows ? source : PackedRow();
  }
  for (size_t part = 0; part < weight.parts.size(); ++part) {
    if (row < weight.parts[part].rows)
      return {static_cast<int64_t>(part), row};
    row -= weight.parts[part].rows;
  }
  return {};
}

int64_t ds::runtime::packedRows(const WeightSpec &weight) {
  if (!weight.rowGroups.empty()) {
    auto [rows, padded] = countGroups(weight);
    return weight.shape[0] / rows * padded;
  }
  return weight.paired ? 2 * roundUp(weight.parts[0].rows, 16) : weight.rows();
}

int64_t ds::runtime::packedBytes(const WeightSpec &weight) {
  int64_t rows = packedRows(weight);
  int64_t columns = roundUp(weight.columns(), block);
  switch (weight.layout) {
  case Layout::Raw:
    return rows * weight.columns() * elementBytes(weight.element);
  case Layout::VectorF32:
    return roundUp(rows, 16) * 4;
  case Layout::PanelBf16:
    return roundUp(rows, block) * columns * 2;
  case Layout::PanelF32:
    return roundUp(rows, block) * columns * 4;
  case Layout::PanelE4m3:
    return roundUp(rows, block) * (columns + countScales(weight.columns()) * 4);
  }
  return 0;
}
