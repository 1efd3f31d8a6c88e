/*===- CTraining.c - Trains through the C interface -----------------------===
 *
 *   CTraining ARTIFACT WEIGHTS RUN
 *
 * Two updates, a checkpoint in the folder RUN and a third; then the third again
 * from the checkpoint. What comes out has to be equal to the bit.
 *
 *===----------------------------------------------------------------------===*/
#include "runtime/ds_runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS 40

static void expect(int good, const char *what, char *error) {
  if (good)
    return;
  fprintf(stderr, "%s: %s\n", what, error ? error : "unexpected result");
  exit(1);
}

/* Runs one update on two sequences; returns the loss. The second sequence's
 * targets are those of its last half. */
static double step(ds_trainer *trainer) {
  static const ds_update_options options = {1e-2f, 0.9f, 0.95f, 1e-8f, 0.1f, 1};
  int32_t tokens[TOKENS];
  uint8_t mask[TOKENS];
  double loss = 0, norm = 0;
  char *error = NULL;
  ds_train_sequence sequences[2] = {{tokens, NULL, TOKENS},
                                    {tokens, mask, TOKENS}};
  for (int i = 0; i < TOKENS; ++i) {
    tokens[i] = i * 37 % 101;
    mask[i] = i >= TOKENS / 2;
  }
  expect(ds_trainer_accumulate(trainer, sequences, 2, NULL, &loss, &error) == 0,
         "accumulate", error);
  expect(ds_trainer_update(trainer, &options, &norm, &error) == 0, "update",
         error);
  expect(norm > 0, "norm of the gradient", NULL);
  return loss;
}

static void expectErrors(ds_artifact *artifact, ds_trainer *trainer,
                         ds_pool *pool) {
  int32_t token = 1, bad[2] = {1, -7};
  ds_train_sequence one = {&token, NULL, 1}, wrong = {bad, NULL, 2};
  char *error = NULL;
  expect(ds_trainer_accumulate(trainer, &one, 1, NULL, NULL, &error) == -1 &&
             strstr(error, "two tokens"),
         "a sequence of one token", error);
  ds_string_free(error);
  expect(ds_trainer_accumulate(trainer, &wrong, 1, NULL, NULL, &error) == -1 &&
             strstr(error, "-7"),
         "a token outside of the vocabulary", error);
  ds_string_free(error);
  ds_batch_size small = {0, 1, 1, 0};
  bad[1] = 2;
  expect(ds_trainer_accumulate(trainer, &wrong, 1, &small, NULL, &error) ==
                 -1 &&
             strstr(error, "at least this call's 1 targets, 1 sequences"),
         "a batch that is smaller than a part of it", error);
  ds_string_free(error);
  expect(!ds_trainer_resume(artifact, "/nowhere", pool, 80, &error) &&
             strstr(error, "/nowhere"),
         "a run that is not there", error);
  ds_string_free(error);
}

int main(int argc, char **argv) {
  char *error = NULL;
  int64_t count = 0, again = 0;
  if (argc != 4)
    return 2;
  ds_artifact *artifact = ds_artifact_open(argv[1], NULL, &error);
  expect(artifact != NULL, "artifact", error);
  ds_pool *pool = ds_pool_create(2, &error);
  ds_trainer *trainer =
      ds_trainer_create(artifact, argv[2], pool, 2 * TOKENS, &error);
  expect(trainer != NULL, "trainer", error);
  expectErrors(artifact, trainer, pool);
  double first = step(trainer), second = step(trainer);
  expect(second < first, "the loss has to fall", NULL);
  expect(ds_trainer_save(trainer, argv[3], argv[2], 1, &error) == 0, "save",
         error);
  double third = step(trainer);
  const float *values = ds_trainer_log_probs(trainer, &count);
  expect(count == TOKENS - 1 + TOKENS / 2, "log-probabilities", NULL);

  ds_trainer *other =
      ds_trainer_resume(artifact, argv[3], pool, 2 * TOKENS, &error);
  expect(other != NULL, "resume", error);
  expect(ds_trainer_steps(other) == 2, "updates of the checkpoint", NULL);
  expect(step(other) == third, "loss after resuming", NULL);
  const float *others = ds_trainer_log_probs(other, &again);
  expect(again == count && !memcmp(values, others, count * sizeof(float)),
         "log-probabilities after resuming", NULL);
  expect(ds_trainer_steps(other) == 3, "updates after resuming", NULL);
  ds_trainer_free(other);
  ds_trainer_free(trainer);
  ds_pool_free(pool);
  ds_artifact_free(artifact);
  printf("losses %.6f %.6f %.6f\n", first, second, third);
  return 0;
}
