//===- Diagnostics.cpp - Errors with a place in a text --------------------===//
#include "frontend/Diagnostics.h"

using namespace ds;
using llvm::SMLoc;
using llvm::SourceMgr;
using llvm::StringRef;
using llvm::Twine;

void Diagnostics::error(SMLoc loc, const Twine &message) {
  std::string key =
      (Twine(reinterpret_cast<uintptr_t>(loc.getPointer())) + ":" + message)
          .str();
  silent = !reported.insert(key).second;
  if (silent)
    return;
  lines.insert(getLine(loc));
  silent = ++errors > limit;
  if (!silent)
    sources.PrintMessage(os, loc, SourceMgr::DK_Error, message);
  else if (errors == limit + 1)
    os << "error: too many errors, the rest is not shown\n";
}

void Diagnostics::note(SMLoc loc, const Twine &message) {
  if (!silent)
    sources.PrintMessage(os, loc, SourceMgr::DK_Note, message);
}

void Diagnostics::error(const Twine &message) {
  silent = ++errors > limit;
  if (!silent)
    os << "error: " << message << "\n";
}

/// Returns where the line of `loc` begins.
const char *Diagnostics::getLine(SMLoc loc) const {
  const llvm::MemoryBuffer *buffer =
      sources.getMemoryBuffer(sources.FindBufferContainingLoc(loc));
  const char *place = loc.getPointer();
  while (place > buffer->getBufferStart() && place[-1] != '\n')
    --place;
  return place;
}

bool Diagnostics::hasErrorOnLine(SMLoc loc) const {
  return lines.contains(getLine(loc));
}

std::string ds::countOf(size_t count, StringRef noun) {
  return (Twine(count) + " " + noun + (count == 1 ? "" : "s")).str();
}

StringRef ds::findClosest(StringRef name,
                          llvm::ArrayRef<StringRef> candidates) {
  StringRef best;
  unsigned allowed = name.size() < 3 ? 0 : name.size() < 6 ? 1 : 3;
  unsigned bestDistance = allowed + 1;
  for (StringRef candidate : candidates) {
    unsigned distance = name.edit_distance(candidate, true, allowed);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string ds::suggest(StringRef name, llvm::ArrayRef<StringRef> candidates) {
  StringRef closest = findClosest(name, candidates);
  if (closest.empty())
    return "";
  return ("; did you mean '" + closest + "'?").str();
}
