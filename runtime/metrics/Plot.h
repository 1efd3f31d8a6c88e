//===- Plot.h - Curves as SVG ---------------------------------------------===//

#ifndef DS_RUNTIME_METRICS_PLOT_H
#define DS_RUNTIME_METRICS_PLOT_H

#include "runtime/metrics/MetricsLog.h"

namespace ds::metrics {

/// A named curve of a run: one point for each step that has the scalar.
struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

/// Returns the finite values of scalar `name` by step.
Curve getCurve(const std::vector<Record> &records, const std::string &name);

/// Returns the curve smoothed by an exponential mean without bias, whose memory
/// is about `steps` points.
Curve smooth(const Curve &curve, double steps);

/// Draws the curves, of which the first has at least one point, over their
/// steps as an SVG of 800 by 500 pixels with axes and `title`. The later curves
/// lie over the earlier ones.
std::string drawSvg(const std::vector<Curve> &curves, const std::string &title);

} // namespace ds::metrics

#endif // DS_RUNTIME_METRICS_PLOT_H
