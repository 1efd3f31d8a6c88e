//===- SparseBench.cpp - Native sparse attention beside full attention ----===//
//
// SparseBench [variant [positions]]: one core, one group of 16 heads, sizes of
// arXiv 2502.11089. Times of the kernels of a step of 1 and of 48 tokens at the
// end of a sequence, states of layers in turns, so that they come from memory.
//
//===----------------------------------------------------------------------===//
#include "StateImage.h"
#include <cstdio>

using namespace ds;
using namespace ds::cpu;

namespace {
constexpr int64_t kHeads = 16, kKeyDims = 192, kValueDims = 128;
constexpr int64_t kLength = 32, kStride = 16, kBlock = 64, kCount = 16;
constexpr int64_t kWindow = 512, kLayers = 8;

std::string makeSource() {
  std::string q = "tensor<?x3072xbf16>", o = "tensor<?x2048xbf16>";
  std::string lse = "tensor<?x16xf32>", list = "tensor<?x16xi32>";
  std::string k = "!ds.state<[1, 192], bf16>", v = "!ds.state<[1, 128], bf16>";
  std::string ek = "!ds.state<[1, 192], bf16 every 16>";
  std::string ev = "!ds.state<[1, 128], bf16 every 16>";
  std::string both = " -> (" + o + ", " + lse + ")\n";
  return "func.func @f(%q: " + q + ", %k: " + k + ", %v: " + v + ", %ek: " +
         ek + ", %ev: " + ev + ", %s: !ds.seq) {\n"
         "%y = ds.kernel.attention @full %q, %k, %v, %s heads 16 scale 0.072 : "
         "(" + q + ", " + k + ", " + v + ") -> " + o +
         "\n%a, %l = ds.kernel.sparse_attention @cmp %q, %ek, %ev, %s heads 16 "
         "scale 0.072 from entries 32 : (" + q + ", " + ek + ", " + ev +
         ", !ds.seq)" + both +
         "%b = ds.kernel.select_blocks @select %q, %ek, %l, %s heads 16 scale "
         "0.072 length 32 block 64 count 16 initial 1 local 2 : (" + q + ", " +
         ek + ", " + lse + ", !ds.seq) -> " + list +
         "\n%c, %l1 = ds.kernel.sparse_attention @slc %q, %k, %v, %s, %b heads "
         "16 scale 0.072 from blocks 64 : (" + q + ", " + k + ", " + v +
         ", !ds.seq, " + list + ")" + both +
         "%d, %l2 = ds.kernel.sparse_attention @win %q, %k, %v, %s heads 16 "
         "scale 0.072 from window 512 : (" + q + ", " + k + ", " + v +
         ", !ds.seq)" + both + "return\n}\n";
}

struct Layer {
  explicit Layer(int64_t pages)
      : keys(1, kKeyDims, pages), values(1, kValueDims, pages),
        entryKeys(pages * 64 / kStride * kKeyDims),
        entryValues(pages * 64 / kStride * kValueDims) {
    fillRandom(keys.data, 1);
    fillRandom(values.data, 2);
    fillRandom(entryKeys, 3);
    fillRandom(entryValues, 4);
  }
  StateImage<uint16_t> keys, values;
  Buffer<uint16_t> entryKeys, entryValues;
};

double medianOf(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2,
                   values.end());
  return values[values.size() / 2];
}
} // namespace

int main(int argc, char **argv) {
  Variant variant = getHostVariant();
  if (argc > 1)
    variant = llvm::cantFail(parseVariants(argv[1])).front();
  int64_t positions = argc > 2 ? std::atol(argv[2]) : 16384;
  int64_t pages = (positions + 63) / 64;
  KernelRunner runner(
      makeSource(), variant,
      [](Operation *op, ModuleOp module, const Isa &isa, KernelLimits &limits) {
        emitKernel(op, module, isa, limits);
      },
      48 / kHeads);
  std::vector<std::unique_ptr<Layer>> layers;
  for (int64_t i = 0; i < kLayers; ++i)
    layers.push_back(std::make_unique<Layer>(pages));
  std::vector<int32_t> table(pages);
  for (int64_t i = 0; i < pages; ++i)
    table[i] = static_cast<int32_t>(i);
  for (int64_t rows : {1, 48}) {
    TestSeq seq;
    seq.addSequence(static_cast<int32_t>(positions - rows),
                    static_cast<int32_t>(rows), table);
    seq.makeQueryTiles(48 / kHeads);
    Buffer<uint16_t> query(rows * kHeads * kKeyDims),
        result(rows * kHeads * kValueDims);
    Buffer<float> lse(rows * kHeads), other(rows * kHeads);
    Buffer<int32_t> list(rows * kCount);
    fillRandom(query, 5);
    std::map<std::string, std::vector<double>> seconds;
    for (int repeat = 0; repeat < 5; ++repeat)
      for (auto &layer : layers) {
        void *k = layer->keys.data.data(), *v = layer->values.data.data();
        void *ek = layer->entryKeys.data(), *ev = layer->entryValues.data();
        auto time = [&](const char *name, ArrayRef<void *> args) {
          seconds[name].push_back(runner.time(name, args, seq.dims(), 1));
        };
        time("cmp",
             {query.data(), ek, ev, seq.abi(), result.data(), lse.data()});
        time("select", {query.data(), ek, lse.data(), seq.abi(), list.data()});
        time("slc", {query.data(), k, v, seq.abi(), list.data(), result.data(),
                     other.data()});
        time("win",
             {query.data(), k, v, seq.abi(), result.data(), other.data()});
        time("full", {query.data(), k, v, seq.abi(), result.data()});
      }
    std::printf("%ld positions, step of %ld tokens, %s\n", positions, rows,
                getIsa(variant).name.str().c_str());
    double sparse = 0, full = medianOf(seconds["full"]);
    auto show = [&](const char *name, double seen, double width) {
      double s = medianOf(seconds[name]);
      double each = static_cast<double>(rows * kHeads) * seen * width * 2;
      std::printf("  %-7s %9.1f us  %6.1f GB/s  %7.1f GFLOP/s\n", name, s * 1e6,
                  seen * width * 2 / s / 1e9, each / s / 1e9);
      return s;
    };
    double all = static_cast<double>(positions), both = kKeyDims + kValueDims;
    sparse += show("cmp", all / kStride, both);
    sparse += show("select", all / kStride, kKeyDims);
    sparse += show("slc", kCount * kBlock, both);
    sparse += show("win", kWindow, both);
    show("full", all, both);
    double seen = all / kStride * (both + kKeyDims) / both +
                  kCount * kBlock + kWindow;
    std::printf("  sparse  %9.1f us; full / sparse %.2f, of work %.2f\n",
                sparse * 1e6, full / sparse, all / seen);
  }
}
