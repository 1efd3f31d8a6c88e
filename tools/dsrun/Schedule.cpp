//===- Schedule.cpp - The learning rate by step ---------------------------===//
#include "tools/dsrun/Schedule.h"

#include <cmath>

using namespace ds::tool;

Result<Schedule> Schedule::create(const std::string &name, double rate,
                                  int64_t steps, int64_t warmup) {
  Schedule schedule;
  schedule.rate = rate, schedule.steps = steps, schedule.warmup = warmup;
  if (name == "cosine")
    schedule.kind = Cosine;
  else if (name == "multi-step")
    schedule.kind = MultiStep;
  else if (name != "constant")
    return failure("expects --schedule (", name,
                   ") to be constant, cosine or multi-step");
  if (warmup > steps)
    return failure("expects --warmup (", warmup, ") to be at most --steps (",
                   steps, ")");
  return schedule;
}

double Schedule::at(int64_t step) const {
  if (step <= warmup)
    return rate * static_cast<double>(step) / static_cast<double>(warmup);
  if (kind == MultiStep) {
    // Of all steps, warm-up included.
    if (10 * step > 9 * steps)
      return 0.1 * rate;
    return 10 * step > 8 * steps ? 0.316 * rate : rate;
  }
  if (kind == Constant)
    return rate;
  double done = static_cast<double>(step - warmup) /
                static_cast<double>(steps - warmup);
  return 0.5 * rate * (1 + std::cos(M_PI * done));
}
