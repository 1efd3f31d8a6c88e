/*===- ds_runtime.h - The C interface of the runtime ------------------------===
 *
 * Loads an artifact of dscc, packs the weights of a model folder, keeps the
 * state of sequences and runs steps.
 *
 *   char *error = NULL;
 *   ds_artifact *artifact = ds_artifact_open("model.so", NULL, &error);
 *   ds_pool *pool = ds_pool_create(2, &error);
 *   ds_weights *weights = ds_weights_load(artifact, "model/", pool, &error);
 *   ds_engine *engine = ds_engine_create(artifact, weights, pool, NULL,
 *                                        &error);
 *   ds_state *state = ds_state_create(artifact, 64, 0, &error);
 *   ds_sequence *sequence = ds_sequence_create(state);
 *   ds_step_item item = {sequence, ids, count, count - 1};
 *   if (ds_engine_step(engine, &item, 1, &error) == 0)
 *     pick(ds_engine_logits(engine, 0), ds_artifact_vocabulary(artifact));
 *
 * Rules
 * - A function that can fail takes `char **error`. On failure it returns NULL
 *   or -1 and, unless `error` is NULL, points it to a message that the caller
 *   frees with ds_string_free. On success it leaves `error` alone.
 * - Handles are opaque. What a handle was made from has to outlive it: free in
 *   the reverse order of creation. Every *_free takes NULL.
 * - Nothing is global: handles do not know of each other. Calls on the same
 *   handle, or on handles made from the same pool or state, have to be made one
 *   at a time.
 * - No call throws, exits or writes to standard output or error.
 *
 *===----------------------------------------------------------------------===*/
#ifndef DS_RUNTIME_DS_RUNTIME_H
#define DS_RUNTIME_DS_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this interface; it grows when a declaration changes. */
#define DS_RUNTIME_ABI 3

typedef struct ds_artifact ds_artifact;
typedef struct ds_pool ds_pool;
typedef struct ds_weights ds_weights;
typedef struct ds_engine ds_engine;
typedef struct ds_state ds_state;
typedef struct ds_sequence ds_sequence;
typedef struct ds_trainer ds_trainer;

/** Returns DS_RUNTIME_ABI of the library. */
int32_t ds_runtime_abi(void);
/** Returns the version of the project, such as "0.1.0". */
const char *ds_runtime_version(void);
/** Frees a message. */
void ds_string_free(char *string);

/* Artifact ------------------------------------------------------------------*/

/** Opens the artifact at `path`. Its manifest and size are checked before it is
 * opened as code. `variant` is amx, avx512bf16, avx512 or avx2, or NULL for the
 * best that this CPU runs. */
ds_artifact *ds_artifact_open(const char *path, const char *variant,
                              char **error);
void ds_artifact_free(ds_artifact *artifact);
/** Returns the variant in use. */
const char *ds_artifact_variant(const ds_artifact *artifact);
/** Returns the JSON text of the manifest (docs/artifact.md). */
const char *ds_artifact_manifest(const ds_artifact *artifact);
/** Returns the number of tokens of the vocabulary. */
int64_t ds_artifact_vocabulary(const ds_artifact *artifact);
/** Returns the most tokens that a sequence may have. */
int64_t ds_artifact_positions(const ds_artifact *artifact);

/* Threads -------------------------------------------------------------------*/

/** Starts `threads` - 1 threads; the caller of a step is the other one. 0 takes
 * one for each CPU this process may use. */
ds_pool *ds_pool_create(int32_t threads, char **error);
void ds_pool_free(ds_pool *pool);

/* Weights -------------------------------------------------------------------*/

/** Reads the safetensors of the folder `path`. All names, shapes and types are
 * checked first, and the message lists all that do not fit. */
ds_weights *ds_weights_load(const ds_artifact *artifact, const char *path,
                            ds_pool *pool, char **error);
void ds_weights_free(ds_weights *weights);
/** Returns the bytes of packed weights, and those used from a file's mapping.
 */
int64_t ds_weights_packed_bytes(const ds_weights *weights);
int64_t ds_weights_mapped_bytes(const ds_weights *weights);

/* State ---------------------------------------------------------------------*/

/** For tests: hand out pages in a random order; fill free pages with NaN. */
#define DS_STATE_PERMUTE_PAGES 1u
#define DS_STATE_POISON_FREE_PAGES 2u

/** Makes room for `pages` pages of 64 positions, shared by all sequences of the
 * state. Memory is taken when it is first used. */
ds_state *ds_state_create(const ds_artifact *artifact, int64_t pages,
                          uint32_t flags, char **error);
