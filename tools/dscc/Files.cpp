//===- Files.cpp - Text in and out of the compiler ------------------------===//
#include "tools/dscc/Files.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

using namespace llvm;

static Error cannotWrite(StringRef path, std::error_code code) {
  return createStringError(code, "cannot write '" + path +
                                     "': " + code.message());
}

Error ds::writeText(StringRef path,
                    function_ref<void(raw_ostream &)> write) {
  if (path.empty() || path == "-") {
    write(outs());
    outs().flush();
    return Error::success();
  }
  SmallString<128> model(path), temporary;
  sys::fs::make_absolute(model);
  model += ".tmp-%%%%%%";
  int descriptor = -1;
  if (std::error_code code =
          sys::fs::createUniqueFile(model, descriptor, temporary))
    return cannotWrite(path, code);
  raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
  write(stream);
  stream.close();
  std::error_code code = stream.error();
  stream.clear_error();
  if (!code)
    code = sys::fs::rename(temporary, path);
  if (!code)
    return Error::success();
  sys::fs::remove(temporary);
  return cannotWrite(path, code);
}

Expected<std::string> ds::findModelsFolder(StringRef given,
                                           StringRef executable) {
  if (!given.empty()) {
    if (!sys::fs::is_directory(given))
      return createStringError("no folder '" + given + "' for --models");
    return given.str();
  }
  if (std::optional<std::string> env = sys::Process::GetEnv("DSCC_MODELS"))
    return *env;
  StringRef beside = sys::path::parent_path(executable);
  for (StringRef relative :
       {"../models", "../../models", "../share/dscc/models"}) {
    SmallString<128> candidate(beside);
    sys::path::append(candidate, relative);
    sys::path::remove_dots(candidate, /*remove_dot_dot=*/true);
    if (sys::fs::is_directory(candidate))
      return std::string(candidate);
  }
  return createStringError("no folder of model texts found; give --models=DIR");
}
