//===- GpuMatmulTest.cpp - The matmul family on Hopper --------------------===//
#include "codegen/gpu/Matmul.h"
#include "codegen/gpu/Ptx.h"
#include "mlir/Parser/Parser.h"
#include "test/unit/gpu/Assembler.h"
#include "gtest/gtest.h"

using namespace ds;
using namespace ds::gpu;

/// Counts `word` in `text`.
static size_t count(const std::string &text, StringRef word) {
  return StringRef(text).count(word);
}

namespace {
class GpuMatmul : public testing::Test {
protected:
  GpuMatmul() {
    DialectRegistry registry;
    registry.insert<DsDialect, func::FuncDialect, arith::ArithDialect,
                    math::MathDialect>();
    registerGpuLowering(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  /// Emits the first matmul of `text`; a message instead of a kernel if that
  /// is refused.
  GpuKernel emit(StringRef text, GpuTarget target = {}) {
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(text, ParserConfig(&context));
    KernelMatmulOp op;
    if (module)
      module->walk([&](KernelMatmulOp found) { op = found; });
    if (!op) {
      ADD_FAILURE() << "no matmul in the text";
      return {};
    }
    llvm::Expected<GpuKernel> kernel = emitPtx(op, target);
    if (kernel)
      return *kernel;
    message = llvm::toString(kernel.takeError());
    return {};
  }

  /// Assembles a kernel and expects no spills and no complaint.
  void expectAssembles(const GpuKernel &kernel, int products) {
    if (!haveAssembler())
      GTEST_SKIP() << "no ptxas: the PTX was not assembled";
    Assembled found = assemble(kernel.ptx, "sm_90a");
    ASSERT_TRUE(found.good) << found.log;
    EXPECT_EQ(found.spilledBytes, 0) << found.log;
    EXPECT_LE(found.registers, 168) << found.log;
    EXPECT_EQ(found.log.find("(C7"), std::string::npos) << found.log;
    EXPECT_EQ(found.operations[kWgmma], 4 * products);
    EXPECT_EQ(found.operations[kTmaLoad], 1 + products);
    EXPECT_EQ(found.operations[kSetRegisters], 2);
  }

  MLIRContext context;
  std::string message;
};
} // namespace

static constexpr const char *kPlain = R"(
func.func @f(%a: tensor<?x2048xbf16>, %w: tensor<5632x2048xbf16>) -> tensor<?x5632xbf16> {
  %y = ds.kernel.matmul @linear %a, %w
      : (tensor<?x2048xbf16>, tensor<5632x2048xbf16>) -> tensor<?x5632xbf16> {
  ^bb0(%sum: f32):
    %r = arith.truncf %sum : f32 to bf16
    ds.yield %r : bf16
  }
  return %y : tensor<?x5632xbf16>
})";

TEST_F(GpuMatmul, PlainProduct) {
  GpuKernel kernel = emit(kPlain);
  EXPECT_EQ(message, "");
  EXPECT_EQ(kernel.name, "linear");
  EXPECT_EQ(kernel.threads, 384);
  EXPECT_EQ(kernel.sharedBytes, 4 * (2 * 128 * 128 + 16));
  EXPECT_EQ(kernel.tileColumns, 128);
  EXPECT_NE(kernel.ptx.find(".target sm_90a"), std::string::npos);
  EXPECT_NE(kernel.ptx.find(".visible .entry linear("), std::string::npos);
  EXPECT_EQ(count(kernel.ptx, "wgmma.mma_async.sync.aligned.m64n128k16"), 4u);
  EXPECT_EQ(count(kernel.ptx, "cp.async.bulk.tensor.2d"), 2u);
  EXPECT_EQ(count(kernel.ptx, "setmaxnreg"), 2u);
  EXPECT_EQ(count(kernel.ptx, "fma.rn.f32"), 0u); // Nothing is contracted.
  expectAssembles(kernel, 1);
}

// Bias and residual: a vector by column and a matrix by element.
TEST_F(GpuMatmul, BiasAndResidual) {
  GpuKernel kernel = emit(R"(
func.func @f(%a: tensor<?x576xbf16>, %w: tensor<576x576xbf16>, %b: tensor<576xbf16>, %x: tensor<?x576xf32>) -> tensor<?x576xf32> {
  %y = ds.kernel.matmul @out %a, %w extras(%b, %x : tensor<576xbf16>, tensor<?x576xf32>)
      : (tensor<?x576xbf16>, tensor<576x576xbf16>) -> tensor<?x576xf32> {
  ^bb0(%sum: f32, %bias: bf16, %old: f32):
    %wide = arith.extf %bias : bf16 to f32
    %biased = arith.addf %sum, %wide : f32
    %rounded = arith.truncf %biased : f32 to bf16
    %exact = arith.extf %rounded : bf16 to f32
    %r = arith.addf %old, %exact : f32
    ds.yield %r : f32
  }
  return %y : tensor<?x576xf32>
})");
  EXPECT_EQ(message, "");
  // 64 accumulators: a residual for each. Two rows share a column's bias.
  EXPECT_EQ(count(kernel.ptx, "add.rn.f32"), 128u);
  expectAssembles(kernel, 1);
}

TEST_F(GpuMatmul, GateAndUp) {
  GpuKernel kernel = emit(R"(
func.func @f(%a: tensor<?x576xbf16>, %w: tensor<3072x576xbf16>) -> tensor<?x1536xbf16> {
  %y = ds.kernel.matmul @gate_up %a, %w pair
      : (tensor<?x576xbf16>, tensor<3072x576xbf16>) -> tensor<?x1536xbf16> {
  ^bb0(%gate: f32, %up: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %gate : f32
    %e = math.exp %n : f32
    %d = arith.addf %one, %e : f32
    %s = arith.divf %gate, %d : f32
    %m = arith.mulf %s, %up : f32
    %r = arith.truncf %m : f32 to bf16
    ds.yield %r : bf16
  }
  return %y : tensor<?x1536xbf16>
})");
  EXPECT_EQ(message, "");
  EXPECT_EQ(kernel.tileColumns, 64);
  EXPECT_EQ(count(kernel.ptx, "wgmma.mma_async.sync.aligned.m64n64k16"), 8u);
  EXPECT_EQ(count(kernel.ptx, "cp.async.bulk.tensor.2d"), 3u);
  EXPECT_EQ(count(kernel.ptx, "ex2.approx"), 0u); // The project's own exp.
  EXPECT_EQ(count(kernel.ptx, "div.rn.f32"), 32u);
  expectAssembles(kernel, 2);
}

// Nothing is a multiple of a tile; neighbours may lie on odd addresses.
TEST_F(GpuMatmul, OddSizes) {
  GpuKernel kernel = emit(R"(
func.func @f(%a: tensor<?x72xbf16>, %w: tensor<301x72xbf16>) -> tensor<?x301xf32> {
  %y = ds.kernel.matmul @head %a, %w
      : (tensor<?x72xbf16>, tensor<301x72xbf16>) -> tensor<?x301xf32> {
  ^bb0(%sum: f32):
    ds.yield %sum : f32
  }
  return %y : tensor<?x301xf32>
})");
  EXPECT_EQ(message, "");
  EXPECT_EQ(count(kernel.ptx, "st.global.v2"), 0u);
  expectAssembles(kernel, 1);
}

TEST_F(GpuMatmul, SameTextForTheSameKernel) {
  EXPECT_EQ(emit(kPlain).ptx, emit(kPlain).ptx);
}

TEST_F(GpuMatmul, RefusesOtherChips) {
  emit(kPlain, {"sm_80", "+ptx80"});
  EXPECT_EQ(message, "expects the chip sm_90a, got 'sm_80'");
  emit(kPlain, {"sm_90a", "+ptx60"});
  EXPECT_EQ(message, "expects the features +ptx80, got '+ptx60'");
}

TEST_F(GpuMatmul, RefusesWhatItCannotLoad) {
  emit(R"(
func.func @f(%a: tensor<?x64xf32>, %w: tensor<64x64xbf16>) -> tensor<?x64xf32> {
  %y = ds.kernel.matmul @m %a, %w : (tensor<?x64xf32>, tensor<64x64xbf16>) -> tensor<?x64xf32> {
  ^bb0(%sum: f32):
    ds.yield %sum : f32
  }
  return %y : tensor<?x64xf32>
})");
  EXPECT_EQ(message, "'m' expects bf16 operands on a GPU");
  emit(R"(
func.func @f(%a: tensor<?x74xbf16>, %w: tensor<64x74xbf16>) -> tensor<?x64xf32> {
  %y = ds.kernel.matmul @m %a, %w : (tensor<?x74xbf16>, tensor<64x74xbf16>) -> tensor<?x64xf32> {
  ^bb0(%sum: f32):
    ds.yield %sum : f32
  }
  return %y : tensor<?x64xf32>
})");
  EXPECT_EQ(message,
            "'m' expects a depth (74) that is a multiple of 8 on a GPU");
}
