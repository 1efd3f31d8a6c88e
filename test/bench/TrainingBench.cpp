//===- TrainingBench.cpp - Training's kernels beside what memory allows ---===//
//
// Every kernel but products and attention, at T = 4096, D = 512, V = 32000, on
// one thread: time, bytes that it must move, and the time that plain loops take
// to read, write and update as many bytes. Buffers are taken in turns, so that
// they come from memory.
//
//   TrainingBench [variant] [first letters of the kernels to time]
//
//===----------------------------------------------------------------------===//
#include "BenchProbes.h"
#include "test/unit/codegen/KernelRunner.h"

using namespace ds;
using namespace ds::cpu;

namespace {
constexpr int64_t kTokens = 4096, kColumns = 512, kHidden = 1536,
                  kVocabulary = 32000, kWindow = 128;
/// Bytes that a kernel's buffers have in all, beyond every cache.
constexpr size_t kSpread = size_t(384) << 20;

/// What a kernel does with an argument.
enum class Use { Read, Write, Update, Small, Seq };

struct Argument {
  Use use;
  int64_t elements = 0;
  int64_t size = 4;
};

struct Case {
  const char *name;
  std::string source;
  std::vector<Argument> arguments;
  int64_t rows = kTokens;
};

/// Bytes per second of plain loops: what is updated counts twice.
struct Rates {
  double read, write, update;
};
} // namespace

static Argument f32(Use use, int64_t elements) { return {use, elements, 4}; }
static Argument bf16(Use use, int64_t elements) { return {use, elements, 2}; }

/// Seconds of the fastest of three runs of `body`.
static double best(function_ref<void()> body) {
  double seconds = 1e30;
  for (int i = 0; i < 3; ++i) {
    double start = getThreadSeconds();
    body();
    seconds = std::min(seconds, getThreadSeconds() - start);
  }
  return seconds;
}

static Rates measureRates() {
  size_t bytes = size_t(256) << 20;
  Buffer<char> memory(bytes);
  memset(memory.data(), 0, bytes);
  Rates rates;
  auto size = static_cast<double>(bytes);
  rates.read =
      size / best([&] { bench::readMemory(memory.data(), bytes); });
  rates.write = size / best([&] { bench::writeMemory(memory.data(), bytes); });
  rates.update =
      2 * size / best([&] { bench::updateMemory(memory.data(), bytes); });
  return rates;
}

/// Rows of f32 arithmetic that the region of a kernel is made of.
static std::string region(StringRef arguments, StringRef code) {
  return (" {\n  ^bb0(" + arguments + "):\n" + code + "  }\n").str();
}

static std::string inFunction(StringRef arguments, StringRef code) {
  return ("func.func @f(" + arguments + ") {\n" + code + "  return\n}\n").str();
}

