//===- GenerateTest.cpp - The ds graph of a text --------------------------===//
#include "dialect/Dialect.h"
#include "frontend/Frontend.h"
#include "gtest/gtest.h"

namespace {
/// A model whose layers differ: narrow ones first, then wide ones.
constexpr const char *kStack = R"(
config C {
  d, n   : dim
  first  : int
  period : dim = 1000
}

module Layer(c: C, i: int) {
  weight norm : [d] "norm"
  if i < first {
    weight up : [d, d] "up"
  } else {
    weight up : [d, d] concat("left": d - 1, "right": 1)
    state kept : [1, d]
  }
  fn forward(x: f32[T, d], s: seq) -> f32[T, d] {
    y = linear(rms_norm(x, norm, eps = 1e-6), up)
    if i >= first {
      kept2 = append(kept, y, s)
      y = attend(y, kept2, kept2, s, heads = 1, scale = 1.0)
    }
    return x + y
  }
}

model M(c: C) serves "m" {
  weight embed : [16, d] "embed"
  use layer[i in 0..n] = Layer(c, i) "layers.{i}"
  fn forward(s: seq) -> f32[T, d] {
    x = embedding(embed, s)
    for i in 0..n {
      x = layer[i](x, s)
    }
    return x
  }
}
)";

class Generate : public testing::Test {
protected:
  mlir::OwningOpRef<mlir::ModuleOp>
  compile(std::string text, std::string config, bool computeF32 = false) {
    errors.clear();
    llvm::raw_string_ostream os(errors);
    return ds::compileModel(context, {"model.ds", text},
                            {"config.json", config}, computeF32, os);
  }

  mlir::MLIRContext context;
  std::string errors;
};
} // namespace

template <typename Op> static std::vector<Op> collect(mlir::ModuleOp module) {
  std::vector<Op> ops;
  module->walk([&](Op op) { ops.push_back(op); });
  return ops;
}

TEST_F(Generate, OneFunctionForEachRunOfEqualBodies) {
  auto module =
      compile(kStack, R"({"model_type": "m", "d": 8, "n": 7, "first": 3})");
  ASSERT_TRUE(module) << errors;
  std::vector<ds::RunOp> runs = collect<ds::RunOp>(*module);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].getBody(), "Layer");
  EXPECT_EQ(runs[0].getFirst(), 0u);
  EXPECT_EQ(runs[0].getCount(), 3u);
  EXPECT_EQ(runs[1].getBody(), "Layer_1");
  EXPECT_EQ(runs[1].getFirst(), 3u);
  EXPECT_EQ(runs[1].getCount(), 4u);
  auto state = mlir::cast<ds::StateType>(runs[1].getOperandTypes()[2]);
  EXPECT_EQ(state.getLayers(), 4);
  EXPECT_EQ(collect<mlir::func::FuncOp>(*module).size(), 3u);
}

TEST_F(Generate, WeightsOfDistinctBodiesHaveTheirOwnLayers) {
  auto module =
      compile(kStack, R"({"model_type": "m", "d": 8, "n": 7, "first": 3})");
  ASSERT_TRUE(module) << errors;
  mlir::SymbolTable symbols(*module);
  auto first = symbols.lookup<ds::WeightOp>("layer.up");
  auto second = symbols.lookup<ds::WeightOp>("layer_1.up");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first.getLayers(), (llvm::ArrayRef<int64_t>{0, 3}));
  EXPECT_EQ(*second.getLayers(), (llvm::ArrayRef<int64_t>{3, 4}));
  EXPECT_EQ(second.getRows(), (llvm::ArrayRef<int64_t>{7, 1}));
  EXPECT_EQ(mlir::cast<mlir::StringAttr>(second.getLabels()[1]).getValue(),
            "layers.{i}.right");
}

TEST_F(Generate, RunsBesideOthersShareTheirBody) {
  std::string text = kStack;
  text.replace(text.find("x = layer[i](x, s)"), 18,
               "x = layer[i](x, s)\n"
               "      if i == 1 {\n        x = x + x\n      }\n"
               "      if i == 3 {\n        x = layer[2](x, s)\n      }");
  auto module =
      compile(text, R"({"model_type": "m", "d": 8, "n": 5, "first": 0})");
  ASSERT_TRUE(module) << errors;
  std::vector<ds::RunOp> runs = collect<ds::RunOp>(*module);
  ASSERT_EQ(runs.size(), 4u);
  int64_t expected[4][2] = {{0, 2}, {2, 2}, {2, 1}, {4, 1}};
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(runs[i].getBody(), "Layer");
    EXPECT_EQ(static_cast<int64_t>(runs[i].getFirst()), expected[i][0]);
    EXPECT_EQ(static_cast<int64_t>(runs[i].getCount()), expected[i][1]);
  }
  auto weight = mlir::SymbolTable(*module).lookup<ds::WeightOp>("layer.norm");
  ASSERT_TRUE(weight);
  EXPECT_EQ(*weight.getLayers(), (llvm::ArrayRef<int64_t>{0, 5}));
}

