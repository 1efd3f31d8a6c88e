//===- CTraining.cpp - Training in the C interface ------------------------===//
#include "runtime/CHandles.h"
#include "runtime/training/RunFolder.h"
#include "runtime/training/TrainedTensors.h"

using namespace ds::runtime;

struct ds_trainer {
  std::unique_ptr<Trainer> trainer;
};

/// Creates a trainer that `fill` fills.
template <typename Fill>
static ds_trainer *create(const ds_artifact *artifact, ds_pool *pool,
                          int64_t tokens, char **error, Fill fill) {
  return guard(error, static_cast<ds_trainer *>(nullptr),
               [&]() -> ds_trainer * {
                 auto trainer =
                     Trainer::create(*artifact->artifact, pool->pool, tokens);
                 if (trainer) {
                   Status failed = fill(**trainer);
                   if (!failed)
                     return new ds_trainer{std::move(*trainer)};
                   setError(error, failed->message);
                   return nullptr;
                 }
                 setError(error, trainer.error());
                 return nullptr;
               });
}

/// Returns 0, or sets the error and returns -1.
static int32_t report(const Status &failed, char **error) {
  if (failed)
    setError(error, failed->message);
  return failed ? -1 : 0;
}

ds_trainer *ds_trainer_create(const ds_artifact *artifact, const char *path,
                              ds_pool *pool, int64_t max_tokens, char **error) {
  return create(artifact, pool, max_tokens, error, [&](Trainer &trainer) {
    return loadTensors(trainer, TrainedCopy::Master, path, "");
  });
}

ds_trainer *ds_trainer_resume(const ds_artifact *artifact, const char *run,
                              ds_pool *pool, int64_t max_tokens, char **error) {
  return create(artifact, pool, max_tokens, error,
                [&](Trainer &trainer) -> Status {
                  Result<std::optional<SavedStep>> saved = findLastStep(run);
                  if (!saved)
                    return Error{saved.error()};
                  if (!*saved)
                    return failure("'", run, "' has no checkpoint step-N");
                  return loadStep(trainer, **saved);
                });
}

void ds_trainer_free(ds_trainer *trainer) { delete trainer; }

int32_t ds_trainer_accumulate(ds_trainer *trainer,
                              const ds_train_sequence *sequences, size_t count,
                              const ds_batch_size *size, double *loss,
                              char **error) {
  return guard(error, -1, [&]() -> int32_t {
    std::vector<TrainSequence> step;
    std::vector<std::vector<uint8_t>> masks;
    BatchSize batch;
    masks.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const ds_train_sequence &from = sequences[i];
      if (from.count < 2)
        return report(failure("expects every sequence to have two tokens or "
                              "more, found ", from.count),
                      error);
      if (!from.mask)
        masks.emplace_back(from.count, 1);
      step.push_back({from.tokens, from.mask ? from.mask : masks.back().data(),
                      from.count - 1, from.generated});
      batch.add(step.back());
    }
    if (size && (size->targets < batch.targets ||
                 size->sequences < batch.sequences || size->rows < batch.rows ||
                 size->draft_targets < batch.draftTargets))
      return report(failure("expects a batch of at least this call's ",
                            batch.targets, " targets, ", batch.sequences,
                            " sequences, ", batch.rows, " rows and ",
                            batch.draftTargets, " draft targets"),
                    error);
    if (size)
      batch = {size->targets, size->sequences, size->rows, size->draft_targets};
    Result<double> sum = trainer->trainer->accumulate(step, batch);
    if (!sum)
      return report(Error{sum.error()}, error);
    if (loss)
      *loss = *sum;
    return 0;
  });
}

const float *ds_trainer_log_probs(const ds_trainer *trainer, int64_t *count) {
  const std::vector<float> &values = trainer->trainer->logProbs();
  *count = static_cast<int64_t>(values.size());
  return values.data();
}

int32_t ds_trainer_update(ds_trainer *trainer, const ds_update_options *options,
                          double *norm, char **error) {
  return guard(error, -1, [&]() -> int32_t {
    UpdateOptions update;
    update.learningRate = options->learning_rate;
    update.beta1 = options->beta1, update.beta2 = options->beta2;
    update.epsilon = options->epsilon;
    update.weightDecay = options->weight_decay;
    update.clip = options->clip;
    Result<double> length = trainer->trainer->update(update);
    if (!length)
      return report(Error{length.error()}, error);
    if (norm)
      *norm = *length;
    return 0;
  });
}

int64_t ds_trainer_steps(const ds_trainer *trainer) {
  return trainer->trainer->steps();
}

int32_t ds_trainer_save(const ds_trainer *trainer, const char *run,
                        const char *source, int32_t f32, char **error) {
  return guard(error, -1, [&]() -> int32_t {
    int64_t steps = trainer->trainer->steps();
    return report(saveStep(run, steps, *trainer->trainer, {{"step", steps}},
                           {source ? source : ""}, f32 != 0),
                  error);
  });
}
