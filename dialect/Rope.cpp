//===- Rope.cpp - Frequencies of rotary embeddings ------------------------===//
//
// Su et al., arXiv 2104.09864, and the "linear" and "llama3" scalings of
// published configurations.
//
//===----------------------------------------------------------------------===//
#include "dialect/Dialect.h"
#include <cmath>

using namespace ds;

static double getNumber(DictionaryAttr dict, StringRef name) {
  if (auto value = dict.getAs<FloatAttr>(name))
    return value.getValueAsDouble();
  return static_cast<double>(cast<IntegerAttr>(dict.get(name)).getInt());
}

LogicalResult RopeAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               RopeLayout layout, int64_t dims, FloatAttr theta,
                               DictionaryAttr scaling) {
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
  else
    return emitError() << "expects scaling type 'linear' or 'llama3', got '"
                       << type.getValue() << "'";
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
      frequency = type == "linear" ? frequency / getNumber(scaling, "factor")
                                   : scaleLlama3(frequency, scaling);
    }
    result.push_back(frequency);
  }
  return result;
}
