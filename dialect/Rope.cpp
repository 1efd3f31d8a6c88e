//===- Rope.cpp - Frequencies of rotary embeddings ------------------------===//
//
// Su et al., arXiv 2104.09864, and the "linear", "llama3" and "yarn" scalings
// of published configurations.
//
//===----------------------------------------------------------------------===//
#include "dialect/Dialect.h"
#include <algorithm>
#include <cmath>

using namespace ds;

static double getNumber(DictionaryAttr dict, StringRef name) {
  if (auto value = dict.getAs<FloatAttr>(name))
    return value.getValueAsDouble();
  return static_cast<double>(cast<IntegerAttr>(dict.get(name)).getInt());
}

LogicalResult RopeAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               RopeLayout layout, int64_t dims, FloatAttr theta,
                               DictionaryAttr scaling, int64_t first) {
  if (first < 0)
    return emitError() << "expects first (" << first << ") not to be negative";
  if (dims <= 0 || dims % 2)
    return emitError() << "expects dims (" << dims << ") to be even and "
                       << "positive";
  if (theta.getValueAsDouble() <= 0)
    return emitError() << "expects theta to be positive";
  if (!scaling || scaling.empty())
    return success();
  auto type = scaling.getAs<StringAttr>("type");
  if (!type)
    return emitError() << "expects scaling to have a string 'type'";
  SmallVector<StringRef> needs;
  if (type.getValue() == "linear")
    needs = {"factor"};
  else if (type.getValue() == "llama3")
    needs = {"factor", "low_freq_factor", "high_freq_factor",
             "original_max_position_embeddings"};
  else if (type.getValue() == "yarn")
    needs = {"factor", "original_max_position_embeddings"};
  else
    return emitError() << "expects scaling type 'linear', 'llama3' or 'yarn', "
                       << "got '" << type.getValue() << "'";
  for (StringRef name : needs)
    if (!isa_and_nonnull<FloatAttr, IntegerAttr>(scaling.get(name)))
      return emitError() << "expects scaling to have a number '" << name << "'";
  return success();
}

/// Llama 3: long wavelengths are divided by `factor`, short ones kept, those
/// between blended linearly in original length / wavelength.
static double scaleLlama3(double frequency, DictionaryAttr scaling) {
  double factor = getNumber(scaling, "factor");
  double low = getNumber(scaling, "low_freq_factor");
  double high = getNumber(scaling, "high_freq_factor");
  double length = getNumber(scaling, "original_max_position_embeddings");
  double turns = length * frequency / (2 * M_PI);
  if (turns < low)
    return frequency / factor;
  if (turns > high)
    return frequency;
  double smooth = (turns - low) / (high - low);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

static double getNumberOr(DictionaryAttr dict, StringRef name,
                          double otherwise) {
  return dict.get(name) ? getNumber(dict, name) : otherwise;
}

/// YaRN: frequency i of `count` is divided by `factor` as far as it turns less
/// than `beta_fast` times in the original length, wholly below `beta_slow`.
/// Peng et al., arXiv 2309.00071, section 3.2.
static double scaleYarn(double frequency, double i, RopeAttr rope) {
  DictionaryAttr scaling = rope.getScaling();
  auto dims = static_cast<double>(rope.getDims());
  double theta = rope.getTheta().getValueAsDouble();
  double length = getNumber(scaling, "original_max_position_embeddings");
  auto findDim = [&](double turns) {
    return dims * std::log(length / (turns * 2 * M_PI)) / (2 * std::log(theta));
  };
  double low = std::max(
      std::floor(findDim(getNumberOr(scaling, "beta_fast", 32))), 0.0);
  double high = std::min(
      std::ceil(findDim(getNumberOr(scaling, "beta_slow", 1))), dims - 1);
  if (low == high)
    high += 0.001;
  double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
  return frequency / getNumber(scaling, "factor") * ramp +
         frequency * (1 - ramp);
}

double ds::getRopeGain(RopeAttr rope) {
  DictionaryAttr scaling = rope.getScaling();
  if (!scaling || scaling.empty() ||
      scaling.getAs<StringAttr>("type").getValue() != "yarn")
    return 1;
  double factor = getNumber(scaling, "factor");
  auto stretch = [&](double scale) {
    return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
  };
  double all = getNumberOr(scaling, "mscale_all_dim", 0);
  double own = getNumberOr(scaling, "mscale", 0);
  return own != 0 && all != 0 ? stretch(own) / stretch(all) : stretch(1);
}

SmallVector<double> ds::getRopeFrequencies(RopeAttr rope) {
  SmallVector<double> result;
  double theta = rope.getTheta().getValueAsDouble();
  DictionaryAttr scaling = rope.getScaling();
  bool scaled = scaling && !scaling.empty();
  for (int64_t i = 0; i < rope.getDims() / 2; ++i) {
    double frequency =
        std::pow(theta, -2.0 * static_cast<double>(i) / rope.getDims());
    if (scaled) {
      StringRef type = scaling.getAs<StringAttr>("type").getValue();
      frequency = type == "linear"   ? frequency / getNumber(scaling, "factor")
                  : type == "llama3" ? scaleLlama3(frequency, scaling)
                                     : scaleYarn(frequency,
                                                 static_cast<double>(i), rope);
    }
    result.push_back(frequency);
  }
  return result;
}
