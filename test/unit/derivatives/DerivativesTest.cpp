//===- DerivativesTest.cpp - Derivatives against differences of the loss --===//
//
// Every test compiles a module in f32 whose loss depends on the operation. The
// gradient of each weight, along directions near it, has to be the slope of the
// loss, taken from central differences at two distances (Richardson).
//
//===----------------------------------------------------------------------===//
#include "TrainedModel.h"
#include <cmath>
#include <random>

using namespace ds::test;

static double dot(const std::vector<float> &a, const std::vector<float> &b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

static void scaleTo(std::vector<float> &values, double length) {
  double factor = length / std::max(std::sqrt(dot(values, values)), 1e-30);
  for (float &value : values)
    value = static_cast<float>(value * factor);
}

/// A direction: half of the gradient's elements, and something of all others.
static std::vector<float> makeDirection(const std::vector<float> &gradient,
                                        std::mt19937 &random) {
  std::normal_distribution<float> values;
  std::vector<float> part = gradient, noise(gradient.size());
  for (size_t i = 0; i < part.size(); ++i) {
    if (random() % 2)
      part[i] = 0;
    noise[i] = values(random);
  }
  scaleTo(part, 1);
  scaleTo(noise, 0.5);
  for (size_t i = 0; i < part.size(); ++i)
    part[i] += noise[i];
  scaleTo(part, 1);
  return part;
}

/// The slope of the loss by the tensor `name` along `direction`.
static double measureSlope(TrainedModel &model, const Tensors &weights,
                           const std::string &name,
                           const std::vector<float> &direction) {
  auto lossAt = [&](double distance) {
    Tensors moved = weights;
    for (size_t i = 0; i < direction.size(); ++i)
      moved[name][i] += static_cast<float>(distance * direction[i]);
    return model.run(moved);
  };
  constexpr double h = 0.02;
  double near = (lossAt(h) - lossAt(-h)) / (2 * h);
  double far = (lossAt(2 * h) - lossAt(-2 * h)) / (4 * h);
  return (4 * near - far) / 3;
}

/// Compares the gradients of all tensors; `without` names those that have to
/// be zero.
static void checkGradients(const std::string &text, const Recipe &recipe = {},
                           int directions = 3) {
  TrainedModel model(text, recipe);
  ASSERT_TRUE(model.isBuilt());
  Tensors weights = model.makeWeights(1), gradients;
  model.run(weights, &gradients);
  ASSERT_FALSE(gradients.empty());
  std::mt19937 random(2);
  for (auto &[name, gradient] : gradients) {
    EXPECT_GT(dot(gradient, gradient), 1e-8) << name;
    double error = 0, total = 0;
    for (int i = 0; i < directions; ++i) {
      std::vector<float> direction = makeDirection(gradient, random);
      double expected = dot(gradient, direction);
      double slope = measureSlope(model, weights, name, direction);
      error += (slope - expected) * (slope - expected);
      total += expected * expected;
    }
    EXPECT_LT(std::sqrt(error), 1e-3 * std::sqrt(total)) << name;
  }
}

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

static std::string header() {
  return R"(module attributes {ds.model = "test", ds.compute = f32,
    ds.config = {vocab_size = 48 : i64, hidden_size = 32 : i64,
                 num_hidden_layers = 2 : i64, max_position_embeddings = 64 : i64}} {
  ds.weight @embed {labels = ["embed"], rows = array<i64: 48>} : tensor<48x32xf32>
  ds.weight @head {labels = ["head"], rows = array<i64: 48>} : tensor<48x32xf32>
)";
}

/// `weights`, and an entry in which `body` makes the hidden state %y from the
/// embedding %x and `loss` the loss %l from the log-probability %p.
static std::string makeModule(const std::string &weights,
                              const std::string &body,
                              const std::string &loss = "") {
  std::string end = loss.empty() ? "%l = arith.negf %p : tensor<?x1xf32>\n"
                                 : loss;
  return header() + weights + R"(
  func.func @train(%s: !ds.seq, %k: !ds.state<[2, 8], f32> {ds.name = "keys"}, %v: !ds.state<[2, 8], f32> {ds.name = "values"}) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
    %e = ds.get_weight @embed : tensor<48x32xf32>
    %x = ds.embedding %e, %s : tensor<48x32xf32> -> tensor<?x32xf32>
)" + body + R"(
    %r = ds.select_rows %y, %s : tensor<?x32xf32>
    %h = ds.get_weight @head : tensor<48x32xf32>
    %z = ds.linear %r, %h : (tensor<?x32xf32>, tensor<48x32xf32>) -> tensor<?x48xf32>
    %t = ds.row_input "targets", %s : tensor<?x1xi32>
    %i = ds.row_input "inverse_temperature", %s : tensor<?x1xf32>
    %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x48xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
)" + end + R"(
    return %l, %p : tensor<?x1xf32>, tensor<?x1xf32>
  }
}
)";
}