static std::vector<Case> makeCases() {
  int64_t all = kTokens * kColumns, hidden = kTokens * kHidden;
  std::vector<Case> cases;
  cases.push_back(
      {"add",
       inFunction("%x: tensor<?x512xf32>, %y: tensor<?x512xbf16>",
                  "  %z = ds.kernel.elementwise @k(%x, %y) : "
                  "(tensor<?x512xf32>, tensor<?x512xbf16>) -> "
                  "tensor<?x512xf32>" +
                      region("%a: f32, %b: bf16",
                             "    %c = arith.extf %b : bf16 to f32\n"
                             "    %d = arith.addf %a, %c : f32\n"
                             "    ds.yield %d : f32\n")),
       {f32(Use::Read, all), bf16(Use::Read, all), f32(Use::Write, all)}});
  cases.push_back(
      {"rms_norm_backward",
       inFunction(
           "%x: tensor<?x512xf32>, %g: tensor<512xf32>, "
           "%dy: tensor<?x512xbf16>",
           "  %y, %r = ds.kernel.row @k(%x, %g, %dy) : (tensor<?x512xf32>, "
           "tensor<512xf32>, tensor<?x512xbf16>) -> (tensor<?x512xf32>, "
           "tensor<?x1xf32>)" +
               region("%a: f32, %w: f32, %h: bf16", R"(
    %n = arith.constant 512.0 : f32
    %eps = arith.constant 1.0e-6 : f32
    %one = arith.constant 1.0 : f32
    %sq = arith.mulf %a, %a : f32
    %sum = ds.row_reduce %sq : f32
    %mean = arith.divf %sum, %n : f32
    %e = arith.addf %mean, %eps : f32
    %root = math.sqrt %e : f32
    %inv = arith.divf %one, %root : f32
    %hw = arith.extf %h : bf16 to f32
    %d = arith.mulf %w, %hw : f32
    %xd = arith.mulf %a, %d : f32
    %along = ds.row_reduce %xd : f32
    %am = arith.divf %along, %n : f32
    %r2 = arith.mulf %inv, %inv : f32
    %r3 = arith.mulf %inv, %am : f32
    %c = arith.mulf %r2, %r3 : f32
    %p = arith.mulf %inv, %d : f32
    %q = arith.mulf %a, %c : f32
    %dx = arith.subf %p, %q : f32
    ds.yield %dx, %inv : f32, f32
)")),
       {f32(Use::Read, all), f32(Use::Small, 512), bf16(Use::Read, all),
        f32(Use::Write, all), f32(Use::Write, kTokens)}});
  const char *widen = R"(
    %one = arith.constant 1.0 : f32
    %x = arith.extf %a : bf16 to f32
    %u = arith.extf %b : bf16 to f32
    %n = arith.negf %x : f32
    %e = math.exp %n : f32
    %f = arith.addf %one, %e : f32
)";
  cases.push_back(
      {"swiglu_pairs",
       inFunction("%gu: tensor<?x3072xbf16>",
                  "  %z = ds.kernel.elementwise @k(%gu) pairs : "
                  "(tensor<?x3072xbf16>) -> tensor<?x1536xbf16>" +
                      region("%a: bf16, %b: bf16", std::string(widen) + R"(
    %s = arith.divf %x, %f : f32
    %p = arith.mulf %s, %u : f32
    %r = arith.truncf %p : f32 to bf16
    ds.yield %r : bf16
)")),
       {bf16(Use::Read, 2 * hidden), bf16(Use::Write, hidden)}});
  cases.push_back(
      {"swiglu_pairs_backward",
       inFunction("%gu: tensor<?x3072xbf16>, %dz: tensor<?x1536xbf16>",
                  "  %z = ds.kernel.elementwise @k(%gu, %dz) pairs : "
                  "(tensor<?x3072xbf16>, tensor<?x1536xbf16>) -> "
                  "tensor<?x3072xbf16>" +
                      region("%a: bf16, %b: bf16, %c: bf16",
                             std::string(widen) + R"(
    %d = arith.extf %c : bf16 to f32
    %s = arith.divf %one, %f : f32
    %silu = arith.mulf %x, %s : f32
    %m = arith.subf %one, %s : f32
    %t = arith.mulf %x, %m : f32
    %v = arith.addf %one, %t : f32
    %slope = arith.mulf %s, %v : f32
    %du = arith.mulf %d, %u : f32
    %dg = arith.mulf %du, %slope : f32
    %dv = arith.mulf %d, %silu : f32
    %r = arith.truncf %dg : f32 to bf16
    %q = arith.truncf %dv : f32 to bf16
    ds.yield %r, %q : bf16, bf16
)")),
       {bf16(Use::Read, 2 * hidden), bf16(Use::Read, hidden),
        bf16(Use::Write, 2 * hidden)}});
  cases.push_back(
      {"columns_bias",
       inFunction("%d: tensor<?x512xbf16>, %g: tensor<512xf32>",
                  "  ds.kernel.columns @k(%d) into %g : "
                  "(tensor<?x512xbf16>) -> tensor<512xf32>" +
                      region("%a: bf16", "    %b = arith.extf %a : bf16 to f32\n"
                                         "    ds.yield %b : f32\n")),
       {bf16(Use::Read, all), f32(Use::Small, 512)}});
  cases.push_back(
      {"columns_norm",
       inFunction("%d: tensor<?x512xbf16>, %x: tensor<?x512xf32>, "
                  "%r: tensor<?x1xf32>, %g: tensor<512xf32>",
                  "  ds.kernel.columns @k(%d, %x, %r) into %g : "
                  "(tensor<?x512xbf16>, tensor<?x512xf32>, tensor<?x1xf32>) "
                  "-> tensor<512xf32>" +
                      region("%a: bf16, %b: f32, %c: f32",
                             "    %e = arith.extf %a : bf16 to f32\n"
                             "    %p = arith.mulf %e, %b : f32\n"
                             "    %q = arith.mulf %p, %c : f32\n"
                             "    ds.yield %q : f32\n")),
       {bf16(Use::Read, all), f32(Use::Read, all), f32(Use::Read, kTokens),
        f32(Use::Small, 512)}});
  int64_t logits = kWindow * kVocabulary;
  cases.push_back(
      {"log_prob",
       inFunction("%z: tensor<?x32000xf32>, %t: tensor<?x1xi32>, "
                  "%i: tensor<?x1xf32>",
                  "  %p, %l = ds.kernel.log_prob @k %z, %t, %i : "
                  "(tensor<?x32000xf32>, tensor<?x1xi32>, tensor<?x1xf32>) "
                  "-> (tensor<?x1xf32>, tensor<?x1xf32>)\n"),
       {f32(Use::Read, logits), {Use::Small, kWindow, 0},
        f32(Use::Small, kWindow), f32(Use::Small, kWindow),
        f32(Use::Small, kWindow)},
       kWindow});
  cases.push_back(
      {"log_prob_backward",
       inFunction("%z: tensor<?x32000xf32>, %t: tensor<?x1xi32>, "
                  "%i: tensor<?x1xf32>",
                  "  %p = ds.kernel.log_prob_backward @k %z, %t, %i, %i, %i : "
                  "(tensor<?x32000xf32>, tensor<?x1xi32>, tensor<?x1xf32>, "
                  "tensor<?x1xf32>, tensor<?x1xf32>) -> "
                  "tensor<?x32000xbf16>\n"),
       {f32(Use::Read, logits), {Use::Small, kWindow, 0},
        f32(Use::Small, kWindow), f32(Use::Small, kWindow),
        f32(Use::Small, kWindow), bf16(Use::Write, logits)},
       kWindow});
  cases.push_back(
      {"scatter_embedding",
       inFunction("%d: tensor<?x512xf32>, %g: tensor<32000x512xf32>, "
                  "%s: !ds.seq",
                  "  ds.kernel.scatter_embedding @k %d, %s into %g : "
                  "tensor<?x512xf32> -> tensor<32000x512xf32>\n"),
       {f32(Use::Update, kVocabulary * kColumns), f32(Use::Read, all),
        {Use::Seq}}});
  cases.push_back(
      {"gather_rows",
       inFunction("%d: tensor<?x512xbf16>, %s: !ds.seq",
                  "  %y = ds.kernel.gather_rows @k %d, %s : "
                  "tensor<?x512xbf16> -> tensor<?x512xbf16>\n"),
       {bf16(Use::Read, all), {Use::Seq}, bf16(Use::Write, all)}});
  cases.push_back(
      {"scatter_rows",
       inFunction("%d: tensor<?x512xbf16>, %s: !ds.seq",
                  "  %y = ds.kernel.scatter_rows @k %d, %s : "
                  "tensor<?x512xbf16> -> tensor<?x512xbf16>\n"),
       {bf16(Use::Read, all), {Use::Seq}, bf16(Use::Write, all)}});
  cases.push_back(
      {"concat_heads",
       inFunction(
           "%q: tensor<?x512xbf16>, %k: tensor<?x128xbf16>, "
           "%v: tensor<?x128xbf16>, %a: tensor<?x64xf32>",
           "  %y = ds.kernel.concat_heads @k(%q, %k, %v) angles(%a : "
           "tensor<?x64xf32>) <half_split, dims = 64, theta = 1.0e4 : f64> "
           "[#ds.heads_part<heads = 8, dim = 64, rotate = true>, "
           "#ds.heads_part<heads = 2, dim = 64, rotate = true>, "
           "#ds.heads_part<heads = 2, dim = 64, rotate = false>] : "
           "(tensor<?x512xbf16>, tensor<?x128xbf16>, tensor<?x128xbf16>) -> "
           "tensor<?x768xbf16>\n"),
       {bf16(Use::Read, all), bf16(Use::Read, all / 4),
        bf16(Use::Read, all / 4), f32(Use::Read, kTokens * 64),
        bf16(Use::Write, all * 3 / 2)}});
  int64_t table = kVocabulary * kColumns;
  std::string master = "tensor<32000x512xf32>";
  cases.push_back(
      {"square_sum",
       inFunction("%g: " + master + ", %p: tensor<?xf32>",
                  "  ds.kernel.square_sum @k %g into %p : " + master +
                      ", tensor<?xf32>\n"),
       {f32(Use::Read, table), f32(Use::Small, 1000)},
       kVocabulary});
  for (StringRef layout : {"panel_bf16", "panel_f32", "raw"}) {
    bool isF32 = layout == "panel_f32";
    std::string packed =
        isF32 ? master : std::string("tensor<32000x512xbf16>");
    cases.push_back(
        {layout == "raw" ? "adamw raw"
         : isF32         ? "adamw panel_f32"
                         : "adamw panel_bf16",
         inFunction("%p: " + master + ", %w: " + packed +
                        ", %h: tensor<16xf32>",
                    "  ds.kernel.adamw @k %p, %p, %p, %p, %w, %h layout " +
                        layout.str() + " : " + master + ", " + master + ", " +
                        master + ", " + master + ", " + packed +
                        ", tensor<16xf32>\n"),
         {f32(Use::Update, table), f32(Use::Update, table),
          f32(Use::Update, table), f32(Use::Read, table),
          {Use::Write, table, isF32 ? 4 : 2}, f32(Use::Small, 16)},
         kVocabulary});
  }
  return cases;
}

/// Fills with 0.01, which no kernel here makes a special value of.
static void fill(char *memory, const Argument &argument) {
  if (argument.size == 0) {
    memset(memory, 0, argument.elements * 4);
    return;
  }
  float value = 0.01f;
  for (int64_t i = 0; i < argument.elements; ++i)
    if (argument.size == 4)
      reinterpret_cast<float *>(memory)[i] = value;
    else
      reinterpret_cast<uint16_t *>(memory)[i] = toBf16(value);
}

static void run(const Case &c, Variant variant, const Rates &rates) {
  KernelRunner runner(c.source, variant, emitKernel);
  TestSeq seq;
  seq.addSequence(0, kTokens, {0});
  std::mt19937 random(1);
  for (int32_t &id : seq.ids)
    id = static_cast<int32_t>(random() % kVocabulary);
  for (int32_t t = 0; t < kTokens; ++t)
    seq.outRows.push_back(t);
  size_t bytes = 0;
  double bound = 0, moved = 0;
  for (const Argument &a : c.arguments) {
    bytes += llvm::alignTo(a.elements * std::max<int64_t>(a.size, 4), 4096);
    double size = static_cast<double>(a.elements * a.size);
    if (a.use == Use::Update && a.elements > c.rows * kColumns)
      size = static_cast<double>(c.rows * kColumns * a.size);
    if (a.use == Use::Small || a.use == Use::Seq)
      continue;
    moved += size * (a.use == Use::Update ? 2 : 1);
    bound += a.use == Use::Read    ? size / rates.read
             : a.use == Use::Write ? size / rates.write
                                   : 2 * size / rates.update;
  }
  size_t copies = std::max<size_t>(2, kSpread / bytes);
  Buffer<char> memory(bytes * copies);
  std::vector<std::vector<void *>> args(copies);
  char *next = memory.data();
  for (std::vector<void *> &set : args)
    for (const Argument &a : c.arguments) {
      set.push_back(a.use == Use::Seq ? seq.abi() : next);
      if (a.use == Use::Seq)
        continue;
      fill(next, a);
      next += llvm::alignTo(a.elements * std::max<int64_t>(a.size, 4), 4096);
    }
  std::vector<int64_t> dims = seq.dims();
  dims[0] = c.rows;
  std::vector<double> times;
  double spent = 0;
  for (size_t i = 0; i < 3 * copies && (spent < 1.0 || i < 4); ++i) {
    times.push_back(runner.time("k", args[i % copies], dims, 1));
    spent += times.back();
  }
  std::sort(times.begin(), times.end());
  double seconds = times[times.size() / 2];
  printf("%-22s %9.1f us %7.2f GB/s  bound %9.1f us  share %.2f\n", c.name,
         seconds * 1e6, moved / seconds * 1e-9, bound * 1e6, bound / seconds);
}

int main(int argc, char **argv) {
  Variant variant = getHostVariant();
  StringRef only;
  for (int i = 1; i < argc; ++i) {
    bool known = false;
    for (Variant each : getRunnableVariants())
      if (getIsa(each).name == argv[i]) {
        variant = each;
        known = true;
      }
    if (!known)
      only = argv[i];
  }
  Rates rates = measureRates();
  printf("%s; plain loops: read %.1f, write %.1f, update %.1f GB/s\n",
         getIsa(variant).name.str().c_str(), rates.read * 1e-9,
         rates.write * 1e-9, rates.update * 1e-9);
  for (const Case &c : makeCases())
    if (only.empty() || StringRef(c.name).starts_with(only))
      run(c, variant, rates);
}
