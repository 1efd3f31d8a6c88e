//===- TrainingTest.cpp - The training entry and how weights are trained --===//
#include "Cases.h"
#include "dialect/Dialect.h"
#include "frontend/Frontend.h"
#include "gtest/gtest.h"

namespace {
/// A model with a frozen table and a bias.
constexpr const char *kModel = R"(
config C {
  d                 : dim
  initializer_range : float?
}

module Layer(c: C) {
  weight norm : [d]    "norm"
  weight up   : [d, d] "up" init = normal(0.5), decay = false
  weight bias : [d]    "bias" init = zeros, decay = true
  state kept : [1, d]
  fn forward(x: f32[T, d], s: seq) -> f32[T, d] {
    y = linear(rms_norm(x, norm, eps = 1e-6), up, bias)
    kept2 = append(kept, y, s)
    return x + attend(y, kept2, kept2, s, heads = 1, scale = 1.0)
  }
}

model M(c: C) serves "m" {
  weight embed : [16, d] "embed" frozen = true
  weight head  : [16, d] "head"
  weight norm  : [d]     "norm"
  use layer[i in 0..3] = Layer(c) "layers.{i}"
  fn forward(s: seq) -> f32[Tout, 16] {
    x = embedding(embed, s)
    for i in 0..3 {
      x = layer[i](x, s)
    }
    x = select_rows(rms_norm(x, norm, eps = 1e-6), s)
    return linear(x, head, to = f32)
  }
}
)";

class Training : public testing::Test {
protected:
  mlir::OwningOpRef<mlir::ModuleOp> compile(const std::string &objective,
                                            std::string config = R"({"d": 8})",
                                            std::string model = kModel) {
    config.insert(1, R"("model_type": "m", )");
    errors.clear();
    llvm::raw_string_ostream os(errors);
    ds::SourceText text{"objective.ds", objective};
    return ds::compileModel(context, {"model.ds", model},
                            {"config.json", config}, false, os,
                            objective.empty() ? nullptr : &text);
  }

  static std::string makeObjective(const std::string &body,
                                   const std::string &items = "") {
    return "objective O(policy: model) {\n" + items +
           "  fn loss(s: seq) -> f32[Tout, 1] {\n" + body + "  }\n}\n";
  }

  static std::string print(mlir::Operation *op) {
    std::string text;
    llvm::raw_string_ostream os(text);
    op->print(os);
    return text;
  }

  static mlir::func::FuncOp find(mlir::ModuleOp module, const char *name) {
    return module.lookupSymbol<mlir::func::FuncOp>(name);
  }

  mlir::MLIRContext context;
  std::string errors;
};
} // namespace

static const char *const kCrossEntropy =
    "    lp = log_prob(policy(s), targets(s), inverse_temperature(s))\n"
    "    return token_mean(-lp, s)\n";

TEST_F(Training, EntryRunsTheSameBodies) {
  auto plain = compile("");
  auto module = compile(makeObjective(kCrossEntropy));
  ASSERT_TRUE(plain && module) << errors;
  for (const char *name : {"forward", "Layer"})
    EXPECT_EQ(print(find(*plain, name)), print(find(*module, name)));
  mlir::func::FuncOp train = find(*module, "train");
  ASSERT_TRUE(train);
  EXPECT_FALSE(find(*plain, "train"));
  EXPECT_EQ(train->getAttrOfType<mlir::StringAttr>(ds::kEntryAttr),
            ds::kTrainEntry);
  EXPECT_FALSE(train->hasAttr(ds::kAllTargetsAttr));
  EXPECT_EQ(train.getArgumentTypes(),
            find(*module, "forward").getArgumentTypes());
  EXPECT_EQ(train.getArgAttrOfType<mlir::StringAttr>(1, ds::kNameAttr),
            "layer.kept");
  auto runs = llvm::to_vector(train.getOps<ds::RunOp>());
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].getCount(), 3u);
  auto end = mlir::cast<mlir::func::ReturnOp>(train.front().getTerminator());
  ASSERT_EQ(end.getNumOperands(), 2u);
  auto loss = end.getOperand(0).getDefiningOp<ds::arith::MulFOp>();
  ASSERT_TRUE(loss);
  EXPECT_EQ(loss.getRhs().getDefiningOp<ds::RowInputOp>().getName(),
            "token_weight");
  auto logProb = end.getOperand(1).getDefiningOp<ds::LogProbOp>();
  ASSERT_TRUE(logProb);
  EXPECT_EQ(loss.getLhs().getDefiningOp<ds::arith::NegFOp>().getOperand(),
            end.getOperand(1));
  EXPECT_TRUE(logProb.getLogits().getDefiningOp<ds::LinearOp>());
}

TEST_F(Training, PublishedObjectives) {
  for (const char *name : {"sft", "lm"}) {
    std::string text = readText(std::string(DS_SOURCE_DIR) +
                                "/models/objectives/" + name + ".ds");
    auto module = compile(text);
    ASSERT_TRUE(module) << errors;
    EXPECT_EQ(find(*module, "train")->hasAttr(ds::kAllTargetsAttr),
              std::string(name) == "lm");
    EXPECT_EQ(ds::formatSource({name, text}, llvm::errs()), text);
  }
}

