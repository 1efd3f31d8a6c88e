//===- Plot.cpp - Curves as SVG -------------------------------------------===//

#include "runtime/metrics/Plot.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>

namespace ds::metrics {

Curve getCurve(const std::vector<Record> &records, const std::string &name) {
  Curve curve{name, {}};
  for (const Record &record : records)
    for (const auto &[scalar, value] : record.scalars)
      if (scalar == name && std::isfinite(value))
        curve.points.emplace_back(static_cast<double>(record.step), value);
  return curve;
}

Curve smooth(const Curve &curve, double steps) {
  Curve result{curve.name + ", smoothed", {}};
  double keep = 1 - 1 / std::max(steps, 1.0), sum = 0, weight = 0;
  for (auto [step, value] : curve.points) {
    sum = keep * sum + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    result.points.emplace_back(step, sum / weight);
  }
  return result;
}

namespace {
/// Numbers of one axis and where they lie on the page.
struct Axis {
  double low = 0, high = 1;   // Values at the ends.
  double first = 0, last = 1; // Pixels there.
  double step = 1;            // Between marks.

  /// Chooses ends and marks at 1, 2 or 5 times a power of ten.
  void fit(double least, double most) {
    if (!(most > least)) {
      least -= 0.5;
      most = least + 1;
    }
    double rough = (most - least) / 6;
    double power = std::pow(10, std::floor(std::log10(rough)));
    step = power * (rough / power > 5   ? 10
                    : rough / power > 2 ? 5
                    : rough / power > 1 ? 2
                                        : 1);
    low = std::floor(least / step) * step;
    high = std::ceil(most / step) * step;
  }
  double place(double value) const {
    return first + (value - low) / (high - low) * (last - first);
  }
};
} // namespace

static void print(std::string &out, const char *format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  out += line;
}

static std::string escape(const std::string &text) {
  std::string result;
  for (char c : text)
    result += c == '<'   ? "&lt;"
              : c == '>' ? "&gt;"
              : c == '&' ? "&amp;"
                         : std::string(1, c);
  return result;
}

static void drawAxes(std::string &out, const Axis &x, const Axis &y) {
  const char *line = "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' "
                     "stroke='%s'/>\n";
  const char *mark = "<text x='%.1f' y='%.1f' text-anchor='%s'>%.6g</text>\n";
  int columns = static_cast<int>(std::lround((x.high - x.low) / x.step));
  for (int i = 0; i <= columns; ++i) {
    double at = x.low + i * x.step;
    print(out, line, x.place(at), y.first, x.place(at), y.last, "#ddd");
    print(out, mark, x.place(at), y.first + 18, "middle", at);
  }
  int rows = static_cast<int>(std::lround((y.high - y.low) / y.step));
  for (int i = 0; i <= rows; ++i) {
    double at = y.low + i * y.step;
    print(out, line, x.first, y.place(at), x.last, y.place(at), "#ddd");
    // A sum of steps may miss zero by little.
    print(out, mark, x.first - 8, y.place(at) + 4, "end",
          std::abs(at) < y.step / 2 ? 0.0 : at);
  }
  print(out, line, x.first, y.first, x.last, y.first, "#333");
  print(out, line, x.first, y.first, x.first, y.last, "#333");
  print(out, "<text x='%.1f' y='%.1f' text-anchor='middle'>step</text>\n",
        (x.first + x.last) / 2, y.first + 38);
}

static void drawCurve(std::string &out, const Curve &curve, const char *colour,
                      const Axis &x, const Axis &y) {
  print(out, "<polyline fill='none' stroke='%s' stroke-width='1.5' points='",
        colour);
  for (auto [step, value] : curve.points)
    print(out, "%.2f,%.2f ", x.place(step), y.place(value));
  out += "'/>\n";
  // A line of one point is not seen.
  if (curve.points.size() == 1)
    print(out, "<circle cx='%.2f' cy='%.2f' r='3' fill='%s'/>\n",
          x.place(curve.points[0].first), y.place(curve.points[0].second),
          colour);
}

std::string drawSvg(const std::vector<Curve> &curves,
                    const std::string &title) {
  Axis x, y;
  x.first = 70;
  x.last = 780;
  y.first = 450;
  y.last = 50;
  double left = INFINITY, right = -INFINITY, least = INFINITY, most = -INFINITY;
  for (const Curve &curve : curves)
    for (auto [step, value] : curve.points) {
      left = std::min(left, step);
      right = std::max(right, step);
      least = std::min(least, value);
      most = std::max(most, value);
    }
  x.fit(left, right);
  y.fit(least, most);
  std::string out = "<svg xmlns='http://www.w3.org/2000/svg' width='800' "
                    "height='500' viewBox='0 0 800 500' "
                    "font-family='sans-serif' font-size='12'>\n"
                    "<rect width='800' height='500' fill='white'/>\n";
  out += "<text x='70' y='28' font-size='16'>" + escape(title) + "</text>\n";
  drawAxes(out, x, y);
  static const char *const colours[] = {"#9ecae1", "#08519c", "#a63603",
                                        "#54278f"};
  for (size_t i = 0; i < curves.size(); ++i) {
    const char *colour = colours[i % std::size(colours)];
    drawCurve(out, curves[i], colour, x, y);
    print(out, "<text x='770' y='%d' text-anchor='end' fill='%s'>",
          static_cast<int>(66 + 18 * i), colour);
    out += escape(curves[i].name) + "</text>\n";
  }
  return out + "</svg>\n";
}

} // namespace ds::metrics
