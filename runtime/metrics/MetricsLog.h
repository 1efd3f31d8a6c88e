//===- MetricsLog.h - What a training run reports, in its folder ----------===//
//
// `metrics.jsonl`, one object a line, {"step": 1, "loss": 2.5, ...}, and a
// TensorBoard event file with the same scalars. Names are those of TRL's
// trainers: loss, grad_norm, learning_rate, num_tokens, epoch.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_METRICS_METRICSLOG_H
#define DS_RUNTIME_METRICS_METRICSLOG_H

#include "runtime/metrics/EventFile.h"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ds::metrics {

/// Scalars of a step by name, in the order they are written.
using Scalars = std::vector<std::pair<std::string, double>>;

/// One line of metrics.jsonl.
struct Record {
  int64_t step = 0;
  Scalars scalars;
};

/// Appends to the logs of a run folder.
class MetricsLog {
public:
  /// Opens the logs of `folder`, which exists. Lines of steps after `lastStep`
  /// are removed: a resumed run writes them again. 0 begins anew.
  static Result<MetricsLog> open(const std::string &folder, int64_t lastStep);

  /// Writes the scalars of a step to both files. A scalar that is no finite
  /// number is null in metrics.jsonl.
  Status write(int64_t step, const Scalars &scalars);

private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  std::string path;
  std::unique_ptr<std::FILE, Close> lines;
  std::unique_ptr<EventFile> events;
};

/// Reads the metrics.jsonl of a run folder. A line that a killed run left
/// unfinished at the end is ignored.
Result<std::vector<Record>> readMetrics(const std::string &folder);

} // namespace ds::metrics

#endif // DS_RUNTIME_METRICS_METRICSLOG_H
