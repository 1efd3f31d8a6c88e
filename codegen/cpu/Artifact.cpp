//===- Artifact.cpp - Writes model.so -------------------------------------===//
//
// Object files and the manifest go through lld, in process. Its input and
// output live in a temporary folder beside the result.
//
//===----------------------------------------------------------------------===//
#include "codegen/cpu/Artifact.h"
#include "codegen/cpu/Isa.h"
#include "codegen/cpu/Lower.h"
#include "lld/Common/Driver.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Module.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

LLD_HAS_DRIVER(elf)

using namespace ds::cpu;
using namespace llvm;

static constexpr StringLiteral kSection = ".ds.manifest";
static constexpr size_t kHeaderBytes = 32, kFileSizeOffset = 24;

/// FNV-1a of 64 bits.
static uint64_t hashBytes(StringRef bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char byte : bytes)
    hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

SmallVector<char, 0> ds::cpu::makeManifestSection(StringRef json) {
  SmallVector<char, 0> section(kHeaderBytes);
  memcpy(section.data(), "DSMANIF1", 8);
  support::endian::write64le(section.data() + 8, json.size());
  support::endian::write64le(section.data() + 16, hashBytes(json));
  support::endian::write64le(section.data() + kFileSizeOffset, 0);
  section.append(json.begin(), json.end());
  return section;
}

/// An object file whose only content is the manifest's section.
static SmallVector<char, 0> makeManifestObject(StringRef json) {
  LLVMContext context;
  Module module("manifest", context);
  const Isa &isa = getIsa(Variant::Avx2);
  module.setTargetTriple(Triple("x86_64-unknown-linux-gnu"));
  SmallVector<char, 0> section = makeManifestSection(json);
  Constant *data = ConstantDataArray::getString(
      context, StringRef(section.data(), section.size()), /*AddNull=*/false);
  auto *global = new GlobalVariable(module, data->getType(), true,
                                    GlobalValue::ExternalLinkage, data,
                                    "ds_manifest");
  global->setSection(kSection);
  global->setAlignment(Align(64));
  appendToUsed(module, {global});
  return makeObject(module, isa);
}

static Error writeFile(StringRef path, ArrayRef<char> bytes) {
  std::error_code code;
  raw_fd_ostream stream(path, code);
  if (code)
    return createStringError(code, "cannot write '" + path + "'");
  stream.write(bytes.data(), bytes.size());
  stream.close();
  if (stream.has_error())
    return createStringError(stream.error(), "cannot write '" + path + "'");
  return Error::success();
}

static Error runLinker(ArrayRef<std::string> inputs, StringRef output) {
  std::vector<std::string> arguments = {
      "ld.lld",       "-shared",       "--build-id=none", "-z",
      "noexecstack",  "--hash-style=gnu", "-o",           output.str()};
  arguments.insert(arguments.end(), inputs.begin(), inputs.end());
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string messages;
  raw_string_ostream stream(messages);
  lld::Result result =
      lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return createStringError("the linker failed: " + messages);
  return Error::success();
}

/// Writes the file's size into the manifest's header.
static Error stampSize(MutableArrayRef<char> file) {
  auto object = object::ObjectFile::createELFObjectFile(
      MemoryBufferRef(StringRef(file.data(), file.size()), "artifact"));
  if (!object)
    return object.takeError();
  for (const object::SectionRef &section : (*object)->sections()) {
    Expected<StringRef> name = section.getName();
    if (!name)
      return name.takeError();
    if (*name != kSection)
      continue;
    Expected<StringRef> contents = section.getContents();
    if (!contents)
      return contents.takeError();
    size_t offset = contents->data() - file.data();
    support::endian::write64le(file.data() + offset + kFileSizeOffset,
                               file.size());
    return Error::success();
  }
  return createStringError("the linked file has no section " + kSection);
}

static Error linkInFolder(ArrayRef<SmallVector<char, 0>> objects,
                          StringRef manifest, StringRef folder,
                          StringRef path) {
  std::vector<std::string> inputs;
  auto addInput = [&](ArrayRef<char> bytes) {
    inputs.push_back((folder + "/" + Twine(inputs.size()) + ".o").str());
    return writeFile(inputs.back(), bytes);
  };
  for (const SmallVector<char, 0> &object : objects)
    if (Error error = addInput(object))
      return error;
  if (Error error = addInput(makeManifestObject(manifest)))
    return error;
  std::string linked = (folder + "/linked.so").str();
  if (Error error = runLinker(inputs, linked))
    return error;
  auto buffer = MemoryBuffer::getFile(linked);
  if (!buffer)
    return createStringError(buffer.getError(), "cannot read '" + linked + "'");
  SmallVector<char, 0> file((*buffer)->getBufferStart(),
                            (*buffer)->getBufferEnd());
  if (Error error = stampSize(file))
    return error;
  if (Error error = writeFile(linked, file))
    return error;
  if (std::error_code code = sys::fs::rename(linked, path))
    return createStringError(code, "cannot write '" + path + "'");
  return Error::success();
}

Error ds::cpu::writeArtifact(ArrayRef<SmallVector<char, 0>> objects,
                             StringRef manifest, StringRef path) {
  SmallString<128> prefix(path), folder;
  sys::fs::make_absolute(prefix);
  prefix += ".tmp";
  if (std::error_code code = sys::fs::createUniqueDirectory(prefix, folder)) {
    StringRef parent = sys::path::parent_path(path);
    return createStringError(code, "cannot write '" + path + "': no folder '" +
                                       (parent.empty() ? "." : parent) +
                                       "' to write to");
  }
  Error error = linkInFolder(objects, manifest, folder, path);
  sys::fs::remove_directories(folder);
  return error;
}
