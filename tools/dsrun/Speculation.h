//===- Speculation.h - Draws tokens with the help of a draft head ---------===//
//
// The draft head guesses the next tokens, and one step of the model says of all
// of them what comes next (Leviathan et al., arXiv 2211.17192; with the head of
// multi-token prediction as the draft, arXiv 2412.19437, section 5.4.3). What
// is drawn has the distribution of drawing without a draft head; at temperature
// 0 it is the same text.
//
//===----------------------------------------------------------------------===//
#ifndef DS_TOOLS_DSRUN_SPECULATION_H
#define DS_TOOLS_DSRUN_SPECULATION_H

#include "tools/dsrun/Generation.h"

namespace ds::tool {

/// What --speculate says of an artifact without a draft head.
inline constexpr const char *noDraftHead =
    "--speculate: the artifact has no draft head; models with "
    "num_nextn_predict_layers have one";

/// continueSequence() for a new sequence, with `options.guesses` guesses for a
/// step; those after the first go on from the head's own hidden rows. The
/// engine has to give as many rows of logits and one more. Fails if the
/// artifact has no draft head.
Result<GenerationResult> speculate(Session &session,
                                   runtime::Sequence &sequence,
                                   const std::vector<int32_t> &prompt,
                                   const GenerationOptions &options,
                                   const std::function<void(int32_t)> &emit);

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_SPECULATION_H
