//===- ManifestTest.cpp - The manifest as the runtime reads it ------------===//
#include "runtime/Manifest.h"
#include "TinyModel.h"
#include "llvm/Support/FormatVariadic.h"

using namespace ds;
using ds::test::TinyModel;
namespace rt = ds::runtime;

static rt::Manifest parseTiny() {
  TinyModel tiny;
  ManifestOptions options;
  options.variants = {"avx512bf16", "avx2"};
  options.scratchBytes = 4096;
  options.queryRows = 16;
  std::string text =
      llvm::formatv("{0}", buildManifest(*tiny.module, tiny.plan, options));
  auto manifest = rt::Manifest::parse(text, "tiny");
  EXPECT_TRUE(manifest) << text;
  return manifest ? std::move(*manifest) : rt::Manifest();
}

TEST(Manifest, HeadIsOfModuleAndOptions) {
  rt::Manifest manifest = parseTiny();
  EXPECT_EQ(manifest.model, "tiny");
  EXPECT_EQ(manifest.compute, "bf16");
  EXPECT_EQ(manifest.config.vocabulary, 301);
  EXPECT_EQ(manifest.config.positions, 128);
  EXPECT_EQ(manifest.variants,
            (std::vector<std::string>{"avx512bf16", "avx2"}));
  EXPECT_EQ(manifest.scratchBytes, 4096);
  EXPECT_EQ(manifest.step.queryRows, 16);
}

TEST(Manifest, WeightsArePackedAndFused) {
  rt::Manifest manifest = parseTiny();
  std::map<std::string, rt::WeightSpec> weights;
  for (const rt::WeightSpec &weight : manifest.weights)
    weights[weight.name] = weight;
  ASSERT_EQ(weights.size(), 8u);
  const rt::WeightSpec &qkv = weights["layer.attention.qkv"];
  EXPECT_EQ(qkv.shape, (std::vector<int64_t>{96, 64}));
  EXPECT_EQ(qkv.layout, rt::Layout::PanelBf16);
  ASSERT_EQ(qkv.parts.size(), 3u);
  EXPECT_EQ(qkv.parts[1].nameAt(2), "l.2.k");
  EXPECT_EQ(qkv.parts[1].rows, 16);
  EXPECT_EQ(qkv.layers->count, 3);
  EXPECT_TRUE(weights["layer.mlp.gate_up"].paired);
  EXPECT_EQ(weights["norm"].layout, rt::Layout::VectorF32);
  EXPECT_EQ(weights["norm"].element, rt::Element::F32);
  // Tied embeddings: one packed copy.
  EXPECT_EQ(weights["embed"].layout, rt::Layout::PanelBf16);
}

TEST(Manifest, StatesHaveNamesAndViews) {
  rt::Manifest manifest = parseTiny();
  ASSERT_EQ(manifest.states.size(), 2u);
  EXPECT_EQ(manifest.states[0].name, "keys");
  EXPECT_EQ(manifest.states[0].view, rt::View::Key);
  EXPECT_EQ(manifest.states[0].heads, 2);
  EXPECT_EQ(manifest.states[0].dims, 8);
  EXPECT_EQ(manifest.states[0].layers, 3);
  EXPECT_EQ(manifest.states[1].name, "values");
  EXPECT_EQ(manifest.states[1].view, rt::View::Value);
}

/// The arguments of the launches of kernel `name` in `program`.
static std::vector<std::vector<rt::Argument>>
findLaunches(const rt::Manifest &manifest,
             const std::vector<rt::Statement> &program,
             const std::string &name) {
  std::vector<std::vector<rt::Argument>> found;
  for (const rt::Statement &statement : program)
    if (statement.kind == rt::Statement::Launch && manifest.kernels[statement.kernel].name == name)
      found.push_back(statement.arguments);
  return found;
}

