//===- Pack.h - Layouts of packed weights ---------------------------------===//
//
// Turns rows of a checkpoint's tensors into the layouts of docs/artifact.md.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_PACK_H
#define DS_RUNTIME_PACK_H

#include "runtime/Manifest.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace ds::runtime {

/// Element types that a weight may have in a checkpoint. E4m3 is converted with
/// scales only (BlockScales.h).
enum class Source { F32, F16, Bf16, E4m3 };

/// Returns the source type called `dtype`, if weights may have it.
std::optional<Source> parseSource(const std::string &dtype);

/// Returns the bytes of one element of `source`.
inline int64_t sourceBytes(Source source) {
  return source == Source::F32 ? 4 : source == Source::E4m3 ? 1 : 2;
}

/// Converts `count` elements; to bf16 by rounding to nearest, ties to even.
void convertToBf16(Source source, const void *from, size_t count, uint16_t *to);
void convertToF32(Source source, const void *from, size_t count, float *to);

/// Packs 32 rows of `columns` bf16, `stride` apart, to a row of blocks of
/// `panel_bf16`: [K/32][2][16][16][2].
void packPanelBf16(const uint16_t *rows, size_t stride, size_t columns,
                   uint16_t *to);

/// Packs 32 rows of `columns` f32 to a row of blocks of `panel_f32`: [K][32].
void packPanelF32(const float *rows, size_t stride, size_t columns, float *to);

/// Packs 32 rows of `columns` codes, `stride` apart, with `scales`, one for
/// every 128 columns of each, to a row of blocks of `panel_e4m3`.
void packPanelE4m3(const uint8_t *rows, size_t stride, const float *scales,
                   size_t columns, char *to);

/// Where a packed row comes from: a row of a part, or nowhere (`part` < 0).
struct PackedRow {
  int64_t part = -1, row = 0;
};

/// Returns where row `row` of the packed form of `weight` comes from.
PackedRow findSourceRow(const WeightSpec &weight, int64_t row);

/// Returns the rows of the packed form before its padding to whole blocks.
int64_t packedRows(const WeightSpec &weight);

/// Returns the bytes of one matrix of `weight` in its layout.
int64_t packedBytes(const WeightSpec &weight);

} // namespace ds::runtime

#endif // DS_RUNTIME_PACK_H
