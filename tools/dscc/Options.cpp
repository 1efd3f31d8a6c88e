//===- Options.cpp - The command line of dscc -----------------------------===//
#include "tools/dscc/Options.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

using namespace ds;
namespace cl = llvm::cl;

namespace {
enum class Entry { Infer, Train };

/// All flags live here, so that the library has no global ones.
struct Flags {
  cl::OptionCategory input{"Input"}, output{"Output"}, target{"Target"},
      develop{"Looking inside and passes"};

  cl::opt<std::string> model{cl::Positional, cl::Required, cl::cat(input),
                             cl::desc("MODEL"), cl::value_desc("MODEL")};
  cl::opt<std::string> config{
      "config", cl::cat(input), cl::value_desc("FILE"),
      cl::desc("config.json of the model, where MODEL is a .ds file")};
  cl::opt<std::string> models{
      "models", cl::cat(input), cl::value_desc("DIR"),
      cl::desc("folder of the .ds files that are chosen by model_type")};
  cl::list<Entry> entries{
      "entry",
      cl::cat(output),
      cl::CommaSeparated,
      cl::value_desc("LIST"),
      cl::desc("what the artifact can do, a list of:"),
      cl::values(clEnumValN(Entry::Infer, "infer", "generate; always there"),
                 clEnumValN(Entry::Train, "train", "train with an objective"))};
  cl::opt<std::string> objective{
      "objective", cl::cat(output), cl::value_desc("NAME"),
      cl::desc("what training minimises: lm (default), sft, another file of "
               "models/objectives, or a .ds file")};
  cl::opt<std::string> out{"o", cl::cat(output), cl::value_desc("FILE"),
                           cl::desc("where the artifact or text goes")};
  cl::opt<Emit> emit{
      "emit", cl::cat(output), cl::init(Emit::Artifact),
      cl::desc("print a stage instead of writing an artifact:"),
      cl::values(
          clEnumValN(Emit::Ast, "ast", "the syntax tree of the model text"),
          clEnumValN(Emit::Ds, "ds", "the ds graph as the text says it"),
          clEnumValN(Emit::Kernels, "kernels", "kernels and memory plan"),
          clEnumValN(Emit::Llvm, "llvm", "LLVM IR of the kernels"),
          clEnumValN(Emit::Asm, "asm", "assembly of the kernels"),
          clEnumValN(Emit::Memory, "memory", "memory that a run will need"),
          clEnumValN(Emit::Cost, "cost", "FLOPs and bytes per token"))};
  cl::opt<bool> format{"format", cl::cat(output),
                       cl::desc("print MODEL.ds in canonical form")};
  cl::opt<bool> inPlace{"in-place", cl::cat(output),
                        cl::desc("with --format: rewrite the file")};
  cl::opt<Compute> compute{
      "compute", cl::cat(target), cl::init(Compute::Bf16),
      cl::desc("type of activations and products:"),
      cl::values(clEnumValN(Compute::Bf16, "bf16",
                            "bf16 products, f32 sums and residuals (default)"),
                 clEnumValN(Compute::F32, "f32", "f32 throughout"))};
  cl::opt<bool> reference{
      "reference", cl::cat(target),
      cl::desc("make the artifact of what operations mean, in scalar loops: "
               "slow, for 'dsrun verify' to compare others with")};
  cl::opt<std::string> cpu{
      "cpu", cl::cat(target), cl::init("native"), cl::value_desc("LIST"),
      cl::desc("variants to emit: native (default), all, or a list of avx2, "
               "avx512, avx512bf16, amx; the runtime picks the best")};
  cl::opt<int64_t> keptBytes{
      "keep-activations", cl::cat(target), cl::init(-1),
      cl::value_desc("BYTES"),
      cl::desc("with --entry=train: bytes per token that a step may keep for "
               "its backward, which computes the rest again; default: all that "
               "saves a product or attention ('--emit=memory' shows it)")};
  cl::opt<std::string> compileTo{
      "compile-to", cl::cat(develop), cl::value_desc("PHASE"),
      cl::desc("stop after a phase and print the IR; '--compile-to=list' "
               "names the phases")};
  cl::opt<std::string> dump{
      "dump-phases", cl::cat(develop), cl::value_desc("DIR"),
      cl::desc("write the IR after each phase, and each kernel, to DIR")};
  cl::opt<std::string> pipeline{
      "pass-pipeline", cl::cat(develop), cl::value_desc("PASSES"),
      cl::desc("run these passes on the ds graph before the phases")};
  cl::list<std::string> plugins{"load-pass-plugin", cl::cat(develop),
                                cl::value_desc("FILE"),
                                cl::desc("load passes from a shared object")};
  cl::opt<bool> timing{"mlir-timing", cl::cat(develop),
                       cl::desc("print the time that each stage took")};
  cl::opt<bool> mutate{"mutate-reduction-order", cl::Hidden, cl::cat(develop),
                       cl::desc("break the numerics contract on purpose")};
};
} // namespace

Options ds::parseOptions(int argc, char **argv) {
  // LLVM's registry of options keeps pointers to these, and lld resets them.
  static Flags flags;
  cl::HideUnrelatedOptions(
      {&flags.input, &flags.output, &flags.target, &flags.develop});
  cl::SetVersionPrinter(
      [](llvm::raw_ostream &os) { os << "dscc 0.1.0 (LLVM 22)\n"; });
  cl::ParseCommandLineOptions(
      argc, argv,
      "dscc compiles a model of the DeepSeek family to one file that dsrun "
      "runs.\n\n"
      "MODEL is a Hugging Face folder, its config.json, a .ds file with "
      "--config, or a .mlir file of the ds dialect.\n\n"
      "  dscc smollm2/ -o smollm2.so\n"
      "  dscc models/llama.ds --config=smollm2/config.json -o m.so\n"
      "  dscc smollm2/ -o smollm2.so --entry=infer,train --objective=sft\n"
      "  dscc smollm2/ --emit=kernels | less\n"
      "  dscc smollm2/ --reference -o reference.so\n");
  Options options;
  options.model = flags.model;
  options.config = flags.config;
  options.output = flags.out;
  options.modelsFolder = flags.models;
  options.variants = flags.cpu;
  options.compileTo = flags.compileTo;
  options.dumpFolder = flags.dump;
  options.plugins.assign(flags.plugins.begin(), flags.plugins.end());
  options.passPipeline = flags.pipeline;
  options.compute = flags.compute;
  options.emit = flags.emit;
  options.trains = llvm::is_contained(flags.entries, Entry::Train);
  if (!flags.objective.empty())
    options.objective = flags.objective;
  if (!flags.objective.empty() && !options.trains) {
    llvm::errs() << "dscc: error: --objective needs --entry=infer,train\n";
    std::exit(1);
  }
  bool mayTrain =
      options.trains || llvm::StringRef(options.model).ends_with(".mlir");
  if (flags.keptBytes.getNumOccurrences() &&
      (flags.keptBytes < 0 || !mayTrain)) {
    llvm::errs() << "dscc: error: --keep-activations needs "
                 << (mayTrain ? "a number of bytes, 0 or more"
                              : "--entry=infer,train")
                 << "\n";
    std::exit(1);
  }
  options.keptBytes = flags.keptBytes;
  options.reference = flags.reference;
  if (options.reference && options.trains) {
    llvm::errs() << "dscc: error: --reference serves only; leave out "
                    "--entry=train\n";
    std::exit(1);
  }
  options.format = flags.format;
  options.inPlace = flags.inPlace;
  options.timing = flags.timing;
  options.mutate = flags.mutate;
  return options;
}
