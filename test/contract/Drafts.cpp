//===- Drafts.cpp - The draft head's part of the contract -----------------===//
//
// After every step of a Server its draft head runs the rows that have become
// possible, in one step for all sequences of a role, and they are compared with
// those of a sequence alone.
//
//===----------------------------------------------------------------------===//
#include "test/contract/Harness.h"

#include "gtest/gtest.h"

#include <algorithm>

using namespace ds::contract;

ds_draft_item ds::contract::nextDrafts(const Reference &reference,
                                       ds_sequence *sequence,
                                       const std::vector<char> &hidden,
                                       int64_t rowBytes) {
  int64_t at = ds_sequence_drafted(sequence);
  int64_t end = std::min<int64_t>(ds_sequence_length(sequence),
                                  reference.tokens.size() - 1);
  // A row has the role of the token that it embeds.
  bool generated = at + 1 >= reference.prompt;
  if (!generated)
    end = std::min(end, reference.prompt - 1);
  return {sequence,
          reference.tokens.data() + at + 1,
          hidden.data() + at * rowBytes,
          std::max<int64_t>(0, end - at),
          0,
          generated};
}

/// Drafts all of a reference, whose tokens have been run.
void Harness::addDrafts(Reference &reference, ds_engine *engine,
                        ds_sequence *sequence,
                        const std::vector<char> &hidden) {
  if (!ds_artifact_drafts(artifact()))
    return;
  int64_t rowBytes = ds_engine_hidden_row_bytes(engine);
  while (true) {
    ds_draft_item item = nextDrafts(reference, sequence, hidden, rowBytes);
    char *error = nullptr;
    if (item.count == 0)
      return;
    if (ds_engine_draft(engine, &item, 1, &error))
      giveUp("draft", error);
    for (int64_t row = 0; row < item.count; ++row) {
      const float *logits = ds_engine_draft_logits(engine, row);
      reference.drafts.insert(reference.drafts.end(), logits,
                              logits + vocabulary());
    }
  }
}

void Server::draft(const std::vector<Item> &items) {
  int64_t rowBytes = ds_engine_hidden_row_bytes(engine.get());
  int64_t width = harness.vocabulary(), row = 0;
  for (const Item &item : items) {
    auto *from =
        static_cast<const char *>(ds_engine_hidden_row(engine.get(), row));
    std::vector<char> &hidden = item.runner->hidden;
    hidden.insert(hidden.end(), from, from + item.count * rowBytes);
    row += item.count;
  }
  while (true) {
    std::vector<ds_draft_item> work;
    std::vector<const Item *> owners;
    std::vector<int64_t> first;
    for (const Item &item : items) {
      ds_draft_item next = nextDrafts(
          harness.references()[item.runner->reference],
          item.runner->sequence.get(), item.runner->hidden, rowBytes);
      if (next.count == 0)
        continue;
      first.push_back(ds_sequence_drafted(next.sequence));
      work.push_back(next);
      owners.push_back(&item);
    }
    if (work.empty())
      return;
    char *error = nullptr;
    if (ds_engine_draft(engine.get(), work.data(), work.size(), &error))
      giveUp("draft", error);
    int64_t output = 0;
    for (size_t i = 0; i < work.size(); ++i)
      for (int64_t j = 0; j < work[i].count; ++j, ++output) {
        const Reference &reference =
            harness.references()[owners[i]->runner->reference];
        int64_t position = first[i] + j;
        compareRow(ds_engine_draft_logits(engine.get(), output),
                   reference.drafts.data() + position * width, width,
                   *owners[i]->runner, position, "drafts");
      }
    EXPECT_EQ(ds_engine_draft_outputs(engine.get()), output);
  }
}
