//===- Quantise.h - A model folder with FP8 weights -----------------------===//
//
// Writes a Hugging Face folder whose projections are FP8 with a scale for each
// 128 x 128 elements, as DeepSeek-V3's checkpoint has them (BlockScales.h). A
// block's scale is its largest magnitude / 448, so that this becomes the
// largest code.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_QUANTISE_H
#define DS_RUNTIME_QUANTISE_H

#include "runtime/ThreadPool.h"
#include "runtime/Weights.h"

#include <functional>
#include <string>

namespace ds::runtime {

/// What quantising a tensor lost: the difference to what it decodes to in f32.
struct QuantiseError {
  double relative = 0; ///< l2 of the difference by l2 of the tensor.
  double largest = 0;  ///< Of all differences.
};

/// Tells whether the models' texts have `tensor` in FP8 where config.json has a
/// `quantization_config`: projections of attention, of MLPs and of experts, but
/// not embeddings, heads, norms, routers and what an indexer weighs heads by.
bool isQuantised(const Tensor &tensor);

/// Is called with every tensor that has become FP8, in the order of files.
using QuantiseReport =
    std::function<void(const Tensor &tensor, const QuantiseError &error)>;

/// Makes the folder `to`, under a temporary name until it is whole, from the
/// folder `from`, whose weights are BF16, F16 or F32: what is not quantised is
/// copied, files keep their names, and config.json gets a
/// `quantization_config`. Fails if `to` is there already.
Status quantiseFolder(const std::string &from, const std::string &to,
                      ThreadPool &pool, const QuantiseReport &report,
                      const LoadProgress &progress);

} // namespace ds::runtime

#endif // DS_RUNTIME_QUANTISE_H
