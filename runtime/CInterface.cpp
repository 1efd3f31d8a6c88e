//===- CInterface.cpp - The C interface of the runtime --------------------===//
//
// Handles hold the C++ objects; what they throw (memory that cannot be had)
// becomes an error message.
//
//===----------------------------------------------------------------------===//
#include "runtime/CHandles.h"
#include "runtime/Version.h"

#include <cstdlib>

using namespace ds::runtime;

int32_t ds_runtime_abi(void) { return DS_RUNTIME_ABI; }

const char *ds_runtime_version(void) { return versionText; }

void ds_string_free(char *string) { free(string); }

ds_artifact *ds_artifact_open(const char *path, const char *variant,
                              char **error) {
  return guard(error, static_cast<ds_artifact *>(nullptr), [&] {
    ArtifactOptions options;
    options.variant = variant ? variant : "";
    return wrap<ds_artifact>(Artifact::open(path, options), error);
  });
}

void ds_artifact_free(ds_artifact *artifact) { delete artifact; }

const char *ds_artifact_variant(const ds_artifact *artifact) {
  return artifact->artifact->variant().c_str();
}

const char *ds_artifact_manifest(const ds_artifact *artifact) {
  return artifact->artifact->manifestText().c_str();
}

int64_t ds_artifact_vocabulary(const ds_artifact *artifact) {
  return artifact->artifact->manifest().config.vocabulary;
}

int64_t ds_artifact_positions(const ds_artifact *artifact) {
  return artifact->artifact->manifest().config.positions;
}

ds_pool *ds_pool_create(int32_t threads, char **error) {
  return guard(error, static_cast<ds_pool *>(nullptr), [&]() -> ds_pool * {
    constexpr int most = 1024;
    if (threads >= 0 && threads <= most)
      return new ds_pool(threads ? threads : countCpus());
    setError(error, join("expects the number of threads (", threads,
                         ") to be between 0 and ", most));
    return nullptr;
  });
}

void ds_pool_free(ds_pool *pool) { delete pool; }

ds_weights *ds_weights_load(const ds_artifact *artifact, const char *path,
                            ds_pool *pool, char **error) {
  return guard(error, static_cast<ds_weights *>(nullptr), [&] {
    return wrap<ds_weights>(
        Weights::load(artifact->artifact->manifest(), path, pool->pool), error);
  });
}

void ds_weights_free(ds_weights *weights) { delete weights; }

int64_t ds_weights_packed_bytes(const ds_weights *weights) {
  return weights->weights.packedBytes();
}

int64_t ds_weights_mapped_bytes(const ds_weights *weights) {
  return weights->weights.mappedBytes();
}

ds_state *ds_state_create(const ds_artifact *artifact, int64_t pages,
                          uint32_t flags, char **error) {
  return guard(error, static_cast<ds_state *>(nullptr), [&] {
    StateOptions options;
    options.pages = pages;
    options.permutePages = flags & DS_STATE_PERMUTE_PAGES;
    options.poisonFreePages = flags & DS_STATE_POISON_FREE_PAGES;
    return wrap<ds_state>(
        StatePool::create(artifact->artifact->manifest(), options), error);
  });
}

void ds_state_free(ds_state *state) { delete state; }

int64_t ds_state_free_pages(const ds_state *state) {
  return state->pool->freePages();
}

int64_t ds_state_page_bytes(const ds_artifact *artifact) {
  return artifact->artifact->manifest().statePageBytes();
}

ds_sequence *ds_sequence_create(ds_state *state) {
  return new ds_sequence{Sequence(*state->pool)};
}

ds_sequence *ds_sequence_fork(const ds_sequence *sequence) {
  return new ds_sequence{sequence->sequence.fork()};
}

int32_t ds_sequence_truncate(ds_sequence *sequence, int64_t length,
                             char **error) {
  if (length < 0 || length > sequence->sequence.length()) {
    setError(error,
             join("expects the length to keep (", length,
                  ") to be between 0 and ", sequence->sequence.length()));
    return -1;
  }
  sequence->sequence.truncate(length);
  return 0;
}

int64_t ds_sequence_length(const ds_sequence *sequence) {
  return sequence->sequence.length();
}

void ds_sequence_free(ds_sequence *sequence) { delete sequence; }

ds_engine *ds_engine_create(const ds_artifact *artifact,
                            const ds_weights *weights, ds_pool *pool,
                            const ds_engine_options *options, char **error) {
  return guard(error, static_cast<ds_engine *>(nullptr), [&] {
    EngineOptions limits;
    if (options && options->max_tokens)
      limits.maxTokens = options->max_tokens;
    if (options && options->max_outputs)
      limits.maxOutputs = options->max_outputs;
    return wrap<ds_engine>(Engine::create(*artifact->artifact, weights->weights,
                                          pool->pool, limits),
                           error);
  });
}

void ds_engine_free(ds_engine *engine) { delete engine; }

int32_t ds_engine_step(ds_engine *engine, const ds_step_item *items,
                       size_t count, char **error) {
  return guard(error, -1, [&] {
    std::vector<StepItem> step;
    for (size_t i = 0; i < count; ++i) {
      step.push_back({&items[i].sequence->sequence, items[i].tokens,
                      items[i].count, items[i].first_output});
      step.back().generated = items[i].generated != 0;
    }
    Status failed = engine->engine->step(step);
    if (failed)
      setError(error, failed->message);
    return failed ? -1 : 0;
  });
}

int64_t ds_engine_outputs(const ds_engine *engine) {
  return engine->engine->outputs();
}

const float *ds_engine_logits(const ds_engine *engine, int64_t row) {
  return engine->engine->logits(row);
}

void ds_engine_record_hidden(ds_engine *engine, int32_t on) {
  engine->engine->recordHidden(on != 0);
}

int64_t ds_engine_hidden_places(const ds_engine *engine) {
  return static_cast<int64_t>(engine->engine->hidden().size());
}

const float *ds_engine_hidden(const ds_engine *engine, int64_t place,
                              int64_t *columns) {
  const HiddenRows &rows = engine->engine->hidden()[place];
  *columns = rows.columns;
  return rows.values.data();
}

void ds_engine_profile(ds_engine *engine, int32_t on) {
  engine->engine->profile(on != 0);
}

size_t ds_engine_launch_times(const ds_engine *engine, ds_launch_time *out,
                              size_t capacity) {
  const std::vector<LaunchTime> &times = engine->engine->launchTimes();
  for (size_t i = 0; i < times.size() && i < capacity; ++i)
    out[i] = {times[i].kernel, times[i].layer, times[i].rows, times[i].tiles,
              times[i].nanoseconds};
  return times.size();
}
