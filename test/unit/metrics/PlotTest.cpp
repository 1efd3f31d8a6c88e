//===- PlotTest.cpp - Curves as SVG ---------------------------------------===//
#include "runtime/metrics/Plot.h"

#include <cmath>
#include <gtest/gtest.h>
#include <regex>

using namespace ds::metrics;

/// The points of the polylines of an SVG.
static std::vector<std::vector<std::pair<double, double>>>
getLines(const std::string &svg) {
  std::vector<std::vector<std::pair<double, double>>> lines;
  std::regex line("<polyline[^>]*points='([^']*)'"), point("(\\S+),(\\S+)");
  for (std::sregex_iterator it(svg.begin(), svg.end(), line), end; it != end;
       ++it) {
    std::string points = (*it)[1];
    lines.emplace_back();
    for (std::sregex_iterator at(points.begin(), points.end(), point);
         at != end; ++at)
      lines.back().emplace_back(std::stod((*at)[1]), std::stod((*at)[2]));
  }
  return lines;
}

static Curve makeCurve() {
  std::vector<Record> records;
  for (int step = 1; step <= 100; ++step)
    records.push_back({step, {{"loss", 5.0 / step}, {"other", 1}}});
  records[10].scalars[0].second = NAN;
  return getCurve(records, "loss");
}

TEST(Plot, PointsLieInTheFrame) {
  Curve curve = makeCurve();
  ASSERT_EQ(curve.points.size(), 99u);
  std::string svg = drawSvg({curve, smooth(curve, 10)}, "a < b");
  EXPECT_EQ(svg.rfind("<svg", 0), 0u);
  EXPECT_NE(svg.find("a &lt; b"), std::string::npos);
  EXPECT_NE(svg.find(">loss, smoothed<"), std::string::npos);
  auto lines = getLines(svg);
  ASSERT_EQ(lines.size(), 2u);
  for (const auto &line : lines) {
    ASSERT_EQ(line.size(), 99u);
    double before = 0;
    for (auto [x, y] : line) {
      EXPECT_GT(x, before);
      EXPECT_LE(x, 780.01);
      EXPECT_GE(y, 49.99);
      EXPECT_LE(y, 450.01);
      before = x;
    }
    // It falls: y grows downwards.
    EXPECT_LT(line.front().second, line.back().second);
  }
}

TEST(Plot, ExtremeCurves) {
  for (const Curve &curve :
       {Curve{"one", {{7, 3}}}, Curve{"flat", {{1, 2}, {2, 2}, {3, 2}}},
        Curve{"large", {{1, -1e30}, {2, 1e30}}},
        Curve{"small", {{1, 1e-12}, {2, 3e-12}}}}) {
    std::string svg = drawSvg({curve}, curve.name);
    EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
    EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
    EXPECT_EQ(getLines(svg)[0].size(), curve.points.size());
    EXPECT_LT(svg.size(), 10000u);
  }
}

TEST(Plot, SmoothingHasNoBias) {
  Curve flat{"flat", {{1, 4}, {2, 4}, {9, 4}}};
  for (auto [step, value] : smooth(flat, 20).points)
    EXPECT_NEAR(value, 4, 1e-12);
  Curve curve{"x", {{1, 0}, {2, 3}}};
  // Weights 1/4 and 1/2 with a memory of two points.
  EXPECT_NEAR(smooth(curve, 2).points[1].second, 2, 1e-12);
}
