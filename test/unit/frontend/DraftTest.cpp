//===- DraftTest.cpp - Draft heads of models and of objectives ------------===//
#include "Cases.h"
#include "dialect/Dialect.h"
#include "frontend/Frontend.h"
#include "gtest/gtest.h"

namespace {
/// A model whose draft head is one more of its layers.
constexpr const char *kModel = R"(
config C {
  d, n : dim
  drafts : int = 0
}

module Layer(c: C) {
  weight norm : [d] "norm"
  weight up   : [d, d] "up"
  state kept : [1, d]
  fn forward(x: f32[T, d], s: seq) -> f32[T, d] {
    y = linear(rms_norm(x, norm, eps = 1e-6), up)
    kept2 = append(kept, y, s)
    return x + attend(y, kept2, kept2, s, heads = 1, scale = 1.0)
  }
}

model M(c: C) serves "m" {
  weight embed : [16, d] "embed"
  weight head  : [16, d] "head"
  weight norm  : [d] "norm"
  use layer[i in 0..n + drafts] = Layer(c) "layers.{i}"
  fn forward(s: seq) -> f32[Tout, 16], [T, d] {
    x = embedding(embed, s)
    for i in 0..n {
      x = layer[i](x, s)
    }
    x = rms_norm(x, norm, eps = 1e-6)
    return linear(select_rows(x, s), head, to = f32), x
  }
  if drafts > 0 {
    weight project     : [d, 2 * d] "layers.{n}.project"
    weight draft_embed = embed "layers.{n}.embed"
    weight draft_head  = head "layers.{n}.head"
    fn draft(hidden: [T, d], s: seq) -> f32[Tout, 16], [T, d] {
      e = rms_norm(embedding(draft_embed, s), norm, eps = 1e-6)
      x = layer[n](linear(concat(e, hidden), project, to = f32), s)
      x = rms_norm(x, norm, eps = 1e-6)
      return linear(select_rows(x, s), draft_head, to = f32), x
    }
  } else {
    ignore "layers.{n}."
  }
}
)";

constexpr const char *kObjective = R"(
objective O(policy: model) {
  fn loss(s: seq) -> f32[Tout, 1] {
    lp = log_prob(policy(s), targets(s), inverse_temperature(s))
    total = token_mean(-lp, s)
    if policy.has_draft {
      next = targets(s, ahead = 2)
      lp = log_prob(policy.draft(s), next, inverse_temperature(s))
      total = total + 0.5 * token_mean(-lp, s, ahead = 2)
    }
    return total
  }
}
)";

class Draft : public testing::Test {
protected:
  mlir::OwningOpRef<mlir::ModuleOp> compile(const std::string &config,
                                            const std::string &objective = "") {
    errors.clear();
    llvm::raw_string_ostream os(errors);
    ds::SourceText text{"objective.ds", objective};
    return ds::compileModel(context, {"model.ds", kModel},
                            {"config.json", config}, false, os,
                            objective.empty() ? nullptr : &text);
  }

  static mlir::func::FuncOp find(mlir::ModuleOp module, const char *name) {
    return module.lookupSymbol<mlir::func::FuncOp>(name);
  }
  static std::string nameOf(mlir::func::FuncOp function, unsigned argument) {
    auto name =
        function.getArgAttrOfType<mlir::StringAttr>(argument, ds::kNameAttr);
    return name ? name.str() : "";
  }

  mlir::MLIRContext context;
  std::string errors;
};
} // namespace

static const char *const kDrafts =
    R"({"model_type": "m", "d": 8, "n": 3, "drafts": 1})";
static const char *const kPlain = R"({"model_type": "m", "d": 8, "n": 3})";

TEST_F(Draft, IsAnEntryOverTheSameBody) {
  auto module = compile(kDrafts);
  ASSERT_TRUE(module) << errors;
  mlir::func::FuncOp draft = find(*module, "draft");
  ASSERT_TRUE(draft);
  EXPECT_EQ(draft->getAttrOfType<mlir::StringAttr>(ds::kEntryAttr),
            ds::kDraftEntry);
  EXPECT_EQ(nameOf(draft, 1), "hidden");
  auto runs = llvm::to_vector(draft.getOps<ds::RunOp>());
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].getBody(), "Layer");
  EXPECT_EQ(runs[0].getFirst(), 3u);
  EXPECT_EQ(runs[0].getCount(), 1u);
  // Its state is not the one of the model.
  EXPECT_EQ(nameOf(find(*module, "forward"), 1), "layer.kept");
  EXPECT_EQ(nameOf(draft, 2), "layer.kept_1");
  EXPECT_EQ(find(*module, "forward").getResultTypes()[1],
            draft.getArgumentTypes()[1]);
  auto weight = module->lookupSymbol<ds::WeightOp>("layer.up");
  ASSERT_TRUE(weight);
  EXPECT_EQ(*weight.getLayers(), (llvm::ArrayRef<int64_t>{0, 4}));
  auto embed = module->lookupSymbol<ds::WeightOp>("embed");
  ASSERT_TRUE(embed.getCopies());
  EXPECT_EQ(mlir::cast<mlir::StringAttr>((*embed.getCopies())[0]),
            "layers.3.embed");
  EXPECT_FALSE((*module)->hasAttr(ds::kIgnoredAttr));
}

