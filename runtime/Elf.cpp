//===- Elf.cpp - Sections of an ELF file ----------------------------------===//
#include "runtime/Elf.h"

#include <cstring>
#include <elf.h>

using namespace ds::runtime;

/// Copies a `T` at `offset` of `file`; false where the file is too short.
template <typename T>
static bool readAt(std::string_view file, uint64_t offset, T &out) {
  if (offset > file.size() || file.size() - offset < sizeof(T))
    return false;
  memcpy(&out, file.data() + offset, sizeof(T));
  return true;
}

static Error truncated(const std::string &path, std::string_view file,
                       uint64_t end) {
  return failure("'", path, "' is truncated: expects at least ", end,
                 " bytes, found ", file.size());
}

static Result<std::string_view> contents(std::string_view file,
                                         const Elf64_Shdr &section,
                                         const std::string &path) {
  if (section.sh_offset > file.size() ||
      section.sh_size > file.size() - section.sh_offset)
    return truncated(path, file, section.sh_offset + section.sh_size);
  return file.substr(section.sh_offset, section.sh_size);
}

static Result<Elf64_Ehdr> readHeader(std::string_view file,
                                     const std::string &path) {
  Elf64_Ehdr header;
  if (file.substr(0, SELFMAG) != std::string_view(ELFMAG, SELFMAG))
    return failure("expects '", path,
                   "' to be an artifact of dscc (an ELF file)");
  if (!readAt(file, 0, header))
    return truncated(path, file, sizeof(header));
  if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN ||
      header.e_machine != EM_X86_64 || header.e_shentsize != sizeof(Elf64_Shdr))
    return failure("expects '", path, "' to be a shared object for x86-64");
  return header;
}

Result<std::string_view> ds::runtime::findElfSection(std::string_view file,
                                                     std::string_view name,
                                                     const std::string &path) {
  Result<Elf64_Ehdr> header = readHeader(file, path);
  if (!header)
    return header.takeError();
  uint64_t end =
      header->e_shoff + uint64_t(header->e_shnum) * sizeof(Elf64_Shdr);
  Elf64_Shdr names, section;
  if (header->e_shoff > file.size() || end > file.size())
    return truncated(path, file, end);
  if (header->e_shstrndx >= header->e_shnum)
    return failure("'", path, "' has no table of section names");
  readAt(file, header->e_shoff + header->e_shstrndx * sizeof(names), names);
  Result<std::string_view> table = contents(file, names, path);
  if (!table)
    return table;
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    readAt(file, header->e_shoff + i * sizeof(section), section);
    if (section.sh_name >= table->size())
      continue;
    std::string_view rest = table->substr(section.sh_name);
    if (rest.substr(0, rest.find('\0')) == name)
      return contents(file, section, path);
  }
  return failure("'", path, "' is not an artifact of dscc: it has no section ",
                 name);
}