TEST(Manifest, ProgramLaunchesOneLayerInALoop) {
  rt::Manifest manifest = parseTiny();
  ASSERT_EQ(manifest.find("infer")->program.size(), 5u);
  const rt::Statement &loop = manifest.find("infer")->program[2];
  ASSERT_TRUE(loop.kind == rt::Statement::Layers);
  EXPECT_EQ(loop.layers.count, 3);
  ASSERT_EQ(loop.body.size(), 8u);
  // The embedding and both residual products write the carried buffer.
  auto embed = findLaunches(manifest, manifest.find("infer")->program, "embed");
  ASSERT_EQ(embed.size(), 1u);
  EXPECT_EQ(embed[0].back().index, loop.carry);
  for (const char *name : {"matmul_o", "matmul_down"}) {
    auto launches = findLaunches(manifest, loop.body, name);
    ASSERT_EQ(launches.size(), 1u) << name;
    EXPECT_EQ(launches[0][2].index, loop.carry) << name;
    EXPECT_EQ(launches[0].back().index, loop.carry) << name;
  }
}

TEST(Manifest, ArgumentsAreOperandsThenResults) {
  rt::Manifest manifest = parseTiny();
  auto launches =
      findLaunches(manifest, manifest.find("infer")->program[2].body, "heads_rope_append");
  ASSERT_EQ(launches.size(), 1u);
  std::vector<int> kinds;
  for (const rt::Argument &argument : launches[0])
    kinds.push_back(argument.kind);
  // input, angles, seq, keys, values, result
  EXPECT_EQ(kinds,
            (std::vector<int>{rt::Argument::Buffer, rt::Argument::Buffer,
                              rt::Argument::Sequences, rt::Argument::State,
                              rt::Argument::State, rt::Argument::Buffer}));
  auto head = findLaunches(manifest, manifest.find("infer")->program, "matmul_embed");
  ASSERT_EQ(head.size(), 1u);
  EXPECT_EQ(head[0].back().index, *manifest.find("infer")->logits);
  EXPECT_EQ(head[0].front().index, *manifest.find("infer")->finalHidden);
  EXPECT_EQ(manifest.find("infer")->buffers[*manifest.find("infer")->logits].rows, rt::Rows::Outputs);
}

TEST(Manifest, EqualKernelsShareOneWithBuckets) {
  rt::Manifest manifest = parseTiny();
  std::map<std::string, rt::KernelSpec> kernels;
  for (const rt::KernelSpec &kernel : manifest.kernels)
    kernels[kernel.name] = kernel;
  EXPECT_EQ(kernels.size(), 10u);
  EXPECT_EQ(kernels.count("row_norm2"), 0u);
  const rt::KernelSpec &matmul = kernels["matmul_qkv"];
  ASSERT_EQ(matmul.buckets.size(), 2u);
  EXPECT_EQ(matmul.buckets[0].maxRows, 16);
  EXPECT_EQ(matmul.buckets[0].symbol, "matmul_qkv_m16");
  EXPECT_EQ(matmul.buckets[1].symbol, "matmul_qkv");
  EXPECT_EQ(kernels["row_norm1"].buckets.size(), 1u);
  EXPECT_EQ(kernels["matmul_embed"].rows, rt::Rows::Outputs);
}

TEST(Manifest, CostsAreCoefficients) {
  rt::Manifest manifest = parseTiny();
  for (const rt::KernelSpec &kernel : manifest.kernels) {
    if (kernel.name == "matmul_qkv") {
      EXPECT_EQ(kernel.cost["flops_row"], 2.0 * 96 * 64);
      EXPECT_EQ(kernel.cost["weight_bytes"], 96 * 64 * 2);
      EXPECT_EQ(kernel.cost["bytes_row"], (96 + 64) * 2);
      EXPECT_EQ(kernel.cost["flops_row_kept"], 0.0);
    }
    if (kernel.name == "attention") {
      // A row meets a kept position with 8 heads of 8 + 8 columns.
      EXPECT_EQ(kernel.cost["flops_row"], 0.0);
      EXPECT_EQ(kernel.cost["flops_row_kept"], 2.0 * 8 * 16);
      EXPECT_EQ(kernel.cost["state_bytes_kept"], 2.0 * 16 * 2);
    }
    if (kernel.name == "heads_rope_append") {
      EXPECT_EQ(kernel.cost["state_bytes_kept"], 0.0);
      EXPECT_EQ(kernel.cost["bytes_row"], (96 + 64 + 32) * 2);
    }
    if (kernel.name == "embed") {
      EXPECT_EQ(kernel.cost["weight_bytes"], 0.0);
      EXPECT_EQ(kernel.cost["bytes_row"], 64 * 2 + 64 * 4);
    }
  }
}