/// The model is called once, however often the text does.
TEST_F(Training, Expressions) {
  auto module = compile(makeObjective(
      "    a = log_prob(policy(s), targets(s), inverse_temperature(s))\n"
      "    b = log_prob(policy(s), targets(s), inverse_temperature(s))\n"
      "    c = exp(a - stop_gradient(b)) / log(max(a, share)) + min(a, b)\n"
      "    return sequence_mean(c * share, s)\n",
      "  input share : f32[Tout, 1]\n"));
  ASSERT_TRUE(module) << errors;
  std::string text = print(find(*module, "train"));
  for (const char *op :
       {"\"share\"", "\"sequence_weight\"", "math.exp", "math.log",
        "arith.subf", "arith.divf", "arith.addf", "arith.mulf",
        "arith.maximumf", "arith.minimumf", "ds.stop_gradient"})
    EXPECT_NE(text.find(op), std::string::npos) << op << "\n" << text;
  EXPECT_EQ(text.find("ds.embedding"), text.rfind("ds.embedding"));
}

TEST_F(Training, Numbers) {
  auto module = compile(makeObjective(
      "    lp = log_prob(policy(s), targets(s), inverse_temperature(s))\n"
      "    y = (1 - beta) * lp - 2.5\n"
      "    return token_mean(clip(y, low = -beta, high = 0.5) / 4, s)\n",
      "  let beta = 0.25\n"));
  ASSERT_TRUE(module) << errors;
  std::vector<double> values;
  module->walk([&](ds::FillOp op) {
    values.push_back(op.getValue().convertToDouble());
  });
  EXPECT_EQ(values, (std::vector<double>{0.75, 2.5, -0.25, 0.5, 4}));
}

TEST_F(Training, WeightsSayHowTheyAreTrained) {
  auto module = compile(makeObjective(kCrossEntropy));
  ASSERT_TRUE(module) << errors;
  auto show = [&](const char *name) {
    auto weight = module->lookupSymbol<ds::WeightOp>(name);
    ds::InitAttr init = weight.getInitAttr();
    std::string text = ds::stringifyInitKind(init.getKind()).str();
    if (init.getStd())
      text += " " + std::to_string(init.getStd().getValueAsDouble());
    return text + (weight.getDecay() ? " decay" : "") +
           (weight.getFrozen() ? " frozen" : "");
  };
  EXPECT_EQ(show("embed"), "normal 0.020000 decay frozen");
  EXPECT_EQ(show("head"), "normal 0.020000 decay");
  EXPECT_EQ(show("norm"), "ones");
  EXPECT_EQ(show("layer.norm"), "ones");
  EXPECT_EQ(show("layer.up"), "normal 0.500000");
  EXPECT_EQ(show("layer.bias"), "zeros decay");
  module = compile(makeObjective(kCrossEntropy),
                   R"({"d": 8, "initializer_range": 0.25})");
  ASSERT_TRUE(module) << errors;
  EXPECT_EQ(show("head"), "normal 0.250000 decay");
  auto plain = compile("");
  EXPECT_FALSE(plain->lookupSymbol<ds::WeightOp>("embed").getInitAttr());
}

TEST_F(Training, Errors) {
  auto fails = [&](const std::string &objective, const std::string &message,
                   const std::string &model = kModel) {
    EXPECT_FALSE(compile(objective, R"({"d": 8})", model));
    EXPECT_NE(errors.find(message), std::string::npos) << errors;
  };
  fails("objective O(policy: model, reference: model) {\n"
        "  fn loss(s: seq) -> f32[Tout, 1] {\n"
        "    a = log_prob(policy(s), targets(s), inverse_temperature(s))\n"
        "    b = log_prob(reference(s), targets(s), inverse_temperature(s))\n"
        "    return token_mean(b - a, s)\n  }\n}\n",
        "objective.ds:1:28: error: objectives of several models are checked, "
        "but no code is generated for model 'reference' yet");
  fails(makeObjective(
            "    lp = log_prob(policy(s), targets(s), inverse_temperature(s))\n"
            "    return token_mean(clip(lp, low = 1.0, high = 0.0), s)\n"),
        "objective.ds:4:50: error: expects high not to be less than low, got "
        "0");
  fails("objective O(policy: model) {\n"
        "  fn loss(s: seq) -> f32[Tout, 1] {\n"
        "    a = policy(s)\n    return inverse_temperature(s)\n  }\n}\n",
        "objective.ds:2:3: error: expects 'loss' to use log_prob of the "
        "model's logits");
  fails(kModel, "objective.ds:19:1: error: expects objective.ds to hold an "
                "objective");
  std::string model = kModel;
  model.replace(model.find("select_rows(rms_norm(x, norm, eps = 1e-6), s)"), 45,
                "rms_norm(x, norm, eps = 1e-6)");
  model.replace(model.find("f32[Tout, 16]"), 13, "f32[T, 16]");
  fails(makeObjective(kCrossEntropy),
        "expects a model that is trained to return f32[Tout, vocabulary], got "
        "f32[T, 16]",
        model);
}

TEST(FindObjective, ByNameOrFile) {
  std::string errors, models = DS_SOURCE_DIR "/models";
  llvm::raw_string_ostream os(errors);
  EXPECT_EQ(ds::findObjective(models, "sft", os),
            models + "/objectives/sft.ds");
  EXPECT_EQ(ds::findObjective(models, "my/own.ds", os), "my/own.ds");
  EXPECT_EQ(errors, "");
  EXPECT_FALSE(ds::findObjective(models, "dpo", os));
  EXPECT_EQ(errors, "error: no objective 'dpo' in " + models +
                        "/objectives; there are balance, cross_entropy, lm, sft\n");
}
