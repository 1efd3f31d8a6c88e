//===- Frontend.cpp - From a model text to the ds dialect -----------------===//
#include "frontend/Frontend.h"
#include "frontend/Checker.h"
#include "frontend/Config.h"
#include "frontend/Format.h"
#include "frontend/Generator.h"
#include "frontend/Parser.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace ds;
using llvm::StringRef;
using llvm::Twine;

namespace {
/// Texts and what is said about them.
struct Session {
  explicit Session(llvm::raw_ostream &os) : diag(sources, os) {}

  /// Keeps a text and returns the copy that places refer to.
  StringRef add(const SourceText &source) {
    auto buffer =
        llvm::MemoryBuffer::getMemBufferCopy(source.text, source.name);
    StringRef text = buffer->getBuffer();
    sources.AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
    return text;
  }

  llvm::SourceMgr sources;
  Diagnostics diag;
};
} // namespace

std::optional<std::string> ds::readFile(StringRef path,
                                        llvm::raw_ostream &errors) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true,
                                            /*RequiresNullTerminator=*/false);
  if (buffer)
    return (*buffer)->getBuffer().str();
  errors << "error: " << path << ": " << buffer.getError().message() << "\n";
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Compilation
//===----------------------------------------------------------------------===//

/// Returns config.json's model_type if `model` serves it.
static std::optional<std::string> getModelType(const ast::Decl &model,
                                               const json::Value &config,
                                               StringRef specName,
                                               Diagnostics &diag) {
  const json::Member *member = config.find("model_type");
  if (!member) {
    diag.error(config.loc, "expects key 'model_type'");
    return std::nullopt;
  }
  std::vector<std::string> served;
  for (StringRef quoted : model.serves)
    served.push_back(unquote(quoted));
  if (member->value.kind == json::Value::String &&
      llvm::is_contained(served, member->value.string))
    return member->value.string;
  diag.error(member->value.loc, "expects 'model_type' to be \"" +
                                    llvm::join(served, "\" or \"") +
                                    "\", which " + specName + " serves");
  diag.note(model.loc, "the model is declared here");
  return std::nullopt;
}

/// The config that a model takes.
static const ast::Decl *findConfig(const ast::File &file,
                                   const ast::Decl &model) {
  for (const std::unique_ptr<ast::Decl> &decl : file.decls)
    if (decl->name.name == model.params[0].type.name.name)
      return decl.get();
  return nullptr;
}

static void loadDialects(MLIRContext &context) {
  context.loadDialect<DsDialect, arith::ArithDialect, func::FuncDialect,
                      math::MathDialect, tensor::TensorDialect>();
}

/// Parses and checks a text, which has to be a model or an objective. Null
/// after an error.
static const ast::Decl *checkText(const SourceText &source,
                                  ast::Decl::Kind kind, Session &session,
                                  ast::File &file) {
  Diagnostics &diag = session.diag;
  file = parse(session.add(source), diag);
  const ast::Decl *decl =
      diag.hasErrors() ? nullptr : Checker(file, diag).check();
  if (!decl || decl->kind == kind)
    return decl;
  diag.error(decl->loc,
             "expects " + source.name + " to hold " +
                 (kind == ast::Decl::Model ? "a model" : "an objective"));
  return nullptr;
}

OwningOpRef<ModuleOp> ds::compileModel(MLIRContext &context,
                                       const SourceText &spec,
                                       const SourceText &config,
                                       bool computeF32, llvm::raw_ostream &os,
                                       const SourceText *objectiveText) {
  loadDialects(context);
  Session session(os);
  Diagnostics &diag = session.diag;
  ast::File file, objectiveFile;
  const ast::Decl *model = checkText(spec, ast::Decl::Model, session, file);
  const ast::Decl *objective = nullptr;
  if (objectiveText)
    objective =
        checkText(*objectiveText, ast::Decl::Objective, session, objectiveFile);
  std::optional<json::Value> object = json::parse(session.add(config), diag);
  if (!model || !object || diag.hasErrors())
    return {};
  if (object->kind != json::Value::Object) {
    diag.error(object->loc,
               "expects an object, got " + json::describe(object->kind));
    return {};
  }
  std::optional<std::string> modelType =
      getModelType(*model, *object, spec.name, diag);
  if (!modelType)
    return {};
  ConstValue bound;
  bound.kind = ConstValue::Object;
  bound.record = bindConfig(file, *findConfig(file, *model), *object, diag);
  if (diag.hasErrors())
    return {};
  Instantiator instantiator(file, diag);
  std::unique_ptr<Instance> instance = instantiator.instantiate(*model, bound);
  if (!instance)
    return {};
  Builder builder(&context);
  mlir::Type compute = builder.getBF16Type();
  if (computeF32)
    compute = builder.getF32Type();
  OwningOpRef<ModuleOp> module =
      Generator(context, instantiator, diag, compute)
          .generate(*instance, *modelType, objective);
  return diag.hasErrors() ? OwningOpRef<ModuleOp>() : std::move(module);
}