static std::string weight(const std::string &name, int rows, bool vector = false,
                          const std::string &more = "") {
  std::string n = std::to_string(rows);
  return "  ds.weight @" + name + " {labels = [\"" + name +
         "\"], rows = array<i64: " + n + ">" + more + "} : tensor<" + n +
         (vector ? "xf32>\n" : "x32xf32>\n");
}

/// %NAME_w = the weight.
static std::string read(const std::string &name, int rows, bool vector = false) {
  return "    %" + name + "_w = ds.get_weight @" + name + " : tensor<" +
         std::to_string(rows) + (vector ? "xf32>\n" : "x32xf32>\n");
}

/// %NAME = the product of %x with a weight of `rows` rows.
static std::string product(const std::string &name, int rows,
                           bool bias = false) {
  std::string n = std::to_string(rows);
  return read(name, rows) + (bias ? read(name + "_b", rows, true) : "") +
         "    %" + name + " = ds.linear %x, %" + name + "_w " +
         (bias ? "bias %" + name + "_b_w " : "") +
         ": (tensor<?x32xf32>, tensor<" + n + "x32xf32>" +
         (bias ? ", tensor<" + n + "xf32>" : "") + ") -> tensor<?x" + n +
         "xf32>\n";
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

TEST(Derivatives, EmbeddingSelectRowsLinearLogProb) {
  std::string module = makeModule("", "%y = arith.negf %x : tensor<?x32xf32>");
  checkGradients(module);
  checkGradients(module, Recipe{/*fuse=*/false});
}

TEST(Derivatives, LinearWithBiasRmsNorm) {
  checkGradients(makeModule(
      weight("a", 32) + weight("a_b", 32, true) + weight("n", 32, true),
      product("a", 32, true) + read("n", 32, true) +
          "%y = ds.rms_norm %a, %n_w eps 1.0e-2 : (tensor<?x32xf32>, "
          "tensor<32xf32>) -> tensor<?x32xf32>"));
}

TEST(Derivatives, Swiglu) {
  std::string module =
      makeModule(weight("g", 32) + weight("u", 32),
                 product("g", 32) + product("u", 32) +
                     "%y = ds.swiglu %g, %u : tensor<?x32xf32>");
  checkGradients(module);
  checkGradients(module, Recipe{/*fuse=*/false});
}

static std::string makeAttention(const std::string &layout,
                                 const std::string &more = "") {
  std::string rope = "<" + layout + ", dims = 8, theta = 1.0e2 : f64>";
  return makeModule(
      weight("q", 32, false, more) + weight("k", 16) + weight("v", 16),
      product("q", 32) + product("k", 16) + product("v", 16) +
          "%qr = ds.rope %q, %s heads 4 " + rope + " : tensor<?x32xf32>\n" +
          "%kr = ds.rope %k_, %s heads 2 " + rope + " : tensor<?x16xf32>\n" + R"(
    %k1 = ds.append %k, %kr, %s : !ds.state<[2, 8], f32>, tensor<?x16xf32>
    %v1 = ds.append %v, %v_, %s : !ds.state<[2, 8], f32>, tensor<?x16xf32>
    %y = ds.attend %qr, %k1, %v1, %s heads 4 scale 0.9 : (tensor<?x32xf32>, !ds.state<[2, 8], f32>, !ds.state<[2, 8], f32>) -> tensor<?x32xf32>
)");
}

/// The projections of keys and values are %k_ and %v_ beside the states.
static std::string attention(const std::string &layout,
                             const std::string &more = "") {
  return replaceAll(replaceAll(makeAttention(layout, more),
                               "%k = ds.linear", "%k_ = ds.linear"),
                    "%v = ds.linear", "%v_ = ds.linear");
}

TEST(Derivatives, RopeAppendAttend) {
  checkGradients(attention("half_split"));
  checkGradients(attention("half_split"), Recipe{/*fuse=*/false});
}

TEST(Derivatives, InterleavedRope) {
  checkGradients(attention("interleaved"), {}, 2);
}

TEST(Derivatives, FrozenWeightsPassGradients) {
  checkGradients(attention("half_split", ", frozen"), {}, 2);
}

TEST(Derivatives, Arithmetic) {
  checkGradients(makeModule(weight("a", 32) + weight("b", 32),
                            product("a", 32) + product("b", 32) + R"(
    %sum = arith.addf %a, %b : tensor<?x32xf32>
    %ea = math.exp %a : tensor<?x32xf32>
    %eb = math.exp %b : tensor<?x32xf32>
    %es = arith.addf %ea, %eb : tensor<?x32xf32>
    %log = math.log %es : tensor<?x32xf32>
    %product = arith.mulf %sum, %log : tensor<?x32xf32>
    %quotient = arith.divf %product, %es : tensor<?x32xf32>
    %difference = arith.subf %quotient, %b : tensor<?x32xf32>
    %square = arith.mulf %difference, %difference : tensor<?x32xf32>
    %y = arith.subf %square, %sum : tensor<?x32xf32>
)"));
}

TEST(Derivatives, Objective) {
  // Minimum and maximum: rows on either side, none near the edge.
  checkGradients(makeModule("", "%y = arith.negf %x : tensor<?x32xf32>", R"(
    %w = ds.row_input "token_weight", %s : tensor<?x1xf32>
    %a = ds.row_input "advantage", %s : tensor<?x1xf32>
    %ratio = math.exp %p : tensor<?x1xf32>
    %four = arith.addf %a, %a : tensor<?x1xf32>
    %n0 = arith.addf %four, %four : tensor<?x1xf32>
    %n = arith.negf %n0 : tensor<?x1xf32>
    %low = arith.minimumf %p, %n : tensor<?x1xf32>
    %high = arith.maximumf %p, %n : tensor<?x1xf32>
    %b = arith.mulf %high, %a : tensor<?x1xf32>
    %c = arith.addf %low, %b : tensor<?x1xf32>
    %d = arith.addf %c, %ratio : tensor<?x1xf32>
    %f = arith.mulf %d, %w : tensor<?x1xf32>
    %l = arith.negf %f : tensor<?x1xf32>
)"));
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

/// A layer's weight of `rows` x `columns`, or of `rows` elements.
static std::string layerWeight(const std::string &name, int rows,
                               const std::string &columns) {
  std::string n = std::to_string(rows);
  return "  ds.weight @layer." + name + " {labels = [\"" + name +
         ".{i}\"], rows = array<i64: " + n +
         ">, layers = array<i64: 0, 2>} : tensor<" + n + columns + "xf32>\n";
}

/// Two layers of a small llama with biases and tied embeddings.
static std::string makeLayers() {
  std::string weights;
  for (const char *name : {"norm1", "norm2", "qb"})
    weights += layerWeight(name, 32, "");
  for (const char *name : {"kb", "vb"})
    weights += layerWeight(name, 16, "");
  for (const char *name : {"q", "o"})
    weights += layerWeight(name, 32, "x32");
  for (const char *name : {"k", "v"})
    weights += layerWeight(name, 16, "x32");
  for (const char *name : {"gate", "up"})
    weights += layerWeight(name, 48, "x32");
  weights += layerWeight("down", 32, "x48");
  return replaceAll(header(), "  ds.weight @head", "  ds.weight @norm {labels "
         "= [\"norm\"], rows = array<i64: 32>} : tensor<32xf32>\n//") + weights +
         R"(
  func.func private @layer(%x: tensor<?x32xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], f32>, %v: !ds.state<[2, 8], f32>) -> (tensor<?x32xf32>, !ds.state<[2, 8], f32>, !ds.state<[2, 8], f32>) {
    %g1 = ds.get_weight @layer.norm1 : tensor<32xf32>
    %h = ds.rms_norm %x, %g1 eps 1.0e-2 : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
    %wq = ds.get_weight @layer.q : tensor<32x32xf32>
    %bq = ds.get_weight @layer.qb : tensor<32xf32>
    %q = ds.linear %h, %wq bias %bq : (tensor<?x32xf32>, tensor<32x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
    %qr = ds.rope %q, %s heads 4 <half_split, dims = 8, theta = 1.0e2 : f64> : tensor<?x32xf32>
    %wk = ds.get_weight @layer.k : tensor<16x32xf32>
    %bk = ds.get_weight @layer.kb : tensor<16xf32>
    %kk = ds.linear %h, %wk bias %bk : (tensor<?x32xf32>, tensor<16x32xf32>, tensor<16xf32>) -> tensor<?x16xf32>
    %kr = ds.rope %kk, %s heads 2 <half_split, dims = 8, theta = 1.0e2 : f64> : tensor<?x16xf32>
    %k1 = ds.append %k, %kr, %s : !ds.state<[2, 8], f32>, tensor<?x16xf32>
    %wv = ds.get_weight @layer.v : tensor<16x32xf32>
    %bv = ds.get_weight @layer.vb : tensor<16xf32>
    %vv = ds.linear %h, %wv bias %bv : (tensor<?x32xf32>, tensor<16x32xf32>, tensor<16xf32>) -> tensor<?x16xf32>
    %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], f32>, tensor<?x16xf32>
    %a = ds.attend %qr, %k1, %v1, %s heads 4 scale 0.353 : (tensor<?x32xf32>, !ds.state<[2, 8], f32>, !ds.state<[2, 8], f32>) -> tensor<?x32xf32>
    %wo = ds.get_weight @layer.o : tensor<32x32xf32>
    %o = ds.linear %a, %wo : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
    %x1 = arith.addf %x, %o : tensor<?x32xf32>
    %g2 = ds.get_weight @layer.norm2 : tensor<32xf32>
    %h1 = ds.rms_norm %x1, %g2 eps 1.0e-2 : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
    %wg = ds.get_weight @layer.gate : tensor<48x32xf32>
    %g = ds.linear %h1, %wg : (tensor<?x32xf32>, tensor<48x32xf32>) -> tensor<?x48xf32>
    %wu = ds.get_weight @layer.up : tensor<48x32xf32>
    %u = ds.linear %h1, %wu : (tensor<?x32xf32>, tensor<48x32xf32>) -> tensor<?x48xf32>
    %z = ds.swiglu %g, %u : tensor<?x48xf32>
    %wd = ds.get_weight @layer.down : tensor<32x48xf32>
    %d = ds.linear %z, %wd : (tensor<?x48xf32>, tensor<32x48xf32>) -> tensor<?x32xf32>
    %x2 = arith.addf %x1, %d : tensor<?x32xf32>
    return %x2, %k1, %v1 : tensor<?x32xf32>, !ds.state<[2, 8], f32>, !ds.state<[2, 8], f32>
  }
  func.func @train(%s: !ds.seq, %k: !ds.state<[2, 8], f32, layers = 2> {ds.name = "keys"}, %v: !ds.state<[2, 8], f32, layers = 2> {ds.name = "values"}) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
    %e = ds.get_weight @embed : tensor<48x32xf32>
    %x = ds.embedding %e, %s : tensor<48x32xf32> -> tensor<?x32xf32>
    %y, %k1, %v1 = ds.run @layer(%x, %s, %k, %v) layers 0 count 2 : (tensor<?x32xf32>, !ds.seq, !ds.state<[2, 8], f32, layers = 2>, !ds.state<[2, 8], f32, layers = 2>) -> (tensor<?x32xf32>, !ds.state<[2, 8], f32, layers = 2>, !ds.state<[2, 8], f32, layers = 2>)
    %g = ds.get_weight @norm : tensor<32xf32>
    %n = ds.rms_norm %y, %g eps 1.0e-2 : (tensor<?x32xf32>, tensor<32xf32>) -> tensor<?x32xf32>
    %r = ds.select_rows %n, %s : tensor<?x32xf32>
    %z = ds.linear %r, %e : (tensor<?x32xf32>, tensor<48x32xf32>) -> tensor<?x48xf32>
    %t = ds.row_input "targets", %s : tensor<?x1xi32>
    %i = ds.row_input "inverse_temperature", %s : tensor<?x1xf32>
    %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x48xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
    %w = ds.row_input "token_weight", %s : tensor<?x1xf32>
    %m = arith.negf %p : tensor<?x1xf32>
    %l = arith.mulf %m, %w : tensor<?x1xf32>
    return %l, %p : tensor<?x1xf32>, tensor<?x1xf32>
  }
}
)";
}

TEST(Derivatives, Layers) { checkGradients(makeLayers(), {}, 2); }

/// What is recomputed is equal to the bit to what is kept.
TEST(Derivatives, RecomputedLayersHaveEqualGradients) {
  TrainedModel keeping(makeLayers());
  // Inputs and queries of two layers: 2 x (128 + 128) bytes.
  TrainedModel recomputing(makeLayers(), Recipe{true, 512});
  ASSERT_TRUE(keeping.isBuilt() && recomputing.isBuilt());
  Tensors weights = keeping.makeWeights(3), kept, recomputed;
  EXPECT_EQ(keeping.run(weights, &kept), recomputing.run(weights, &recomputed));
  EXPECT_EQ(kept.size(), 26u);
  EXPECT_TRUE(kept == recomputed);
}