TEST_F(Draft, IsAbsentWhereTheConfigurationHasNone) {
  auto module = compile(kPlain, kObjective);
  ASSERT_TRUE(module) << errors;
  EXPECT_FALSE(find(*module, "draft"));
  EXPECT_FALSE(module->lookupSymbol<ds::WeightOp>("embed").getCopies());
  // The hidden rows are no result, and no loss asks for the head.
  EXPECT_EQ(find(*module, "forward").getNumResults(), 2u);
  EXPECT_TRUE(find(*module, "train").getOps<ds::ViewSeqOp>().empty());
  EXPECT_TRUE((*module)->hasAttr(ds::kIgnoredAttr));
}

TEST_F(Draft, IsTrainedOnTheTokensThatFollow) {
  auto module = compile(kDrafts, kObjective);
  ASSERT_TRUE(module) << errors;
  mlir::func::FuncOp train = find(*module, "train");
  auto views = llvm::to_vector(train.getOps<ds::ViewSeqOp>());
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(views[0].getRows(), ds::SeqRows::Following);
  auto embeddings = llvm::to_vector(train.getOps<ds::EmbeddingOp>());
  ASSERT_EQ(embeddings.size(), 2u);
  EXPECT_EQ(embeddings[0].getSeq(), train.getArgument(0));
  EXPECT_EQ(embeddings[1].getSeq(), views[0].getResult());
  // Layers see rows and positions, which are the step's.
  for (ds::RunOp run : train.getOps<ds::RunOp>())
    EXPECT_EQ(run.getOperand(1), train.getArgument(0));
  std::vector<std::string> inputs;
  for (ds::RowInputOp input : train.getOps<ds::RowInputOp>())
    inputs.push_back(input.getName().str());
  EXPECT_TRUE(llvm::is_contained(inputs, "draft_targets"));
  EXPECT_TRUE(llvm::is_contained(inputs, "draft_token_weight"));
  EXPECT_EQ(nameOf(train, 1), "layer.kept");
  EXPECT_EQ(nameOf(train, 2), "layer.kept_1");
}

TEST_F(Draft, ObjectiveHasToAskForIt) {
  EXPECT_FALSE(compile(kPlain, R"(
objective O(policy: model) {
  fn loss(s: seq) -> f32[Tout, 1] {
    next = targets(s, ahead = 2)
    lp = log_prob(policy.draft(s), next, inverse_temperature(s))
    return token_mean(-lp, s, ahead = 2)
  }
})"));
  EXPECT_EQ(errors,
            "objective.ds:5:19: error: expects 'policy.draft' where the "
            "model has a draft head; 'if policy.has_draft' asks for it\n"
            "    lp = log_prob(policy.draft(s), next, inverse_temperature(s))\n"
            "                  ^\n");
  EXPECT_FALSE(compile(kPlain, R"(
objective O(policy: model) {
  fn loss(s: seq) -> f32[Tout, 1] {
    lp = log_prob(policy(s), targets(s), inverse_temperature(s))
    return token_mean(-lp, s, ahead = 3)
  }
})"));
  EXPECT_NE(errors.find("expects ahead to be 1 or 2, got 3"), std::string::npos)
      << errors;
}

TEST_F(Draft, LayersOfAHeadDoNotEmbed) {
  std::string model = kModel;
  auto replace = [&](const std::string &from, const std::string &to) {
    size_t at = model.find(from);
    ASSERT_NE(at, std::string::npos);
    model.replace(at, from.size(), to);
  };
  replace("  weight norm : [d] \"norm\"\n",
          "  weight norm : [d] \"norm\"\n  weight table : [16, d] \"t\"\n");
  replace("    return x + attend(y,", "    x = x + embedding(table, s)\n"
                                      "    return x + attend(y,");
  errors.clear();
  llvm::raw_string_ostream os(errors);
  ds::SourceText text{"objective.ds", kObjective};
  EXPECT_FALSE(ds::compileModel(context, {"model.ds", model},
                                {"config.json", kDrafts}, false, os, &text));
  EXPECT_NE(errors.find("expects layers of a draft head not to embed tokens"),
            std::string::npos)
      << errors;
}
