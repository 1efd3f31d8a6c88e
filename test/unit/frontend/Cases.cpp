//===- Cases.cpp - Broken texts and what is said about them ---------------===//
#include "Cases.h"
#include "frontend/Frontend.h"
#include <fstream>
#include <regex>
#include <sstream>

std::string readText(const std::string &path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

static void addLine(Case &test, const std::string &line) {
  std::string head = line.substr(0, 3);
  std::string rest = line.size() > 4 ? line.substr(4) : "";
  if (head == "//!") {
    test.expected.push_back(rest);
    return;
  }
  if (head == "//=")
    test.config += rest + "\n";
  else if (head == "//:")
    test.model = rest;
  test.text += line + "\n";
}

std::vector<Case> readCases(const std::string &path) {
  std::vector<Case> cases(1);
  std::istringstream lines(readText(path));
  std::string line;
  std::string file = path.substr(path.rfind('/') + 1);
  cases[0].name = file + ":1";
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line != "// -----") {
      addLine(cases.back(), line);
      continue;
    }
    cases.emplace_back();
    cases.back().name = file + ":" + std::to_string(number + 1);
  }
  return cases;
}

/// Keeps the lines that name a place, without the file's name.
static std::vector<std::string> getDiagnostics(const std::string &output) {
  static const std::regex form("^(text|json|models):(\\d+:\\d+): "
                               "((error|note): .*)$");
  std::vector<std::string> result;
  std::istringstream lines(output);
  std::string line;
  while (std::getline(lines, line)) {
    std::smatch match;
    if (line.rfind("error: ", 0) == 0)
      result.push_back(line);
    if (!std::regex_match(line, match, form))
      continue;
    std::string place = match[1] == "text"   ? match[2].str() + ": "
                        : match[1] == "json" ? "json:" + match[2].str() + ": "
                                             : "models: ";
    result.push_back(place + match[3].str());
  }
  return result;
}

std::vector<std::string> runCase(const Case &test) {
  std::string output;
  llvm::raw_string_ostream os(output);
  ds::SourceText spec{"text", test.text};
  if (!test.model.empty())
    spec = {"models", readText(DS_SOURCE_DIR "/models/" + test.model)};
  if (test.config.empty()) {
    if (ds::checkSource(spec, os))
      return {"it is accepted"};
  } else {
    mlir::MLIRContext context;
    if (ds::compileModel(context, spec, {"json", test.config}, false, os))
      return {"it is accepted"};
  }
  return getDiagnostics(output);
}
