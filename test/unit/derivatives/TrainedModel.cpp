//===- TrainedModel.cpp - Compiles and runs a training entry --------------===//
#include "TrainedModel.h"
#include "codegen/cpu/Artifact.h"
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Lower.h"
#include "mlir/Parser/Parser.h"
#include "passes/Manifest.h"
#include "passes/Passes.h"
#include "passes/Phases.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FormatVariadic.h"
#include <random>

using namespace ds;
using namespace ds::test;
namespace rt = ds::runtime;

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

static bool runPasses(ModuleOp module, const Recipe &recipe) {
  PassManager manager(module.getContext());
  addPhase(manager, Phase::Simplify);
  PhaseOptions options{recipe.keptBytes};
  if (recipe.fuse) {
    addPhase(manager, Phase::Optimise);
    addPhase(manager, Phase::Differentiate, options);
  } else {
    manager.addPass(createDifferentiate());
    manager.addPass(createCheckpointActivations(
        CheckpointActivationsOptions{recipe.keptBytes}));
    addPhase(manager, Phase::Simplify);
  }
  addPhase(manager, Phase::Schedule);
  return succeeded(manager.run(module));
}

/// Compiles `text` to the file `path`.
static bool compile(const std::string &text, const Recipe &recipe,
                    const std::string &path) {
  DialectRegistry registry;
  registerToolDialects(registry);
  cpu::registerLowering(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  if (!module || !runPasses(*module, recipe))
    return false;
  FailureOr<MemoryPlan> plan = planMemory(*module);
  if (failed(plan))
    return false;
  cpu::Variant variant = cpu::getHostVariant();
  const cpu::Isa &isa = cpu::getIsa(variant);
  cpu::EmittedKernels kernels = cpu::emitKernels(*module, variant);
  ModuleOp emitted = *kernels.modules.front().second;
  if (failed(cpu::lowerToLLVM(emitted)))
    return false;
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> ir =
      cpu::makeLLVMIR(emitted, isa, llvmContext);
  ManifestOptions manifest;
  manifest.variants.push_back(isa.name.str());
  manifest.scratchBytes = kernels.limits.scratchBytes;
  manifest.queryRows = kernels.limits.queryRows;
  manifest.promptQueryRows = kernels.limits.promptQueryRows;
  manifest.generatedQueryRows = kernels.limits.generatedQueryRows;
  SmallVector<SmallVector<char, 0>> objects;
  objects.push_back(cpu::makeObject(*ir, isa));
  llvm::Error error = cpu::writeArtifact(
      objects,
      llvm::formatv("{0}", buildManifest(*module, *plan, manifest)).str(),
      path);
  if (!error)
    return true;
  ADD_FAILURE() << llvm::toString(std::move(error));
  return false;
}

TrainedModel::TrainedModel(const std::string &text, const Recipe &recipe) {
  std::string path = folder.path() + "/model.so";
  if (!compile(text, recipe, path)) {
    ADD_FAILURE() << "does not compile:\n" << text;
    return;
  }
  open(path);
}

void TrainedModel::open(const std::string &path) {
  auto opened = rt::Artifact::open(path, {});
  if (opened)
    artifact = std::move(*opened);
  else
    ADD_FAILURE() << opened.error();
}

TrainedModel::~TrainedModel() = default;

//===----------------------------------------------------------------------===//
// Weights and gradients
//===----------------------------------------------------------------------===//

namespace {
/// A tensor of the checkpoint and where its rows lie in a packed weight.
struct Part {
  std::string name;
  int64_t weight, layer;
  int64_t index; ///< Of the parts of the weight.
  int64_t firstRow, rows, columns;
  int64_t begin; ///< Row of the layer at which its matrix of a stack begins.
};
} // namespace

static std::vector<Part> listParts(const rt::Manifest &manifest) {
  std::vector<Part> parts;
  for (size_t w = 0; w < manifest.weights.size(); ++w) {
    const rt::WeightSpec &spec = manifest.weights[w];
    for (int64_t matrix = 0; matrix < spec.matrixCount(); ++matrix) {
      int64_t row = 0;
      int64_t begin = matrix % spec.stack * rt::roundUp(spec.rows(), 32);
      for (size_t p = 0; p < spec.parts.size(); ++p) {
        parts.push_back({spec.nameOf(p, matrix), static_cast<int64_t>(w),
                         matrix / spec.stack, static_cast<int64_t>(p), row,
                         spec.parts[p].rows, spec.columns(), begin});
        row += spec.parts[p].rows;
      }
    }
  }
  return parts;
}

Tensors TrainedModel::makeWeights(unsigned seed) const {
  std::mt19937 random(seed);
  std::normal_distribution<float> values;
  Tensors tensors;
  for (const Part &part : listParts(artifact->manifest())) {
    bool isVector =
        artifact->manifest().weights[part.weight].shape.size() == 1;
    std::vector<float> &tensor = tensors[part.name];
    tensor.resize(part.rows * part.columns);
    for (float &value : tensor)
      value = isVector ? 1 + 0.3f * values(random) : 0.3f * values(random);
  }
  return tensors;
}

static std::string asFile(const rt::Manifest &manifest,
                          const Tensors &weights) {
  std::vector<FileTensor> tensors;
  for (const Part &part : listParts(manifest)) {
    const std::vector<float> &values = weights.at(part.name);
    FileTensor tensor{part.name, "F32", {part.rows, part.columns}, ""};
    if (manifest.weights[part.weight].shape.size() == 1)
      tensor.shape.pop_back();
    tensor.bytes.assign(reinterpret_cast<const char *>(values.data()),
                        values.size() * sizeof(float));
    tensors.push_back(std::move(tensor));
  }
  return safetensors(tensors);
}

/// Gradients alone, as docs/artifact.md says: rows as they are packed, padded
/// to 32 rows and columns; vectors to 16 elements.
class TrainedModel::Gradients : public rt::TrainingMemory {
public:
  explicit Gradients(const rt::Manifest &manifest) : manifest(manifest) {
    for (const rt::WeightSpec &spec : manifest.weights) {
      std::vector<std::vector<float>> layers;
      for (int64_t layer = 0; layer < spec.layerCount(); ++layer)
        layers.emplace_back(spec.stack * rt::roundUp(spec.rows(), 32) *
                            stride(spec));
      memory.push_back(std::move(layers));
    }
  }

  void *gradient(int64_t weight, int64_t layer) const override {
    return const_cast<float *>(memory[weight][layer].data());
  }
  void *master(int64_t, int64_t) const override { return nullptr; }
  void *moment(int64_t, int64_t, int64_t) const override { return nullptr; }
  void *hyper(int64_t) const override { return nullptr; }

  std::vector<float> read(const Part &part) const {
    const rt::WeightSpec &spec = manifest.weights[part.weight];
    const std::vector<float> &from = memory[part.weight][part.layer];
    std::vector<float> values;
    for (int64_t row = 0; row < part.rows; ++row) {
      int64_t packed = part.firstRow + row;
      if (spec.paired)
        packed = (2 * (row / 16) + part.index) * 16 + row % 16;
      for (int64_t column = 0; column < part.columns; ++column)
        values.push_back(from[(part.begin + packed) * stride(spec) + column]);
    }
    return values;
  }

private:
  static int64_t stride(const rt::WeightSpec &spec) {
    return spec.shape.size() > 1 ? rt::roundUp(spec.columns(), 32) : 1;
  }

  const rt::Manifest &manifest;
  std::vector<std::vector<std::vector<float>>> memory; // [weight][layer]
};

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

namespace {
/// Values of a row input, different for each row.
struct RowInput {
  std::vector<float> floats;
  std::vector<int32_t> integers;
};
} // namespace

static std::vector<RowInput> makeInputs(const rt::Manifest &manifest,
                                        const rt::Entry &entry,
                                        const Batch &batch, int64_t rows) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> values(0.5f, 1.5f);
  std::vector<RowInput> inputs(entry.inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    RowInput &input = inputs[i];
    for (int64_t row = 0; row < rows; ++row) {
      input.floats.push_back(values(random));
      input.integers.push_back(
          static_cast<int32_t>(random() % manifest.config.vocabulary));
    }
    const std::string &name = entry.inputs[i].name;
    if (auto it = batch.floats.find(name); it != batch.floats.end())
      input.floats = it->second;
    if (auto it = batch.integers.find(name); it != batch.integers.end())
      input.integers = it->second;
  }
  return inputs;
}

