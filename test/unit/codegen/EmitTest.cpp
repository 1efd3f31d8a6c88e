//===- EmitTest.cpp - Every family for every variant ----------------------===//
#include "KernelRunner.h"
#include "codegen/cpu/Lower.h"
#include "mlir/Parser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

static const char *kSource = R"(
!keys = !ds.state<[2, 26], bf16>
func.func @f(%t: tensor<301x74xbf16>, %g: tensor<74xf32>, %s: !ds.seq,
             %x: tensor<?x208xbf16>, %k: !keys, %v: !keys) {
  %a = ds.kernel.angles @angles %s
      <half_split, dims = 26, theta = 1.0e4 : f64> : tensor<?x26xf32>
  %e = ds.kernel.embed @embed %t, %s layout raw
      : tensor<301x74xbf16> -> tensor<?x74xf32>
  %n = ds.kernel.row @row(%e, %g)
      : (tensor<?x74xf32>, tensor<74xf32>) -> tensor<?x74xbf16> {
  ^bb0(%p: f32, %w: f32):
    %u = ds.row_reduce %p : f32
    %z = arith.mulf %u, %w : f32
    %r = arith.truncf %z : f32 to bf16
    ds.yield %r : bf16
  }
  %h = ds.kernel.elementwise @map(%n)
      : (tensor<?x74xbf16>) -> tensor<?x74xbf16> {
  ^bb0(%p: bf16):
    ds.yield %p : bf16
  }
  %q, %k1, %v1 = ds.kernel.heads @heads %x, %a, %s states(%k, %v)
      <half_split, dims = 26, theta = 1.0e4 : f64>
      [#ds.segment<begin = 0, heads = 4, dim = 26, rotate = true,
                   dest = result>,
       #ds.segment<begin = 104, heads = 2, dim = 26, rotate = true,
                   dest = key>,
       #ds.segment<begin = 156, heads = 2, dim = 26, rotate = false,
                   dest = value>]
      {resultSegmentSizes = array<i32: 1, 2>}
      : (tensor<?x208xbf16>, tensor<?x26xf32>, !ds.seq, !keys, !keys)
     -> (tensor<?x104xbf16>, !keys, !keys)
  %y = ds.kernel.attention @attend %q, %k1, %v1, %s heads 4 scale 0.2
      : (tensor<?x104xbf16>, !keys, !keys) -> tensor<?x104xbf16>
  %o = ds.kernel.attention @attend %y, %k1, %v1, %s heads 4 scale 0.2
      : (tensor<?x104xbf16>, !keys, !keys) -> tensor<?x104xbf16>
  %z, %lse = ds.kernel.attention @keep %q, %k1, %v1, %s heads 4 scale 0.2
      : (tensor<?x104xbf16>, !keys, !keys)
     -> tensor<?x104xbf16>, tensor<?x4xf32>
  %d = ds.kernel.attention_delta @delta %z, %q heads 4
      : (tensor<?x104xbf16>, tensor<?x104xbf16>) -> tensor<?x4xf32>
  %dq = ds.kernel.attention_backward_query @dq %q, %k1, %v1, %lse, %d, %q, %s
      heads 4 scale 0.2
      : (tensor<?x104xbf16>, !keys, !keys, tensor<?x4xf32>, tensor<?x4xf32>,
         tensor<?x104xbf16>, !ds.seq) -> tensor<?x104xbf16>
  %dk, %dv = ds.kernel.attention_backward_keys @dkv %q, %k1, %v1, %lse, %d,
      %q, %s heads 4 scale 0.2
      : (tensor<?x104xbf16>, !keys, !keys, tensor<?x4xf32>, tensor<?x4xf32>,
         tensor<?x104xbf16>, !ds.seq)
     -> (tensor<?x52xbf16>, tensor<?x52xbf16>)
  %c = ds.kernel.concat_heads @concat(%dq, %dk, %dv)
      angles(%a : tensor<?x26xf32>) <half_split, dims = 26, theta = 1.0e4 : f64>
      [#ds.heads_part<heads = 4, dim = 26, rotate = true>,
       #ds.heads_part<heads = 2, dim = 26, rotate = true>,
       #ds.heads_part<heads = 2, dim = 26, rotate = false>]
      : (tensor<?x104xbf16>, tensor<?x52xbf16>, tensor<?x52xbf16>)
     -> tensor<?x208xbf16>
  %rows = ds.kernel.gather_rows @gather %e, %s
      : tensor<?x74xf32> -> tensor<?x74xf32>
  %back = ds.kernel.scatter_rows @scatter %rows, %s
      : tensor<?x74xf32> -> tensor<?x74xf32>
  return
}
func.func @train(%z: tensor<?x301xf32>, %t: tensor<?x1xi32>,
                 %i: tensor<?x1xf32>, %x: tensor<?x74xf32>, %s: !ds.seq,
                 %g: tensor<301x74xf32>, %b: tensor<74xf32>,
                 %w: tensor<301x74xbf16>, %h: tensor<16xf32>,
                 %sums: tensor<?xf32>) {
  %p, %lse = ds.kernel.log_prob @log_prob %z, %t, %i
      : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>)
     -> (tensor<?x1xf32>, tensor<?x1xf32>)
  %d = ds.kernel.log_prob_backward @log_prob_backward %z, %t, %i, %lse, %p
      : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<?x1xf32>,
         tensor<?x1xf32>) -> tensor<?x301xbf16>
  ds.kernel.columns @columns(%x) into %b
      : (tensor<?x74xf32>) -> tensor<74xf32> {
  ^bb0(%e: f32):
    ds.yield %e : f32
  }
  ds.kernel.scatter_embedding @scatter_embedding %x, %s into %g
      : tensor<?x74xf32> -> tensor<301x74xf32>
  ds.kernel.square_sum @square_sum %g into %sums
      : tensor<301x74xf32>, tensor<?xf32>
  ds.kernel.adamw @adamw %g, %g, %g, %g, %w, %h layout panel_bf16
      : tensor<301x74xf32>, tensor<301x74xf32>, tensor<301x74xf32>,
        tensor<301x74xf32>, tensor<301x74xbf16>, tensor<16xf32>
  return
}
)";

