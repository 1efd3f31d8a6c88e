//===- Plot.cpp - dsrun plot ----------------------------------------------===//
#include "runtime/metrics/Plot.h"
#include "tools/dsrun/CommandLine.h"
#include "tools/dsrun/Commands.h"
#include "tools/dsrun/Terminal.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

using namespace ds::tool;
using namespace ds::metrics;

namespace {
struct PlotOptions {
  std::string folder, out, metric = "loss";
  int64_t smooth = 20;
};
} // namespace

/// Writes `text` to a temporary name and renames it.
static Status writeFile(const std::string &path, const std::string &text) {
  std::string temporary = path + ".tmp";
  std::FILE *file = std::fopen(temporary.c_str(), "wb");
  bool written =
      file && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  written = file && std::fclose(file) == 0 && written;
  if (written && std::rename(temporary.c_str(), path.c_str()) == 0)
    return std::nullopt;
  Error error = failure("cannot write '", path, "': ", std::strerror(errno));
  std::remove(temporary.c_str());
  return error;
}

/// Says which scalars a run has.
static Error noMetric(const std::vector<Record> &records,
                      const PlotOptions &options) {
  std::set<std::string> names;
  for (const Record &record : records)
    for (const auto &[name, value] : record.scalars)
      names.insert(name);
  std::string list;
  for (const std::string &name : names)
    list += (list.empty() ? "" : ", ") + name;
  return failure(options.folder, " has no values of '", options.metric, "'",
                 list.empty() ? "" : "; there are " + list);
}

static Status plot(PlotOptions &options) {
  ds::runtime::Result<std::vector<Record>> records =
      readMetrics(options.folder);
  if (!records)
    return records.takeError();
  Curve curve = getCurve(*records, options.metric);
  if (curve.points.empty())
    return noMetric(*records, options);
  std::vector<Curve> curves = {curve};
  if (options.smooth > 1)
    curves.push_back(smooth(curve, static_cast<double>(options.smooth)));
  if (options.out.empty())
    options.out = options.folder + "/" + options.metric + ".svg";
  if (Status error =
          writeFile(options.out,
                    drawSvg(curves, options.metric + " of " + options.folder)))
    return error;
  auto [step, last] = curves.back().points.back();
  std::printf("%s: %s %.6g at step %.0f\n", options.out.c_str(),
              options.metric.c_str(), last, step);
  return std::nullopt;
}

int ds::tool::runPlot(const Words &words) {
  PlotOptions options;
  CommandLine line("dsrun plot", "RUN [options]",
                   "Draws a curve of a training run as SVG, from the "
                   "metrics.jsonl in its folder.");
  line.positional(options.folder, "RUN", "the folder of a run");
  line.option(options.metric, "metric", "NAME",
              "loss (default), grad_norm, learning_rate, ...");
  line.option(options.out, "out", "FILE", "result (RUN/NAME.svg)");
  line.option(options.smooth, "smooth", "N",
              "also draw a mean over about N steps; 1 for none (20)");
  Result<bool> parsed = line.parse(words);
  if (!parsed)
    return reportError(parsed.error());
  if (!*parsed)
    return exitDone;
  if (Status error = plot(options))
    return reportError(error->message);
  return exitDone;
}