double TrainedModel::run(const Tensors &values, Tensors *gradients) {
  folder.write("model.safetensors", asFile(artifact->manifest(), values));
  // Two sequences; the loss leaves out some first rows.
  return runBatch(folder.path(),
                  {{3, 11, 5, 2, 11, 9, 7, 3, 0, 4, 12, 31, 11}, {8, 5}, {2, 1},
                   {}, {}},
                  gradients);
}

double TrainedModel::runBatch(const std::string &path, const Batch &batch,
                              Tensors *gradients) {
  const rt::Manifest &manifest = artifact->manifest();
  auto weights = rt::Weights::load(manifest, path, pool);
  if (!weights) {
    ADD_FAILURE() << weights.error();
    return 0;
  }
  const rt::Entry &entry = *manifest.find("train");
  auto state = rt::StatePool::create(manifest, {16, true, true, 1});
  auto scratch = rt::Scratch::allocate(manifest, 1);
  Gradients memory(manifest);
  rt::Interpreter interpreter(*artifact, entry, *weights, pool, *scratch,
                              &memory);
  std::vector<rt::Sequence> sequences;
  for (size_t i = 0; i < batch.lengths.size(); ++i)
    sequences.emplace_back(**state);
  std::vector<rt::StepItem> items;
  const int32_t *tokens = batch.tokens.data();
  for (size_t i = 0; i < batch.lengths.size(); ++i) {
    items.push_back(
        {&sequences[i], tokens, batch.lengths[i], batch.firstOutputs[i]});
    sequences[i].reserve(batch.lengths[i]);
    tokens += batch.lengths[i];
  }
  rt::StepInput input;
  input.build(items, manifest.step);
  EXPECT_FALSE(interpreter.allocate(input.tokens(), input.outputs()));
  std::vector<RowInput> inputs =
      makeInputs(manifest, entry, batch, input.outputs());
  std::vector<const void *> arrays;
  for (size_t i = 0; i < inputs.size(); ++i)
    arrays.push_back(entry.inputs[i].isInteger
                         ? static_cast<const void *>(inputs[i].integers.data())
                         : inputs[i].floats.data());
  interpreter.run(input, state->get(), arrays);
  auto *losses =
      reinterpret_cast<const float *>(interpreter.bufferAddress(*entry.loss));
  double sum = 0;
  for (int64_t row = 0; row < input.outputs(); ++row)
    sum += losses[row];
  if (gradients)
    for (const Part &part : listParts(manifest))
      if (!manifest.weights[part.weight].frozen)
        (*gradients)[part.name] = memory.read(part);
  return sum;
}
