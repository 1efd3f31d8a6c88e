//===- EngineDraft.cpp - Steps of the draft head --------------------------===//
//
// A draft head goes on from the rows that the model leaves before its head, and
// from the tokens that follow theirs (arXiv 2412.19437, section 2.2). Its state
// lies in the pages of the sequence, row i at position i.
//
//===----------------------------------------------------------------------===//
#include "runtime/Engine.h"

#include <cstring>

using namespace ds::runtime;

Status Engine::openDraft(const Artifact &artifact, const Weights &weights,
                         ThreadPool &pool) {
  if (Status error = open(drafts, artifact, "draft", weights, pool))
    return error;
  drafts.keepsHidden = true;
  hiddenRowBytes = infer.entry->buffers[*infer.entry->finalHidden].rowBytes;
  return std::nullopt;
}

void Engine::keepHiddenRows(Program &program) {
  if (hiddenRowBytes == 0)
    return;
  const char *from =
      program.interpreter->bufferAddress(*program.entry->finalHidden);
  program.hidden.insert(program.hidden.end(), from,
                        from + program.input.tokens() * hiddenRowBytes);
}

/// Lays the hidden rows of `items` one after the other, where kernels may read
/// whole vectors and blocks of 16 rows.
void Engine::gatherHidden(const std::vector<StepItem> &items, int64_t tokens) {
  constexpr int64_t line = 64;
  size_t bytes = roundUp(tokens, 16) * hiddenRowBytes + 2 * line;
  if (hiddenInput.size() < bytes)
    hiddenInput.resize(bytes);
  char *to = hiddenInput.data() +
             (-reinterpret_cast<uintptr_t>(hiddenInput.data()) % line);
  hiddenInputRows = to;
  for (const StepItem &item : items) {
    memcpy(to, item.hidden, item.count * hiddenRowBytes);
    to += item.count * hiddenRowBytes;
  }
}

Status Engine::checkDraft(const std::vector<StepItem> &items) const {
  if (!hasDraft())
    return failure("the artifact has no draft head: the configuration that it "
                   "was compiled for has no multi-token prediction layer");
  for (const StepItem &item : items)
    if (!item.drafts || !item.hidden)
      return failure("expects hidden rows for every sequence of a draft step");
  return checkStep(items);
}

Status Engine::draft(const std::vector<StepItem> &items) {
  if (Status error = checkDraft(items))
    return error;
  return runInPieces(drafts, items);
}
