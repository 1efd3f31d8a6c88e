//===- CDraft.cpp - The C interface of draft heads ------------------------===//
#include "runtime/CHandles.h"

using namespace ds::runtime;

int32_t ds_artifact_drafts(const ds_artifact *artifact) {
  return artifact->artifact->manifest().find("draft") != nullptr;
}

void ds_engine_keep_hidden(ds_engine *engine, int32_t on) {
  engine->engine->keepHidden(on != 0);
}

int64_t ds_engine_hidden_row_bytes(const ds_engine *engine) {
  return engine->engine->hiddenBytes();
}

const void *ds_engine_hidden_row(const ds_engine *engine, int64_t row) {
  return engine->engine->hiddenRow(row);
}

int32_t ds_engine_draft(ds_engine *engine, const ds_draft_item *items,
                        size_t count, char **error) {
  return guard(error, -1, [&] {
    std::vector<StepItem> step;
    for (size_t i = 0; i < count; ++i) {
      step.push_back({&items[i].sequence->sequence, items[i].tokens,
                      items[i].count, items[i].first_output});
      step.back().generated = items[i].generated != 0;
      step.back().drafts = true;
      step.back().hidden = static_cast<const char *>(items[i].hidden);
    }
    Status failed = engine->engine->draft(step);
    if (failed)
      setError(error, failed->message);
    return failed ? -1 : 0;
  });
}

int64_t ds_engine_draft_outputs(const ds_engine *engine) {
  return engine->engine->draftOutputs();
}

const float *ds_engine_draft_logits(const ds_engine *engine, int64_t row) {
  return engine->engine->draftLogits(row);
}

const void *ds_engine_draft_hidden_row(const ds_engine *engine, int64_t row) {
  return engine->engine->draftHiddenRow(row);
}

int64_t ds_sequence_drafted(const ds_sequence *sequence) {
  return sequence->sequence.draftLength();
}

int32_t ds_sequence_truncate_drafts(ds_sequence *sequence, int64_t length,
                                    char **error) {
  if (length < 0 || length > sequence->sequence.draftLength()) {
    setError(error,
             join("expects the rows of the draft head to keep (", length,
                  ") to be between 0 and ", sequence->sequence.draftLength()));
    return -1;
  }
  sequence->sequence.truncateDraft(length);
  return 0;
}
