//===- CostModel.h - What launches cost, by the manifest ------------------===//
#ifndef DS_TOOLS_DSRUN_COSTMODEL_H
#define DS_TOOLS_DSRUN_COSTMODEL_H

#include "runtime/Engine.h"

#include <map>
#include <vector>

namespace ds::tool {

/// The sizes of a step that costs depend on.
struct StepShape {
  double tokens = 0, outputs = 0;
  double keptByRows = 0;      ///< Positions that each row sees, added up.
  double keptBySequences = 0; ///< Positions that each sequence has, added up.
  bool generated = false;     ///< The role of all tokens.

  /// Describes `rows` tokens for each of `sequences` that have `past` tokens,
  /// with logits for `outputs` rows in all.
  static StepShape of(double sequences, double past, double rows,
                      double outputs, bool generated);
};

/// Work of a launch or of a step.
struct Work {
  double flops = 0;
  double weightBytes = 0, stateBytes = 0, activationBytes = 0;

  double memoryBytes() const { return weightBytes + stateBytes; }
  Work &operator+=(const Work &other);
};

/// Returns the work of one launch of `kernel`, from its "cost"
/// (docs/artifact.md); nothing where it has none, or is for the other role.
Work workOf(const runtime::KernelSpec &kernel, const StepShape &shape);

/// How many experts each layer reads; none where it is not said.
using ExpertCounts = std::map<int64_t, double>;

/// Returns how many experts a step read that chose these.
ExpertCounts countExperts(const std::vector<runtime::RouterRows> &routing);

/// Returns the bytes of weights and state that a step of `entry` reads, each
/// layer as many of its experts as `experts` says.
double bytesOfStep(const runtime::Manifest &manifest,
                   const runtime::Entry &entry, const StepShape &shape,
                   const ExpertCounts &experts);

/// Returns the work of a whole step.
Work workOfStep(const runtime::Manifest &manifest, const StepShape &shape);

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_COSTMODEL_H
