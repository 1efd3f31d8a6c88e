//===- Pipeline.cpp - The stages of a compilation -------------------------===//
#include "tools/dscc/Pipeline.h"
#include "codegen/cpu/Artifact.h"
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Lower.h"
#include "frontend/Frontend.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "passes/Manifest.h"
#include "passes/Passes.h"
#include "passes/Phases.h"
#include "tools/dscc/Files.h"
#include "tools/dscc/Objects.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <chrono>

using namespace ds;
using llvm::Error;
using llvm::Expected;

static int fail(const llvm::Twine &message) {
  llvm::errs() << "dscc: error: " << message << "\n";
  return 1;
}

/// Prints "file:line:column: error: ..", the place where the text says it.
static LogicalResult printDiagnostic(Diagnostic &diagnostic) {
  auto print = [](Diagnostic &each) {
    static constexpr StringLiteral kinds[] = {"note", "warning", "error",
                                              "remark"};
    StringRef kind = kinds[static_cast<size_t>(each.getSeverity())];
    if (auto place = each.getLocation()->findInstanceOf<FileLineColLoc>())
      llvm::errs() << place.getFilename().getValue() << ":" << place.getLine()
                   << ":" << place.getColumn() << ": ";
    llvm::errs() << kind << ": " << each.str() << "\n";
  };
  print(diagnostic);
  for (Diagnostic &note : diagnostic.getNotes())
    print(note);
  return success();
}

namespace {
/// One run of the compiler.
class Compilation {
public:
  Compilation(const Options &options, StringRef executable)
      : options(options), executable(executable) {}
  int run();

private:
  const Options &options;
  std::string executable;
  DialectRegistry registry;
  std::unique_ptr<MLIRContext> context;
  OwningOpRef<ModuleOp> module;
  std::chrono::steady_clock::time_point stageStart;

  bool locate(std::string &spec, std::string &config);
  bool locateObjective(std::string &path);
  bool loadPlugins();
  bool loadModule();
  bool runPasses(PassManager &manager);
  bool runPipelineOption();
  int runPhases(std::optional<Phase> stop);
  int emitText();
  int emitArtifact();
  int formatText();
  int print(llvm::function_ref<void(llvm::raw_ostream &)> write);
  bool dump(StringRef name) { return dumpOp("", name, *module); }
  bool dumpOp(StringRef folder, StringRef name, Operation *op);
  bool dumpKernels(const cpu::EmittedKernels &kernels);
  void endStage(StringRef name);
};
} // namespace

void Compilation::endStage(StringRef name) {
  auto now = std::chrono::steady_clock::now();
  if (options.timing)
    llvm::errs() << llvm::format(
        "%-12s %8.1f ms\n", name.str().c_str(),
        std::chrono::duration<double, std::milli>(now - stageStart).count());
  stageStart = now;
}

//===----------------------------------------------------------------------===//
// Input
//===----------------------------------------------------------------------===//

/// Finds the .ds file and the config.json that MODEL stands for.
bool Compilation::locate(std::string &spec, std::string &config) {
  StringRef model = options.model;
  if (model.ends_with(".ds")) {
    spec = model.str();
    config = options.config;
    if (!config.empty())
      return true;
    fail("'" + model + "' needs the numbers of a model: --config=FILE");
    return false;
  }
  SmallString<128> path(model);
  if (llvm::sys::fs::is_directory(model))
    llvm::sys::path::append(path, "config.json");
  config = path.str().str();
  if (!llvm::sys::fs::exists(config)) {
    fail("no file '" + config +
         "'; MODEL is a .ds file, a Hugging Face "
         "folder or its config.json");
    return false;
  }
  std::optional<std::string> type = readModelType(config, llvm::errs());
  if (!type)
    return false;
  Expected<std::string> folder =
      findModelsFolder(options.modelsFolder, executable);
  if (!folder) {
    fail(llvm::toString(folder.takeError()));
    return false;
  }
  std::optional<std::string> found = findSpec(*folder, *type, llvm::errs());
  if (found)
    spec = *found;
  return found.has_value();
}

/// Finds the .ds file that --objective names; leaves `path` empty where nothing
/// is trained.
bool Compilation::locateObjective(std::string &path) {
  if (!options.trains)
    return true;
  std::string folder;
  if (!StringRef(options.objective).ends_with(".ds")) {
    Expected<std::string> models =
        findModelsFolder(options.modelsFolder, executable);
    if (!models) {
      fail(llvm::toString(models.takeError()));
      return false;
    }
    folder = *models;
  }
  std::optional<std::string> found =
      findObjective(folder, options.objective, llvm::errs());
  if (found)
    path = *found;
  return found.has_value();
}

