//===- Artifact.cpp - A compiled model ------------------------------------===//
#include "runtime/Artifact.h"
#include "runtime/Elf.h"
#include "runtime/File.h"

#include <dlfcn.h>

using namespace ds::runtime;

Result<Manifest> ds::runtime::readManifest(const std::string &path,
                                           std::string *text) {
  Result<File> file = File::open(path);
  if (!file)
    return file.takeError();
  Result<Mapping> mapping = file->map();
  if (!mapping)
    return mapping.takeError();
  Result<std::string_view> section =
      findElfSection(mapping->view(), ".ds.manifest", path);
  if (!section)
    return section.takeError();
  Result<std::string_view> json =
      checkManifestSection(*section, file->size(), path);
  if (!json)
    return json.takeError();
  if (text)
    *text = std::string(*json);
  return Manifest::parse(*json, path);
}

Result<std::unique_ptr<Artifact>>
Artifact::open(const std::string &path, const ArtifactOptions &options) {
  std::unique_ptr<Artifact> artifact(new Artifact);
  artifact->name = path;
  Result<Manifest> manifest = readManifest(path, &artifact->text);
  if (!manifest)
    return manifest.takeError();
  artifact->description = std::move(*manifest);
  CpuFeatures cpu = options.cpu ? *options.cpu : CpuFeatures::ofHost();
  Result<std::string> variant =
      chooseVariant(artifact->description.variants, cpu, options.variant);
  if (!variant)
    return failure("cannot run '", path, "': ", variant.error());
  artifact->chosen = *variant;
  if (Status error = artifact->openCode())
    return *error;
  return artifact;
}

Artifact::~Artifact() {
  if (library)
    dlclose(library);
}

Status Artifact::openCode() {
  // Without a slash dlopen would search the system's folders.
  std::string file = name.find('/') == std::string::npos ? "./" + name : name;
  library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return failure("cannot open '", name, "' as code: ", dlerror());
  for (const KernelSpec &kernel : description.kernels) {
    std::vector<KernelCode> &versions = codes.emplace_back();
    for (const KernelBucket &bucket : kernel.buckets) {
      std::string symbol = bucket.symbol + "." + chosen;
      KernelCode code;
      code.run =
          reinterpret_cast<KernelCode::Run>(dlsym(library, symbol.c_str()));
      code.tiles = reinterpret_cast<KernelCode::Tiles>(
          dlsym(library, (symbol + ".tiles").c_str()));
      if (!code.run || !code.tiles)
        return failure("'", name, "' lacks the kernel ", symbol,
                       code.run ? ".tiles" : "");
      versions.push_back(code);
    }
  }
  return std::nullopt;
}