TEST(EmitTest, OneModuleAVariantAndOneKernelASymbol) {
  DialectRegistry registry;
  registerLowering(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadDialect<DsDialect, func::FuncDialect, arith::ArithDialect>();
  OwningOpRef<ModuleOp> source =
      parseSourceString<ModuleOp>(kSource, ParserConfig(&context));
  ASSERT_TRUE(source);
  Variant variants[] = {Variant::Amx, Variant::Avx512Bf16, Variant::Avx512,
                        Variant::Avx2};
  EmittedKernels emitted = emitKernels(*source, variants);
  EXPECT_EQ(emitted.limits.queryRows, 24); // 48 rows of 2 heads a key head.
  EXPECT_GT(emitted.limits.scratchBytes, 0);
  ASSERT_EQ(emitted.modules.size(), 4u);
  for (auto &[variant, module] : emitted.modules) {
    const Isa &isa = getIsa(variant);
    std::vector<std::string> names;
    for (auto function : module->getOps<func::FuncOp>())
      names.push_back(function.getName().str());
    std::vector<std::string> want;
    for (const char *symbol :
         {"angles", "embed", "row", "map", "heads", "attend", "keep", "delta",
          "dq", "dkv", "concat", "gather", "scatter", "log_prob",
          "log_prob_backward", "columns", "scatter_embedding", "square_sum",
          "adamw"})
      for (const char *suffix : {"", ".tiles"})
        want.push_back(symbol + ("." + isa.name + suffix).str());
    std::sort(names.begin(), names.end());
    std::sort(want.begin(), want.end());
    EXPECT_EQ(names, want);
    ASSERT_TRUE(succeeded(lowerToLLVM(*module)));
    llvm::LLVMContext llvmContext;
    std::unique_ptr<llvm::Module> ir = makeLLVMIR(*module, isa, llvmContext);
    ASSERT_TRUE(ir);
    for (const llvm::Function &function : *ir)
      if (!function.isIntrinsic())
        EXPECT_FALSE(function.isDeclaration())
            << "calls " << function.getName().str();
    EXPECT_GT(makeObject(*ir, isa).size(), 1000u);
  }
}

TEST(EmitTest, QueryRowsOfAModelWithoutAttention) {
  EXPECT_GE(chooseQueryRows({}), 1);
}