TEST_F(Generate, TimeFollowsDistinctBodies) {
  auto module = compile(
      kStack, R"({"model_type": "m", "d": 8, "n": 3000, "first": 1500})");
  ASSERT_TRUE(module) << errors;
  EXPECT_EQ(collect<ds::RunOp>(*module).size(), 2u);
}

TEST_F(Generate, RoundingPointsFollowTheComputeType) {
  std::string config = R"({"model_type": "m", "d": 8, "n": 2, "first": 2})";
  auto bf16 = compile(kStack, config);
  ASSERT_TRUE(bf16) << errors;
  EXPECT_EQ(collect<mlir::arith::ExtFOp>(*bf16).size(), 1u);
  for (ds::LinearOp op : collect<ds::LinearOp>(*bf16))
    EXPECT_TRUE(op.getResult().getType().getElementType().isBF16());
  auto f32 = compile(kStack, config, true);
  ASSERT_TRUE(f32) << errors;
  EXPECT_TRUE(collect<mlir::arith::ExtFOp>(*f32).empty());
  for (ds::LinearOp op : collect<ds::LinearOp>(*f32))
    EXPECT_TRUE(op.getResult().getType().getElementType().isF32());
}

TEST_F(Generate, EveryOperationHasItsPlaceInTheText) {
  auto module =
      compile(kStack, R"({"model_type": "m", "d": 8, "n": 7, "first": 3})");
  ASSERT_TRUE(module) << errors;
  module->walk([&](mlir::Operation *op) {
    auto loc = mlir::dyn_cast<mlir::FileLineColLoc>(op->getLoc());
    ASSERT_TRUE(loc) << op->getName().getStringRef().str();
    EXPECT_EQ(loc.getFilename(), "model.ds");
    EXPECT_GT(loc.getLine(), 1u);
  });
  ds::LinearOp linear = collect<ds::LinearOp>(*module)[0];
  auto loc = mlir::cast<mlir::FileLineColLoc>(linear.getLoc());
  EXPECT_EQ(loc.getColumn(), 9u);
}

TEST_F(Generate, ConfigKeepsWhatTheRuntimeNeeds) {
  auto module =
      compile(kStack, R"({"model_type": "m", "d": 8, "n": 7, "first": 3})");
  ASSERT_TRUE(module) << errors;
  auto config = (*module)->getAttrOfType<mlir::DictionaryAttr>(ds::kConfigAttr);
  ASSERT_TRUE(config);
  EXPECT_EQ(config.getAs<mlir::IntegerAttr>("n").getInt(), 7);
  EXPECT_EQ(config.getAs<mlir::IntegerAttr>("period").getInt(), 1000);
  EXPECT_EQ((*module)->getAttrOfType<mlir::StringAttr>(ds::kModelAttr), "m");
}

TEST_F(Generate, StatesCarryTheirNames) {
  auto module =
      compile(kStack, R"({"model_type": "m", "d": 8, "n": 7, "first": 3})");
  ASSERT_TRUE(module) << errors;
  mlir::SymbolTable symbols(*module);
  auto entry = symbols.lookup<mlir::func::FuncOp>("forward");
  ASSERT_TRUE(entry);
  EXPECT_TRUE(entry->hasAttr(ds::kEntryAttr));
  EXPECT_EQ(entry.getArgAttrOfType<mlir::StringAttr>(1, ds::kNameAttr),
            "layer_1.kept");
}

/// A module that is used for two widths, with its label given as a string.
TEST_F(Generate, DimensionsUnifyAtCalls) {
  std::string text = R"(
config C {
  d, f : dim
}
module Gate(c: C, name: string, width: int) {
  weight up : [f, width] "{name}.weight"
  fn forward(x: [R, width], y: [R, W]) -> [R, f], [R, W] {
    return linear(x, up), swiglu(y, y)
  }
}
model M(c: C) serves "m" {
  weight embed : [f, d] "embed"
  weight norm  : [d]    "norm"
  weight up    : [f, d] "up"
  weight tied = up
  use first  = Gate(c, "one", d) "first"
  use second = Gate(c, "two", f)
  fn forward(s: seq) -> f32[Tout, f] {
    x = rms_norm(embedding(embed, s), norm, eps = 1e-6)
    y, z = first(x, linear(x, tied))
    y, x = second(y, x)
    t = select_rows(x, s)
    y, t = first(t, t)
    return linear(t, up, to = f32)
  }
}
)";
  auto module = compile(text, R"({"model_type": "m", "d": 8, "f": 12})");
  ASSERT_TRUE(module) << errors;
  mlir::SymbolTable symbols(*module);
  auto first = symbols.lookup<ds::WeightOp>("first.up");
  auto second = symbols.lookup<ds::WeightOp>("second.up");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(mlir::cast<mlir::StringAttr>(first.getLabels()[0]).getValue(),
            "first.one.weight");
  EXPECT_EQ(mlir::cast<mlir::StringAttr>(second.getLabels()[0]).getValue(),
            "two.weight");
  EXPECT_EQ(collect<ds::WeightOp>(*module).size(), 5u);
}
