//===- BlockScales.h - FP8 tensors with scales of blocks ------------------===//
//
// A matrix of F8_E4M3 in a checkpoint stands beside a tensor of scales,
// `<name>_scale_inv`: an f32 for each 128 x 128 elements, blocks at the edges
// being smaller. An element means code x scale, in f32 (DeepSeek-V3, arXiv
// 2412.19437, section 3.3, and the published checkpoint's README_WEIGHTS).
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_BLOCKSCALES_H
#define DS_RUNTIME_BLOCKSCALES_H

#include "runtime/Safetensors.h"

#include <cstdint>

namespace ds::runtime {

/// Rows and columns of a block that has one scale.
constexpr int64_t scaleBlock = 128;

/// The type of FP8 tensors in files.
constexpr const char *e4m3Type = "F8_E4M3";

/// Returns how many blocks `size` rows or columns are cut into.
inline int64_t countScales(int64_t size) {
  return (size + scaleBlock - 1) / scaleBlock;
}

/// Returns the name of the scales of tensor `name`.
inline std::string scaleName(const std::string &name) {
  return name + "_scale_inv";
}

/// Returns the value of a code: sign, 4 bits of exponent (bias 7), 3 of
/// mantissa; no infinities, 0x7f and 0xff are NaN.
float e4m3Value(uint8_t code);

/// Returns the code next to `value`, ties to even; the largest, 448, where it
/// is beyond, and NaN for NaN.
uint8_t roundToE4m3(float value);

/// Reads the scales of `count` rows from `first` on of `tensor`, a matrix: for
/// each row, one for every 128 columns. Expects a checkpoint that was checked.
Status readScales(const Checkpoint &checkpoint, const Tensor &tensor,
                  int64_t first, int64_t count, std::vector<float> &scales);

/// Decodes `rows` x `columns` codes by the scales of their rows; to bf16 with
/// another rounding, to nearest, ties to even.
void decodeE4m3(const uint8_t *codes, const float *scales, int64_t rows,
                int64_t columns, float *to);
void decodeE4m3(const uint8_t *codes, const float *scales, int64_t rows,
                int64_t columns, uint16_t *to);

} // namespace ds::runtime

#endif // DS_RUNTIME_BLOCKSCALES_H
