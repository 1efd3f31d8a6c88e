//===- Lines.h - Recorded cases -------------------------------------------===//

#ifndef DS_TEST_UNIT_TEXT_LINES_H
#define DS_TEST_UNIT_TEXT_LINES_H

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

/// Reads a file of test/golden with a JSON value on each line.
inline std::vector<nlohmann::ordered_json> readLines(const std::string &name) {
  std::ifstream file(std::string(DS_GOLDEN) + "/" + name);
  std::vector<nlohmann::ordered_json> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(nlohmann::ordered_json::parse(line));
  return lines;
}

#endif // DS_TEST_UNIT_TEXT_LINES_H
