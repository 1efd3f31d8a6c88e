//===- make-section.cpp - Writes the section .ds.manifest -----------------===//
//
//   make-section MANIFEST.json OUT
//
// Puts the header of docs/artifact.md before a manifest; the file's size stays
// unknown.
//
//===----------------------------------------------------------------------===//
#include "test/unit/runtime/Section.h"

#include <fstream>
#include <iterator>

int main(int argc, char **argv) {
  if (argc != 3)
    return 1;
  std::ifstream in(argv[1], std::ios::binary);
  std::string json((std::istreambuf_iterator<char>(in)), {});
  std::ofstream out(argv[2], std::ios::binary);
  std::string section = ds::test::manifestSection(json);
  out.write(section.data(), static_cast<std::streamsize>(section.size()));
  return out && !json.empty() ? 0 : 1;
}
