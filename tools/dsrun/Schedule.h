//===- Schedule.h - The learning rate by step -----------------------------===//
#ifndef DS_TOOLS_DSRUN_SCHEDULE_H
#define DS_TOOLS_DSRUN_SCHEDULE_H

#include "tools/dsrun/CommandLine.h"

namespace ds::tool {

/// A learning rate that rises linearly for `warmup` steps and then follows
/// - constant: as it is;
/// - cosine: half a period of the cosine, down to 0 at the last step;
/// - multi-step: 31.6 % of it after 80 % of the steps, 10 % after 90 %
///   (DeepSeek LLM, arXiv 2401.02954, section 2.3).
class Schedule {
public:
  static Result<Schedule> create(const std::string &name, double rate,
                                 int64_t steps, int64_t warmup);

  /// Returns the rate of `step`, which counts from 1.
  double at(int64_t step) const;

private:
  enum Kind { Constant, Cosine, MultiStep } kind = Constant;
  double rate = 0;
  int64_t steps = 0, warmup = 0;
};

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_SCHEDULE_H