bool Compilation::loadModule() {
  if (StringRef(options.model).ends_with(".mlir")) {
    if (options.trains) {
      fail("--entry=train expects a model text; a .mlir file has its entries");
      return false;
    }
    module = parseSourceFile<ModuleOp>(options.model, context.get());
    return static_cast<bool>(module);
  }
  FrontendOptions frontend;
  if (!locate(frontend.specPath, frontend.configPath) ||
      !locateObjective(frontend.objectivePath))
    return false;
  frontend.computeF32 = options.compute == Compute::F32;
  module = compileModel(*context, frontend, llvm::errs());
  return static_cast<bool>(module);
}

bool Compilation::loadPlugins() {
  for (const std::string &file : options.plugins) {
    Expected<PassPlugin> plugin = PassPlugin::load(file);
    if (!plugin) {
      fail(llvm::toString(plugin.takeError()));
      return false;
    }
    plugin->registerPassRegistryCallbacks();
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Passes
//===----------------------------------------------------------------------===//

bool Compilation::runPasses(PassManager &manager) {
  return succeeded(manager.run(*module));
}

bool Compilation::runPipelineOption() {
  if (options.passPipeline.empty())
    return true;
  PassManager manager(context.get());
  if (failed(parsePassPipeline(options.passPipeline, manager, llvm::errs())))
    return false;
  return runPasses(manager);
}

/// Writes `op` to <dump folder>/<folder>/<name>.mlir, where a dump is wanted.
bool Compilation::dumpOp(StringRef folder, StringRef name, Operation *op) {
  if (options.dumpFolder.empty())
    return true;
  SmallString<128> path(options.dumpFolder);
  llvm::sys::path::append(path, folder);
  if (std::error_code code = llvm::sys::fs::create_directories(path)) {
    fail("cannot make folder '" + path + "': " + code.message());
    return false;
  }
  llvm::sys::path::append(path, name + ".mlir");
  if (Error error = writeText(path, [&](llvm::raw_ostream &os) {
        op->print(os);
        os << "\n";
      })) {
    fail(llvm::toString(std::move(error)));
    return false;
  }
  return true;
}

/// One folder for each kernel, one file for each of its functions.
bool Compilation::dumpKernels(const cpu::EmittedKernels &kernels) {
  for (auto &[variant, emitted] : kernels.modules)
    for (auto function : (*emitted).getOps<func::FuncOp>()) {
      StringRef name = function.getSymName();
      std::string folder = "kernels/" + name.split('.').first.str();
      if (!dumpOp(folder, name, function))
        return false;
    }
  return true;
}

int Compilation::runPhases(std::optional<Phase> stop) {
  if (!dump("0-ds"))
    return 1;
  for (const PhaseInfo &info : getPhases()) {
    PassManager manager(context.get());
    addPhase(manager, info.phase,
             PhaseOptions{options.keptBytes, options.reference});
    if (!runPasses(manager))
      return 1;
    if (!dump(std::to_string(static_cast<int>(info.phase) + 1) + "-" +
              info.name.str()))
      return 1;
    endStage(info.name);
    if (stop == info.phase)
      break;
  }
  return 0;
}

//===----------------------------------------------------------------------===//
// Output
//===----------------------------------------------------------------------===//

int Compilation::print(llvm::function_ref<void(llvm::raw_ostream &)> write) {
  if (Error error = writeText(options.output, write))
    return fail(llvm::toString(std::move(error)));
  return 0;
}

int Compilation::formatText() {
  std::optional<std::string> text = readFile(options.model, llvm::errs());
  if (!text)
    return 1;
  SourceText source{options.model, *text};
  if (options.emit == Emit::Ast) {
    std::string tree;
    llvm::raw_string_ostream stream(tree);
    if (!dumpAst(source, stream, llvm::errs()))
      return 1;
    return print([&](llvm::raw_ostream &os) { os << tree; });
  }
  std::optional<std::string> formatted = formatSource(source, llvm::errs());
  if (!formatted)
    return 1;
  if (!options.inPlace)
    return print([&](llvm::raw_ostream &os) { os << *formatted; });
  if (Error error = writeText(options.model,
                              [&](llvm::raw_ostream &os) { os << *formatted; }))
    return fail(llvm::toString(std::move(error)));
  return 0;
}

int Compilation::emitText() {
  if (options.emit == Emit::Kernels)
    return print([&](llvm::raw_ostream &os) {
      module->print(os);
      os << "\n";
    });
  FailureOr<MemoryPlan> plan = planMemory(*module);
  if (failed(plan))
    return 1;
  if (options.emit == Emit::Memory)
    return print(
        [&](llvm::raw_ostream &os) { printMemory(*module, *plan, os); });
  return print(
      [&](llvm::raw_ostream &os) { printCost(*module, *plan, 512, os); });
}

int Compilation::emitArtifact() {
  FailureOr<MemoryPlan> plan = planMemory(*module);
  if (failed(plan))
    return 1;
  auto variants = cpu::parseVariants(options.variants);
  if (!variants)
    return fail(llvm::toString(variants.takeError()));
  cpu::EmittedKernels kernels =
      cpu::emitKernels(*module, *variants, options.mutate);
  if (!dumpKernels(kernels))
    return 1;
  endStage("emit");
  SmallVector<std::pair<cpu::Variant, ModuleOp>> modules;
  for (auto &[variant, emitted] : kernels.modules)
    modules.emplace_back(variant, *emitted);
  ObjectForm form = options.emit == Emit::Llvm  ? ObjectForm::LlvmIr
                    : options.emit == Emit::Asm ? ObjectForm::Assembly
                                                : ObjectForm::Object;
  auto objects = makeObjects(modules, form);
  if (!objects)
    return fail(llvm::toString(objects.takeError()));
  endStage("objects");
  if (form != ObjectForm::Object)
    return print([&](llvm::raw_ostream &os) {
      for (const SmallVector<char, 0> &text : *objects)
        os.write(text.data(), text.size());
    });
  ManifestOptions manifest;
  for (cpu::Variant variant : *variants)
    manifest.variants.push_back(cpu::getIsa(variant).name.str());
  manifest.scratchBytes = kernels.limits.scratchBytes;
  manifest.queryRows = kernels.limits.queryRows;
  manifest.promptQueryRows = kernels.limits.promptQueryRows;
  manifest.generatedQueryRows = kernels.limits.generatedQueryRows;
  std::string text =
      llvm::formatv("{0}", buildManifest(*module, *plan, manifest));
  if (Error error = cpu::writeArtifact(*objects, text, options.output))
    return fail(llvm::toString(std::move(error)));
  endStage("link");
  return 0;
}

//===----------------------------------------------------------------------===//
// Driver
//===----------------------------------------------------------------------===//

static int listPhases() {
  for (const PhaseInfo &info : getPhases())
    llvm::outs() << llvm::format("%-14s ", info.name.str().c_str())
                 << info.description << "\n";
  return 0;
}

int Compilation::run() {
  stageStart = std::chrono::steady_clock::now();
  if (options.compileTo == "list")
    return listPhases();
  if (options.format || options.emit == Emit::Ast) {
    if (!StringRef(options.model).ends_with(".ds"))
      return fail("--format and --emit=ast expect a .ds file, got '" +
                  options.model + "'");
    return formatText();
  }
  std::optional<Phase> stop;
  if (!options.compileTo.empty()) {
    stop = findPhase(options.compileTo);
    if (!stop)
      return fail("no phase '" + options.compileTo +
                  "'; --compile-to=list names them");
  }
  if (options.emit == Emit::Artifact && !stop && options.output.empty())
    return fail("expects -o FILE for the artifact, or --emit to print a stage");
  cpu::registerLowering(registry);
  registry.insert<DsDialect, arith::ArithDialect, func::FuncDialect,
                  math::MathDialect, tensor::TensorDialect>();
  context = std::make_unique<MLIRContext>(registry);
  context->getDiagEngine().registerHandler(printDiagnostic);
  context->loadAllAvailableDialects();
  registerDsPasses();
  registerTransformsPasses();
  if (!loadPlugins() || !loadModule())
    return 1;
  endStage("frontend");
  if (!runPipelineOption())
    return 1;
  if (options.emit == Emit::Ds)
    return print([&](llvm::raw_ostream &os) {
      module->print(os);
      os << "\n";
    });
  if (int code = runPhases(stop))
    return code;
  if (stop)
    return print([&](llvm::raw_ostream &os) {
      module->print(os);
      os << "\n";
    });
  switch (options.emit) {
  case Emit::Kernels:
  case Emit::Memory:
  case Emit::Cost:
    return emitText();
  default:
    return emitArtifact();
  }
}

int ds::runCompiler(const Options &options, StringRef executable) {
  return Compilation(options, executable).run();
}
