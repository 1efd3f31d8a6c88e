//===- Objects.cpp - Kernels to object code, in parallel ------------------===//
#include "tools/dscc/Objects.h"
#include "codegen/cpu/Lower.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/Threading.h"

using namespace ds;

static SmallVector<char, 0> makeOne(ModuleOp module, const cpu::Isa &isa,
                                    ObjectForm form) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> ir = cpu::makeLLVMIR(module, isa, context);
  if (!ir)
    return {};
  if (form != ObjectForm::LlvmIr)
    return cpu::makeObject(*ir, isa, form == ObjectForm::Assembly);
  SmallVector<char, 0> text;
  llvm::raw_svector_ostream stream(text);
  ir->print(stream, nullptr);
  return text;
}

llvm::Expected<SmallVector<SmallVector<char, 0>>>
ds::makeObjects(ArrayRef<std::pair<cpu::Variant, ModuleOp>> modules,
                ObjectForm form) {
  for (auto [variant, module] : modules)
    if (failed(cpu::lowerToLLVM(module)))
      return llvm::createStringError("lowering to LLVM failed");
  SmallVector<SmallVector<char, 0>> results(modules.size());
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency());
  for (size_t i = 0; i < modules.size(); ++i)
    pool.async([&, i] {
      results[i] =
          makeOne(modules[i].second, cpu::getIsa(modules[i].first), form);
    });
  pool.wait();
  for (const SmallVector<char, 0> &result : results)
    if (result.empty())
      return llvm::createStringError("translation to LLVM IR failed");
  return results;
}
