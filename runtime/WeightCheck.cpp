//===- WeightCheck.cpp - Does a checkpoint fit an artifact ----------------===//
#include "runtime/BlockScales.h"
#include "runtime/Pack.h"
#include "runtime/Weights.h"

#include <algorithm>
#include <set>

using namespace ds::runtime;

/// Tells whether a model may do without a tensor that its folder has: tables of
/// old checkpoints that are computed now, and the copy of a tied head.
static bool isHarmless(const std::string &name) {
  static const std::string inverse = "rotary_emb.inv_freq";
  bool frequencies =
      name.size() >= inverse.size() &&
      name.compare(name.size() - inverse.size(), inverse.size(), inverse) == 0;
  return frequencies || name == "lm_head.weight";
}

/// Returns the shape that the tensor of `part` has in the checkpoint.
static std::vector<int64_t> partShape(const WeightSpec &weight,
                                      const WeightPart &part) {
  if (weight.shape.size() == 1)
    return {part.rows};
  return {part.rows, weight.columns()};
}

namespace {
/// Collects everything that does not fit.
struct WeightChecker {
  const Checkpoint &checkpoint;
  std::set<std::string> used;
  std::vector<std::string> problems;

  /// Returns the tensor `name`, if there is one of this shape.
  const Tensor *find(const std::string &name, const std::vector<int64_t> &shape,
                     const std::string &note = "") {
    auto found = checkpoint.tensors().find(name);
    if (found == checkpoint.tensors().end()) {
      problems.push_back(join("missing tensor '", name, "' of shape ",
                              shapeText(shape), note));
      return nullptr;
    }
    const Tensor &tensor = found->second;
    if (tensor.shape == shape)
      return &tensor;
    problems.push_back(join("expects tensor '", name, "' of shape ",
                            shapeText(shape), note, ", found ",
                            shapeText(tensor.shape)));
    return nullptr;
  }

  /// Checks a tensor of a weight that is packed from FP8, or from any type.
  void check(const std::string &name, const std::vector<int64_t> &shape,
             bool isFp8) {
    if (!used.insert(name).second)
      return;
    auto found = checkpoint.tensors().find(name);
    if (found != checkpoint.tensors().end() && found->second.dtype == e4m3Type)
      used.insert(scaleName(name));
    const Tensor *tensor = find(name, shape);
    if (found == checkpoint.tensors().end())
      return;
    const std::string &dtype = found->second.dtype;
    bool decodes = dtype == e4m3Type && shape.size() == 2;
    if (isFp8 && !decodes)
      problems.push_back(join("expects tensor '", name, "' of type ", e4m3Type,
                              ", as config.json says that weights are FP8, "
                              "found ",
                              dtype));
    else if (!isFp8 && !decodes && (!parseSource(dtype) || dtype == e4m3Type))
      problems.push_back(join("expects tensor '", name,
                              "' of type BF16, F16 or F32, found ", dtype));
    else if (tensor && decodes)
      checkScales(name, shape);
  }

  void checkScales(const std::string &name, const std::vector<int64_t> &shape) {
    std::string scales = scaleName(name);
    const Tensor *tensor =
        find(scales, {countScales(shape[0]), countScales(shape[1])},
             join(", the scales of '", name, "'"));
    if (tensor && tensor->dtype != "F32")
      problems.push_back(join("expects tensor '", scales,
                              "' of type F32, found ", tensor->dtype));
  }

  /// A copy may be there or not.
  void checkCopy(const std::string &name, const std::vector<int64_t> &shape,
                 bool isFp8) {
    if (checkpoint.tensors().count(name))
      check(name, shape, isFp8);
  }

  void checkUnused(const std::vector<std::string> &ignored) {
    auto isIgnored = [&](const std::string &name) {
      return std::any_of(ignored.begin(), ignored.end(), [&](auto &begin) {
        return name.compare(0, begin.size(), begin) == 0;
      });
    };
    for (const auto &[name, tensor] : checkpoint.tensors())
      if (!used.count(name) && !isHarmless(name) && !isIgnored(name))
        problems.push_back(join("unexpected tensor '", name, "' of shape ",
                                shapeText(tensor.shape)));
  }
};
} // namespace

Status ds::runtime::checkWeights(const Manifest &manifest,
                                 const Checkpoint &checkpoint) {
  WeightChecker checker{checkpoint, {}, {}};
  for (const WeightSpec &weight : manifest.weights)
    for (int64_t matrix = 0; matrix < weight.matrixCount(); ++matrix)
      for (size_t part = 0; part < weight.parts.size(); ++part)
        checker.check(weight.nameOf(part, matrix),
                      partShape(weight, weight.parts[part]),
                      weight.layout == Layout::PanelE4m3);
  for (const WeightSpec &weight : manifest.weights)
    for (const std::string &copy : weight.copies)
      checker.checkCopy(copy, partShape(weight, weight.parts[0]),
                        weight.layout == Layout::PanelE4m3);
  checker.checkUnused(manifest.ignored);
  if (checker.problems.empty())
    return std::nullopt;
  size_t count = checker.problems.size();
  std::string text;
  for (const std::string &problem : checker.problems)
    text += "\n  " + problem;
  return failure("the weights in '", checkpoint.path(),
                 "' do not fit the artifact, ", count,
                 count == 1 ? " problem:" : " problems:", text);
}
