//===- RunFolder.h - Checkpoints of a training run ------------------------===//
//
// A checkpoint `step-N` is a Hugging Face folder with the optimiser's state
// beside it (optimizer.safetensors, trainer.json). It is written under a
// temporary name, brought to the disk and renamed: the greatest N always loads.
//
//===----------------------------------------------------------------------===//
#ifndef DS_RUNTIME_TRAINING_RUNFOLDER_H
#define DS_RUNTIME_TRAINING_RUNFOLDER_H

#include "runtime/training/Trainer.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

namespace ds::runtime {

/// A checkpoint that is complete.
struct SavedStep {
  int64_t step = 0;
  std::string path;
  nlohmann::json state; // trainer.json
};

/// Returns the last complete checkpoint of `folder`, if there is one, and
/// removes what an interrupted save left.
Result<std::optional<SavedStep>> findLastStep(const std::string &folder);

/// Writes checkpoint `step`. Configuration and tokenizer are copied from
/// `source`; weights are f32 with `f32`, else bf16.
Status saveStep(const std::string &folder, int64_t step,
                const Trainer &trainer, const nlohmann::json &state,
                const std::vector<std::string> &sources, bool f32);

/// Fills weights and optimiser from a checkpoint.
Status loadStep(Trainer &trainer, const SavedStep &saved);

/// Makes another text of that of a config.json.
using ConfigEdit = std::function<Result<std::string>(const std::string &)>;

/// Copies to the folder `to` what a Hugging Face folder has beside its weights,
/// each file from the first of `sources` that has it.
Status copyCompanions(const std::vector<std::string> &sources,
                      const std::string &to, const ConfigEdit &editConfig);

/// Writes a file under a temporary name, brings it to the disk and renames it.
Status writeDurably(const std::string &path, const std::string &content);

} // namespace ds::runtime

#endif // DS_RUNTIME_TRAINING_RUNFOLDER_H
