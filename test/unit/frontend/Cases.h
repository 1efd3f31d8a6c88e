//===- Cases.h - Broken texts and what is said about them -------*- C++ -*-===//
//
// A file of cases is split at lines `// -----`. In a case, lines `//= ` are a
// config.json, `//: F` names a text of models/ to be compiled instead of the
// case itself, and lines `//! ` are all diagnostics expected, in order:
// `LINE:COLUMN: KIND: MESSAGE` in the text, `json:LINE:COLUMN: ...` in the
// config.json. Places in texts of models/ are left out.
//
//===----------------------------------------------------------------------===//
#ifndef DS_TEST_UNIT_FRONTEND_CASES_H
#define DS_TEST_UNIT_FRONTEND_CASES_H
#include <string>
#include <vector>

struct Case {
  std::string name;   ///< FILE:LINE of its beginning.
  std::string text;   ///< The model text.
  std::string config; ///< Empty: the text is checked without one.
  std::string model;  ///< Name of a text of models/, or empty.
  std::vector<std::string> expected;
};

/// Reads a file whole.
std::string readText(const std::string &path);

/// Reads the cases of a file.
std::vector<Case> readCases(const std::string &path);

/// Compiles a case and returns its diagnostics in the form above.
std::vector<std::string> runCase(const Case &test);

#endif
