//===- Diagnostics.h - Errors with a place in a text ------------*- C++ -*-===//
//
// Errors of the model text and of config.json, printed with the line they
// point at. Several are reported in one run.
//
//===----------------------------------------------------------------------===//
#ifndef DS_FRONTEND_DIAGNOSTICS_H
#define DS_FRONTEND_DIAGNOSTICS_H
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

namespace ds {

/// Prints errors and notes and counts errors. After `limit` errors the rest is
/// counted only.
class Diagnostics {
public:
  Diagnostics(llvm::SourceMgr &sources, llvm::raw_ostream &os,
              unsigned limit = 40)
      : sources(sources), os(os), limit(limit) {}

  /// Reports an error at `loc`; the same error at the same place is reported
  /// once.
  void error(llvm::SMLoc loc, const llvm::Twine &message);

  /// Adds a note to the error reported last.
  void note(llvm::SMLoc loc, const llvm::Twine &message);

  /// Reports an error that has no place, such as a file that can't be read.
  void error(const llvm::Twine &message);

  /// Whether an error points at the line of `loc`.
  bool hasErrorOnLine(llvm::SMLoc loc) const;

  bool hasErrors() const { return errors > 0; }
  unsigned getErrorCount() const { return errors; }
  llvm::SourceMgr &getSources() { return sources; }

private:
  const char *getLine(llvm::SMLoc loc) const;

  llvm::SourceMgr &sources;
  llvm::raw_ostream &os;
  llvm::StringSet<> reported;
  llvm::DenseSet<const char *> lines; // Beginnings of those with an error.
  unsigned limit;
  unsigned errors = 0;
  bool silent = false; // The last error was not printed.
};

/// Returns the candidate closest to `name` if it is close enough to be what
/// was meant, or an empty string.
llvm::StringRef findClosest(llvm::StringRef name,
                            llvm::ArrayRef<llvm::StringRef> candidates);

/// Returns "1 layer", "2 layers".
std::string countOf(size_t count, llvm::StringRef noun);

/// Returns "; did you mean 'x'?" or an empty string.
std::string suggest(llvm::StringRef name,
                    llvm::ArrayRef<llvm::StringRef> candidates);

} // namespace ds
#endif
