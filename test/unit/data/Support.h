//===- Support.h - Files and tokenizers for tests of data -----------------===//
#ifndef DS_TEST_UNIT_DATA_SUPPORT_H
#define DS_TEST_UNIT_DATA_SUPPORT_H

#include "runtime/data/Dataset.h"

/// A file in a folder of its own, removed at the end.
class TemporaryFile {
public:
  TemporaryFile(const std::string &name, const std::string &content);
  ~TemporaryFile();
  const std::string &path() const { return file; }

private:
  std::string folder, file;
};

/// The small tokenizer of the golden data, with more special tokens and another
/// chat template where they are given.
ds::text::Tokenizer makeTokenizer(const std::vector<std::string> &special = {},
                                  const std::string &chatTemplate = {});

/// Loads one file. A failure gives its message, without the folder.
struct Loaded {
  Loaded(const std::string &name, const std::string &content,
         ds::data::DatasetOptions options = {1000, 0, false, false},
         const ds::text::Tokenizer &tokenizer = makeTokenizer());
  std::string error;
  ds::data::Dataset data;
};

/// The targets of an example as text, "|" where others lie between them.
std::string showTargets(const ds::data::Example &example,
                        const ds::text::Tokenizer &tokenizer);

#endif
