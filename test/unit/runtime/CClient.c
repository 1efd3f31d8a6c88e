/*===- CClient.c - A client of the C interface -----------------------------===*/
#include "runtime/ds_runtime.h"

/* Returns the best token after a prompt, or -1. Forks, rolls back and decodes
 * on the way, so that every kind of handle is used. */
int64_t argmaxOfPrompt(const char *path, const char *folder, const int32_t *ids,
                       int64_t count);

static int64_t argmax(const float *logits, int64_t count) {
  int64_t best = 0;
  for (int64_t i = 1; i < count; ++i)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

/* Runs all but the last token on one sequence and the last on its twin. */
static int64_t run(ds_engine *engine, ds_sequence *sequence, const int32_t *ids,
                   int64_t count, int64_t vocabulary) {
  ds_sequence *twin;
  int64_t best = -1, columns = 0;
  ds_step_item item = {sequence, ids, count, count};
  if (ds_engine_step(engine, &item, 1, NULL))
    return -1;
  if (ds_engine_outputs(engine) != 0 || ds_sequence_length(sequence) != count)
    return -1;
  if (ds_sequence_truncate(sequence, count - 1, NULL))
    return -1;
  twin = ds_sequence_fork(sequence);
  item.sequence = twin;
  item.tokens = ids + count - 1;
  item.count = 1;
  item.first_output = 0;
  ds_engine_record_hidden(engine, 1);
  ds_engine_profile(engine, 1);
  if (ds_engine_step(engine, &item, 1, NULL) == 0 &&
      ds_engine_hidden_places(engine) == 4 &&
      ds_engine_hidden(engine, 3, &columns) && columns == 12 &&
      ds_engine_launch_times(engine, NULL, 0) == 9)
    best = argmax(ds_engine_logits(engine, 0), vocabulary);
  ds_sequence_free(twin);
  return best;
}

int64_t argmaxOfPrompt(const char *path, const char *folder, const int32_t *ids,
                       int64_t count) {
  ds_engine_options options = {8, 2};
  ds_artifact *artifact = ds_artifact_open(path, "avx2", NULL);
  ds_pool *pool = ds_pool_create(2, NULL);
  ds_weights *weights = ds_weights_load(artifact, folder, pool, NULL);
  ds_engine *engine = ds_engine_create(artifact, weights, pool, &options, NULL);
  ds_state *state =
      ds_state_create(artifact, 4, DS_STATE_POISON_FREE_PAGES, NULL);
  ds_sequence *sequence = ds_sequence_create(state);
  int64_t best =
      run(engine, sequence, ids, count, ds_artifact_vocabulary(artifact));
  ds_sequence_free(sequence);
  if (ds_state_free_pages(state) != 4)
    best = -1;
  ds_state_free(state);
  ds_engine_free(engine);
  ds_weights_free(weights);
  ds_pool_free(pool);
  ds_artifact_free(artifact);
  return best;
}
