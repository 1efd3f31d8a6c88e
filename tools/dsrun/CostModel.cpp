//===- CostModel.cpp - What launches cost, by the manifest ----------------===//
#include "tools/dsrun/CostModel.h"

#include "runtime/Pack.h"

#include <set>

using namespace ds::tool;
using namespace ds::runtime;

StepShape StepShape::of(double sequences, double past, double rows,
                        double outputs, bool generated) {
  StepShape shape;
  shape.generated = generated;
  shape.tokens = sequences * rows;
  shape.outputs = outputs;
  shape.keptBySequences = sequences * (past + rows);
  shape.keptByRows = sequences * rows * (past + (rows + 1) / 2);
  return shape;
}

Work &Work::operator+=(const Work &other) {
  flops += other.flops;
  weightBytes += other.weightBytes;
  stateBytes += other.stateBytes;
  activationBytes += other.activationBytes;
  return *this;
}

static double number(const nlohmann::json &cost, const char *key) {
  if (!cost.is_object() || !cost.contains(key) || !cost[key].is_number())
    return 0;
  return cost[key].get<double>();
}

Work ds::tool::workOf(const KernelSpec &kernel, const StepShape &shape) {
  bool isOfPrompts =
      kernel.rows == Rows::Prompt || kernel.rows == Rows::Expanded;
  if (shape.generated ? isOfPrompts : kernel.rows == Rows::Generated)
    return {};
  bool isOutput = kernel.rows == Rows::Outputs || kernel.rows == Rows::Window;
  double rows = isOutput ? shape.outputs
                         : shape.tokens * static_cast<double>(kernel.times);
  Work work;
  work.flops = number(kernel.cost, "flops_row") * rows +
               number(kernel.cost, "flops_row_kept") * shape.keptByRows;
  work.weightBytes = number(kernel.cost, "weight_bytes");
  work.activationBytes = number(kernel.cost, "bytes_row") * rows;
  work.stateBytes =
      number(kernel.cost, "state_bytes_kept") * shape.keptBySequences;
  return work;
}

static void add(const Manifest &manifest, const std::vector<Statement> &program,
                const StepShape &shape, double times, Work &total) {
  for (const Statement &statement : program) {
    if (statement.kind == Statement::Layers) {
      add(manifest, statement.body, shape,
          times * static_cast<double>(statement.layers.count), total);
      continue;
    }
    Work work = workOf(manifest.kernels[statement.kernel], shape);
    total += {work.flops * times, work.weightBytes * times,
              work.stateBytes * times, work.activationBytes * times};
  }
}

Work ds::tool::workOfStep(const Manifest &manifest, const StepShape &shape) {
  Work total;
  if (const Entry *entry = manifest.find("infer"))
    add(manifest, entry->program, shape, 1, total);
  return total;
}

/// Bytes of one expert in the stacks that a launch reads.
static double expertBytes(const Manifest &manifest, const Statement &launch) {
  double bytes = 0;
  for (const Argument &argument : launch.arguments) {
    if (argument.kind != Argument::Weight)
      continue;
    const WeightSpec &weight = manifest.weights[argument.index];
    if (weight.stack > 1)
      bytes += static_cast<double>(packedBytes(weight));
  }
  return bytes;
}

ExpertCounts
ds::tool::countExperts(const std::vector<RouterRows> &routing) {
  ExpertCounts counts;
  for (const RouterRows &rows : routing) {
    std::set<int32_t> picked(rows.picks.begin(), rows.picks.end());
    counts[rows.layer] = static_cast<double>(picked.size());
  }
  return counts;
}

double ds::tool::bytesOfStep(const Manifest &manifest, const Entry &entry,
                             const StepShape &shape,
                             const ExpertCounts &experts) {
  double total = 0;
  auto addLaunch = [&](const Statement &launch, int64_t layer) {
    total += workOf(manifest.kernels[launch.kernel], shape).memoryBytes();
    auto read = experts.find(layer);
    if (read != experts.end())
      total += expertBytes(manifest, launch) * read->second;
  };
  for (const Statement &statement : entry.program) {
    if (statement.kind == Statement::Launch)
      addLaunch(statement, -1);
    for (int64_t i = 0; i < statement.layers.count; ++i)
      for (const Statement &launch : statement.body)
        addLaunch(launch, statement.layers.first + i);
  }
  return total;
}
