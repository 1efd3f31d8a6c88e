//===- BlockScales.cpp - FP8 tensors with scales of blocks ----------------===//
#include "runtime/BlockScales.h"
#include "runtime/Pack.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

using namespace ds::runtime;

static std::array<float, 256> makeValues() {
  std::array<float, 256> values;
  for (int code = 0; code < 256; ++code) {
    int exponent = code >> 3 & 15, mantissa = code & 7;
    float value = exponent ? std::ldexp(8.0f + mantissa, exponent - 10)
                           : std::ldexp(float(mantissa), -9);
    if ((code & 0x7f) == 0x7f)
      value = std::numeric_limits<float>::quiet_NaN();
    values[code] = code & 0x80 ? -value : value;
  }
  return values;
}

static const std::array<float, 256> values = makeValues();

float ds::runtime::e4m3Value(uint8_t code) { return values[code]; }

uint8_t ds::runtime::roundToE4m3(float value) {
  constexpr uint32_t largest = 0x7e, nan = 0x7f;
  constexpr float normal = 0x1p-6f;
  uint8_t sign = std::signbit(value) ? 0x80 : 0;
  float magnitude = std::fabs(value);
  if (std::isnan(value))
    return sign | nan;
  if (magnitude < normal) // Up to 8 steps of 2^-9: 8 is the first normal one.
    return sign | static_cast<uint8_t>(std::nearbyint(magnitude * 0x1p9f));
  // Exponent and 3 bits of mantissa, the exponent's bias being 120 less.
  uint32_t bits;
  memcpy(&bits, &magnitude, sizeof(bits));
  bits += 0x7ffff + (bits >> 20 & 1);
  return sign |
         static_cast<uint8_t>(std::min((bits >> 20) - (120 << 3), largest));
}

Status ds::runtime::readScales(const Checkpoint &checkpoint,
                               const Tensor &tensor, int64_t first,
                               int64_t count, std::vector<float> &scales) {
  const Tensor &from = checkpoint.tensors().at(scaleName(tensor.name));
  int64_t columns = countScales(tensor.shape[1]);
  int64_t begin = first / scaleBlock;
  int64_t blocks = countScales(first + count) - begin;
  std::vector<float> read(blocks * columns);
  if (Status error = checkpoint.file(from).read(
          from.begin + begin * columns * sizeof(float),
          read.size() * sizeof(float), read.data()))
    return error;
  scales.resize(count * columns);
  for (int64_t row = 0; row < count; ++row)
    std::copy_n(read.data() + ((first + row) / scaleBlock - begin) * columns,
                columns, scales.data() + row * columns);
  return std::nullopt;
}

void ds::runtime::decodeE4m3(const uint8_t *codes, const float *scales,
                             int64_t rows, int64_t columns, float *to) {
  int64_t blocks = countScales(columns);
  for (int64_t row = 0; row < rows; ++row, scales += blocks)
    for (int64_t column = 0; column < columns; ++column)
      *to++ = values[*codes++] * scales[column / scaleBlock];
}

void ds::runtime::decodeE4m3(const uint8_t *codes, const float *scales,
                             int64_t rows, int64_t columns, uint16_t *to) {
  std::vector<float> line(columns);
  for (int64_t row = 0; row < rows; ++row) {
    decodeE4m3(codes, scales, 1, columns, line.data());
    convertToBf16(Source::F32, line.data(), columns, to);
    codes += columns, to += columns, scales += countScales(columns);
  }
}