OwningOpRef<ModuleOp> ds::compileModel(MLIRContext &context,
                                       const FrontendOptions &options,
                                       llvm::raw_ostream &os) {
  std::optional<std::string> spec = readFile(options.specPath, os);
  std::optional<std::string> config = readFile(options.configPath, os);
  if (!spec || !config)
    return {};
  SourceText objective{options.objectivePath, ""};
  bool trains = !options.objectivePath.empty();
  if (trains) {
    std::optional<std::string> text = readFile(options.objectivePath, os);
    if (!text)
      return {};
    objective.text = *text;
  }
  return compileModel(context, {options.specPath, *spec},
                      {options.configPath, *config}, options.computeF32, os,
                      trains ? &objective : nullptr);
}

//===----------------------------------------------------------------------===//
// Looking at texts
//===----------------------------------------------------------------------===//

bool ds::checkSource(const SourceText &spec, llvm::raw_ostream &errors) {
  Session session(errors);
  ast::File file = parse(session.add(spec), session.diag);
  return !session.diag.hasErrors() && Checker(file, session.diag).check();
}

bool ds::dumpAst(const SourceText &spec, llvm::raw_ostream &out,
                 llvm::raw_ostream &errors) {
  Session session(errors);
  ast::File file = parse(session.add(spec), session.diag);
  if (session.diag.hasErrors())
    return false;
  dump(file, session.sources, out);
  return true;
}

std::optional<std::string> ds::formatSource(const SourceText &spec,
                                            llvm::raw_ostream &errors) {
  Session session(errors);
  std::vector<Comment> comments;
  StringRef text = session.add(spec);
  ast::File file = parse(text, session.diag, &comments);
  if (session.diag.hasErrors())
    return std::nullopt;
  return format(file, text, comments);
}

//===----------------------------------------------------------------------===//
// Specs by model type
//===----------------------------------------------------------------------===//

std::optional<std::string> ds::readModelType(StringRef configPath,
                                             llvm::raw_ostream &errors) {
  std::optional<std::string> text = readFile(configPath, errors);
  if (!text)
    return std::nullopt;
  Session session(errors);
  std::optional<json::Value> object =
      json::parse(session.add({configPath.str(), *text}), session.diag);
  if (!object)
    return std::nullopt;
  const json::Member *member = object->find("model_type");
  if (member && member->value.kind == json::Value::String)
    return member->value.string;
  session.diag.error(member ? member->value.loc : object->loc,
                     "expects key 'model_type' with a string");
  return std::nullopt;
}

/// Model types that the models of a text serve.
static std::vector<std::string> getServed(StringRef path) {
  std::vector<std::string> served;
  std::optional<std::string> text = readFile(path, llvm::nulls());
  if (!text)
    return served;
  Session session(llvm::nulls());
  ast::File file = parse(session.add({path.str(), *text}), session.diag);
  for (const std::unique_ptr<ast::Decl> &decl : file.decls)
    for (StringRef quoted : decl->serves)
      served.push_back(unquote(quoted));
  return served;
}

/// The .ds files of a folder, sorted.
static std::vector<std::string> listTexts(StringRef folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (llvm::sys::fs::directory_iterator it(folder, error), end;
       it != end && !error; it.increment(error))
    if (llvm::sys::path::extension(it->path()) == ".ds")
      paths.push_back(it->path());
  llvm::sort(paths);
  return paths;
}

std::optional<std::string> ds::findObjective(StringRef modelsFolder,
                                             StringRef name,
                                             llvm::raw_ostream &errors) {
  if (name.ends_with(".ds"))
    return name.str();
  llvm::SmallString<128> folder(modelsFolder);
  llvm::sys::path::append(folder, "objectives");
  std::vector<std::string> names;
  for (const std::string &path : listTexts(folder)) {
    names.push_back(llvm::sys::path::stem(path).str());
    if (names.back() == name)
      return path;
  }
  errors << "error: no objective '" << name << "' in " << folder;
  if (!names.empty())
    errors << "; there are " << llvm::join(names, ", ");
  errors << "\n";
  return std::nullopt;
}

std::optional<std::string> ds::findSpec(StringRef modelsFolder,
                                        StringRef modelType,
                                        llvm::raw_ostream &errors) {
  std::vector<std::string> all;
  for (const std::string &path : listTexts(modelsFolder)) {
    std::vector<std::string> served = getServed(path);
    if (llvm::is_contained(served, modelType))
      return path;
    llvm::append_range(all, served);
  }
  errors << "error: no .ds file in " << modelsFolder << " serves model_type \""
         << modelType << "\"";
  if (!all.empty())
    errors << "; they serve \"" << llvm::join(all, "\", \"") << "\"";
  errors << "\n";
  return std::nullopt;
}