void ds_state_free(ds_state *state);
int64_t ds_state_free_pages(const ds_state *state);
/** Returns the bytes of a page, all layers together. */
int64_t ds_state_page_bytes(const ds_artifact *artifact);

/** Returns an empty sequence. */
ds_sequence *ds_sequence_create(ds_state *state);
/** Returns a sequence with the same tokens. The pages are shared until one of
 * the two appends to the last. */
ds_sequence *ds_sequence_fork(const ds_sequence *sequence);
/** Forgets the tokens from `length` on; -1 if there are fewer. */
int32_t ds_sequence_truncate(ds_sequence *sequence, int64_t length,
                             char **error);
int64_t ds_sequence_length(const ds_sequence *sequence);
void ds_sequence_free(ds_sequence *sequence);

/* Steps ---------------------------------------------------------------------*/

typedef struct ds_engine_options {
  int64_t max_tokens;  /**< Of a step that runs in one piece; 0: 512. */
  int64_t max_outputs; /**< Rows of logits of such a step; 0: 64. */
} ds_engine_options;

/** Tokens to append to a sequence. Logits are given for the tokens from
 * `first_output` on: count - 1 for the last only, count for none. */
typedef struct ds_step_item {
  ds_sequence *sequence;
  const int32_t *tokens;
  int64_t count;
  int64_t first_output;
  /** Not 0 where the tokens were generated: latent attention computes these
   * in another form than those of a prompt. */
  int32_t generated;
} ds_step_item;

/** `options` may be NULL. */
ds_engine *ds_engine_create(const ds_artifact *artifact,
                            const ds_weights *weights, ds_pool *pool,
                            const ds_engine_options *options, char **error);
void ds_engine_free(ds_engine *engine);

/** Runs a step: prefill, decode, or any mix. Returns 0, or -1 with everything
 * as it was. */
int32_t ds_engine_step(ds_engine *engine, const ds_step_item *items,
                       size_t count, char **error);
/** Returns how many rows of logits the last step gave. */
int64_t ds_engine_outputs(const ds_engine *engine);
/** Returns row `row` of the logits, f32, one for each token of the vocabulary.
 * It is valid until the next step. */
const float *ds_engine_logits(const ds_engine *engine, int64_t row);

/** Turns the recording of hidden states on (not 0) or off. */
void ds_engine_record_hidden(ds_engine *engine, int32_t on);
/** Returns how many places are recorded: the embedding, each layer, and the
 * last norm. */
int64_t ds_engine_hidden_places(const ds_engine *engine);
/** Returns the rows of the last step's tokens at `place`, f32, and their width
 * in `columns`. They are valid until the next step. */
const float *ds_engine_hidden(const ds_engine *engine, int64_t place,
                              int64_t *columns);

/** A launch that was measured. */
typedef struct ds_launch_time {
  int64_t kernel; /**< Index in the manifest's kernels. */
  int64_t layer;  /**< Of the model, or -1. */
  int64_t rows, tiles, nanoseconds;
} ds_launch_time;

/** Turns measuring on (not 0) or off and forgets what was measured. */
void ds_engine_profile(ds_engine *engine, int32_t on);
/** Copies up to `capacity` measured launches; returns how many there are. */
size_t ds_engine_launch_times(const ds_engine *engine, ds_launch_time *out,
                              size_t capacity);

/* Drafts --------------------------------------------------------------------*/

/* A model with a multi-token prediction layer (arXiv 2412.19437, section 2.2)
 * has a draft head: its row i takes the hidden row that the model leaves at
 * token i and token i + 1, and its logits guess token i + 2. The rows of a
 * sequence have to be drafted in order, all of them, so that their state is
 * there for later ones. A guess can be fed back: the head's own hidden row and
 * the guess make the next row. Such rows have to be taken back with
 * ds_sequence_truncate_drafts before the row of the real token is run. */

/** Returns whether the artifact has a draft head. */
int32_t ds_artifact_drafts(const ds_artifact *artifact);
/** Turns the keeping of hidden rows by steps on (not 0) or off. */
void ds_engine_keep_hidden(ds_engine *engine, int32_t on);
/** Returns the bytes of a hidden row; 0 without a draft head. */
int64_t ds_engine_hidden_row_bytes(const ds_engine *engine);
/** Returns the hidden row of token `row` of the last step, counted through its
 * items; those of tokens that follow one another do so in memory. Valid until
 * the next step; copy it to keep it. */
const void *ds_engine_hidden_row(const ds_engine *engine, int64_t row);

/** Rows of the draft head to append to a sequence, from ds_sequence_drafted()
 * on. Logits are given as for a ds_step_item. */
