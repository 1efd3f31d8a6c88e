//===- ds-reduce.cpp - Makes a module smaller that still shows a fault ----===//
//
// MLIR's own reducer drops operands without a thought for their users and
// falls over modules like ours; this one changes one thing at a time.
//
//===----------------------------------------------------------------------===//
#include "mlir/Parser/Parser.h"
#include "tools/ds-reduce/Reducer.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Program.h"

using namespace ds;
namespace cl = llvm::cl;

static int fail(const llvm::Twine &message) {
  llvm::errs() << "ds-reduce: error: " << message << "\n";
  return 1;
}

namespace {
/// Asks a program whether a module still shows the fault: exit code 0 is yes.
class Question {
public:
  explicit Question(std::string program) : program(std::move(program)) {}
  ~Question() { llvm::sys::fs::remove(path); }

  llvm::Error open() {
    int descriptor;
    if (std::error_code code = llvm::sys::fs::createTemporaryFile(
            "ds-reduce", "mlir", descriptor, path))
      return llvm::createStringError(code, "cannot make a temporary file: " +
                                               code.message());
    llvm::raw_fd_ostream(descriptor, /*shouldClose=*/true);
    return llvm::Error::success();
  }

  bool ask(ModuleOp module) {
    std::error_code code;
    llvm::raw_fd_ostream stream(path, code);
    module.print(stream);
    stream << "\n";
    stream.close();
    std::optional<StringRef> silent[] = {StringRef(), StringRef(), StringRef()};
    return llvm::sys::ExecuteAndWait(program, {program, path}, std::nullopt,
                                     silent) == 0;
  }

private:
  std::string program;
  SmallString<128> path;
};
} // namespace

static int run(StringRef input, StringRef test, StringRef output) {
  llvm::ErrorOr<std::string> program = llvm::sys::findProgramByName(test);
  if (!program || !llvm::sys::fs::can_execute(*program))
    return fail("no program '" + test + "' for --test");
  DialectRegistry registry;
  registerToolDialects(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(input, &context);
  if (!module)
    return 1;
  Question question(*program);
  if (llvm::Error error = question.open())
    return fail(llvm::toString(std::move(error)));
  if (!question.ask(*module))
    return fail("expects '" + test + "' to exit with 0 for '" + input + "'");
  module = reduce(std::move(module),
                  [&](ModuleOp smaller) { return question.ask(smaller); });
  llvm::Error error =
      llvm::writeToOutput(output, [&](llvm::raw_ostream &stream) {
        module->print(stream);
        stream << "\n";
        return llvm::Error::success();
      });
  return error ? fail(llvm::toString(std::move(error))) : 0;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::OptionCategory category("Options");
  cl::opt<std::string> input(cl::Positional, cl::Required, cl::cat(category),
                             cl::desc("FILE.mlir"));
  cl::opt<std::string> test(
      "test", cl::Required, cl::cat(category), cl::value_desc("PROGRAM"),
      cl::desc("gets a file; exits with 0 while the fault shows"));
  cl::opt<std::string> output("o", cl::init("-"), cl::cat(category),
                              cl::value_desc("FILE"),
                              cl::desc("where the result goes"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "ds-reduce makes a module smaller that still shows a fault.\n\n"
      "  ds-reduce model.mlir --test=./still-fails.sh -o small.mlir\n");
  return run(input, test, output);
}
