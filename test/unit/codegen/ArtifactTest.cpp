//===- ArtifactTest.cpp - The artifact's file -----------------------------===//
#include "codegen/cpu/Artifact.h"
#include "codegen/cpu/Builder.h"
#include "codegen/cpu/Lower.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include <dlfcn.h>
#include <gtest/gtest.h>

using namespace ds;
using namespace ds::cpu;

namespace {
/// Objects of a kernel that writes 16 floats of 2 and has three tiles.
SmallVector<SmallVector<char, 0>> makeObjects() {
  DialectRegistry registry;
  registerLowering(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadDialect<arith::ArithDialect, func::FuncDialect, scf::SCFDialect,
                      vector::VectorDialect, LLVM::LLVMDialect>();
  Location loc = UnknownLoc::get(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  const Isa &isa = getIsa(Variant::Avx2);
  buildTiles(*module, "two", isa, loc,
             [](KernelBuilder &b, Value) { return b.c(3); });
  buildKernel(*module, "two", isa, loc,
              [](KernelBuilder &b, Value args, Value, Value, Value) {
                b.store(b.vf(2.0), b.arg(args, 0));
              });
  EXPECT_TRUE(succeeded(lowerToLLVM(*module)));
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> ir = makeLLVMIR(*module, isa, llvmContext);
  SmallVector<SmallVector<char, 0>> objects;
  objects.push_back(makeObject(*ir, isa));
  return objects;
}

std::string readFile(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().str() : std::string();
}

TEST(Artifact, RunsAndIsDeterministic) {
  std::string path = testing::TempDir() + "artifact-test.so";
  auto objects = makeObjects();
  llvm::Error error = writeArtifact(objects, "{\"format\":1}", path);
  ASSERT_FALSE(static_cast<bool>(error)) << llvm::toString(std::move(error));
  std::string first = readFile(path);
  llvm::cantFail(writeArtifact(makeObjects(), "{\"format\":1}", path));
  EXPECT_EQ(first, readFile(path));

  void *handle = dlopen(path.c_str(), RTLD_NOW);
  ASSERT_NE(handle, nullptr) << dlerror();
  auto tiles = reinterpret_cast<int64_t (*)(const int64_t *)>(
      dlsym(handle, "two.avx2.tiles"));
  auto kernel = reinterpret_cast<void (*)(void *const *, const int64_t *,
                                          int64_t, void *)>(
      dlsym(handle, "two.avx2"));
  ASSERT_TRUE(tiles && kernel);
  int64_t dims[8] = {};
  EXPECT_EQ(tiles(dims), 3);
  float out[16] = {};
  void *args[] = {out};
  kernel(args, dims, 0, nullptr);
  for (float value : out)
    EXPECT_EQ(value, 2.0f);
  dlclose(handle);
}

TEST(Artifact, ManifestKnowsTheFileSize) {
  std::string path = testing::TempDir() + "artifact-size.so";
  llvm::cantFail(writeArtifact(makeObjects(), "{}", path));
  std::string file = readFile(path);
  size_t at = file.find("DSMANIF1");
  ASSERT_NE(at, std::string::npos);
  uint64_t size = 0;
  memcpy(&size, file.data() + at + 24, 8);
  EXPECT_EQ(size, file.size());
}

TEST(Artifact, UnwritableFolderIsAnError) {
  llvm::Error error = writeArtifact({}, "{}", "/nonexistent-folder/a.so");
  std::string text = llvm::toString(std::move(error));
  EXPECT_NE(text.find("cannot write '/nonexistent-folder/a.so': no folder "
                      "'/nonexistent-folder' to write to"),
            std::string::npos)
      << text;
}
} // namespace