typedef struct ds_draft_item {
  ds_sequence *sequence;
  const int32_t *tokens; /**< [count], those after the tokens of the rows. */
  const void *hidden;    /**< [count] hidden rows. */
  int64_t count;
  int64_t first_output;
  int32_t generated; /**< As in ds_step_item, of `tokens`. */
} ds_draft_item;

/** Runs the draft head. Returns 0, or -1 with everything as it was. */
int32_t ds_engine_draft(ds_engine *engine, const ds_draft_item *items,
                        size_t count, char **error);
/** The same as for a step, of the last draft. */
int64_t ds_engine_draft_outputs(const ds_engine *engine);
const float *ds_engine_draft_logits(const ds_engine *engine, int64_t row);
const void *ds_engine_draft_hidden_row(const ds_engine *engine, int64_t row);

/** Returns how many rows of the draft head the sequence has. Truncating a
 * sequence to n tokens leaves n - 1 at most, and so has a fork at n: the row of
 * the last token goes with the next one. */
int64_t ds_sequence_drafted(const ds_sequence *sequence);
/** Forgets the rows of the draft head from `length` on; -1 if there are fewer.
 */
int32_t ds_sequence_truncate_drafts(ds_sequence *sequence, int64_t length,
                                    char **error);

/* Training ------------------------------------------------------------------*/

/** A sequence to train on: the token after each of the first `count` - 1 is a
 * target if its element of `mask` is not 0; `mask` may be NULL: all are. Those
 * whose element of `generated` is not 0 were generated by the model (`generated`
 * of a ds_item): their log-probabilities are then equal to the bit to those that
 * they were drawn with. `generated` may be NULL: none was. */
typedef struct ds_train_sequence {
  const int32_t *tokens;
  const uint8_t *mask;
  int64_t count;
  const uint8_t *generated;
} ds_train_sequence;

/** What the losses of a batch are divided by. */
typedef struct ds_batch_size {
  int64_t targets, sequences;
  int64_t rows;          /**< Tokens, but for the last of each sequence. */
  int64_t draft_targets; /**< Targets whose next token is one, too, which a
                            draft head is asked for. */
} ds_batch_size;

/** AdamW (arXiv 1711.05101). */
typedef struct ds_update_options {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  float clip; /**< Greatest norm of the gradient; 0: no limit. */
} ds_update_options;

/** Takes the weights of the folder `path`, in f32 beside what the kernels read.
 * The artifact has to be one that trains (dscc --entry=infer,train). A step has
 * up to `max_tokens` tokens. */
ds_trainer *ds_trainer_create(const ds_artifact *artifact, const char *path,
                              ds_pool *pool, int64_t max_tokens, char **error);
/** Goes on from the last checkpoint of the folder `run`, which
 * ds_trainer_save() wrote: equal to the bit to a run without interruption. */
ds_trainer *ds_trainer_resume(const ds_artifact *artifact, const char *run,
                              ds_pool *pool, int64_t max_tokens, char **error);
void ds_trainer_free(ds_trainer *trainer);

/** Runs forward and backward, adds to the gradients, and puts the sum of the
 * losses of all targets, as the artifact's objective divides them by the batch,
 * and of the terms that the model adds (balance losses) into `loss` unless that
 * is NULL. `size` is that of the batch over all calls before an update; NULL: of
 * this call alone. Returns 0 or -1. */
int32_t ds_trainer_accumulate(ds_trainer *trainer,
                              const ds_train_sequence *sequences, size_t count,
                              const ds_batch_size *size, double *loss,
                              char **error);
/** Returns the log-probabilities of the last call's targets, sequence by
 * sequence, and how many in `count`. They are valid until the next call. */
const float *ds_trainer_log_probs(const ds_trainer *trainer, int64_t *count);
/** Updates the weights by the gradients, which are zero after it, and puts their
 * norm before clipping into `norm` unless that is NULL. Returns 0, or -1 with
 * the weights as they were. */
int32_t ds_trainer_update(ds_trainer *trainer, const ds_update_options *options,
                          double *norm, char **error);
/** Returns the updates done. */
int64_t ds_trainer_steps(const ds_trainer *trainer);
/** Writes the checkpoint `run`/step-N, N being the updates done: a Hugging Face
 * folder, bf16 or with `f32` (not 0) f32, with the optimiser's state beside.
 * Configuration and tokenizer are copied from `source` unless it is NULL. */
int32_t ds_trainer_save(const ds_trainer *trainer, const char *run,
                        const char *source, int32_t f32, char **error);

#ifdef __cplusplus
}
#endif

#endif /* DS_RUNTIME_DS_RUNTIME_H */
