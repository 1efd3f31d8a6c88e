//===- Support.cpp - Files and errors for tests of the runtime ------------===//
#include "test/unit/runtime/Support.h"
#include "test/unit/runtime/Section.h"

#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

using namespace ds::test;

TempFolder::TempFolder() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "dscc-test-XXXXXX").string();
  folder = mkdtemp(pattern.data());
}

TempFolder::~TempFolder() { std::filesystem::remove_all(folder); }

std::string TempFolder::write(const std::string &name,
                              const std::string &bytes) const {
  std::string path = folder + "/" + name;
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

std::string ds::test::readFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), {});
}

std::string ds::test::replaceAll(std::string text, const std::string &from,
                                 const std::string &to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;
       at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string ds::test::rawSafetensors(const std::string &header,
                                     const std::string &data) {
  std::string file;
  appendWord(file, header.size());
  return file + header + data;
}

std::string ds::test::safetensors(const std::vector<FileTensor> &tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::string data;
  for (const FileTensor &tensor : tensors) {
    size_t end = data.size() + tensor.bytes.size();
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), end}}};
    data += tensor.bytes;
  }
  return rawSafetensors(header.dump(), data);
}

/// Returns the F16 of a float that is exact and normal in it, or zero.
static uint16_t halfOf(uint32_t bits) {
  uint32_t sign = bits >> 16 & 0x8000;
  if ((bits & 0x7fffffff) == 0)
    return static_cast<uint16_t>(sign);
  return static_cast<uint16_t>(sign | ((bits & 0x7fffffff) >> 13) -
                                          ((127 - 15) << 10));
}

std::string ds::test::encode(const std::vector<float> &values,
                             const std::string &dtype) {
  std::string bytes;
  for (float value : values) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint16_t half = dtype == "F16" ? halfOf(bits) : bits >> 16;
    if (dtype == "F32")
      bytes.append(reinterpret_cast<const char *>(&bits), sizeof(bits));
    else
      bytes.append(reinterpret_cast<const char *>(&half), sizeof(half));
  }
  return bytes;
}

std::string ds::test::elfWithSection(const std::string &section,
                                     const std::string &name) {
  std::string names = std::string("\0", 1) + name + std::string("\0", 1);
  Elf64_Ehdr header = {};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 3;
  header.e_shstrndx = 2;
  header.e_shoff = sizeof(header) + section.size() + names.size();
  Elf64_Shdr sections[3] = {};
  sections[1].sh_name = 1;
  sections[1].sh_offset = sizeof(header);
  sections[1].sh_size = section.size();
  sections[2].sh_offset = sizeof(header) + section.size();
  sections[2].sh_size = names.size();
  std::string file(reinterpret_cast<const char *>(&header), sizeof(header));
  file += section + names;
  file.append(reinterpret_cast<const char *>(sections), sizeof(sections));
  return file;
}
